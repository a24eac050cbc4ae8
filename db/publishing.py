"""Published databases: a selection of results without what says who made them, and where.

A published database is a file of SQLite like any other one: it can be read, checked and merged. It
has the results of the selection, all attempts at them and the launches, and what they depend on.
Columns that the schema marks as private are blank: users, hosts, arguments, messages and logs. Left
out are files and their places, the history, and all maps that no trial of it read. To merge it into
the database that it is from changes nothing.
"""

import json
import sqlite3
import tempfile
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError

from lcma.db import migrate
from lcma.db.engine import Database
from lcma.db.integrity import ReportFunction, check_integrity
from lcma.db.merge import merge
from lcma.db.results import PUBLISHED_POINTS
from lcma.db.schema import (
    artifacts,
    attempts,
    bars,
    contribution_maps,
    data_sets,
    environments,
    events,
    jobs,
    launches,
    measure_kinds,
    measures,
    metadata,
    metrics,
    pretrainings,
    protocols,
    recipes,
    sweep_trials,
    sweeps,
    trials,
)
from lcma.db.sqlite import SqliteDatabase
from lcma.db.statements import Where, build_conditions
from lcma.sweeps.errors import UserError
from lcma.sweeps.factorizations import DATA_RULES
from lcma.sweeps.measures import SHIPPED
from lcma.sweeps.recipe import MapOptions

KEYS: Mapping[str, sa.Column[Any]] = {
    "trial_id": trials.c.id,
    **{
        name: trials.c[name]
        for name in ("flow", "profile", "dataset", "variant", "factorization", "seed", "budget")
    },
    "recipe_id": trials.c.recipe_id,
    "data_digest": jobs.c.data_digest,
}
"""What trials can be selected by: what is known before they run, so that no result decides whether
it is published."""

LOST = ("failed", "diverged")


class NothingEnded(UserError):  # noqa: N818 - what is the case
    """No trial that is selected has ended."""


@dataclass(frozen=True, slots=True)
class Published:
    """Contents of a published database.

    Attributes:
        rows: The rows of every table that has some.
        trials: Its trials, by the state that they are in.
        unfinished: Trials of the selection that are left out, as they have not ended.
        data: Its data sets: name, variant, digest, counts and manifest.
        sweeps: The names of its sweeps.
        code: The versions of the code that made it, and of PyTorch.
    """

    rows: Mapping[str, int]
    trials: Mapping[str, int]
    unfinished: int
    data: Sequence[Mapping[str, Any]]
    sweeps: Sequence[str]
    code: Sequence[Mapping[str, Any]]


def publish(
    source: Database,
    out: Path,
    *,
    where: Where | None = None,
    sweep_ids: Sequence[str] = (),
    progress: ReportFunction = lambda what, done, total: None,
) -> Published:
    """Make a published database. The same content gives the same bytes.

    Args:
        source: Where to read; it is not changed.
        out: The new file; nothing is there yet.
        where: By name of one of `KEYS` the values that trials have.
        sweep_ids: Only trials of these sweeps; and only these are published. All for none.
        progress: As in `check_integrity`.

    Raises:
        UserError: The source is missing, damaged, unsound or of another schema, a key is unknown,
            or nothing that is selected has ended. Nothing is written.
    """
    chosen = _ChosenJobs()

    def choose(connection: sa.Connection) -> Collection[str]:
        nonlocal chosen
        chosen = _choose(connection, where or {}, sweep_ids)
        if not chosen.jobs:
            raise NothingEnded(
                f"no trial of {source.name} that is selected has ended: select others, or launch "
                "them"
            )
        return chosen.jobs

    with tempfile.TemporaryDirectory(prefix="lcma-publish-") as folder:
        work = SqliteDatabase(Path(folder, "work.db"))
        merge(source, work, choose=choose, progress=progress)
        with work.writer().begin() as connection:
            _drop_others(connection, sweep_ids)
            _blank(connection)
            _thin_curves(connection)
            _drop_maps(connection, chosen.maps)
            _drop_unused(connection)
        compact(work, out)
    return _describe(SqliteDatabase(out), chosen.unfinished, progress)


def combine(
    files: Iterable[Path], out: Path, progress: ReportFunction = lambda what, done, total: None
) -> None:
    """Make one database of several published ones, of this schema or of an older one.

    Args:
        files: The databases, which are upgraded in place, and of which the first takes the others.
        out: The new file.
        progress: As in `check_integrity`.

    Raises:
        UserError: One is damaged or of an unknown schema.
    """
    first, *others = [SqliteDatabase(file) for file in files]
    migrate.ensure(first)
    for other in others:
        migrate.ensure(other)
        merge(other, first, progress=progress)
    with first.writer().begin() as connection:
        connection.execute(sa.delete(events))
    compact(first, out)


