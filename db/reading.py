"""What the store tells: maps, curves, files and progress."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from lcma.db.following import of_sweep
from lcma.db.frames import Where, conditions
from lcma.db.jobs import chunks, to_job
from lcma.db.recording import DTYPE
from lcma.db.records import (
    KINDS,
    Artifact,
    Bar,
    ContributionMap,
    Counts,
    Job,
    MapStatistics,
    Metric,
    News,
    RunningJob,
    StateCounts,
    StoredMap,
    Sweep,
    SweepMember,
)
from lcma.db.schema import (
    artifacts,
    bars,
    contribution_maps,
    curves,
    events,
    jobs,
    metrics,
    pretrainings,
    recipes,
    sweep_trials,
    sweeps,
    trials,
)
from lcma.sweeps.errors import UserError

FACTS = ("flow", "dataset", "variant", "seed", "nms", "recipe_id")
"""What of its pretraining a map is given with."""

MAP_ORDER = (
    *("dataset", "variant", "flow", "seed", "nms", "pretraining_id", "data_digest", "budget"),
    *("score", "split"),
)


def read_jobs(connection: sa.Connection, ids: Sequence[str]) -> dict[str, Job]:
    """Those of the jobs that exist, by id."""
    found: dict[str, Job] = {}
    for some in chunks(ids):
        rows = connection.execute(sa.select(jobs).where(jobs.c.id.in_(some)))
        found |= {row.id: to_job(row) for row in rows}
    return found


def read_news(connection: sa.Connection, after: int | None) -> News:
    """What events after that one are about; None for no more than the last event."""
    last = connection.execute(sa.select(sa.func.max(events.c.id))).scalar() or 0
    if after is None:
        return News(last, {})
    new = sa.and_(events.c.id > after, events.c.job_id.is_not(None))
    told = sa.select(events.c.job_id).where(new)
    rows = connection.execute(sa.select(jobs).where(jobs.c.id.in_(told)))
    put_back = connection.execute(told.where(events.c.event.in_(("again", "retry"))))
    return News(last, {row.id: to_job(row) for row in rows}, frozenset(put_back.scalars()))


def read_maps(connection: sa.Connection, where: Where) -> list[StoredMap]:
    """Maps that match, with what they are of; UserError naming the row where one is damaged."""
    own = {c.name: c for c in contribution_maps.c if not isinstance(c.type, sa.LargeBinary)}
    columns = {name: pretrainings.c[name] for name in FACTS} | own
    query = (
        sa.select(contribution_maps, *(pretrainings.c[name] for name in FACTS))
        .join(pretrainings, pretrainings.c.id == contribution_maps.c.pretraining_id)
        .where(*conditions("contribution_maps", columns, where))
        .order_by(*(columns[name] for name in MAP_ORDER))
    )
    return [_stored(dict(row._mapping)) for row in connection.execute(query)]


def map_damage(row: Mapping[str, Any]) -> str | None:
    """What is wrong with the bytes of a row of `contribution_maps`; None where nothing is."""
    shape = (row["channels"], row["height"], row["width"])
    if row["dtype"] != DTYPE:
        return f"its dtype is {row['dtype']}, not {DTYPE}"
    if not _fill(row, 4 * math.prod(shape)):
        return f"its bytes do not fill the shape {shape}"
    if hashlib.sha256(row["values"]).hexdigest() != row["digest"]:
        return "its values do not match their digest"
    return None


def _stored(row: Mapping[str, Any]) -> StoredMap:
    damage = map_damage(row)
    if damage is not None:
        raise UserError(
            f"row {row['id']} of contribution_maps is damaged: {damage}; "
            "go back to a copy of the database"
        )
    return StoredMap(**_map_fields(row), **{name: row[name] for name in FACTS})


def decode_map(row: Mapping[str, Any]) -> ContributionMap:
    """A row of `contribution_maps` whose bytes are sound. Raises ValueError as a map does."""
    return ContributionMap(**_map_fields(row))


def _map_fields(row: Mapping[str, Any]) -> dict[str, Any]:
    shape = (row["channels"], row["height"], row["width"])

    def array(name: str, *copies: int) -> NDArray[np.float32]:
        return np.frombuffer(row[name], dtype=DTYPE).reshape(*copies, *shape).astype(np.float32)

    plain = ("pretraining_id", "data_digest", "budget", "split", "score", "images", "mean_log_det")
    return {
        **{name: row[name] for name in (*plain, "clusters")},
        "values": array("values"),
        "standard_errors": array("standard_errors"),
        "halves": None if row["halves"] is None else array("halves", 2),
        "statistics": None if row["rank_gap"] is None else _statistics(row),
    }


def _fill(row: Mapping[str, Any], size: int) -> bool:
    lengths = {len(row["values"]), len(row["standard_errors"])}
    return lengths == {size} and (row["halves"] is None or len(row["halves"]) == 2 * size)


def _statistics(row: Mapping[str, Any]) -> MapStatistics:
    return MapStatistics(**{field.name: row[field.name] for field in fields(MapStatistics)})


def read_metrics(connection: sa.Connection, job_id: str, name: str) -> list[Metric]:
    """One curve of a job by step."""
    rows = connection.execute(
        sa.select(metrics.c.step, metrics.c.value)
        .join(curves, curves.c.id == metrics.c.curve_id)
        .where(curves.c.job_id == job_id, curves.c.name == name)
        .order_by(metrics.c.step)
    )
    return [Metric(name, step, math.nan if value is None else value) for step, value in rows]


def read_artifacts(connection: sa.Connection, job_id: str) -> list[Artifact]:
    """Files of a job by kind."""
    columns = (artifacts.c[name] for name in ("kind", "path", "bytes", "digest", "place"))
    rows = connection.execute(
        sa.select(*columns).where(artifacts.c.job_id == job_id).order_by(artifacts.c.kind)
    )
    return [Artifact(**row._mapping) for row in rows]


def read_bars(connection: sa.Connection) -> dict[str, list[Bar]]:
    """Bars by data digest and name."""
    found: dict[str, list[Bar]] = {}
    for row in connection.execute(sa.select(bars).order_by(bars.c.data_digest, bars.c.name)):
        found.setdefault(row.data_digest, []).append(Bar(**row._mapping))
    return found


def read_recipe_bodies(connection: sa.Connection, ids: Sequence[str]) -> dict[str, str]:
    """Recipes' JSON by id."""
    found: dict[str, str] = {}
    for some in chunks(ids):
        rows = connection.execute(
            sa.select(recipes.c.id, recipes.c.body).where(recipes.c.id.in_(some))
        )
        found |= {row.id: row.body for row in rows}
    return found


