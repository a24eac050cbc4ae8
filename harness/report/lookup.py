"""What reports read besides results: jobs that were lost, data sets, maps and weights."""

import json
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from db import Store, Sweep, query
from harness.report.text import plain
from sweeps.errors import UserError

R = TypeVar("R")
TIMEOUT = 600.0
"""Seconds that a look-up may take."""


@dataclass(frozen=True)
class DataFacts:
    """A data set as prepared; ``verdict`` says whether its files are the published ones."""

    digest: str
    name: str
    verdict: str | None


@dataclass(frozen=True)
class LostTrials:
    """How many trials of one cell of the matrix ended as ``state``: diverged or failed."""

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
    trials: int = 1


@dataclass(frozen=True)
class Failure:
    """A job that failed or diverged, with the outcome and message of its last attempt."""

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
class MapUse:
    """A trial that reads the maps of a pretraining, of one budget and by one score."""

    trial_id: str
    recipe_id: str
    pretraining_id: str
    budget: int
    score: str


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


def data_facts(store: Store) -> dict[str, DataFacts]:
    """What is known of every data set, by digest."""
    rows = _rows(store, "SELECT digest, name, manifest FROM data_sets")
    return {
        row["digest"]: DataFacts(row["digest"], row["name"], _verdict(row["manifest"]))
        for row in rows
    }


def conventional(store: Store) -> dict[str, str]:
    """The factorization that was run where a sweep asked for the conventional one, by recipe."""
    rows = _rows(
        store,
        "SELECT DISTINCT t.recipe_id, t.factorization FROM sweep_trials AS s "
        "JOIN flow_trials AS t ON t.id = s.trial_id WHERE s.factorization = 'conventional'",
    )
    return {row["recipe_id"]: row["factorization"] for row in rows}


def lost_trials(store: Store, sweep_id: str | None = None) -> list[LostTrials]:
    """The trials that diverged or failed, of one sweep or of all, counted by cell."""
    lost = _rows(
        store,
        "SELECT t.id, j.state, t.flow, t.profile, t.dataset, t.variant, j.data_digest, "
        "t.recipe_id, t.factorization, t.budget, t.map_options "
        "FROM jobs AS j JOIN flow_trials AS t ON t.id = j.trial_id "
        "WHERE j.state IN ('diverged', 'failed') ORDER BY j.state, t.id",
    )
    if sweep_id is not None:
        members = {member.trial_id for member in store.members(sweep_id)}
        lost = [row for row in lost if row["id"] in members]
    cells = Counter(LostTrials(**{k: v for k, v in r.items() if k != "id"}) for r in lost)
    return [replace(cell, trials=trials) for cell, trials in cells.items()]


def failures(store: Store) -> list[Failure]:
    """The jobs that failed or diverged, the latest first."""
    return _records(
        store,
        Failure,
        "SELECT j.id AS job_id, j.kind, j.state, coalesce(t.flow, p.flow) AS flow, "
        "coalesce(t.dataset, p.dataset) AS dataset, t.factorization, "
        "coalesce(t.budget, j.budget) AS budget, coalesce(t.seed, p.seed) AS seed, "
        "j.step, j.steps, a.outcome, a.message, a.host "
        "FROM jobs AS j LEFT JOIN flow_trials AS t ON t.id = j.trial_id "
        "LEFT JOIN pretrainings AS p ON p.id = j.pretraining_id "
        "LEFT JOIN attempts AS a ON a.id = j.attempt_id "
        "WHERE j.state IN ('diverged', 'failed') ORDER BY j.updated DESC, j.id",
    )


def data_waits(store: Store) -> list[DataWait]:
    """How long attempts waited for images, by data set and device."""
    return _records(
        store,
        DataWait,
        "SELECT d.name AS dataset, d.variant, a.device, count(*) AS attempts, "
        "avg(a.data_wait) AS mean, max(a.data_wait) AS largest "
        "FROM attempts AS a JOIN jobs AS j ON j.id = a.job_id "
        "JOIN data_sets AS d ON d.digest = j.data_digest WHERE a.data_wait IS NOT NULL "
        "GROUP BY d.name, d.variant, a.device ORDER BY d.name, d.variant, a.device",
    )


