"""The list of trials, and the page of one."""

import itertools
import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from lcma.db import Artifact, Attempt, Curve, CurveKey, Store
from lcma.harness.files import file_name
from lcma.harness.results.board import factorization_label
from lcma.harness.results.lookup import frame_records, label_options, parse_object
from lcma.harness.results.trials import LikelihoodPart, split_likelihood
from lcma.harness.show.site.boards import TrialKey
from lcma.harness.text import format_duration, format_size, format_time, printable, short_id

MOST_POINTS = 500
"""Most points of a curve that a page shows; more are thinned out evenly."""


TrialFacts = Mapping[str, Any]
"""A row of `queries.trials_query`: a trial on one exact data set. See `list_trials`."""


@dataclass(frozen=True)
class ShownResult:
    """One result: facts by name, and the parts that its bits/dim are the sum of."""

    protocol: str
    bits_per_dim: float
    parts: tuple[LikelihoodPart, ...]
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ThinnedCurve:
    """A curve over training: steps and values, thinned out."""

    name: str
    points: tuple[tuple[int, float], ...]
    all_points: int


@dataclass(frozen=True)
class TrialPage:
    """All that the page of a trial shows."""

    listed: TrialFacts
    evaluations: tuple[ShownResult, ...]
    curves: tuple[ThinnedCurve, ...]
    attempts: tuple[Attempt, ...]
    provenance: tuple[tuple[str, str], ...]
    sweeps: tuple[str, ...]
    recipe: str


def list_trials(rows: Sequence[TrialFacts], most: int) -> list[TrialFacts]:
    """Return the rows with a ``label`` of the factorization, a ``name`` and a ``page``.

    The first ``most`` have a page, the others None.
    """
    pages = [f"trials/{file_name(row['job_id'])}.html" for row in rows[:most]]
    found: list[TrialFacts] = []
    for row, page in itertools.zip_longest(rows, pages):
        label = factorization_label(row["factorization"])
        at = "" if row["budget"] is None else f" at budget {row['budget']}"
        at += "" if row["map_options"] is None else f" {label_options(row['map_options'])}"
        name = f"{row['flow']} on {row['dataset']}, {label}{at}, seed {row['seed']}"
        found.append({**row, "label": label, "name": printable(name), "page": page})
    return found


def make_trial_key(row: TrialFacts) -> TrialKey:
    """Return what a row of the leaderboard knows of a trial."""
    own = (row["factorization"], row["budget"], row["map_options"], row["seed"])
    return (row["data_digest"], row["recipe_id"], "plain", *own)


def make_group_key(row: TrialFacts) -> tuple[str, str]:
    """Return what the trials of one table of the leaderboard share."""
    return row["data_digest"], row["recipe_id"]


def read_trials(store: Store, trials: Sequence[TrialFacts]) -> list[TrialPage]:
    """Return what is known of trials, each on one exact data set."""
    ids, jobs = [one["trial_id"] for one in trials], [one["job_id"] for one in trials]
    recipes = store.recipes({one["recipe_id"] for one in trials})
    names = {one.id: one.name for one in store.sweeps()}
    results, sweeps = defaultdict[Any, Any](list), defaultdict[Any, Any](list)
    curves, attempts = defaultdict[Any, Any](list), defaultdict[Any, Any](list)
    for record in frame_records(store.view("results", trial_id=ids)):
        results[record["trial_id"], record["data_digest"]].append(record)
    for member in store.memberships(ids):
        sweeps[member.trial_id].append(f"{names[member.sweep_id]} as {member.factorization}")
    for job_id, curve in _thin_curves(store, store.curves(jobs)):
        curves[job_id].append(curve)
    for attempt in store.attempts(jobs):
        attempts[attempt.job_id].append(attempt)
    artifacts = store.artifacts(jobs)
    found = []
    for one in trials:
        own = results[one["trial_id"], one["data_digest"]]
        recipe = recipes.get(one["recipe_id"])
        body = recipe.body if recipe else ""
        found.append(
            TrialPage(
                listed=one,
                evaluations=tuple(_evaluation(body, record) for record in own),
                curves=tuple(curves[one["job_id"]]),
                attempts=tuple(attempts[one["job_id"]]),
                provenance=tuple(_provenance(one, own, artifacts.get(one["job_id"], ()))),
                sweeps=tuple(sweeps[one["trial_id"]]),
                recipe=_pretty(body),
            )
        )
    return found