def compact(database: SqliteDatabase, out: Path) -> None:
    """Write a database to a new file without a trace of what was deleted in it."""
    with closing(sqlite3.connect(database.path)) as connection:
        connection.execute("VACUUM INTO ?", (str(out),))


@dataclass(frozen=True, slots=True)
class _ChosenJobs:
    """Jobs to publish by id, and the maps that their trials read: pretraining, data set, budget and
    score, None for all."""

    jobs: frozenset[str] = frozenset()
    maps: frozenset[tuple[str, str, int, str | None]] = frozenset()
    unfinished: int = 0


def _choose(connection: sa.Connection, where: Where, sweep_ids: Sequence[str]) -> _ChosenJobs:
    # Trials that have ended: done, lost, or never begun since their pretraining was lost.
    columns = [jobs.c[name] for name in ("id", "state", "done_attempt_id", "data_digest")]
    columns += [
        trials.c[name] for name in ("factorization", "pretraining_id", "budget", "map_options")
    ]
    query = sa.select(*columns).join(trials, trials.c.id == jobs.c.trial_id)
    query = query.where(*build_conditions("a selection to publish", KEYS, where))
    if sweep_ids:
        of_sweeps = sa.select(sweep_trials.c.trial_id).where(sweep_trials.c.sweep_id.in_(sweep_ids))
        query = query.where(trials.c.id.in_(of_sweeps))
    segments = defaultdict[tuple[str, str], list[sa.Row[Any]]](list)
    for one in connection.execute(sa.select(jobs).where(jobs.c.kind == "pretraining")):
        segments[one.pretraining_id, one.data_digest].append(one)
    reported = attempts.c.protocol.is_(None), attempts.c.seconds.is_not(None)
    began = sa.select(attempts.c.job_id, sa.func.min(attempts.c.first_step)).where(*reported)
    starts = {row[0]: row[1] for row in connection.execute(began.group_by(attempts.c.job_id))}
    chosen, maps, unfinished = set[str](), set[tuple[str, str, int, str | None]](), 0
    for one in connection.execute(query):
        on_the_way = [
            segment
            for segment in segments.get((one.pretraining_id, one.data_digest), ())
            if segment.budget <= one.budget
        ]
        by_budget = {segment.budget: segment for segment in on_the_way}
        longest = max((s.budget for s in on_the_way if s.done_attempt_id is not None), default=-1)
        lost = [s.id for s in on_the_way if _is_lost(s) and s.budget > longest]
        if one.done_attempt_id is not None or one.state in LOST:
            chosen.add(one.id)
            # Those that led to its maps, which their costs count.
            segment = by_budget.get(one.budget)
            while segment is not None:
                chosen.add(segment.id)
                start = starts.get(segment.id) or 0
                segment = by_budget.get(start) if 0 < start < segment.budget else None
                if segment is not None:
                    maps.add((one.pretraining_id, one.data_digest, segment.budget, None))
        elif lost:
            chosen |= {one.id, *lost}
        else:
            unfinished += 1
            continue
        if one.pretraining_id is not None:
            score = _read_score(one.factorization, one.map_options)
            maps.add((one.pretraining_id, one.data_digest, one.budget, score))
    return _ChosenJobs(frozenset(chosen), frozenset(maps), unfinished)


def _is_lost(job: sa.Row[Any]) -> bool:
    return job.state in LOST and job.done_attempt_id is None


def _read_score(factorization: str, options: str | None) -> str | None:
    # None where this code cannot tell.
    if factorization in DATA_RULES:
        return factorization
    try:
        found = {k: v for k, v in json.loads(options or "{}").items() if k != "rule"}
        return MapOptions(**found).stored_score
    except (ValueError, ValidationError, TypeError, AttributeError, RecursionError):
        return None


def _drop_others(connection: sa.Connection, sweep_ids: Sequence[str]) -> None:
    # History, files, what belongs to trials without a job, and sweeps that were not asked for or
    # are without a trial, with their launches.
    of_jobs = sa.select(jobs.c.trial_id).where(jobs.c.trial_id.is_not(None))
    asked = sweep_trials.c.sweep_id.in_(sweep_ids) if sweep_ids else sa.true()
    kinds = sa.or_(
        measure_kinds.c.name.in_(sa.select(measures.c.name)),
        measure_kinds.c.name.in_([kind.name for kind in SHIPPED]),
    )
    for table, kept in (
        (events, sa.false()),
        (artifacts, sa.false()),
        (sweep_trials, sa.and_(sweep_trials.c.trial_id.in_(of_jobs), asked)),
        (launches, launches.c.sweep_id.in_(sa.select(sweep_trials.c.sweep_id))),
        (bars, bars.c.data_digest.in_(sa.select(jobs.c.data_digest))),
        (measure_kinds, kinds),
    ):
        connection.execute(sa.delete(table).where(sa.not_(kept)))


