"""Merging another site's database into this one, without overwriting anything.

Evidence is a set that only grows. A row has a key made of its content, the same in every database,
so a merge inserts the missing rows, table by table, and then derives the states of jobs. A column
that the schema marks as local may differ between two rows with the same key: the fuller value
stays, so the order of merges does not matter.
"""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import sqlalchemy as sa

from lcma.db import migrate
from lcma.db.engine import Database, Unavailable
from lcma.db.integrity import ENGINE, ReportFunction, RowChecks
from lcma.db.jobs import add_event
from lcma.db.results import BOUND, choose_current
from lcma.db.schema import (
    artifacts,
    attempts,
    bars,
    contribution_maps,
    data_sets,
    environments,
    events,
    index_tables,
    jobs,
    launches,
    measure_kinds,
    measures,
    metrics,
    pretrainings,
    protocols,
    recipes,
    sweep_trials,
    sweeps,
    trials,
)
from lcma.db.statements import TEXTS, among, append_rows, escape_text, insert_missing, lock
from lcma.sweeps.errors import UserError

PLAN_TABLES = (
    *(recipes, data_sets, bars, environments, protocols, measure_kinds, sweeps, launches),
    *(pretrainings, trials, sweep_trials),
)
"""Tables whose rows no attempt made, each after those that it refers to."""

RESULT_TABLES = (contribution_maps, index_tables, measures, artifacts)
"""Tables whose rows attempts made, except points of curves."""

WORKER_TABLES = (environments, launches, protocols, measure_kinds)
"""Tables to which a worker may add the same row during a merge."""

TRIALS, SEGMENTS = 500, 16
"""Jobs merged in one transaction: trials, and segments of pretrainings with their maps."""

ROWS = 2000
"""Rows of other tables merged in one transaction."""

RETRY_PAUSES = (0.1, 0.3, 1.0, 3.0)
"""Seconds before each retry of a portion that was `Unavailable`, as in a deadlock with a worker."""

Row = dict[str, Any]
Key = tuple[Any, ...]

DERIVED_COLUMNS = ("state", "step", "token", "attempt_id", "done_attempt_id")
"""The columns of a job that follow from its attempts, unless it runs."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of rows of the source."""

    new: int = 0  # missing in the target
    filled: int = 0  # fuller than in the target
    equal: int = 0


@dataclass(frozen=True, slots=True)
class MergeReport:
    """Outcome of a merge; names are without passwords."""

    source: str
    target: str
    dry_run: bool
    tables: Mapping[str, Counts]

    @property
    def changed(self) -> bool:
        """Whether anything was new."""
        return any(counts.new or counts.filled for counts in self.tables.values())


def merge(
    source: Database,
    target: Database,
    *,
    dry_run: bool = False,
    choose: Callable[[sa.Connection], Collection[str]] | None = None,
    progress: ReportFunction = lambda step, done, total: None,
) -> MergeReport:
    """Insert the rows of `source` that `target` lacks.

    All rows are compared before any is written. They are written in portions, each in a transaction
    of its own that leaves the target sound: workers go on meanwhile, and merging again completes a
    merge that was cut off.

    Args:
        source: The database to read, in one state; it is not changed.
        target: The database to write; created if it is missing.
        dry_run: Write nothing.
        choose: Returns the ids of the jobs to take, given a connection to the source; plans are
            taken anyway.
        progress: As in `check_integrity`.

    Raises:
        UserError: Both are the same database; the source is missing, damaged, unsound, or of
            another schema than this code's; the target is not ours or of a newer schema; or they
            have different rows with the same key. Then the target is as it was. Or the target fails
            during the merge: the portions written before are whole, and merging again goes on.
    """
    migrate.require_current(source, source.identify())
    state = target.identify()
    migrate.require_known(target, state)
    if source.identity() == target.identity():
        raise UserError(
            f"{source.name} and {target.name} are the same database: name another to merge from"
        )
    with source.reader().connect() as connection:
        _require_sound(source, connection, progress)
        if not dry_run:
            migrate.ensure(target)
        elif state.revision != migrate.current_version():
            raise UserError(
                f"a dry run writes nothing, and {target.name} is not a database of schema "
                f"{migrate.current_version()}: run `lcma db upgrade` before, or merge at once"
            )
        chosen = None if choose is None else frozenset(choose(connection))
        merger = _Merge(source, connection, target, chosen, progress)
        merger.run(fresh=not state.exists, dry_run=dry_run)
        tables = {name: Counts(**counts) for name, counts in merger.counts.items()}
        return MergeReport(source.name, target.name, dry_run, tables)


