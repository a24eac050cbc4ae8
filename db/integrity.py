"""Checking a database: the engine's own checks, states that cannot be, every blob and digest."""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from lcma.db import migrate
from lcma.db.engine import Damaged, Database, driver_errors, driver_of
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
"""Called with what is done, how much of it, and of how much; None where that is unknown."""

ROWS = 500
"""Rows read at once: maps and index tables are large."""

Row = Mapping[str, Any]
Rows = Iterable[tuple[str, Row]]
"""Rows of a table by their keys."""

Shapes = Mapping[str, tuple[int, ...]]
"""(C, H, W) of the images of every data set by its digest."""

Problems = Iterator[tuple[str, str]]
"""Keys of rows, and what is wrong with each."""

TOLERANCE = 1e-9
"""By how much a sum in float64 may differ between processors, relative to what is summed."""

ENGINE = "the engine's own checks"


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault: `row` is the key of the row of `table`; both None for the database as a whole."""

    table: str | None
    row: str | None
    problem: str

    def __str__(self) -> str:
        if self.table is None:
            return self.problem
        where = self.table if self.row is None else f"{self.table} {self.row}"
        return f"{where}: {self.problem}"


@dataclass(frozen=True, slots=True)
class IntegrityReport:
    """The faults that were found, and how many rows each table that was read in full has."""

    findings: tuple[Finding, ...]
    read: Mapping[str, int]


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
        AND (other.ended < now.ended OR (other.ended = now.ended AND other.id < now.id))))
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
        "its exact protocol is one of the name {}",
        "SELECT m.attempt_id, m.protocol, m.name, p.name FROM measurements AS m"
        " JOIN protocols AS p ON p.id = m.protocol_id WHERE p.name <> m.protocol",
    ),
    (
        "measurements",
        "it was measured by an attempt at job {}, and trained by one at another",
        "SELECT m.attempt_id, m.protocol, m.name, a.job_id FROM measurements AS m"
        " JOIN attempts AS a ON a.id = m.measured_by JOIN attempts AS trained"
        " ON trained.id = m.attempt_id WHERE a.job_id <> trained.job_id",
    ),
    # There is a point of the loss for each window of steps, and the last point comes with the end
    # of an attempt. A published one, which names no host, has fewer.
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
    # References that are no constraints: attempts refer to jobs, so that one the other way would be
    # a circle; and events and points are to be added without a look at attempt and job.
    *(
        (
            table,
            f"its {column} {{}} is not in {other}",
            f"SELECT {keys}, {column} FROM {table} WHERE {column} IS NOT NULL"
            f" AND {column} NOT IN (SELECT {key} FROM {other})",
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
"""A table, what is wrong with a row of it, and the query that gives the primary keys of such rows,
each followed by what the problem names."""


# Checking everything


def check_integrity(
    database: Database, progress: ReportFunction = lambda what, done, total: None
) -> IntegrityReport:
    """Check everything that a database holds, and change nothing.

    All is read in one state; others may write meanwhile.

    Args:
        database: The database.
        progress: Called with what is checked, how many rows of it are done, and how many there are
            or None.

    Raises:
        UserError: There is no database, or its schema is another one than this code's.
    """
    found = database.identify()
    migrate.require_current(database, found)
    findings: list[Finding] = []
    progress(ENGINE, 0, None)
    findings += [Finding(None, None, fault) for fault in database.faults()]
    with database.reader().connect() as connection:
        inspection = RowChecks(connection, progress)
        for table, some in inspection.find_faults():
            try:
                findings.extend(some)
            except Damaged as error:
                findings.append(Finding(table.name, None, str(error)))
                connection.rollback()
    return IntegrityReport(tuple(findings), inspection.read)


STORED_AS: Sequence[tuple[type[sa.types.TypeEngine[Any]], str]] = (
    (sa.Text, "text"),
    (sa.Integer, "integer"),
    (sa.Double, "real"),
    (sa.LargeBinary, "blob"),
)
"""SQLite's storage classes for the types of columns; it stores any value in any of them."""


def _keys(table: sa.Table) -> list[sa.Column[Any]]:
    return list(table.primary_key.columns)


class RowChecks:
    """The checks of rows on one connection."""

    def __init__(self, connection: sa.Connection, progress: ReportFunction) -> None:
        self.connection, self.progress = connection, progress
        self.read: dict[str, int] = {}
        """How many rows were read of each table that is read in full."""

    def find_faults(
        self, without: Collection[sa.Table] = ()
    ) -> Iterator[tuple[sa.Table, Iterator[Finding]]]:
        """Yield tables, each several times, with faults of their rows as they are found."""
        for table in metadata.sorted_tables:
            if table not in without and self.connection.dialect.name == "sqlite":
                yield table, self._misplaced(table)
        for name, problem, query in RULES:
            table = metadata.tables[name]
            if table not in without:
                yield table, self._broken(table, problem, query)
        for table in CHECKS:
            if table not in without:
                yield table, self._damaged(table)

    def _misplaced(self, table: sa.Table) -> Iterator[Finding]:
        self.progress(f"types of {table.name}", 0, None)
        keys, columns = _keys(table), list(table.columns)
        for row in _select_misplaced(table).all(self.connection, {}):
            for column, kind in zip(columns, row[len(keys) :], strict=True):
                classes = _list_classes(column)
                if kind not in classes:
                    problem = f"its {column.name} is {kind}, not {' or '.join(classes)}"
                    yield Finding(table.name, _name(row[: len(keys)]), problem)

    def _broken(self, table: sa.Table, problem: str, query: str) -> Iterator[Finding]:
        self.progress(f"states of {table.name}", 0, None)
        keys = len(_keys(table))
        with driver_errors(self.connection):
            rows = driver_of(self.connection).execute(query).fetchall()
        for row in rows:
            yield Finding(table.name, _name(row[:keys]), problem.format(*row[keys:]))

    def _damaged(self, table: sa.Table) -> Iterator[Finding]:
        columns = (data_sets.c[n] for n in ("digest", "channels", "height", "width"))
        shapes = {row[0]: tuple(row[1:]) for row in self.connection.execute(sa.select(*columns))}
        for name, problem in CHECKS[table](self._rows(table), shapes):
            yield Finding(table.name, name, problem)

    def _rows(self, table: sa.Table) -> Iterator[tuple[str, Row]]:
        """Yield the rows by their keys in order, but for those with values of other types."""
        count = sa.select(sa.func.count()).select_from(table)
        total = int(self.connection.execute(count).scalar_one())
        query, done = sa.select(table).order_by(*_keys(table)), 0
        if self.connection.dialect.name == "sqlite":
            query = query.where(_is_typed(table))
        self.progress(table.name, done, total)
        found = self.connection.execute(query, execution_options={"yield_per": ROWS})
        for some in found.mappings().partitions():
            for row in some:
                yield _name(row[key.name] for key in _keys(table)), dict(row)
            done += len(some)
            self.progress(table.name, done, total)
        self.read[table.name] = done