def _drop_maps(
    connection: sa.Connection, read: frozenset[tuple[str, str, int, str | None]]
) -> None:
    table = contribution_maps
    keys = ("attempt_id", "split", "score")
    names = ("pretraining_id", "data_digest", "budget", "score")
    for row in connection.execute(sa.select(*(table.c[name] for name in {*keys, *names}))).all():
        of = tuple(row._mapping[name] for name in names)
        if not {of, (*of[:-1], None)} & read:
            same = (table.c[name] == row._mapping[name] for name in keys)
            connection.execute(sa.delete(table).where(*same))


def _drop_unused(connection: sa.Connection) -> None:
    # Rows of plans that no row refers to; what refers comes before what is referred to.
    plans = {trials, pretrainings, recipes, sweeps, data_sets, environments, protocols}
    for table in reversed(metadata.sorted_tables):
        if table in plans:
            (key,) = table.primary_key.columns
            used = [
                sa.exists().where(column == key)
                for other in metadata.sorted_tables
                for column in other.columns
                if any(one.column is key for one in column.foreign_keys)
            ]
            connection.execute(sa.delete(table).where(~sa.or_(*used)))


def _blank(connection: sa.Connection) -> None:
    for table in metadata.sorted_tables:
        private = [column for column in table.columns if column.info.get("private")]
        blank = {column.name: None if column.nullable else "" for column in private}
        if blank:
            connection.execute(sa.update(table).values(blank))
    manifests = connection.execute(sa.select(data_sets.c.digest, data_sets.c.manifest)).all()
    rows = [{"own": digest, "manifest": _blank_manifest(text)} for digest, text in manifests]
    connection.execute(sa.update(data_sets).where(data_sets.c.digest == sa.bindparam("own")), rows)
    # When it was merged for this is no part of it.
    ended = sa.select(sa.func.max(attempts.c.ended)).where(attempts.c.job_id == jobs.c.id)
    updated = sa.func.coalesce(ended.scalar_subquery(), 0.0)
    connection.execute(sa.update(jobs).values(updated=updated))


def _blank_manifest(text: str) -> str:
    # The names of unreadable images are those of somebody's files: their number is left.
    try:
        manifest = json.loads(text)
    except (ValueError, RecursionError):
        return "{}"
    if not isinstance(manifest, dict):
        return "{}"
    if isinstance(manifest.get("skipped"), list):
        manifest["skipped"] = [str(n + 1) for n in range(len(manifest["skipped"]))]
    return json.dumps(manifest, separators=(",", ":"))


def _thin_curves(connection: sa.Connection) -> None:
    # Leaves points evenly, the first and the last among them.
    curve = metrics.c.attempt_id, metrics.c.name
    place = sa.func.row_number().over(partition_by=curve, order_by=metrics.c.step) - 1
    number = sa.func.count().over(partition_by=curve)
    columns = (*curve, metrics.c.step, place.label("place"), number.label("number"))
    own, gaps = sa.select(*columns).subquery().c, PUBLISHED_POINTS - 1
    mark, before = (n * gaps // (own.number - 1) for n in (own.place, own.place - 1))
    gone = sa.select(own.attempt_id, own.name, own.step).where(
        own.number > PUBLISHED_POINTS, own.place > 0, mark == before
    )
    key = sa.tuple_(*curve, metrics.c.step)
    connection.execute(sa.delete(metrics).where(key.in_(gone)))


def _describe(database: SqliteDatabase, unfinished: int, progress: ReportFunction) -> Published:
    # What is there, after all checks.
    for finding in check_integrity(database, progress).findings:
        raise RuntimeError(f"what was published has a fault: {finding}")
    with database.reader().connect() as connection:

        def read(query: sa.Select[Any]) -> list[dict[str, Any]]:
            return [dict(row) for row in connection.execute(query).mappings()]

        counts = {
            table.name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar()
            for table in metadata.sorted_tables
        }
        states = connection.execute(sa.select(jobs.c.state).where(jobs.c.kind == "trial")).scalars()
        code = ("code_version", "dirty", "python", "torch", "device")
        versions = [environments.c[name] for name in code]
        return Published(
            rows={name: number for name, number in counts.items() if number},
            trials=dict(sorted(Counter(states).items())),
            unfinished=unfinished,
            data=read(sa.select(data_sets).order_by(data_sets.c.name, data_sets.c.digest)),
            sweeps=[row["name"] for row in read(sa.select(sweeps).order_by(sweeps.c.name))],
            code=read(sa.select(*versions).distinct().order_by(*versions)),
        )