def _require_sound(source: Database, connection: sa.Connection, progress: ReportFunction) -> None:
    progress(ENGINE, 0, None)
    if any(source.faults()):
        raise UserError(
            f"nothing is taken from the database {source.name}, which is damaged, as `lcma db "
            "check` shows; go back to a copy of it"
        )
    for _, findings in RowChecks(connection, progress).find_faults(without=(events,)):
        for finding in findings:
            raise UserError(
                f"nothing is taken from {source.name}, which has a fault: {finding}; "
                "`lcma db check` lists all such faults: go back to a copy without them"
            )


# Rows with the same key


def _keys(table: sa.Table) -> list[str]:
    return [column.name for column in table.primary_key.columns]


def _key(table: sa.Table, row: Row) -> Key:
    return tuple(row[name] for name in _keys(table))


@cache  # building these is most of the work of a small merge
def _select_rows(table: sa.Table, by: sa.Column[Any] | None, sizes: bool) -> sa.Select[Any]:
    columns = [
        sa.func.length(column).label(column.name)
        if sizes and isinstance(column.type, sa.LargeBinary)
        else column
        for column in table.columns
    ]
    query = sa.select(*columns).order_by(*table.primary_key.columns)
    if by is None:
        return query.offset(sa.bindparam("start", type_=sa.Integer)).limit(ROWS)
    return query.where(among(by, sa.bindparam("values", type_=TEXTS)))


def _read(
    connection: sa.Connection, by: sa.Column[Any], values: Collection[str], *, sizes: bool = False
) -> list[Row]:
    # Rows that have one of these values, in the order of their keys; with `sizes` the numbers of
    # bytes instead of the bytes.
    rows = connection.execute(_select_rows(by.table, by, sizes), {"values": sorted(set(values))})
    return [dict(row) for row in rows.mappings()]


@dataclass(slots=True)
class _Gains:
    """What the rows of one table add to the target."""

    table: sa.Table
    new: list[Row] = field(default_factory=list)
    filled: dict[Key, Row] = field(default_factory=dict)  # by key of a row the columns to set
    equal: int = 0

    def write(self, connection: sa.Connection) -> None:
        if self.table in WORKER_TABLES:
            insert_missing(connection, self.table, self.new)
        else:
            append_rows(connection, self.table, self.new)
        for key, changes in self.filled.items():
            parts = zip(self.table.primary_key.columns, key, strict=True)
            same = (column == value for column, value in parts)
            connection.execute(sa.update(self.table).where(*same).values(changes))


@dataclass(frozen=True, slots=True)
class _Portion:
    """The rows that are merged in one transaction."""

    name: str
    done: int
    total: int
    # Compares the rows with those of the target's connection, and writes if asked to.
    take: Callable[[sa.Connection, bool], Sequence[_Gains]]


