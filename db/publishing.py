"""Published databases: a selection of results, without users and hosts.

A published database is an ordinary SQLite file: it can be read, checked and merged. It has the
selected results, all attempts at them, the launches, and the plans that they depend on. Columns
that the schema marks as private are blank: users, hosts, arguments, messages and logs. It lacks
files and their places, the history, and maps that none of its trials read. Merging it into the
database that it is from changes nothing.
"""

import json
import sqlite3
import tempfile
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
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
"""The columns that select trials. All are known before a trial runs, so that no result decides
whether it is published."""

MapKey = tuple[str, str, int, str | None]
"""The pretraining, data set, budget and score of maps; None for all scores."""


class NothingEnded(UserError):  # noqa: N818 - the state of the selection
    """No selected trial has ended."""


@dataclass(frozen=True, slots=True)
class Published:
    """Contents of a published database."""

    rows: Mapping[str, int]  # numbers of rows by table, without empty tables
    trials: Mapping[str, int]  # numbers of trials by state
    unfinished: int  # selected trials that are left out because they have not ended
    data: Sequence[Mapping[str, Any]]  # its data sets: name, variant, digest, counts and manifest
    sweeps: Sequence[str]  # names
    code: Sequence[Mapping[str, Any]]  # the versions of the code that made it, and of PyTorch


def publish(
    source: Database,
    out: Path,
    *,
    where: Where | None = None,
    sweep_ids: Sequence[str] = (),
    progress: ReportFunction = lambda step, done, total: None,
) -> Published:
    """Make a published database. The same content gives the same bytes.

    Args:
        source: The database to read; it is not changed.
        out: The new file; nothing is there yet.
        where: By name of one of `KEYS` the value, or the values, that trials have.
        sweep_ids: Only trials of these sweeps, and only these sweeps, are published; all if empty.
        progress: As in `check_integrity`.

    Raises:
        UserError: The source is missing, damaged, unsound or of another schema, a key is unknown,
            or no selected trial has ended. Nothing is written.
    """
    selection = _Selection()

    def choose(connection: sa.Connection) -> Collection[str]:
        _select_jobs(connection, where or {}, sweep_ids, selection)
        if not selection.jobs:
            raise NothingEnded(
                f"none of the selected trials of {source.name} has ended: select others, or launch "
                "them"
            )
        return selection.jobs

    with tempfile.TemporaryDirectory(prefix="lcma-publish-") as folder:
        work = SqliteDatabase(Path(folder, "work.db"))
        merge(source, work, choose=choose, progress=progress)
        with work.writer().begin() as connection:
            _drop_others(connection, sweep_ids)
            _blank(connection)
            _thin_curves(connection)
            _drop_maps(connection, selection.maps)
            _drop_unused(connection)
        compact(work, out)
    return _describe(SqliteDatabase(out), selection.unfinished, progress)


def combine(files: Iterable[Path], out: Path) -> None:
    """Combine published databases, of this schema or an older one, into one.

    Args:
        files: The databases. They are upgraded in place, and the first one takes the others' rows.
        out: The new file.

    Raises:
        UserError: One is damaged or of an unknown schema.
    """
    first, *others = [SqliteDatabase(file) for file in files]
    migrate.ensure(first)
    for other in others:
        migrate.ensure(other)
        merge(other, first)
    with first.writer().begin() as connection:
        connection.execute(sa.delete(events))
    compact(first, out)


def compact(database: SqliteDatabase, out: Path) -> None:
    """Write a database to a new file, without traces of deleted rows."""
    try:
        with closing(sqlite3.connect(database.path)) as connection:
            connection.execute("VACUUM INTO ?", (str(out),))
    except sqlite3.Error as error:
        raise UserError(f"cannot write {out}: {error}; make room there") from None


@dataclass(slots=True)
class _Selection:
    jobs: set[str] = field(default_factory=set)
    maps: set[MapKey] = field(default_factory=set)  # those that the trials read
    unfinished: int = 0


def _select_jobs(
    connection: sa.Connection, where: Where, sweep_ids: Sequence[str], selection: _Selection
) -> None:
    # Trials that have ended: done, lost, or never begun because their pretraining was lost.
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
    for segment in connection.execute(sa.select(jobs).where(jobs.c.kind == "pretraining")):
        segments[segment.pretraining_id, segment.data_digest].append(segment)
    reported = attempts.c.protocol.is_(None), attempts.c.seconds.is_not(None)
    began = sa.select(attempts.c.job_id, sa.func.min(attempts.c.first_step)).where(*reported)
    starts = {row[0]: row[1] for row in connection.execute(began.group_by(attempts.c.job_id))}
    for job in connection.execute(query):
        origin = job.pretraining_id, job.data_digest
        path = [segment for segment in segments.get(origin, ()) if segment.budget <= job.budget]
        by_budget = {segment.budget: segment for segment in path}
        longest = max((s.budget for s in path if s.done_attempt_id is not None), default=-1)
        lost = {s.id for s in path if s.state in ("failed", "diverged") and s.budget > longest}
        if job.done_attempt_id is not None or job.state in ("failed", "diverged"):
            selection.jobs.add(job.id)
            # The segments that led to its maps, which count in its costs.
            link = by_budget.get(job.budget)
            while link is not None:
                selection.jobs.add(link.id)
                start = starts.get(link.id) or 0
                link = by_budget.get(start) if 0 < start < link.budget else None
                if link is not None:
                    selection.maps.add((*origin, link.budget, None))
        elif lost:
            selection.jobs |= {job.id, *lost}
        else:
            selection.unfinished += 1
            continue
        if job.pretraining_id is not None:
            # A trial may be lost because there are no maps by its score: then all maps stay.
            score = _read_score(job.factorization, job.map_options) if job.done_attempt_id else None
            selection.maps.add((*origin, job.budget, score))


