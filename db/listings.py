"""What reports ask for besides results: jobs that were lost, waits, maps, trained trials."""

import math
from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Any

import sqlalchemy as sa

from lcma.db.jobs import chunks
from lcma.db.schema import (
    artifacts,
    attempts,
    contribution_maps,
    data_sets,
    failures,
    jobs,
    pretrainings,
    recipes,
    sweep_trials,
    trials,
)


@dataclass(frozen=True)
class LostTrials:
    """How many trials of one cell of the matrix ended as ``state``: diverged or failed, their last
    attempts with this outcome."""

    state: str
    flow: str
    profile: str
    dataset: str
    variant: str
    data_digest: str
    recipe_id: str
    factorization: str
    budget: int | None
    map_options: str | None
    outcome: str | None = None
    trials: int = 1


@dataclass(frozen=True)
class Failure:
    """A job that failed or diverged, with the outcome and message of its last attempt, and why it
    is not run again by itself."""

    job_id: str
    kind: str
    state: str
    flow: str
    dataset: str
    factorization: str | None
    budget: int | None
    seed: int
    step: int
    steps: int
    outcome: str | None
    message: str | None
    host: str | None
    decision: str | None


@dataclass(frozen=True)
class DataWait:
    """The share of training steps that attempts on one set and kind of device waited for images:
    its mean over attempts and the largest, 0 to 1."""

    dataset: str
    variant: str
    device: str
    attempts: int
    mean: float
    largest: float


@dataclass(frozen=True)
class MapKey:
    """Under which the contribution maps of one pretraining at one budget are stored."""

    pretraining_id: str
    data_digest: str
    budget: int
    score: str
    flow: str
    dataset: str
    variant: str
    seed: int
    nms: str
    recipe_id: str


@dataclass(frozen=True)
class MapUser:
    """A trial that reads the maps of a pretraining at a budget, with its options as JSON."""

    trial_id: str
    recipe_id: str
    pretraining_id: str
    budget: int
    map_options: str | None


@dataclass(frozen=True)
class TrainedTrial:
    """A trial on one exact data set; ``weights`` says whether its weights were kept."""

    trial_id: str
    job_id: str
    data_digest: str
    state: str
    flow: str
    dataset: str
    variant: str
    factorization: str
    budget: int | None
    seed: int
    recipe_id: str
    pretraining_id: str | None
    weights: bool


def read_data_manifests(connection: sa.Connection) -> dict[str, tuple[str, str]]:
    """Name and manifest of data sets by digest."""
    columns = data_sets.c.digest, data_sets.c.name, data_sets.c.manifest
    rows = connection.execute(sa.select(*columns).order_by(data_sets.c.digest))
    return {digest: (name, manifest) for digest, name, manifest in rows}


def read_conventional(connection: sa.Connection) -> dict[str, str]:
    """Canonical names of conventional factorizations by recipe, where they are known."""
    rows = connection.execute(
        sa.select(recipes.c.id, recipes.c.conventional)
        .where(recipes.c.conventional.is_not(None))
        .order_by(recipes.c.id)
    )
    return {row.id: row.conventional for row in rows}


def read_lost_trials(connection: sa.Connection, sweep_id: str | None) -> list[LostTrials]:
    """Lost trials, counted by all that is known of them here."""
    columns = [failures.c[field.name] for field in fields(LostTrials) if field.name != "trials"]
    query = (
        sa.select(*columns, sa.func.count().label("trials"))
        .where(failures.c.kind == "trial")
        .group_by(*columns)
    )
    if sweep_id is not None:
        members = sa.select(sweep_trials.c.trial_id).where(sweep_trials.c.sweep_id == sweep_id)
        query = query.where(failures.c.trial_id.in_(members))
    return [LostTrials(*row) for row in connection.execute(query)]


def read_failures(connection: sa.Connection) -> list[Failure]:
    """Lost jobs with their last attempts, the latest first."""
    rows = connection.execute(
        sa.select(*(failures.c[field.name] for field in fields(Failure))).order_by(
            failures.c.updated.desc(), failures.c.job_id
        )
    )
    return [Failure(**_fields(row)) for row in rows]