def map_keys(store: Store) -> list[MapKey]:
    """Every set of maps, by data set, flow, seed and budget."""
    return _records(
        store,
        MapKey,
        "SELECT DISTINCT m.pretraining_id, m.data_digest, m.budget, m.score, "
        "p.flow, p.dataset, p.variant, p.seed, p.nms, p.recipe_id "
        "FROM contribution_maps AS m JOIN pretrainings AS p ON p.id = m.pretraining_id "
        "ORDER BY p.dataset, p.variant, m.data_digest, p.flow, p.seed, m.budget, m.score, p.id",
    )


def map_uses(store: Store) -> list[MapUse]:
    """Every trial that reads maps, planned ones too."""
    rows = _rows(
        store,
        "SELECT id, recipe_id, pretraining_id, budget, map_options FROM flow_trials "
        "WHERE pretraining_id IS NOT NULL AND budget IS NOT NULL ORDER BY id",
    )
    return [
        MapUse(
            trial_id=row["id"],
            recipe_id=row["recipe_id"],
            pretraining_id=row["pretraining_id"],
            budget=row["budget"],
            score=str(content(row["map_options"] or "{}").get("score", "cumulative")),
        )
        for row in rows
    ]


def trained(store: Store, trial_ids: Collection[str]) -> list[TrainedTrial]:
    """The jobs of these trials, by data set, flow, factorization, budget and seed."""
    rows = _rows(
        store,
        "SELECT t.id AS trial_id, j.id AS job_id, j.data_digest, j.state, t.flow, t.dataset, "
        "t.variant, t.factorization, t.budget, t.seed, t.recipe_id, t.pretraining_id, "
        "a.id IS NOT NULL AS weights "
        "FROM flow_trials AS t JOIN jobs AS j ON j.trial_id = t.id "
        "LEFT JOIN artifacts AS a ON a.job_id = j.id AND a.kind = 'weights' "
        "ORDER BY t.dataset, t.flow, t.factorization, t.budget, t.seed, j.updated DESC, j.id",
    )
    wanted = set(trial_ids)
    return [
        TrainedTrial(**(row | {"weights": bool(row["weights"])}))
        for row in rows
        if row["trial_id"] in wanted
    ]


def recipe_body(store: Store, recipe_id: str) -> str:
    """The JSON text of a recipe that a trial has."""
    bodies = {row["id"]: row["body"] for row in _rows(store, "SELECT id, body FROM recipes")}
    return str(bodies[recipe_id])


def full_trial_id(store: Store, start: str) -> str:
    """The one trial whose id starts so. Raises UserError where there is none or several."""
    rows = _rows(store, "SELECT id FROM flow_trials")
    ids = [row["id"] for row in rows if row["id"].startswith(start)]
    if start in ids:
        return start
    if len(ids) == 1:
        return str(ids[0])
    if ids:
        raise UserError(f"{len(ids)} trials start with {plain(start)!r}: give more of the id")
    raise UserError(
        f"no trial starts with {plain(start)!r}: the ids are in the table `flow_trials`, "
        "which `lcma sql` reads"
    )


def results(store: Store) -> query.QueryResult:
    """Every row of the view `trial_results`, always in the same order."""
    return query.run(
        store.url,
        "SELECT * FROM trial_results "
        "ORDER BY dataset, flow, profile, factorization, budget, seed, result_id",
        limit=None,
        timeout=TIMEOUT,
    )


def find_sweep(store: Store, asked: str | None) -> Sweep:
    """The sweep of that name or id, the newest where several have it or none is named.

    An id may be shortened. Raises UserError where there is none.
    """
    sweeps = store.sweeps()
    if not sweeps:
        raise UserError("the database has no sweep yet: start one with `lcma launch demo`")
    if asked is None:
        return sweeps[-1]
    named = [s for s in sweeps if s.name == asked] or [s for s in sweeps if s.id.startswith(asked)]
    if not named or not asked:
        known = ", ".join(sorted({s.name for s in sweeps}))
        raise UserError(f"no sweep {plain(asked)!r} in the database: it has {plain(known)}")
    return named[-1]


def content(text: str) -> dict[str, Any]:
    """A stored JSON object; empty where the text is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _records(store: Store, record: type[R], sql: str) -> list[R]:
    return [record(**row) for row in _rows(store, sql)]


def _rows(store: Store, sql: str) -> list[dict[str, Any]]:
    found = query.run(store.url, sql, limit=None, timeout=TIMEOUT)
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows]


def _verdict(manifest: str) -> str | None:
    source = content(manifest).get("source")
    verdict = source.get("verdict") if isinstance(source, dict) else None
    return verdict if isinstance(verdict, str) else None