def _read_score(factorization: str, map_options: str | None) -> str | None:
    # The score of the map that a trial read; None if this code cannot tell.
    if factorization in DATA_RULES:
        return factorization
    try:
        options = {k: v for k, v in json.loads(map_options or "{}").items() if k != "rule"}
        return MapOptions(**options).stored_score
    except (ValueError, ValidationError, TypeError, AttributeError, RecursionError):
        return None


def _drop_others(connection: sa.Connection, sweep_ids: Sequence[str]) -> None:
    # History and files; rows of trials without a job; and sweeps that are not selected or have no
    # trial left, with their launches.
    of_jobs = sa.select(jobs.c.trial_id).where(jobs.c.trial_id.is_not(None))
    selected = sweep_trials.c.sweep_id.in_(sweep_ids) if sweep_ids else sa.true()
    kinds = sa.or_(
        measure_kinds.c.name.in_(sa.select(measures.c.name)),
        measure_kinds.c.name.in_([kind.name for kind in SHIPPED]),
    )
    for table, condition in (
        (events, sa.false()),
        (artifacts, sa.false()),
        (sweep_trials, sa.and_(sweep_trials.c.trial_id.in_(of_jobs), selected)),
        (launches, launches.c.sweep_id.in_(sa.select(sweep_trials.c.sweep_id))),
        (bars, bars.c.data_digest.in_(sa.select(jobs.c.data_digest))),
        (measure_kinds, kinds),
    ):
        connection.execute(sa.delete(table).where(sa.not_(condition)))


def _drop_maps(connection: sa.Connection, read: Collection[MapKey]) -> None:
    columns = contribution_maps.c
    names = ("attempt_id", "split", "score", "pretraining_id", "data_digest", "budget")
    query = sa.select(*(columns[name] for name in names))
    for attempt_id, split, score, *origin in connection.execute(query).all():
        if (*origin, score) not in read and (*origin, None) not in read:
            key = columns.attempt_id == attempt_id, columns.split == split, columns.score == score
            connection.execute(sa.delete(contribution_maps).where(*key))


def _drop_unused(connection: sa.Connection) -> None:
    # Rows of plans that no row refers to; a row that refers to another goes before it.
    plans = {trials, pretrainings, recipes, sweeps, data_sets, environments, protocols}
    for table in reversed(metadata.sorted_tables):
        if table in plans:
            (key,) = table.primary_key.columns
            used = [
                sa.exists().where(column == key)
                for other in metadata.sorted_tables
                for column in other.columns
                if any(reference.column is key for reference in column.foreign_keys)
            ]
            connection.execute(sa.delete(table).where(~sa.or_(*used)))


def _blank(connection: sa.Connection) -> None:
    for table in metadata.sorted_tables:
        private = [column for column in table.columns if column.info.get("private")]
        blank = {column.name: None if column.nullable else "" for column in private}
        if blank:
            connection.execute(sa.update(table).values(blank))
    manifests = connection.execute(sa.select(data_sets.c.digest, data_sets.c.manifest)).all()
    rows = [{"key": digest, "manifest": _blank_manifest(text)} for digest, text in manifests]
    connection.execute(sa.update(data_sets).where(data_sets.c.digest == sa.bindparam("key")), rows)
    # The merge set the time of this publication, and the same content shall give the same bytes.
    ended = sa.select(sa.func.max(attempts.c.ended)).where(attempts.c.job_id == jobs.c.id)
    updated = sa.func.coalesce(ended.scalar_subquery(), 0.0)
    connection.execute(sa.update(jobs).values(updated=updated))


def _blank_manifest(text: str) -> str:
    # Names of unreadable images are those of somebody's files: numbers replace them.
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
    # Keep evenly spaced points, the first and the last among them.
    curve = metrics.c.attempt_id, metrics.c.name
    place = sa.func.row_number().over(partition_by=curve, order_by=metrics.c.step) - 1
    number = sa.func.count().over(partition_by=curve)
    columns = (*curve, metrics.c.step, place.label("place"), number.label("number"))
    point, gaps = sa.select(*columns).subquery().c, PUBLISHED_POINTS - 1
    mark, before = (n * gaps // (point.number - 1) for n in (point.place, point.place - 1))
    dropped = sa.select(point.attempt_id, point.name, point.step).where(
        point.number > PUBLISHED_POINTS, point.place > 0, mark == before
    )
    key = sa.tuple_(*curve, metrics.c.step)
    connection.execute(sa.delete(metrics).where(key.in_(dropped)))


def _describe(database: SqliteDatabase, unfinished: int, progress: ReportFunction) -> Published:
    for finding in check_integrity(database, progress).findings:
        raise RuntimeError(f"the published database has a fault: {finding}")
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
