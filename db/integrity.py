"""Checking a database: the engine's own checks, impossible states, every blob and digest."""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from lcma.db import migrate
from lcma.db.engine import Damaged, Database, get_driver, translating_errors
from lcma.db.maps import decode_map, find_map_damage
from lcma.db.results import (
    PUBLISHED_POINTS,
    find_artifact_damage,
    find_measure_damage,
    hash_protocol,
)
from lcma.db.schema import (
    artifacts,
    contribution_maps,
    data_sets,
    index_tables,
    measures,
    metadata,
    protocols,
)
from lcma.db.statements import Statement
from lcma.sweeps.recipe import LOG_EVERY, TRAIN_CURVE

ReportFunction = Callable[[str, int, int | None], None]
"""Called with a step's name, how much of it is done, and of how much, None if that is unknown."""

ROWS = 500
"""Rows read at once: maps and index tables are large."""

Row = Mapping[str, Any]
Rows = Iterable[tuple[str, Row]]
"""Rows of a table with their keys."""

Shapes = Mapping[str, tuple[int, ...]]
"""By digest of a data set the (C, H, W) of its images."""

Problems = Iterator[tuple[str, str]]
"""Keys of rows with their problems."""

TOLERANCE = 1e-9
"""The largest difference of a float64 sum between processors, relative to the sum of magnitudes."""

ENGINE = "the engine's own checks"


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault of a row, or of the whole database."""

    table: str | None
    row: str | None  # its key
    problem: str

    def __str__(self) -> str:
        if self.table is None:
            return self.problem
        where = self.table if self.row is None else f"{self.table} {self.row}"
        return f"{where}: {self.problem}"


@dataclass(frozen=True, slots=True)
class IntegrityReport:
    """The outcome of `check_integrity`."""

    findings: tuple[Finding, ...]
    read: Mapping[str, int]  # the number of rows of each table that was read in full


# States that no run of the state machine leaves behind, as queries that find them

RULES: Sequence[tuple[str, str, str]] = (
    (
        "jobs",
        "it is done without a result",
        "SELECT id FROM jobs WHERE state = 'done' AND kind = 'trial'"
        " AND done_attempt_id IN (SELECT id FROM attempts WHERE evaluated_step IS NULL)",
    ),
    (
        "jobs",
        "it is done without maps",
        "SELECT id FROM jobs WHERE state = 'done' AND kind = 'pretraining'"
        " AND done_attempt_id NOT IN (SELECT attempt_id FROM contribution_maps)",
    ),
    (
        "jobs",
        "it has had attempts, and its token is 0",
        "SELECT id FROM jobs WHERE token = 0 AND id IN (SELECT job_id FROM attempts)",
    ),
    (
        "jobs",
        "its attempt {} is at another job",
        "SELECT jobs.id, a.id FROM jobs JOIN attempts AS a ON a.id = jobs.attempt_id"
        " WHERE a.job_id <> jobs.id",
    ),
    (
        "jobs",
        "it is running, but its attempt {} has ended",
        "SELECT jobs.id, a.id FROM jobs JOIN attempts AS a ON a.id = jobs.attempt_id"
        " WHERE jobs.state = 'running' AND a.ended IS NOT NULL",
    ),
    (
        "jobs",
        "its current attempt {} is at another job, was not done, or is an evaluation",
        "SELECT jobs.id, a.id FROM jobs JOIN attempts AS a ON a.id = jobs.done_attempt_id"
        " WHERE a.job_id <> jobs.id OR coalesce(a.outcome, '') <> 'done' OR a.protocol IS NOT NULL",
    ),
    (  # as `choose_current` chooses it
        "jobs",
        "its current attempt is not the one that the rule chooses, such as {}",
        """
SELECT jobs.id, min(other.id) FROM jobs
JOIN attempts AS other ON other.job_id = jobs.id
LEFT JOIN attempts AS now ON now.id = jobs.done_attempt_id
WHERE other.outcome = 'done' AND other.protocol IS NULL AND NOT EXISTS (
    SELECT 1 FROM attempts AS newer WHERE newer.replaces = other.id AND newer.outcome = 'done')