class _Merge:
    def __init__(
        self,
        source: Database,
        connection: sa.Connection,
        target: Database,
        chosen: frozenset[str] | None,
        progress: ReportFunction,
    ) -> None:
        self.source, self.connection, self.target = source, connection, target
        self.chosen, self.progress = chosen, progress
        self.counts: dict[str, Counter[str]] = {}

    def run(self, *, fresh: bool, dry_run: bool) -> None:
        """Compare all portions unless the target is fresh, then write those with gains."""
        portions = list(self._list_portions())
        if not fresh:
            with self.target.reader().connect() as reader:
                portions = [
                    portion for portion in portions if self._count(portion.take(reader, False))
                ]
        written = 0
        try:
            for portion in () if dry_run else portions:
                self.progress(portion.name, portion.done, portion.total)
                gains = self._write(portion)
                if fresh:
                    self._count(gains)
                written += 1
            if written:
                sums = {name: n["new"] + n["filled"] for name, n in self.counts.items()}
                rows = ", ".join(f"{number} {name}" for name, number in sums.items() if number)
                with self._transaction() as connection:
                    now, detail = self.target.clock(connection), f"from {self.source.name}: {rows}"
                    add_event(connection, "merge", now, detail=detail)
        except UserError as error:
            if not written:
                raise
            raise UserError(
                f"{error}; the rows merged before that are whole: merge again to go on"
            ) from error

    def _list_portions(self) -> Iterator[_Portion]:
        for table in PLAN_TABLES:
            count = sa.select(sa.func.count()).select_from(table)
            total = self.connection.execute(count).scalar_one()
            for start in range(0, total, ROWS):
                yield _Portion(table.name, start, total, partial(self._take_plans, table, start))
        # Segments by pretraining and budget, then trials.
        order = jobs.c.pretraining_id, jobs.c.budget, jobs.c.id
        ids: dict[str, list[str]] = {"pretraining": [], "trial": []}
        query = sa.select(jobs.c.id, jobs.c.kind).order_by(*order)
        for job_id, kind in self.connection.execute(query):
            if self.chosen is None or job_id in self.chosen:
                ids[kind].append(job_id)
        done, total = 0, sum(map(len, ids.values()))
        for kind, size in (("pretraining", SEGMENTS), ("trial", TRIALS)):
            for start in range(0, len(ids[kind]), size):
                chunk = ids[kind][start : start + size]
                yield _Portion("jobs", done, total, partial(self._take_jobs, chunk))
                done += len(chunk)

    def _count(self, gains: Sequence[_Gains]) -> bool:
        for gain in gains:
            counts = self.counts.setdefault(gain.table.name, Counter(new=0, filled=0, equal=0))
            counts.update(new=len(gain.new), filled=len(gain.filled), equal=gain.equal)
        return any(gain.new or gain.filled for gain in gains)

    def _write(self, portion: _Portion) -> Sequence[_Gains]:
        for pause in (*RETRY_PAUSES, None):
            try:
                with self._transaction() as connection:
                    return portion.take(connection, True)
            except Unavailable:
                if pause is None:
                    raise
                time.sleep(pause)
        raise AssertionError

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        with self.target.writer().begin() as connection:
            # Nobody else adds rows of plans meanwhile.
            lock(connection, "register")
            try:
                yield connection
            except Exception as error:
                cause, driver = getattr(error, "orig", error), connection.dialect.loaded_dbapi
                if not isinstance(cause, driver.IntegrityError | driver.DataError):
                    raise
                why = str(cause).partition("\n")[0]
                raise UserError(
                    f"{self.source.name} has a row that cannot be in a database of ours: {why}; "
                    "give one that lcma has written"
                ) from error

    def _take_plans(
        self, table: sa.Table, start: int, connection: sa.Connection, write: bool
    ) -> list[_Gains]:
        result = self.connection.execute(_select_rows(table, None, sizes=False), {"start": start})
        theirs = [dict(row) for row in result.mappings()]
        first = next(iter(table.primary_key.columns))
        ours = _read(connection, first, {row[first.name] for row in theirs})
        gain = self._compare(table, theirs, ours)
        if write:
            gain.write(connection)
        return [gain]

    def _compare(self, table: sa.Table, theirs: Sequence[Row], ours: Sequence[Row]) -> _Gains:
        by_key = {_key(table, row): row for row in ours}
        gain = _Gains(table)
        for row in theirs:
            key = _key(table, row)
            if key not in by_key:
                gain.new.append(row)
            elif changes := self._fill(table, row, by_key[key]):
                gain.filled[key] = changes
            else:
                gain.equal += 1
        return gain

    def _fill(self, table: sa.Table, their: Row, our: Row) -> Row:
        """Return the columns in which their row is fuller than ours of the same key."""
        changes: Row = {}
        for column in table.columns:
            ours, theirs = our[column.name], their[column.name]
            if ours == theirs or (isinstance(theirs, bytes) and ours == len(theirs)):
                continue  # of bytes, `_read` gave the number
            if not column.info.get("local"):
                key = ", ".join(f"{name} {their[name]}" for name in _keys(table))
                raise UserError(
                    f"{self.source.name} and {self.target.name} have two rows of {table.name} "
                    f"{key}: its {column.name} is {_show(theirs)} there and {_show(ours)} here; "
                    "nothing was merged. One of them was changed: go back to a copy of it"
                )
            if _is_fuller(theirs, ours):
                changes[column.name] = theirs
        return changes

    def _take_jobs(
        self, ids: Sequence[str], connection: sa.Connection, write: bool
    ) -> list[_Gains]:
        their_jobs = {row["id"]: row for row in _read(self.connection, jobs.c.id, ids)}
        query = sa.select(jobs).where(among(jobs.c.id, ids)).order_by(jobs.c.id)
        locked = connection.execute(query.with_for_update() if write else query).all()
        our_jobs = {row.id: row for row in locked}
        now = self.target.clock(connection)
        planned = [_plan_job(row, now) for row in their_jobs.values() if row["id"] not in our_jobs]
        ours = _read(connection, attempts.c.job_id, ids)
        # An attempt that runs here may have ended there, if this database is an older copy.
        running = {row["id"] for row in ours if row["ended"] is None}
        theirs = _read(self.connection, attempts.c.job_id, ids)
        forked = _find_forked(ours, theirs)
        their_jobs = {key: row for key, row in their_jobs.items() if key not in forked}
        theirs = [row for row in theirs if row["job_id"] not in forked]
        ended = [row for row in theirs if row["ended"] is not None]
        for row in ended:
            for name in ("message", "log"):  # a server takes no NUL
                row[name] = row[name] and escape_text(row[name])
        made_by = sorted({row["id"] for row in ended})
        ended = [row for row in ended if row["id"] not in running]
        attempt_gain = self._compare(attempts, ended, ours)
        fresh = {row["id"] for row in attempt_gain.new}
        known_ids = [row["id"] for row in ended if row["id"] not in fresh]
        continued = {row["continues"] for row in (*ended, *ours)} - {None}
        gains = [_Gains(jobs, planned, equal=len(our_jobs)), attempt_gain]
        for table in RESULT_TABLES:
            rows = [
                row
                for row in _read(self.connection, table.c.attempt_id, made_by)
                if row.get("measured_by", row["attempt_id"]) not in running
            ]
            if table is measures:
                gains.append(self._compare_measures(connection, rows))
            else:
                our_rows = _read(connection, table.c.attempt_id, known_ids, sizes=True)
                gains.append(self._compare(table, rows, our_rows))
        gains.append(self._find_points(connection, (fresh | set(known_ids)) - continued))
        if write and any(gain.new or gain.filled for gain in gains):
            for gain in gains:
                gain.write(connection)
            # An attempt that goes on with what another left takes over its curves.
            connection.execute(sa.delete(metrics).where(among(metrics.c.attempt_id, continued)))
            _derive_states(connection, their_jobs, our_jobs, fresh, now)
        return gains

    def _find_points(self, connection: sa.Connection, attempt_ids: Collection[str]) -> _Gains:
        """Return the points of curves that the target lacks."""
        their_counts = _count_points(self.connection, attempt_ids)
        our_counts = _count_points(connection, attempt_ids)
        lacking = {key[0] for key, n in their_counts.items() if n > our_counts.get(key, 0)}
        new: list[Row] = []
        if lacking:
            ours = _read(connection, metrics.c.attempt_id, lacking)
            our_keys = {_key(metrics, row) for row in ours}
            theirs = _read(self.connection, metrics.c.attempt_id, lacking)
            new = [row for row in theirs if _key(metrics, row) not in our_keys]
        return _Gains(metrics, new, equal=sum(their_counts.values()) - len(new))

    def _compare_measures(self, connection: sa.Connection, theirs: Sequence[Row]) -> _Gains:
        """Compare measures: of two evaluations of a measure, the better one stays.

        It has the larger K-sample bound, or else came first.
        """
        ours = _read(connection, measures.c.attempt_id, {row["attempt_id"] for row in theirs})
        our_extents, their_extents = _read_extents(ours), _read_extents(theirs)
        by_key = {_key(measures, row): row for row in ours}
        gain = _Gains(measures)
        for row in theirs:
            key = _key(measures, row)
            if key not in by_key:
                gain.new.append(row)
            elif by_key[key]["measured_by"] == row["measured_by"]:
                self._fill(measures, row, by_key[key])  # raises if they differ
                gain.equal += 1
            elif _rank_measure(row, their_extents) < _rank_measure(by_key[key], our_extents):
                gain.filled[key] = {n: v for n, v in row.items() if n not in _keys(measures)}
            else:
                gain.equal += 1
        return gain


