"""Checking a database: the engine's own checks, states that cannot be, every blob and digest."""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from lcma.db import migrate
from lcma.db.cells import SHARED, compute_sums, encode_cell
from lcma.db.curves import PUBLISHED_POINTS
from lcma.db.engine import Database
from lcma.db.maps import decode_map, find_map_damage
from lcma.db.results import (
    find_artifact_damage,
    find_measure_damage,
    hash_protocol,
    hash_result,
    hash_verification,
)
from lcma.db.schema import (
    artifacts,
    attempts,
    cells,
    contribution_maps,
    curves,
    data_sets,
    events,
    index_tables,
    jobs,
    measure_kinds,
    measures,
    metadata,
    metrics,
    pretrainings,
    protocols,
    results,
    supersedes,
    trials,
    verifications,
)
from lcma.sweeps.errors import UserError
from lcma.sweeps.recipe import LOG_EVERY, TRAIN_CURVE

ReportFunction = Callable[[str, int, int | None], None]
"""Called with what is done, how much of it, and of how much; None where that is unknown."""

ROWS, ROWS_WITH_BYTES = 2000, 64
"""Rows read at once, and of tables with maps or index tables."""

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


@dataclass(frozen=True, slots=True)
class Rule:
    """A state that cannot be.

    `query` gives the primary key of each row of `table` that is in it, then what `problem` has to
    name.
    """

    table: sa.Table
    query: sa.Select[Any]
    problem: str


@cache
def list_rules() -> tuple[Rule, ...]:
    """Return every rule: references first, then the states of jobs, then where things come from."""
    states = (*_references(), *_states(), *_attempts())
    return (*states, *_origins(), *_curves())


def _keys(table: sa.Table) -> list[sa.Column[Any]]:
    return list(table.primary_key.columns)


def _references() -> Iterator[Rule]:
    columns = [
        (column, key.column)
        for table in metadata.sorted_tables
        for column in table.columns
        for key in column.foreign_keys
    ]
    # Attempts refer to jobs, so that a constraint the other way would be a circle; and events and
    # points are to be added without a look at attempt and curve.
    more = [(table.c.attempt_id, attempts.c.id) for table in (jobs, events)]
    more.append((jobs.c.done_attempt_id, attempts.c.id))
    more.append((measures.c.name, measure_kinds.c.name))
    more.append((metrics.c.curve_id, curves.c.id))
    for column, target in (*columns, *more):
        other = target.table.alias("other")
        missing = ~sa.exists().where(other.c[target.name] == column)
        query = sa.select(*_keys(column.table), column.label("referred"))
        yield Rule(
            column.table,
            query.where(column.is_not(None), missing).order_by(*_keys(column.table)),
            f"its {column.name} {{}} is not in {target.table.name}",
        )


def _states() -> Iterator[Rule]:
    def of_jobs(problem: str, *where: sa.ColumnElement[bool]) -> Rule:
        return Rule(jobs, sa.select(jobs.c.id).where(*where).order_by(jobs.c.id), problem)

    result = sa.exists().where(results.c.attempt_id == jobs.c.done_attempt_id)
    maps = sa.exists().where(contribution_maps.c.attempt_id == jobs.c.done_attempt_id)
    done, running = jobs.c.state == "done", jobs.c.state == "running"
    holder = (jobs.c.owner, jobs.c.host, jobs.c.pid, jobs.c.lease_until)
    yield of_jobs("it is done without a result", done, jobs.c.kind == "trial", ~result)
    yield of_jobs("it is done without maps", done, jobs.c.kind == "pretraining", ~maps)
    yield of_jobs(
        "it is running without an owner, host, process or lease",
        running,
        sa.or_(*(column.is_(None) for column in holder)),
    )
    yield of_jobs("it is running without an attempt", running, jobs.c.attempt_id.is_(None))
    yield of_jobs(
        "it is not running, but has an owner, host, process or lease",
        ~running,
        sa.or_(*(column.is_not(None) for column in holder)),
    )
    number = (
        sa.select(sa.func.count())
        .select_from(attempts)
        .where(attempts.c.job_id == jobs.c.id)
        .scalar_subquery()
    )
    yield Rule(
        jobs,
        sa.select(jobs.c.id, jobs.c.token, number)
        .where(jobs.c.token != number)
        .order_by(jobs.c.id),
        "its token is {}, but it has had {} attempts",
    )