def _evaluation(body: str, record: Mapping[str, Any]) -> ShownResult:
    dimensions = _channels(body) * record["size"] ** 2
    parts = split_likelihood(record["log_prior"], record["log_det"], dimensions)
    return ShownResult(
        protocol=record["protocol"],
        bits_per_dim=record["bits_per_dim"],
        parts=parts,
        facts=tuple(_facts(record)),
    )


def _facts(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    error = record["standard_error"]
    counted = f"{record['images']} images"
    if record["clusters"] is not None:
        counted += f" in {record['clusters']:.0f} clusters"
    yield "test", f"{record['bits_per_dim']:.4f} bits/dim" + _error(error) + f", {counted}"
    holdout = _error(record["holdout_standard_error"])
    yield "holdout", f"{record['holdout_bits_per_dim']:.4f} bits/dim{holdout}"
    if record["train_bits_per_dim"] is not None:
        yield "train", f"{record['train_bits_per_dim']:.4f} bits/dim"
    if record["bound_gain"] is not None:
        yield (
            "bound",
            f"{record['bound_bits_per_dim']:.4f} bits/dim over {record['bound_draws']:.0f} draws, "
            f"{record['bound_gain']:.5f} below one draw on the same images",
        )
    if record["series_bias"] is not None:
        yield "series", f"bias {record['series_bias']:.5f} bits/dim at {record['series_terms']:.0f}"
    yield "weights", f"of step {record['step']} of {record['steps']}"


def _error(value: float | None) -> str:
    return "" if value is None else f" ± {value:.4f} (standard error)"


def _thin_curves(store: Store, curves: Sequence[Curve]) -> Iterator[tuple[str, ThinnedCurve]]:
    alike = defaultdict[int, list[Curve]](list)
    for curve in curves:
        alike[max(1, math.ceil(curve.points / MOST_POINTS))].append(curve)
    points: dict[CurveKey, list[tuple[int, float]]] = {}
    for every, some in alike.items():
        points |= store.points([curve.key for curve in some], every=every)
    for curve in curves:
        finite = tuple((step, value) for step, value in points[curve.key] if math.isfinite(value))
        if finite:
            yield curve.job_id, ThinnedCurve(curve.name, finite, curve.points)


def _provenance(
    one: TrialFacts, results: Sequence[Mapping[str, Any]], artifacts: Sequence[Artifact]
) -> Iterator[tuple[str, str]]:
    yield "trial", one["trial_id"]
    yield "recipe", one["recipe_id"]
    yield "data", f"{one['dataset']} ({one['variant']}), sha256 {one['data_digest']}"
    for record in results[:1]:
        if record["pretraining_id"] is not None:
            yield "pretraining", f"{record['pretraining_id']} to step {one['budget']}"
        changed = "" if record["dirty"] is None else f", uncommitted changes {record['dirty']}"
        yield "code", f"lcma {record['code_version']}{changed}"
        yield "torch", record["torch"]
        driver = "" if record["driver"] is None else f", driver {record['driver']}"
        threads = f"{record['threads']} {'thread' if record['threads'] == 1 else 'threads'}"
        yield "device", f"{record['device']}{driver} ({record['cpu_capability']}, {threads})"
        yield "environment", record["environment_id"]
        yield "protocol", f"{record['protocol']}, {record['precision']}"
        yield "added", format_time(record["created"])
        if record["seconds"] is not None:
            yield "training time", format_duration(record["seconds"])
        if record["peak_memory"] is not None:
            yield "peak memory", format_size(int(record["peak_memory"]))
    for artifact in artifacts:
        yield (
            artifact.kind,
            f"{artifact.path} ({format_size(artifact.bytes)}, sha256 {artifact.digest})",
        )
    yield (
        "on the command line",
        f"lcma logs {short_id(one['trial_id'])}; lcma why {short_id(one['trial_id'])}",
    )


def _channels(body: str) -> int:
    model = parse_object(body).get("model")
    found = model.get("channels") if isinstance(model, dict) else None
    return found if isinstance(found, int) else 3


@lru_cache(maxsize=64)
def _pretty(body: str) -> str:
    found = parse_object(body)
    return json.dumps(found, indent=2, sort_keys=True) if found else body