def _rank_measure(row: Row, extents: Mapping[Key, tuple[float, int]]) -> tuple[Any, ...]:
    # The better of two evaluations of a measure sorts first.
    extent = extents.get((row["attempt_id"], row["protocol"])) if row["name"] in BOUND else None
    draws, images = extent or (0.0, 0)
    return -draws, -images, row["created"], row["measured_by"]


def _read_extents(rows: Sequence[Row]) -> dict[Key, tuple[float, int]]:
    # Draws and images of the K-sample bounds among measures, by attempt and protocol.
    numbers = {(row["attempt_id"], row["protocol"], row["name"]): row for row in rows}
    return {
        (attempt_id, protocol): (row["value"], bound["images"] or 0)
        for (attempt_id, protocol, name), row in numbers.items()
        if name == "bound_draws"
        and (bound := numbers.get((attempt_id, protocol, "bound_bits_per_dim"))) is not None
    }


def _is_fuller(theirs: Any, ours: Any) -> bool:
    # Whether another value of a local column replaces ours.
    if ours is None or theirs is None:
        return ours is None
    if isinstance(ours, str) and isinstance(theirs, str):
        return (len(theirs), theirs) > (len(ours), ours)
    return bool(theirs < ours)


def _show(value: Any) -> str:
    return f"{len(value)} bytes" if isinstance(value, bytes) else repr(value)