def _attempts() -> Iterator[Rule]:
    joined = sa.select(jobs.c.id, attempts.c.id).join(attempts, attempts.c.id == jobs.c.attempt_id)
    yield Rule(
        jobs,
        joined.where(attempts.c.job_id != jobs.c.id).order_by(jobs.c.id),
        "its attempt {} is at another job",
    )
    yield Rule(
        jobs,
        joined.where(jobs.c.state == "running", attempts.c.ended.is_not(None)).order_by(jobs.c.id),
        "it is running, but its attempt {} has ended",
    )
    done = sa.select(jobs.c.id, attempts.c.id).join(
        attempts, attempts.c.id == jobs.c.done_attempt_id
    )
    differs = (
        attempts.c.job_id != jobs.c.id,
        attempts.c.outcome.is_distinct_from("done"),
        attempts.c.protocol.is_not(None),
    )
    yield Rule(
        jobs,
        done.where(sa.or_(*differs)).order_by(jobs.c.id),
        "its current attempt {} is at another job, was not done, or is an evaluation",
    )
    one, replaced = attempts.alias("one"), attempts.alias("replaced")
    yield Rule(
        supersedes,
        sa.select(*_keys(supersedes), one.c.job_id, replaced.c.job_id)
        .join(one, one.c.id == supersedes.c.attempt_id)
        .join(replaced, replaced.c.id == supersedes.c.superseded_id)
        .where(one.c.job_id != replaced.c.job_id)
        .order_by(*_keys(supersedes)),
        "it joins attempts of two jobs, {} and {}",
    )
    # As `choose_current` chooses it.
    now, other = attempts.alias("now"), attempts.alias("other")
    older = sa.exists().where(supersedes.c.superseded_id == other.c.id)
    first = sa.or_(
        now.c.id.is_(None),
        other.c.ended < now.c.ended,
        sa.and_(other.c.ended == now.c.ended, other.c.uid < now.c.uid),
        sa.exists().where(supersedes.c.superseded_id == now.c.id),
    )
    candidates = (other.c.outcome == "done", other.c.protocol.is_(None), ~older)
    yield Rule(
        jobs,
        sa.select(jobs.c.id, sa.func.min(other.c.id))
        .join_from(jobs, other, other.c.job_id == jobs.c.id)
        .outerjoin(now, now.c.id == jobs.c.done_attempt_id)
        .where(*candidates, first)
        .group_by(jobs.c.id)
        .order_by(jobs.c.id),
        "its current attempt is not the one that the rule chooses, such as {}",
    )
    held = sa.exists().where(jobs.c.attempt_id == attempts.c.id, jobs.c.state == "running")
    yield Rule(
        attempts,
        sa.select(attempts.c.id, attempts.c.job_id)
        .where(attempts.c.ended.is_(None), ~held)
        .order_by(attempts.c.id),
        "it has not ended, but job {} does not run under it",
    )


