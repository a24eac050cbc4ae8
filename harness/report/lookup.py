"""What reports read besides results: jobs that were lost, data sets, maps and weights."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from db import Store, Sweep, query
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
    trials: int


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


@dataclass(frozen=True)
class TrainedTrial:
    """A trial on one exact data set; ``weights`` says whether its weights were kept."""

    trial_id: str
    job_id: str
    data_digest: str
    state: str
    flow: str
    dataset: str
    factorization: str
    budget: int | None
    seed: int
    recipe: str
    weights: int


def data_facts(store: Store) -> dict[str, DataFacts]:
    """What is known of every data set, by digest."""
    found = query.run(
        store.url, "SELECT digest, name, manifest FROM data_sets", limit=None, timeout=TIMEOUT
    )
    return {
        digest: DataFacts(digest, name, _verdict(manifest)) for digest, name, manifest in found.rows
    }


def lost_trials(store: Store, sweep_id: str | None = None) -> list[LostTrials]:
    """The trials that diverged or failed, of one sweep or of all, counted by cell."""
    members = ""
    if sweep_id is not None:
        members = (
            " AND t.id IN (SELECT trial_id FROM sweep_trials "
            f"WHERE sweep_id = {_literal(sweep_id)})"
        )
    return _records(
        store,
        LostTrials,
        "SELECT j.state, t.flow, t.profile, t.dataset, t.variant, j.data_digest, t.recipe_id, "
        "t.factorization, t.budget, t.map_options, count(*) AS trials "
        "FROM jobs AS j JOIN trials AS t ON t.id = j.trial_id "
        f"WHERE j.state IN ('diverged', 'failed'){members} "
        "GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10",
    )


def failures(store: Store) -> list[Failure]:
    """The jobs that failed or diverged, the latest first."""
    return _records(
        store,
        Failure,
        "SELECT j.id AS job_id, j.kind, j.state, coalesce(t.flow, p.flow) AS flow, "
        "coalesce(t.dataset, p.dataset) AS dataset, t.factorization, "
        "coalesce(t.budget, j.budget) AS budget, coalesce(t.seed, p.seed) AS seed, "
        "j.step, j.steps, a.outcome, a.message, a.host "
        "FROM jobs AS j LEFT JOIN trials AS t ON t.id = j.trial_id "
        "LEFT JOIN pretrainings AS p ON p.id = j.pretraining_id "
        "LEFT JOIN attempts AS a ON a.id = j.attempt_id "
        "WHERE j.state IN ('diverged', 'failed') ORDER BY j.updated DESC, j.id",
    )


def map_keys(store: Store) -> list[MapKey]:
    """Every set of maps, by data set, flow, seed and budget."""
    return _records(
        store,
        MapKey,
        "SELECT DISTINCT m.pretraining_id, m.data_digest, m.budget, m.score, "
        "p.flow, p.dataset, p.variant, p.seed "
        "FROM contribution_maps AS m JOIN pretrainings AS p ON p.id = m.pretraining_id "
        "ORDER BY p.dataset, p.variant, m.data_digest, p.flow, p.seed, m.budget, m.score, p.id",
    )


def trained(store: Store, trial_ids: Sequence[str]) -> list[TrainedTrial]:
    """The jobs of these trials, by flow, data set, factorization, budget and seed."""
    listed = ", ".join(_literal(trial_id) for trial_id in trial_ids)
    return _records(
        store,
        TrainedTrial,
        "SELECT t.id AS trial_id, j.id AS job_id, j.data_digest, j.state, t.flow, t.dataset, "
        "t.factorization, t.budget, t.seed, r.body AS recipe, "
        "count(a.id) AS weights "
        "FROM trials AS t JOIN recipes AS r ON r.id = t.recipe_id "
        "JOIN jobs AS j ON j.trial_id = t.id "
        "LEFT JOIN artifacts AS a ON a.job_id = j.id AND a.kind = 'weights' "
        f"WHERE t.id IN ({listed}) "
        "GROUP BY t.id, j.id, j.data_digest, j.state, t.flow, t.dataset, t.factorization, "
        "t.budget, t.seed, r.body, j.updated "
        "ORDER BY t.dataset, t.flow, t.factorization, t.budget, t.seed, j.updated DESC, j.id",
    )


def full_trial_id(store: Store, start: str) -> str:
    """The one trial whose id starts so. Raises UserError where there is none or several."""
    if not start:
        raise UserError("a trial's id must not be empty: `lcma sql` lists them in trial_results")
    found = query.run(
        store.url,
        f"SELECT id FROM trials WHERE substr(id, 1, {len(start)}) = {_literal(start)}",
        limit=2,
        timeout=TIMEOUT,
    )
    ids = [str(row[0]) for row in found.rows]
    if len(ids) == 1:
        return ids[0]
    if ids:
        raise UserError(f"several trials start with {start!r}: give more of the id")
    raise UserError(
        f"no trial starts with {start!r}: list them with "
        "`lcma sql 'SELECT trial_id, factorization, seed FROM trial_results'`"
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
        raise UserError(f"no sweep {asked!r} in the database: it has {known}")
    return named[-1]


def _records(store: Store, record: type[R], sql: str) -> list[R]:
    found = query.run(store.url, sql, limit=None, timeout=TIMEOUT)
    return [record(**dict(zip(found.columns, row, strict=True))) for row in found.rows]


def _literal(text: str) -> str:
    if "\0" in text:
        raise UserError("an id has no NUL character: copy it from the database")
    return "'" + text.replace("'", "''") + "'"


def _verdict(manifest: str) -> str | None:
    try:
        content = json.loads(manifest)
    except (ValueError, RecursionError):
        return None
    source = content.get("source") if isinstance(content, dict) else None
    verdict = source.get("verdict") if isinstance(source, dict) else None
    return verdict if isinstance(verdict, str) else None