def read_sweeps(connection: sa.Connection) -> list[Sweep]:
    """All sweeps, oldest first."""
    rows = connection.execute(sa.select(sweeps).order_by(sweeps.c.created, sweeps.c.id))
    return [Sweep(**row._mapping) for row in rows]


def read_members(connection: sa.Connection, sweep_id: str) -> list[SweepMember]:
    """The trials of a sweep under the names asked for."""
    rows = connection.execute(
        sa.select(sweep_trials)
        .where(sweep_trials.c.sweep_id == sweep_id)
        .order_by(sweep_trials.c.factorization, sweep_trials.c.trial_id)
    )
    return [SweepMember(**row._mapping) for row in rows]


def read_running(connection: sa.Connection) -> list[RunningJob]:
    """Running jobs with what they are, oldest attempt first."""
    either = {
        name: sa.func.coalesce(trials.c[name], pretrainings.c[name]).label(name)
        for name in ("flow", "dataset", "seed")
    }
    rows = connection.execute(
        sa.select(
            jobs.c.id.label("job_id"),
            jobs.c.kind,
            *either.values(),
            trials.c.factorization,
            sa.func.coalesce(trials.c.budget, jobs.c.budget).label("budget"),
            *(jobs.c[name] for name in ("step", "steps", "owner", "host", "lease_until")),
        )
        .outerjoin_from(jobs, trials, trials.c.id == jobs.c.trial_id)
        .outerjoin(pretrainings, pretrainings.c.id == jobs.c.pretraining_id)
        .where(jobs.c.state == "running")
        .order_by(jobs.c.attempt_id)
    )
    return [RunningJob(**row._mapping) for row in rows]


def read_counts(connection: sa.Connection, sweep_id: str | None) -> Counts:
    """Jobs by kind and state, of one sweep or of all.

    A sweep's pretraining jobs are the segments up to the budgets of its trials.
    """
    query = sa.select(jobs.c.kind, jobs.c.state, sa.func.count().label("jobs"))
    if sweep_id is not None:
        query = query.where(of_sweep(sweep_id))
    rows = connection.execute(query.group_by(jobs.c.kind, jobs.c.state)).all()
    by_kind = {
        kind: StateCounts(**{row.state: row.jobs for row in rows if row.kind == kind})
        for kind in KINDS
    }
    return Counts(pretraining=by_kind["pretraining"], trial=by_kind["trial"])
