"""Merging of what another site's database has into this one, and never over what is here.

Evidence is a set that only grows: every row has a key made of what identifies it, in whatever
database, so that to merge is to insert what is not there, table by table, and then to derive the
states of jobs. Columns that the schema marks as local are no part of that: of two values the fuller
one stays, so that the order of merges does not matter.
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

PLANS = (
    *(recipes, data_sets, bars, environments, protocols, measure_kinds, sweeps, launches),
    *(pretrainings, trials, sweep_trials),
)
"""Tables whose rows no attempt made; what a row refers to comes before it."""

MADE = (contribution_maps, index_tables, measures, artifacts)
"""Tables of what attempts made, besides points of curves."""

ADDED_BY_WORKERS = (environments, launches, protocols, measure_kinds)
"""Tables to which somebody may add a row that is being merged."""

TRIALS, SEGMENTS = 500, 16
"""Jobs merged in one transaction: trials, and segments of pretrainings with their maps."""

ROWS = 2000
"""Rows of other tables merged in one transaction."""

PAUSES = (0.1, 0.3, 1.0, 3.0)
"""Seconds before each new try at a part that the target did not take for now, as where it and a
worker waited for each other's rows."""

Row = dict[str, Any]
Key = tuple[Any, ...]
Choice = Callable[[sa.Connection], Collection[str]]

DERIVED = ("state", "step", "token", "attempt_id", "done_attempt_id")
"""The columns of a job that follow from its attempts, unless it runs."""