AND (now.id IS NULL
    OR EXISTS (
        SELECT 1 FROM attempts AS newer WHERE newer.replaces = now.id AND newer.outcome = 'done')
    OR (other.replaces IS NOT NULL AND now.replaces IS NULL)
    OR ((other.replaces IS NULL) = (now.replaces IS NULL)
        AND ((other.ended <> now.ended AND (other.ended > now.ended) = (now.replaces IS NOT NULL))
            OR (other.ended = now.ended AND other.id < now.id))))
GROUP BY jobs.id""",
    ),
    (
        "attempts",
        "it has not ended, but job {} does not run under it",
        "SELECT a.id, a.job_id FROM attempts AS a WHERE a.ended IS NULL AND NOT EXISTS ("
        "SELECT 1 FROM jobs WHERE jobs.attempt_id = a.id AND jobs.state = 'running')",
    ),
    *(
        (
            "attempts",
            f"it {name} attempt {{}} at another job",
            "SELECT a.id, other.id FROM attempts AS a JOIN attempts AS other"
            f" ON other.id = a.{name} WHERE other.job_id <> a.job_id",
        )
        for name in ("continues", "replaces")
    ),
    *(
        (
            table,
            f"its attempt {{}} was at job {{}}, of another {what} or data_digest",
            f"SELECT {keys}, jobs.id FROM {table} AS made"
            " JOIN attempts AS a ON a.id = made.attempt_id JOIN jobs ON jobs.id = a.job_id"
            f" WHERE coalesce(jobs.{what}, '') <> made.{what}"
            f" OR jobs.data_digest <> made.data_digest{more}",
        )
        for table, what, keys, more in (
            ("index_tables", "trial_id", "made.attempt_id, made.split, a.id", ""),
            (
                "contribution_maps",
                "pretraining_id",
                "made.attempt_id, made.split, made.score, a.id",
                " OR jobs.budget <> made.budget",
            ),
        )
    ),
    (
        "measurements",
        "its exact protocol has the name {}",
        "SELECT m.attempt_id, m.protocol, m.name, p.name FROM measurements AS m"
        " JOIN protocols AS p ON p.id = m.protocol_id WHERE p.name <> m.protocol",
    ),
    (
        "measurements",
        "an attempt at job {} measured it, and an attempt at another job trained it",
        "SELECT m.attempt_id, m.protocol, m.name, a.job_id FROM measurements AS m"
        " JOIN attempts AS a ON a.id = m.measured_by JOIN attempts AS trained"
        " ON trained.id = m.attempt_id WHERE a.job_id <> trained.job_id",
    ),
    # There is a point of the loss for each window of steps; the last point comes with the end of an
    # attempt. A published curve, whose attempt names no host, has fewer.
    (
        "jobs",
        f"its {TRAIN_CURVE} has {{}} points of {{}}",
        f"""
SELECT jobs.id, count(*), jobs.steps / {LOG_EVERY} FROM jobs
JOIN metrics ON metrics.attempt_id = jobs.done_attempt_id
JOIN attempts AS a ON a.id = jobs.done_attempt_id
WHERE jobs.kind = 'trial' AND metrics.name = '{TRAIN_CURVE}' AND metrics.step % {LOG_EVERY} = 0
GROUP BY jobs.id, jobs.steps, a.host
HAVING count(*) < jobs.steps / {LOG_EVERY}
    AND NOT (a.host = '' AND count(*) >= {PUBLISHED_POINTS - 1})""",
    ),
    # References without a constraint: attempts refer to jobs, so a constraint the other way would
    # be a circle; events and points are added without reading their attempt.
    *(
        (
            table,
            f"its {column} {{}} is not in {other}",
            f"SELECT {keys}, {column} FROM {table} WHERE {column} IS NOT NULL"
            f" AND NOT EXISTS (SELECT 1 FROM {other} AS o WHERE o.{key} = {table}.{column})",
        )
        for table, column, keys, other, key in (
            ("jobs", "attempt_id", "id", "attempts", "id"),
            ("jobs", "done_attempt_id", "id", "attempts", "id"),
            ("attempts", "continues", "id", "attempts", "id"),
            ("attempts", "replaces", "id", "attempts", "id"),
            ("events", "attempt_id", "id", "attempts", "id"),
            ("metrics", "attempt_id", "attempt_id, name, step", "attempts", "id"),
            ("measurements", "name", "attempt_id, protocol, name", "measure_kinds", "name"),
        )
    ),
)
"""A table, the problem of a row, and the query for the primary keys of such rows, each followed by
the values that the problem names."""


# Checking everything


def check_integrity(
    database: Database, progress: ReportFunction = lambda step, done, total: None
) -> IntegrityReport:
    """Check everything that a database holds, without changing it.

    Everything is read in one state; others may write meanwhile.

    Args:
        database: The database.
        progress: Called with the table, the number of rows checked, and of all its rows or None.

    Raises:
        UserError: There is no database, or its schema is not this code's.
    """
    migrate.require_current(database, database.identify())
    findings: list[Finding] = []
    progress(ENGINE, 0, None)
    findings += [Finding(None, None, fault) for fault in database.faults()]
    with database.reader().connect() as connection:
        checks = RowChecks(connection, progress)
        for table, faults in checks.find_faults():
            try:
                findings.extend(faults)
            except Damaged as error:
                findings.append(Finding(table.name, None, str(error)))
                connection.rollback()
    return IntegrityReport(tuple(findings), checks.read)


STORAGE_CLASSES: Sequence[tuple[type[sa.types.TypeEngine[Any]], str]] = (
    (sa.Text, "text"),
    (sa.Integer, "integer"),
    (sa.Double, "real"),
    (sa.LargeBinary, "blob"),
)
"""SQLite's storage class for each type of a column. SQLite stores any value in any column."""