@cache  # to make these is most of the work of checking a small database
def _is_typed(table: sa.Table) -> sa.ColumnElement[bool]:
    return sa.and_(
        *(
            sa.func.typeof(column).in_([sa.literal_column(f"'{c}'") for c in _list_classes(column)])
            for column in table.columns
        )
    )


@cache
def _select_misplaced(table: sa.Table) -> Statement:
    # The keys of rows in SQLite that have a value of another type, and the types of their values.
    keys, kinds = _keys(table), [sa.func.typeof(column) for column in table.columns]
    return Statement(lambda _: sa.select(*keys, *kinds).where(~_is_typed(table)).order_by(*keys))


def _list_classes(column: sa.Column[Any]) -> list[str]:
    own = next(name for kind, name in STORED_AS if isinstance(column.type, kind))
    return [own, "null"] if column.nullable else [own]


def _check_maps(rows: Rows, shapes: Shapes) -> Problems:
    for name, row in rows:
        problem = find_map_damage(row)
        if problem is not None:
            yield name, problem
            continue
        problem = _shape_problem(row, shapes)
        if problem is not None:
            yield name, problem
        try:
            item = decode_map(row)
        except ValueError as error:
            yield name, f"it is no map: {error}"
            continue
        if not abs(item.sum_error - row["sum_error"]) <= TOLERANCE:
            yield (
                name,
                f"its sum is off mean_log_det by {item.sum_error:.3g} of the sum of magnitudes, "
                f"and its sum_error says {row['sum_error']:.3g}",
            )


def _check_tables(rows: Rows, shapes: Shapes) -> Problems:
    # Each split keeps half of what the one before it kept, and nothing else.
    before: tuple[int, int] = (0, 0)
    kept_before: NDArray[np.bool_] | None = None
    for name, row in rows:
        shape = (row["channels"], row["height"], row["width"])
        size = math.prod(shape)
        own = (row["attempt_id"], row["split"])
        follows = before == (own[0], own[1] - 1)
        if own[1] != 1 and not follows:
            yield name, f"there is none of split {own[1] - 1}, before it"
        parent = kept_before if follows else None
        before, kept_before = own, None
        problem = _shape_problem(row, shapes)
        if len(row["kept"]) != -(-size // 8):
            problem = f"its bytes do not fill the shape {shape}"
        else:
            kept_before = np.unpackbits(np.frombuffer(row["kept"], np.uint8), count=size) > 0
            if own[1] == 1:
                parent = np.ones(size, dtype=bool)
            if problem is None and parent is not None and parent.size == size:
                problem = _half_problem(kept_before, parent)
        if problem is not None:
            yield name, problem


def _half_problem(kept: NDArray[np.bool_], parent: NDArray[np.bool_]) -> str | None:
    alien = int((kept & ~parent).sum())
    if alien:
        return f"it is no permutation: it keeps {alien} dimensions that had left before"
    stay, were = int(kept.sum()), int(parent.sum())
    if 2 * stay != were:
        return f"it is no permutation: it keeps {stay} of {were} dimensions, which is not half"
    return None


def _check_each(find: Callable[[Row], str | None]) -> Callable[[Rows, Shapes], Problems]:
    def check(rows: Rows, _: Shapes) -> Problems:
        return ((name, problem) for name, row in rows if (problem := find(row)) is not None)

    return check


def _find_protocol_damage(row: Row) -> str | None:
    return (
        None
        if hash_protocol(row) == row["id"]
        else "its columns do not match its id, the hash of them"
    )


def _shape_problem(row: Row, shapes: Shapes) -> str | None:
    shape = (row["channels"], row["height"], row["width"])
    images = shapes.get(row["data_digest"], shape)
    return None if shape == images else f"its shape is {shape}, and its images are {images}"


def _name(key: Iterable[Any]) -> str:
    return ", ".join(map(str, key))


CHECKS: Mapping[sa.Table, Callable[[Rows, Shapes], Problems]] = {
    contribution_maps: _check_maps,
    index_tables: _check_tables,
    measures: _check_each(find_measure_damage),
    artifacts: _check_each(find_artifact_damage),
    protocols: _check_each(_find_protocol_damage),
}
"""The tables that are read in full, and what their rows are checked for."""