def read_data_waits(connection: sa.Connection) -> list[DataWait]:
    """Waits by data set, variant and device; the mean is summed exactly, whatever the engine."""
    rows = connection.execute(
        sa.select(data_sets.c.name, data_sets.c.variant, attempts.c.device, attempts.c.data_wait)
        .join_from(attempts, jobs, jobs.c.id == attempts.c.job_id)
        .join(data_sets, data_sets.c.digest == jobs.c.data_digest)
        .where(attempts.c.data_wait.is_not(None))
    )
    shares: dict[tuple[str, str, str], list[float]] = {}
    for dataset, variant, device, share in rows:
        shares.setdefault((dataset, variant, device), []).append(share)
    return [
        DataWait(*group, attempts=len(of), mean=math.fsum(of) / len(of), largest=max(of))
        for group, of in sorted(shares.items())
    ]


def read_map_keys(connection: sa.Connection) -> list[MapKey]:
    """Keys of maps, without their splits."""
    maps, own = contribution_maps, pretrainings
    rows = connection.execute(
        sa.select(
            *(maps.c[name] for name in ("pretraining_id", "data_digest", "budget", "score")),
            *(own.c[name] for name in ("flow", "dataset", "variant", "seed", "nms", "recipe_id")),
        )
        .distinct()
        .join_from(maps, own, own.c.id == maps.c.pretraining_id)
        .order_by(
            *(own.c.dataset, own.c.variant, maps.c.data_digest, own.c.flow, own.c.seed),
            *(maps.c.budget, maps.c.score, maps.c.pretraining_id),
        )
    )
    return [MapKey(**_fields(row)) for row in rows]


def read_map_users(connection: sa.Connection) -> list[MapUser]:
    """Trials with a pretraining, by id."""
    names = ("recipe_id", "pretraining_id", "budget", "map_options")
    rows = connection.execute(
        sa.select(trials.c.id.label("trial_id"), *(trials.c[name] for name in names))
        .where(trials.c.pretraining_id.is_not(None))
        .order_by(trials.c.id)
    )
    return [MapUser(**_fields(row)) for row in rows]


def read_trained(connection: sa.Connection, trial_ids: Collection[str]) -> list[TrainedTrial]:
    """Jobs of trials; of several of one trial the latest first."""
    own = ("flow", "dataset", "variant", "factorization", "budget", "seed", "recipe_id")
    query = (
        sa.select(
            *(trials.c.id.label("trial_id"), jobs.c.id.label("job_id")),
            *(jobs.c.data_digest, jobs.c.state, jobs.c.updated),
            *(trials.c[name] for name in (*own, "pretraining_id")),
            artifacts.c.id.label("artifact"),
        )
        .join_from(trials, jobs, jobs.c.trial_id == trials.c.id)
        .outerjoin(
            artifacts, sa.and_(artifacts.c.job_id == jobs.c.id, artifacts.c.kind == "weights")
        )
    )
    found = [
        _fields(row)
        for some in chunks(sorted(trial_ids))
        for row in connection.execute(query.where(trials.c.id.in_(some)))
    ]
    found.sort(
        key=lambda row: (
            *(row["dataset"], row["flow"], row["factorization"]),
            *(-1 if row["budget"] is None else row["budget"], row["seed"]),
            *(-row["updated"], row["job_id"]),
        )
    )
    return [
        TrainedTrial(
            weights=row["artifact"] is not None,
            **{name: row[name] for name in row.keys() - {"artifact", "updated"}},
        )
        for row in found
    ]


def read_trial_ids(connection: sa.Connection, start: str) -> list[str]:
    """Ids of trials by their first characters."""
    rows = connection.execute(
        sa.select(trials.c.id)
        .where(sa.func.substr(trials.c.id, 1, len(start)) == start)
        .order_by(trials.c.id)
    )
    return list(rows.scalars())


def _fields(row: Any) -> dict[str, Any]:
    return dict(row._mapping)