def _keys(table: sa.Table) -> list[sa.Column[Any]]:
    return list(table.primary_key.columns)


class RowChecks:
    """The checks of rows on one connection."""

    def __init__(self, connection: sa.Connection, progress: ReportFunction) -> None:
        self.connection, self.progress = connection, progress
        self.read: dict[str, int] = {}  # as in `IntegrityReport`

    def find_faults(
        self, without: Collection[sa.Table] = ()
    ) -> Iterator[tuple[sa.Table, Iterator[Finding]]]:
        """Yield tables, each several times, with faults of their rows as they are found."""
        tables = [table for table in metadata.sorted_tables if table not in without]
        if self.connection.dialect.name == "sqlite":
            for table in tables:
                yield table, self._find_wrong_types(table)
        for name, problem, query in RULES:
            if metadata.tables[name] in tables:
                yield metadata.tables[name], self._find_broken(name, problem, query)
        for table in CHECKS:
            if table in tables:
                yield table, self._find_damaged(table)

    def _find_wrong_types(self, table: sa.Table) -> Iterator[Finding]:
        self.progress(f"types of {table.name}", 0, None)
        keys, columns = _keys(table), list(table.columns)
        for row in _select_wrong_types(table).all(self.connection, {}):
            for column, kind in zip(columns, row[len(keys) :], strict=True):
                classes = _list_classes(column)
                if kind not in classes:
                    problem = f"its {column.name} is {kind}, not {' or '.join(classes)}"
                    yield Finding(table.name, _join_key(row[: len(keys)]), problem)

    def _find_broken(self, name: str, problem: str, query: str) -> Iterator[Finding]:
        self.progress(f"states of {name}", 0, None)
        keys = len(_keys(metadata.tables[name]))
        with translating_errors(self.connection):
            rows = get_driver(self.connection).execute(query).fetchall()
        for row in rows:
            yield Finding(name, _join_key(row[:keys]), problem.format(*row[keys:]))

    def _find_damaged(self, table: sa.Table) -> Iterator[Finding]:
        columns = (data_sets.c[n] for n in ("digest", "channels", "height", "width"))
        shapes = {row[0]: tuple(row[1:]) for row in self.connection.execute(sa.select(*columns))}
        for key, problem in CHECKS[table](self._read_rows(table), shapes):
            yield Finding(table.name, key, problem)

    def _read_rows(self, table: sa.Table) -> Iterator[tuple[str, Row]]:
        # In order of the keys, without rows with a value of another type.
        count = sa.select(sa.func.count()).select_from(table)
        total = int(self.connection.execute(count).scalar_one())
        query, done = sa.select(table).order_by(*_keys(table)), 0
        if self.connection.dialect.name == "sqlite":
            query = query.where(_is_typed(table))
        self.progress(table.name, done, total)
        result = self.connection.execute(query, execution_options={"yield_per": ROWS})
        for rows in result.mappings().partitions():
            for row in rows:
                yield _join_key(row[key.name] for key in _keys(table)), dict(row)
            done += len(rows)
            self.progress(table.name, done, total)
        self.read[table.name] = done