def _origins() -> Iterator[Rule]:
    # A row was made by an attempt at the job that is about the same.
    for table, names in (
        (results, ("trial_id", "data_digest")),
        (index_tables, ("trial_id", "data_digest")),
        (contribution_maps, ("pretraining_id", "data_digest", "budget")),
    ):
        differs = (jobs.c[name].is_distinct_from(table.c[name]) for name in names)
        query = (
            sa.select(*_keys(table), attempts.c.id.label("attempt"), jobs.c.id.label("job"))
            .join(attempts, attempts.c.id == table.c.attempt_id)
            .join(jobs, jobs.c.id == attempts.c.job_id)
        )
        yield Rule(
            table,
            query.where(sa.or_(*differs)).order_by(*_keys(table)),
            f"its attempt {{}} was at job {{}}, of another {' or '.join(names)}",
        )
    of_protocol = (
        sa.select(*_keys(measures), protocols.c.name)
        .join(protocols, protocols.c.id == measures.c.protocol_id)
        .where(protocols.c.name != measures.c.protocol)
        .order_by(*_keys(measures))
    )
    yield Rule(measures, of_protocol, "its exact protocol is one of the name {}")
    measured, trained = attempts.alias("measured"), attempts.alias("trained")
    yield Rule(
        measures,
        sa.select(*_keys(measures), measured.c.job_id)
        .join_from(measures, measured, measured.c.id == measures.c.attempt_id)
        .join(results, results.c.id == measures.c.result_id)
        .join(trained, trained.c.id == results.c.attempt_id)
        .where(measured.c.job_id != trained.c.job_id)
        .order_by(*_keys(measures)),
        "its attempt was at job {}, and its result is of another",
    )
    shared = [cells.c[name].is_distinct_from(trials.c[name]) for name in SHARED if name in trials.c]
    own = (
        cells.c.data_digest != results.c.data_digest,
        cells.c.protocol != measures.c.protocol,
        cells.c.precision != protocols.c.precision,
        cells.c.measure != measures.c.name,
    )
    of_trial = (
        sa.select(*_keys(measures), results.c.trial_id)
        .join_from(measures, results, results.c.id == measures.c.result_id)
        .join(trials, trials.c.id == results.c.trial_id)
        .join(protocols, protocols.c.id == measures.c.protocol_id)
        .outerjoin(cells, cells.c.id == measures.c.cell_id)
        .order_by(*_keys(measures))
    )
    in_cell = measures.c.cell_id.is_not(None)
    yield Rule(
        measures,
        of_trial.where(
            sa.or_(measures.c.seed != trials.c.seed, sa.and_(in_cell, sa.or_(*shared, *own)))
        ),
        "its seed or cell is not that of trial {}",
    )
    current = sa.exists().where(jobs.c.done_attempt_id == results.c.attempt_id)
    ranked = sa.exists().where(
        measure_kinds.c.name == measures.c.name, measure_kinds.c.direction.is_not(None)
    )
    yield Rule(
        measures,
        of_trial.where(in_cell != sa.and_(current, ranked)),
        "it is in a cell though it is not ranked or not current, or the other way round, of trial "
        "{}",
    )