def _find_forked(ours: Sequence[Row], theirs: Sequence[Row]) -> set[str]:
    """Return the jobs that both databases went on with after one was copied, each in its way.

    An attempt that ran then has ended in both, in one because its heartbeats did not come.
    """
    ends = {row["id"]: row for row in ours if row["ended"] is not None}
    pairs = ((ends[row["id"]], row) for row in theirs if row["ended"] and row["id"] in ends)
    return {
        our["job_id"]
        for our, their in pairs
        if our["ended"] != their["ended"] and None in (our["cpu_seconds"], their["cpu_seconds"])
    }


def _plan_job(job: Row, now: float) -> Row:
    # The row of a job before its first attempt.
    planned = ("id", "kind", "pretraining_id", "trial_id", "budget", "data_digest", "steps")
    pending = {"state": "pending", "step": 0, "token": 0, "updated": now}
    unbegun = {"attempt_id": None, "done_attempt_id": None}
    return {name: job[name] for name in planned} | pending | unbegun


def _count_points(connection: sa.Connection, attempt_ids: Collection[str]) -> dict[Key, int]:
    curve = metrics.c.attempt_id, metrics.c.name
    query = sa.select(*curve, sa.func.count()).where(among(metrics.c.attempt_id, attempt_ids))
    return {(row[0], row[1]): row[2] for row in connection.execute(query.group_by(*curve))}


def _replaces(new: str, former: str | None, tries: Sequence[Row], since: float) -> bool:
    """Return whether an attempt began since then, and replaces the former one, or one after it."""
    by_id = {row["id"]: row for row in tries}
    before: str | None = new
    while before in by_id and before != former:
        before = by_id[before]["replaces"]
    return before == former and by_id[new]["started"] >= since


def _derive_states(
    connection: sa.Connection,
    their_jobs: Mapping[str, Row],
    our_jobs: Mapping[str, sa.Row[Any]],  # as they were before
    fresh: Collection[str],  # the attempts that were added
    now: float,
) -> None:
    """Bring jobs to the states that follow from all their attempts."""
    current = choose_current(connection, their_jobs.keys())
    asked = sa.select(events.c.job_id, sa.func.max(events.c.time)).where(
        events.c.event == "rerun", among(events.c.job_id, our_jobs.keys())
    )
    reruns = {row[0]: row[1] for row in connection.execute(asked.group_by(events.c.job_id))}
    by_job: dict[str, list[Row]] = {}
    ends: dict[str | None, float] = {}
    for row in _read(connection, attempts.c.job_id, their_jobs):
        by_job.setdefault(row["job_id"], []).append(row)
        ends[row["id"]] = row["ended"]
    rows: list[Row] = []
    for job_id, their in their_jobs.items():
        stored, done = our_jobs.get(job_id), current[job_id]
        before = _plan_job(their, now) if stored is None else dict(stored._mapping)
        job = {name: before[name] for name in DERIVED_COLUMNS} | {"done_attempt_id": done}
        if job["state"] != "running":
            tries = by_job.get(job_id, [])
            job["token"] = max(job["token"], len(tries))
            lost = their["state"] in ("failed", "diverged") and their["attempt_id"] in fresh
            ended = ends.get(job["attempt_id"], 0.0)
            former = before["done_attempt_id"]
            if done is not None:
                # A rerun that was asked for here, and may be lost, may be done there since.
                waits, since = job["state"] != "done", reruns.get(job_id, 0.0)
                if former is None or (
                    waits and done != former and _replaces(done, former, tries, since)
                ):
                    job |= {"state": "done", "step": their["steps"], "attempt_id": done}
            elif lost and (job["state"] == "pending" or ends[their["attempt_id"]] < ended):
                # Of several sites that lost the job, the first one counts, in any order of merges.
                job |= {name: their[name] for name in ("state", "step", "attempt_id")}
            elif job["attempt_id"] is None:
                claims = [row for row in tries if row["protocol"] is None]
                latest = max(claims, key=lambda row: (row["ended"], row["id"]), default=None)
                job["attempt_id"] = None if latest is None else latest["id"]
        if any(job[name] != before[name] for name in DERIVED_COLUMNS):
            rows.append({"the_id": job_id, **job, "updated": now})
    if rows:
        update = sa.update(jobs).where(jobs.c.id == sa.bindparam("the_id"))
        connection.execute(update, rows)