@cache  # building these is most of the work of checking a small database
def _is_typed(table: sa.Table) -> sa.ColumnElement[bool]:
    return sa.and_(
        *(
            sa.func.typeof(column).in_([sa.literal_column(f"'{c}'") for c in _list_classes(column)])
            for column in table.columns
        )
    )


@cache
def _select_wrong_types(table: sa.Table) -> Statement:
    # The keys of rows with a value of another type, and the types of all their values.
    keys, kinds = _keys(table), [sa.func.typeof(column) for column in table.columns]
    return Statement(lambda _: sa.select(*keys, *kinds).where(~_is_typed(table)).order_by(*keys))


def _list_classes(column: sa.Column[Any]) -> list[str]:
    classes = [name for kind, name in STORAGE_CLASSES if isinstance(column.type, kind)]
    return [*classes, "null"] if column.nullable else classes


def _check_maps(rows: Rows, shapes: Shapes) -> Problems:
    for key, row in rows:
        problem = find_map_damage(row)
        if problem is not None:
            yield key, problem
            continue
        problem = _find_shape_problem(row, shapes)
        if problem is not None:
            yield key, problem
        try:
            item = decode_map(row)
        except ValueError as error:
            yield key, f"it is not a map: {error}"
            continue
        if not abs(item.sum_error - row["sum_error"]) <= TOLERANCE:
            yield (
                key,
                f"its sum is off mean_log_det by {item.sum_error:.3g} of the sum of magnitudes, "
                f"and its sum_error says {row['sum_error']:.3g}",
            )


def _check_tables(rows: Rows, shapes: Shapes) -> Problems:
    # Each split keeps half of the dimensions that the split before it kept.
    previous: tuple[str, int] | None = None  # the attempt and the split of the row before
    previous_kept: NDArray[np.bool_] | None = None
    for key, row in rows:
        shape = (row["channels"], row["height"], row["width"])
        size = math.prod(shape)
        attempt_id, split = row["attempt_id"], row["split"]
        follows = previous == (attempt_id, split - 1)
        if split != 1 and not follows:
            yield key, f"there is none of split {split - 1}, before it"
        parent = previous_kept if follows else None
        previous, previous_kept = (attempt_id, split), None
        problem = _find_shape_problem(row, shapes)
        if len(row["kept"]) != -(-size // 8):
            problem = f"its bytes do not fill the shape {shape}"
        else:
            kept = np.unpackbits(np.frombuffer(row["kept"], np.uint8), count=size) > 0
            previous_kept = kept
            if split == 1:
                parent = np.ones(size, dtype=bool)
            if problem is None and parent is not None and parent.size == size:
                returned = int((kept & ~parent).sum())
                stay, were = int(kept.sum()), int(parent.sum())
                if returned:
                    problem = f"it keeps {returned} dimensions that had left before"
                elif 2 * stay != were:
                    problem = f"it keeps {stay} of {were} dimensions, which is not half"
        if problem is not None:
            yield key, problem


def _check_each(find: Callable[[Row], str | None]) -> Callable[[Rows, Shapes], Problems]:
    def check(rows: Rows, _: Shapes) -> Problems:
        return ((key, problem) for key, row in rows if (problem := find(row)) is not None)

    return check


def _find_protocol_damage(row: Row) -> str | None:
    matches = hash_protocol(row) == row["id"]
    return None if matches else "its columns do not match its id, the hash of them"


def _find_shape_problem(row: Row, shapes: Shapes) -> str | None:
    shape = (row["channels"], row["height"], row["width"])
    images = shapes.get(row["data_digest"], shape)
    return None if shape == images else f"its shape is {shape}, and its images are {images}"


def _join_key(key: Iterable[Any]) -> str:
    return ", ".join(map(str, key))


CHECKS: Mapping[sa.Table, Callable[[Rows, Shapes], Problems]] = {
    contribution_maps: _check_maps,
    index_tables: _check_tables,
    measures: _check_each(find_measure_damage),
    artifacts: _check_each(find_artifact_damage),
    protocols: _check_each(_find_protocol_damage),
}
"""The tables that are read in full, with the check of their rows."""
