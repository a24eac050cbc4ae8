"""The difference that the seeds of a plan could show, by the spread in earlier results.

The spread of a recipe on a data set is the standard deviation over seeds of the difference of two
rows of the board, pooled over all pairs of rows. The level is 5 %, that of a claim without Holm's
correction: claims that share it need somewhat more seeds.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lcma.db import Store
from lcma.harness.results.board import MIN_SEEDS
from lcma.harness.results.statistics import (
    MAX_ADVISED,
    ROUNDING,
    find_detectable,
    seeds_needed,
)
from lcma.harness.text import format_count
from lcma.sweeps.expansion import Cell, Trial
from lcma.sweeps.known_sets import set_name

SMALL = 0.01
"""Difference in bits/dim for which the needed seeds are stated."""


@dataclass(frozen=True)
class Power:
    """What the planned seeds of a flow on a data set could show of the difference of two rules."""

    flow: str
    dataset: str
    overlay: str  # entry of the sweep's `matrix.recipe`, or ""
    seeds: int
    spread: float | None = None  # in the results that `source` names
    source: str = "too few results of this flow"
    detectable: float | None = None  # with a power of 80 %; None for fewer than six seeds
    needed: int | None = None  # seeds that show a difference of `SMALL`; None above 10,000


@dataclass(frozen=True)
class _Spread:
    """The spread in the results of a recipe on a data set."""

    recipe_id: str
    body: Mapping[str, Any]  # of the recipe
    dataset: str
    deviation: float
    freedom: float  # degrees of freedom of `deviation`
    source: str


def compute_power(cells: Iterable[Cell], histories: Mapping[str, Store]) -> tuple[Power, ...]:
    """Return what the seeds of planned cells could show, for each flow, data set and overlay.

    Args:
        cells: The cells of the plan. Groups of cells with only one rule are left out.
        histories: Databases with earlier results, by name. The spread is that of the same recipe
            and data set, or else of the nearest; where several are as near, the first database's.
    """
    planned: dict[tuple[str, str, str], list[Trial]] = {}
    for cell in cells:
        if cell.trial is not None:
            planned.setdefault((cell.flow, cell.dataset, cell.overlay), []).append(cell.trial)
    flows = {flow for flow, *_ in planned}
    spreads = [
        spread
        for name, store in histories.items()
        for spread in sorted(_read_spreads(name, store, flows), key=lambda s: -s.freedom)
    ]
    powers = []
    for key, trials in planned.items():
        power = Power(*key, len({trial.seed for trial in trials}))
        if nearest := _find_nearest(trials[0], spreads):
            deviation = nearest.deviation
            shown = find_detectable(power.seeds, deviation) if power.seeds >= MIN_SEEDS else None
            needed = seeds_needed(SMALL, deviation)
            needed = needed and max(needed, MIN_SEEDS)
            power = Power(*key, power.seeds, deviation, nearest.source, shown, needed)
        if len({(trial.factorization, trial.budget) for trial in trials}) > 1:
            powers.append(power)
    return tuple(powers)


def _find_nearest(trial: Trial, known: Iterable[_Spread]) -> _Spread | None:
    body, recipe_id = json.loads(trial.recipe.body), trial.recipe.id

    def distance(spread: _Spread) -> tuple[float, ...]:
        model, planned = spread.body["model"], body["model"]
        steps = spread.body["training"]["steps"] / body["training"]["steps"]
        return (
            model["architecture"] != planned["architecture"],
            abs(math.log(model["size"] / planned["size"])),
            spread.dataset != trial.set_name,
            abs(math.log(steps)),
            spread.recipe_id != recipe_id,
        )

    same_flow = [s for s in known if s.body["model"]["flow"] == trial.recipe.model.flow]
    return min(same_flow, key=distance, default=None)


def _read_spreads(name: str, store: Store, flows: Iterable[str]) -> Iterator[_Spread]:
    """Yield the spreads with at least the degrees of freedom of six seeds of two rules."""
    recipes = store.recipes(flows=set(flows))
    tables: dict[tuple[str, ...], list[dict[int, float]]] = {}
    for cell in store.cells(recipe_id=list(recipes), protocol="plain", map_options=None):
        facts = (cell.recipe_id, cell.profile, cell.dataset, cell.variant)
        tables.setdefault((*facts, cell.data_digest, cell.precision), []).append(cell.values)
    for (recipe_id, profile, dataset, variant, *_), rows in tables.items():
        deviation, freedom = pool_pairs(rows)
        if freedom >= MIN_SEEDS - 1:
            body, images = json.loads(recipes[recipe_id].body), set_name(dataset, variant)
            seeds = len(set().union(*rows))
            steps = body["training"]["steps"]
            size = f"{len(rows)} rows with {seeds} seeds"
            source = f"{name}, {profile} on {images} after {steps} steps, {size}"
            yield _Spread(recipe_id, body, images, deviation, freedom, source)


def pool_pairs(rows: Sequence[Mapping[int, float]]) -> tuple[float, float]:
    """Return the standard deviation of the difference of two rows, and its degrees of freedom.

    It is pooled over all pairs of rows. If every row has every seed, its square is twice the
    residual variance of rows and seeds, with (rows - 1) (seeds - 1) degrees of freedom.
    """
    seeds = sorted(set().union(*rows))
    table = np.array([[row.get(seed, math.nan) for seed in seeds] for row in rows])
    table = table[np.isfinite(table).sum(axis=1) >= 2]
    ones, others = np.triu_indices(len(table), 1)
    differences = table[ones] - table[others]
    n = np.isfinite(differences).sum(axis=1)
    differences, n = differences[n >= 2], n[n >= 2]
    if not len(n):
        return 0.0, 0.0
    squares = np.nansum((differences - np.nanmean(differences, axis=1)[:, None]) ** 2)
    degrees = float((n - 1).sum())
    deviation = math.sqrt(float(squares) / degrees)
    return 0.0 if deviation <= ROUNDING else deviation, 2 * degrees / len(table)


def describe_power(powers: Sequence[Power]) -> str | None:
    """Return the difference that the planned seeds show, and how many seeds `SMALL` takes.

    Over several flows and data sets it is a range. None where no two rules are planned.
    """
    if not powers:
        return None
    spreads = sorted(power.spread for power in powers if power.spread is not None)
    if not spreads:
        return "not known: too few results to tell how far seeds spread"
    seeds = min(power.seeds for power in powers)
    smallest = [f"{find_detectable(max(seeds, MIN_SEEDS), spread):.2g}" for spread in spreads]
    shown = f"{' to '.join(dict.fromkeys((smallest[0], smallest[-1])))} bits/dim"
    text = f"{format_count(seeds, 'seed')} show{'s' if seeds == 1 else ''} {shown}"
    if seeds < MIN_SEEDS:
        decide = "decides" if seeds == 1 else "decide"
        text = f"{format_count(seeds, 'seed')} {decide} nothing; {MIN_SEEDS} show {shown}"
    needed = (power.needed for power in powers if power.spread is not None)
    takes = max(MAX_ADVISED + 1 if n is None else n for n in needed)
    if takes <= max(seeds, MIN_SEEDS):
        return text
    count = f"more than {MAX_ADVISED}" if takes > MAX_ADVISED else f"about {takes}"
    return f"{text}; {SMALL} takes {count}"