def _curves() -> Iterator[Rule]:
    # Of the loss there is a point for each window of steps that was trained here: of a trial from
    # the first one on, of a pretraining from where its attempts began, in any of its segments. The
    # last point comes with the end of an attempt, so that no curve lacks all of them. A published
    # attempt, which names no host, has fewer, and the last of these may end no window.
    points = sa.func.count(metrics.c.step.distinct())
    of_loss = curves.c.name == TRAIN_CURVE
    ends_window = metrics.c.step % LOG_EVERY == 0

    def is_short(windows: sa.ColumnElement[int], host: sa.ColumnElement[str]) -> Any:
        few = sa.and_(host == "", points >= PUBLISHED_POINTS - 1)
        return sa.and_(points < windows, ~few)

    windows = jobs.c.steps // LOG_EVERY
    yield Rule(
        jobs,
        sa.select(jobs.c.id, points, windows)
        .join_from(jobs, curves, curves.c.attempt_id == jobs.c.done_attempt_id)
        .join(attempts, attempts.c.id == curves.c.attempt_id)
        .join(metrics, metrics.c.curve_id == curves.c.id)
        .where(jobs.c.kind == "trial", of_loss, ends_window)
        .group_by(jobs.c.id, jobs.c.steps, attempts.c.host)
        .having(is_short(windows, attempts.c.host))
        .order_by(jobs.c.id),
        f"its {TRAIN_CURVE} has {{}} points of {{}}",
    )
    own = (jobs.c.pretraining_id, jobs.c.data_digest)
    done = jobs.c.done_attempt_id.is_not(None)
    trained = (
        sa.select(
            *own,
            sa.func.min(attempts.c.first_step).label("began"),
            sa.func.max(sa.case((done, jobs.c.steps))).label("until"),
            sa.func.min(attempts.c.host).label("host"),  # empty if any is published
        )
        .join(attempts, attempts.c.job_id == jobs.c.id)
        .where(jobs.c.kind == "pretraining")
        .group_by(*own)
        .subquery()
        .c
    )
    windows = trained.until // LOG_EVERY - trained.began // LOG_EVERY
    yield Rule(
        pretrainings,
        sa.select(trained.pretraining_id, points, windows)
        .join(
            jobs,
            sa.and_(*(column == trained[column.name] for column in own)),
        )
        .join(curves, curves.c.attempt_id == jobs.c.done_attempt_id)
        .join(metrics, metrics.c.curve_id == curves.c.id)
        .join(pretrainings, pretrainings.c.id == trained.pretraining_id)
        # The windows of each part of one that goes split by split begin with the part.
        .where(of_loss, sa.or_(ends_window, pretrainings.c.nms == "self"))
        .where(metrics.c.step > trained.began, metrics.c.step <= trained.until)
        .group_by(*trained)
        .having(is_short(windows, trained.host))
        .order_by(trained.pretraining_id, trained.data_digest),
        f"its {TRAIN_CURVE} has {{}} points of {{}}",
    )


# Checking everything