NEVER_RUN: Row = {"attempt_id": None, "done_attempt_id": None}


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of rows: missing here, here with less than there, and here."""

    new: int = 0
    filled: int = 0
    equal: int = 0


@dataclass(frozen=True, slots=True)
class MergeReport:
    """Outcome of a merge of `source` into `target`, which are names without passwords.

    `tables` counts the rows of the source by table; `studies` are those of Optuna, which stay
    there.
    """

    source: str
    target: str
    dry_run: bool
    tables: Mapping[str, Counts]
    studies: int

    @property
    def changed(self) -> bool:
        """Whether anything was new."""
        return any(counts.new or counts.filled for counts in self.tables.values())


def merge(
    source: Database,
    target: Database,
    *,
    dry_run: bool = False,
    choose: Choice | None = None,
    progress: ReportFunction = lambda what, done, total: None,
) -> MergeReport:
    """Take over what `source` has and `target` has not.

    All rows are compared before any is written. What is written comes in parts, each in a
    transaction of its own that leaves the target sound, so that workers go on meanwhile, and what
    was cut off is completed by merging again.

    Args:
        source: Where to read, in one state of it; it is not changed.
        target: Where to write; made if it is missing.
        dry_run: Write nothing.
        choose: Given a connection to the source, returns the jobs to take by id; all plans come
            over nonetheless.
        progress: As in `check_integrity`.

    Raises:
        UserError: Both are one database, the source is missing, damaged, unsound, or of another
            schema than this code's, the target is not ours or of a newer schema, or they have
            different rows of one key; the target is as it was. Or the target fails on the way: what
            has come over is whole, and merging again goes on.
    """
    migrate.require_current(source, source.identify())
    found = target.identify()
    migrate.require_known(target, found)
    if source.identity() == target.identity():
        raise UserError(
            f"{source.name} and {target.name} are one database: give another one to merge from"
        )
    with source.reader().connect() as connection:
        _require_sound(source, connection, progress)
        if not dry_run:
            migrate.ensure(target)
        elif found.revision != migrate.current_version():
            raise UserError(
                f"a dry run writes nothing, and {target.name} is not a database of schema "
                f"{migrate.current_version()}: run `lcma db init` or `lcma db upgrade` before"
            )
        chosen = None if choose is None else frozenset(choose(connection))
        merger = _Merge(source, connection, target, chosen, progress)
        merger.run(fresh=not found.exists, dry_run=dry_run)
        tables = {name: Counts(**counts) for name, counts in merger.counts.items()}
        studies = 0
        if sa.inspect(connection).has_table("studies"):
            count = sa.select(sa.func.count()).select_from(sa.table("studies"))
            studies = int(connection.execute(count).scalar_one())
        return MergeReport(source.name, target.name, dry_run, tables, studies)


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


# Rows of one key


def _keys(table: sa.Table) -> list[str]:
    return [column.name for column in table.primary_key.columns]


def _key(table: sa.Table, row: Row) -> Key:
    return tuple(row[name] for name in _keys(table))


@cache  # to build these is most of the work of merging little
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
    connection: sa.Connection,
    by: sa.Column[Any],
    values: Collection[str],
    *,
    sizes: bool = False,
) -> list[Row]:
    """Read rows that have one of these values, in the order of their keys; with ``sizes`` those of
    bytes in place of the bytes."""
    found = connection.execute(_select_rows(by.table, by, sizes), {"values": sorted(set(values))})
    return [dict(row) for row in found.mappings()]


@dataclass(slots=True)
class _Gains:
    """What the rows of one table would bring: rows, and by key columns of rows that are here."""

    table: sa.Table
    new: list[Row] = field(default_factory=list)
    filled: dict[Key, Row] = field(default_factory=dict)
    equal: int = 0

    def write(self, connection: sa.Connection) -> None:
        """Add the rows and fill the others."""
        if self.table in ADDED_BY_WORKERS:
            insert_missing(connection, self.table, self.new)
        else:
            append_rows(connection, self.table, self.new)
        for key, changes in self.filled.items():
            held = zip(self.table.primary_key.columns, key, strict=True)
            same = (column == value for column, value in held)
            connection.execute(sa.update(self.table).where(*same).values(changes))


@dataclass(frozen=True, slots=True)
class _Portion:
    """What is merged in one transaction: `take` compares it with what is there, and may write."""

    name: str
    done: int
    total: int
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
        """Compare all parts unless the target is fresh, then write those that bring something."""
        parts = list(self._list_parts())
        if not fresh:
            with self.target.reader().connect() as reader:
                parts = [part for part in parts if self._count(part.take(reader, False))]
        written = 0
        try:
            for part in () if dry_run else parts:
                self.progress(part.name, part.done, part.total)
                found = self._write(part)
                if fresh:
                    self._count(found)
                written += 1
            if written:
                gains = {name: one["new"] + one["filled"] for name, one in self.counts.items()}
                came = ", ".join(f"{number} {name}" for name, number in gains.items() if number)
                with self._transaction() as connection:
                    now, detail = self.target.clock(connection), f"from {self.source.name}: {came}"
                    add_event(connection, "merge", now, detail=detail)
        except UserError as error:
            if not written:
                raise
            raise UserError(
                f"{error}; what came over before that is whole: merge again to go on"
            ) from error

    def _list_parts(self) -> Iterator[_Portion]:
        for table in PLANS:
            count = sa.select(sa.func.count()).select_from(table)
            total = self.connection.execute(count).scalar_one()
            for start in range(0, total, ROWS):
                yield _Portion(table.name, start, total, partial(self._take_plans, table, start))
        # Segments by pretraining and budget, then trials.
        order = jobs.c.pretraining_id, jobs.c.budget, jobs.c.id
        ids: dict[str, list[str]] = {"pretraining": [], "trial": []}
        for job_id, kind in self.connection.execute(
            sa.select(jobs.c.id, jobs.c.kind).order_by(*order)
        ):
            if self.chosen is None or job_id in self.chosen:
                ids[kind].append(job_id)
        done, total = 0, sum(map(len, ids.values()))
        for kind, size in (("pretraining", SEGMENTS), ("trial", TRIALS)):
            for start in range(0, len(ids[kind]), size):
                some = ids[kind][start : start + size]
                yield _Portion("jobs", done, total, partial(self._take_jobs, some))
                done += len(some)

    def _count(self, found: Sequence[_Gains]) -> bool:
        for one in found:
            counts = self.counts.setdefault(one.table.name, Counter(new=0, filled=0, equal=0))
            counts.update(new=len(one.new), filled=len(one.filled), equal=one.equal)
        return any(one.new or one.filled for one in found)

    def _write(self, part: _Portion) -> Sequence[_Gains]:
        for pause in (*PAUSES, None):
            try:
                with self._transaction() as connection:
                    return part.take(connection, True)
            except Unavailable:
                if pause is None:
                    raise
                time.sleep(pause)
        raise AssertionError

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        with self.target.writer().begin() as connection:
            # Rows of plans are added by no one else meanwhile.
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
        query = _select_rows(table, None, sizes=False)
        rows = [dict(one) for one in self.connection.execute(query, {"start": start}).mappings()]
        first = next(iter(table.primary_key.columns))
        here = _read(connection, first, {row[first.name] for row in rows})
        news = self._compare(table, rows, here)
        if write:
            news.write(connection)
        return [news]

    def _compare(self, table: sa.Table, rows: Sequence[Row], here: Sequence[Row]) -> _Gains:
        known = {_key(table, row): row for row in here}
        news = _Gains(table)
        for row in rows:
            key = _key(table, row)
            if key not in known:
                news.new.append(row)
            elif changes := self._fill(table, row, known[key]):
                news.filled[key] = changes
            else:
                news.equal += 1
        return news

    def _fill(self, table: sa.Table, there: Row, here: Row) -> Row:
        """Return the columns in which a row there is fuller than the one here of the same key."""
        changes: Row = {}
        for column in table.columns:
            own, other = here[column.name], there[column.name]
            if own == other or (isinstance(other, bytes) and own == len(other)):
                continue
            if not column.info.get("local"):
                key = ", ".join(f"{name} {there[name]}" for name in _keys(table))
                raise UserError(
                    f"{self.source.name} and {self.target.name} have two rows of {table.name} "
                    f"{key}: its {column.name} is {_shown(other)} there and {_shown(own)} here; "
                    "nothing was merged. One of them was changed: go back to a copy of it"
                )
            if _is_fuller(other, own):
                changes[column.name] = other
        return changes

    def _take_jobs(
        self, ids: Sequence[str], connection: sa.Connection, write: bool
    ) -> list[_Gains]:
        there = {row["id"]: row for row in _read(self.connection, jobs.c.id, ids)}
        query = sa.select(jobs).where(among(jobs.c.id, ids)).order_by(jobs.c.id)
        held = connection.execute(query.with_for_update() if write else query).all()
        here = {row.id: row for row in held}
        now = self.target.clock(connection)
        planned = [_plan(row, now) for row in there.values() if row["id"] not in here]
        own = _read(connection, attempts.c.job_id, ids)
        run = {row["id"] for row in own if row["ended"] is None}  # it was put back from a copy
        tries = _read(self.connection, attempts.c.job_id, ids)
        ended = [row for row in tries if row["ended"] is not None]
        for row in ended:
            for name in ("message", "log"):  # a server takes no NUL
                row[name] = row[name] and escape_text(row[name])
        made_by = sorted({row["id"] for row in ended})
        ended = [row for row in ended if row["id"] not in run]
        tried = self._compare(attempts, ended, own)
        fresh = {row["id"] for row in tried.new}
        known = [row["id"] for row in ended if row["id"] not in fresh]
        continued = {row["continues"] for row in (*ended, *own)} - {None}
        found = [_Gains(jobs, planned, equal=len(here)), tried]
        for table in MADE:
            taken = [
                row
                for row in _read(self.connection, table.c.attempt_id, made_by)
                if row.get("measured_by", row["attempt_id"]) not in run
                and not (table is artifacts and row["attempt_id"] in continued)
            ]
            if table is measures:
                found.append(self._compare_measures(connection, taken))
            else:
                mine = _read(connection, table.c.attempt_id, known, sizes=True)
                found.append(self._compare(table, taken, mine))
        found.append(self._find_points(connection, (fresh | set(known)) - continued))
        if write and any(one.new or one.filled for one in found):
            for one in found:
                one.write(connection)
            for table in (metrics, artifacts):
                gone = among(table.c.attempt_id, continued)
                connection.execute(sa.delete(table).where(gone))
            _derive_states(connection, there, here, fresh, now)
        return found

    def _find_points(self, connection: sa.Connection, attempt_ids: Collection[str]) -> _Gains:
        """Return the points of curves that the target lacks."""
        there, here = (_count_points(one, attempt_ids) for one in (self.connection, connection))
        lacking = {key[0] for key, number in there.items() if number > here.get(key, 0)}
        both = (connection, self.connection) if lacking else ()
        mine, rows = [_read(one, metrics.c.attempt_id, lacking) for one in both] or ([], [])
        known = {_key(metrics, row) for row in mine}
        new = [row for row in rows if _key(metrics, row) not in known]
        return _Gains(metrics, new, equal=sum(there.values()) - len(new))

    def _compare_measures(self, connection: sa.Connection, rows: Sequence[Row]) -> _Gains:
        """Compare measures, of which the better one stays.

        Of two of one result by one name that is the one of the wider K-sample bound, else that of
        the evaluation that came first.
        """
        mine = _read(connection, measures.c.attempt_id, {row["attempt_id"] for row in rows})
        own, extents = {_key(measures, row): row for row in mine}, _read_extents(mine)
        other_extents, news = _read_extents(rows), _Gains(measures)
        for row in rows:
            key = _key(measures, row)
            if key not in own:
                news.new.append(row)
            elif own[key]["measured_by"] == row["measured_by"]:
                self._fill(measures, row, own[key])
                news.equal += 1
            elif _rank(row, other_extents) < _rank(own[key], extents):
                news.filled[key] = {n: v for n, v in row.items() if n not in _keys(measures)}
            else:
                news.equal += 1
        return news


def _rank(row: Row, extents: Mapping[Key, tuple[float, int]]) -> tuple[Any, ...]:
    """Return what sorts first of the measures that may stand for one."""
    draws, images = extents.get(_bound(row), (0.0, 0)) if row["name"] in BOUND else (0.0, 0)
    return -draws, -images, row["created"], row["measured_by"]


def _bound(row: Row) -> Key:
    return row["attempt_id"], row["protocol"]


def _read_extents(rows: Sequence[Row]) -> dict[Key, tuple[float, int]]:
    """Return draws and images of the K-sample bounds among measures."""
    images = {_bound(row): row["images"] for row in rows if row["name"] == "bound_bits_per_dim"}
    draws = {_bound(row): row["value"] for row in rows if row["name"] == "bound_draws"}
    return {key: (draws[key], images[key] or 0) for key in draws.keys() & images.keys()}


def _is_fuller(other: Any, own: Any) -> bool:
    """Return whether one value of a local column takes the place of another."""
    if own is None or other is None:
        return own is None
    if isinstance(own, str) and isinstance(other, str):
        return (len(other), other) > (len(own), own)
    return bool(other < own)


def _shown(value: Any) -> str:
    return f"{len(value)} bytes" if isinstance(value, bytes) else repr(value)


def _plan(job: Row, now: float) -> Row:
    """Return the row of a job as a plan registers it."""
    planned = ("id", "kind", "pretraining_id", "trial_id", "budget", "data_digest", "steps")
    begun = {"state": "pending", "step": 0, "token": 0, "updated": now}
    return {name: job[name] for name in planned} | begun


def _count_points(connection: sa.Connection, attempt_ids: Collection[str]) -> dict[Key, int]:
    curve = metrics.c.attempt_id, metrics.c.name
    query = sa.select(*curve, sa.func.count()).where(among(metrics.c.attempt_id, attempt_ids))
    return {(row[0], row[1]): row[2] for row in connection.execute(query.group_by(*curve))}


def _derive_states(
    connection: sa.Connection,
    there: Mapping[str, Row],
    here: Mapping[str, sa.Row[Any]],
    fresh: Collection[str],
    now: float,
) -> None:
    """Bring jobs to the states that follow from all their attempts.

    ``here`` are those that were there before, as they were, and ``fresh`` the attempts that came.
    """
    current = choose_current(connection, there.keys())
    own = _read(connection, attempts.c.job_id, there)
    ends = {row["id"]: row["ended"] for row in own}
    tried: dict[str, list[Row]] = {}
    for row in own:
        tried.setdefault(row["job_id"], []).append(row)
    rows: list[Row] = []
    for job_id, their in there.items():
        before, done = here.get(job_id), current[job_id]
        now_is = dict(before._mapping) if before is not None else _plan(their, now) | NEVER_RUN
        job = {name: now_is[name] for name in DERIVED} | {"done_attempt_id": done}
        if job["state"] != "running":
            mine = tried.get(job_id, [])
            job["token"] = max(job["token"], len(mine))
            lost = their["state"] in ("failed", "diverged") and their["attempt_id"] in fresh
            ended = ends.get(job["attempt_id"], 0.0)
            if done is not None:
                if now_is["done_attempt_id"] is None:
                    job |= {"state": "done", "step": their["steps"], "attempt_id": done}
            elif lost and (job["state"] == "pending" or ends[their["attempt_id"]] < ended):
                job |= {name: their[name] for name in ("state", "step", "attempt_id")}
            elif job["attempt_id"] is None:
                claims = [row for row in mine if row["protocol"] is None]
                latest = max(claims, key=lambda row: (row["ended"], row["id"]), default=None)
                job["attempt_id"] = None if latest is None else latest["id"]
        if any(job[name] != now_is[name] for name in DERIVED):
            rows.append({"the_id": job_id, **job, "updated": now})
    if rows:
        update = sa.update(jobs).where(jobs.c.id == sa.bindparam("the_id"))
        connection.execute(update, rows)