def check_integrity(
    database: Database, progress: ReportFunction = lambda what, done, total: None
) -> IntegrityReport:
    """Check everything that a database holds, and change nothing.

    What others write meanwhile is seen or not, each row whole.

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
            except UserError as error:
                if not database.is_damage(error.__cause__):
                    raise
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


class RowChecks:
    """The checks of rows on one connection.

    With `one_state` they stay in its transaction. Else each query has one of its own, so that those
    who write go on.
    """

    def __init__(
        self, connection: sa.Connection, progress: ReportFunction, *, one_state: bool = False
    ) -> None:
        self.connection, self.progress, self.one_state = connection, progress, one_state
        self.read: dict[str, int] = {}
        """How many rows were read of each table that is read in full."""

    def find_faults(
        self, without: Collection[sa.Table] = ()
    ) -> Iterator[tuple[sa.Table, Iterator[Finding]]]:
        """Yield tables, each several times, with faults of their rows as they are found."""
        for table in metadata.sorted_tables:
            if table not in without and self.connection.dialect.name == "sqlite":
                yield table, self._misplaced(table)
        for rule in list_rules():
            if rule.table not in without:
                yield rule.table, self._broken(rule)
        for table, check in CHECKS.items():
            if table not in without:
                yield table, check(_TypedRows(self, table))

    def all(self, query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        rows = self.connection.execute(query).all()
        if not self.one_state:
            self.connection.rollback()
        return rows

    def is_typed(self, table: sa.Table) -> sa.ColumnElement[bool]:
        """Return whether all values of a row are of the types of their columns."""
        if self.connection.dialect.name != "sqlite":
            return sa.true()
        return _is_typed(table)

    def _misplaced(self, table: sa.Table) -> Iterator[Finding]:
        self.progress(f"types of {table.name}", 0, None)
        keys, columns = _keys(table), list(table.columns)
        for row in self.all(_select_misplaced(table)):
            for column, kind in zip(columns, row[len(keys) :], strict=True):
                classes = _list_classes(column)
                if kind not in classes:
                    problem = f"its {column.name} is {kind}, not {' or '.join(classes)}"
                    yield Finding(table.name, _name(row[: len(keys)]), problem)

    def _broken(self, rule: Rule) -> Iterator[Finding]:
        self.progress(f"states of {rule.table.name}", 0, None)
        keys = len(rule.table.primary_key.columns)
        for row in self.all(rule.query):
            yield Finding(rule.table.name, _name(row[:keys]), rule.problem.format(*row[keys:]))


@cache  # to make these is most of the work of checking a small database
def _is_typed(table: sa.Table) -> sa.ColumnElement[bool]:
    return sa.and_(
        *(
            sa.func.typeof(column).in_([sa.literal_column(f"'{c}'") for c in _list_classes(column)])
            for column in table.columns
        )
    )


@cache
def _select_misplaced(table: sa.Table) -> sa.Select[Any]:
    # The keys of rows in SQLite that have a value of another type, and the types of their values.
    keys, kinds = _keys(table), [sa.func.typeof(column) for column in table.columns]
    return sa.select(*keys, *kinds).where(~_is_typed(table)).order_by(*keys)


def _list_classes(column: sa.Column[Any]) -> list[str]:
    own = next(name for kind, name in STORED_AS if isinstance(column.type, kind))
    return [own, "null"] if column.nullable else [own]


class _TypedRows:
    """All rows of a table in the order of its key, but for those with values of other types."""

    def __init__(self, inspection: RowChecks, table: sa.Table) -> None:
        self.inspection, self.table = inspection, table
        self.keys = _keys(table)
        with_bytes = any(isinstance(column.type, sa.LargeBinary) for column in table.columns)
        self.limit = ROWS_WITH_BYTES if with_bytes else ROWS
        self.typed = inspection.is_typed(table)

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        inspection, name = self.inspection, self.table.name
        count = sa.select(sa.func.count()).select_from(self.table)
        total = int(inspection.all(count)[0][0])
        last: tuple[Any, ...] | None = None
        done = 0
        while True:
            inspection.progress(name, done, total)
            some = self._after(last)
            for row in some:
                last = tuple(row[key.name] for key in self.keys)
                yield _name(last), row
            done += len(some)
            inspection.read[name] = done
            if len(some) < self.limit:
                return

    def _after(self, last: tuple[Any, ...] | None) -> list[dict[str, Any]]:
        query = sa.select(self.table).where(self.typed).order_by(*self.keys).limit(self.limit)
        if last is not None:
            query = query.where(sa.tuple_(*self.keys) > sa.tuple_(*last))
        names = [column.name for column in self.table.columns]
        return [dict(zip(names, row, strict=True)) for row in self.inspection.all(query)]

    def finding(self, row: str, problem: str) -> Finding:
        return Finding(self.table.name, row, problem)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        # (C, H, W) of the images of every data set by its digest.
        columns = (data_sets.c[n] for n in ("digest", "channels", "height", "width"))
        rows = self.inspection.all(sa.select(*columns))
        return {row[0]: tuple(row[1:]) for row in rows}


def _check_maps(rows: _TypedRows) -> Iterator[Finding]:
    shapes = rows.shapes()
    for name, row in rows:
        problem = find_map_damage(row)
        if problem is not None:
            yield rows.finding(name, problem)
            continue
        problem = _shape_problem(row, shapes)
        if problem is not None:
            yield rows.finding(name, problem)
        try:
            item = decode_map(row)
        except ValueError as error:
            yield rows.finding(name, f"it is no map: {error}")
            continue
        if not abs(item.sum_error - row["sum_error"]) <= TOLERANCE:
            yield rows.finding(
                name,
                f"its sum is off mean_log_det by {item.sum_error:.3g} of the sum of magnitudes, "
                f"and its sum_error says {row['sum_error']:.3g}",
            )


def _check_tables(rows: _TypedRows) -> Iterator[Finding]:
    # Each split keeps half of what the one before it kept, and nothing else.
    shapes = rows.shapes()
    before: tuple[int, int] = (0, 0)
    kept_before: NDArray[np.bool_] | None = None
    for name, row in rows:
        shape = (row["channels"], row["height"], row["width"])
        size = math.prod(shape)
        own = (row["attempt_id"], row["split"])
        follows = before == (own[0], own[1] - 1)
        if own[1] != 1 and not follows:
            yield rows.finding(name, f"there is none of split {own[1] - 1}, before it")
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
            yield rows.finding(name, problem)


def _half_problem(kept: NDArray[np.bool_], parent: NDArray[np.bool_]) -> str | None:
    alien = int((kept & ~parent).sum())
    if alien:
        return f"it is no permutation: it keeps {alien} dimensions that had left before"
    stay, were = int(kept.sum()), int(parent.sum())
    if 2 * stay != were:
        return f"it is no permutation: it keeps {stay} of {were} dimensions, which is not half"
    return None


def _check_results(rows: _TypedRows) -> Iterator[Finding]:
    query = sa.select(attempts.c.id, attempts.c.uid)
    uids = {row.id: row.uid for row in rows.inspection.all(query)}
    for name, row in rows:
        own = row["trial_id"], row["data_digest"], uids.get(row["attempt_id"], "")
        if hash_result(*own) != row["id"]:
            yield rows.finding(name, "its trial, data and attempt do not match its id, their hash")


def _check_measures(rows: _TypedRows) -> Iterator[Finding]:
    for name, row in rows:
        damage = find_measure_damage(row)
        if damage is not None:
            yield rows.finding(name, damage)


def _check_artifacts(rows: _TypedRows) -> Iterator[Finding]:
    for name, row in rows:
        damage = find_artifact_damage(row)
        if damage is not None:
            yield rows.finding(name, damage)


def _check_cells(rows: _TypedRows) -> Iterator[Finding]:
    typed = rows.inspection.is_typed(measures)
    for name, row in rows:
        query = sa.select(measures.c.value).where(measures.c.cell_id == row["id"], typed)
        found = [value for (value,) in rows.inspection.all(query)]
        if not found:
            yield rows.finding(name, "there is nothing in it")
            continue
        wrong = [what for what, value in compute_sums(found).items() if row[what] != value]
        if wrong:
            yield rows.finding(name, f"its {', '.join(wrong)} do not follow from its numbers")
        own = {what: row[what] for what in SHARED}
        if encode_cell(row, own)["id"] != row["id"]:
            yield rows.finding(name, "its columns do not match its id, the hash of them")


def _check_protocols(rows: _TypedRows) -> Iterator[Finding]:
    for name, row in rows:
        if hash_protocol(row) != row["id"]:
            yield rows.finding(name, "its columns do not match its id, the hash of them")


def _check_verifications(rows: _TypedRows) -> Iterator[Finding]:
    for name, row in rows:
        if not math.isfinite(row["largest_difference"] + row["tolerance"] + row["time"]):
            yield rows.finding(name, "one of its numbers is not finite")
        elif row["id"] not in (hash_verification(row), hash_verification(row, named=True)):
            yield rows.finding(name, "its columns do not match its id, the hash of them")


def _shape_problem(row: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    shape = (row["channels"], row["height"], row["width"])
    images = shapes.get(row["data_digest"], shape)
    return None if shape == images else f"its shape is {shape}, and its images are {images}"


def _name(key: Any) -> str:
    return ", ".join(map(str, key))


CHECKS: Mapping[sa.Table, Callable[[_TypedRows], Iterator[Finding]]] = {
    contribution_maps: _check_maps,
    index_tables: _check_tables,
    results: _check_results,
    measures: _check_measures,
    artifacts: _check_artifacts,
    cells: _check_cells,
    protocols: _check_protocols,
    verifications: _check_verifications,
}
"""The tables that are read in full, and what their rows are checked for."""
