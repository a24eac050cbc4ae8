"""The difference that the seeds of a plan could show, by the spread in earlier results.

The spread of a recipe on a data set is the standard deviation over seeds of the difference of two
rows of the board, pooled over all pairs of rows. The level is 5 %, that of a claim without Holm's
correction: claims that share it need somewhat more seeds.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
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
class _Settings:
    """What tells how near a recipe is to another."""

    flow: str
    architecture: Mapping[str, Any]
    size: int
    steps: int


@dataclass(frozen=True)
class _Spread:
    """The spread in the results of a recipe on a data set."""

    recipe_id: str
    settings: _Settings
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
    planned = {key: trials for key, trials in planned.items() if _are_compared(trials)}
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
        powers.append(power)
    return tuple(powers)


def _are_compared(trials: Iterable[Trial]) -> bool:
    return len({(trial.factorization, trial.budget) for trial in trials}) > 1


def _find_nearest(trial: Trial, known: Iterable[_Spread]) -> _Spread | None:
    planned, recipe_id = _read_settings(trial.recipe.body), trial.recipe.id

    def distance(spread: _Spread) -> tuple[float, ...]:
        settings = spread.settings
        return (
            settings.architecture != planned.architecture,
            abs(math.log(settings.size / planned.size)),
            spread.dataset != trial.set_name,
            abs(math.log(settings.steps / planned.steps)),
            spread.recipe_id != recipe_id,
        )

    return min((s for s in known if s.settings.flow == planned.flow), key=distance, default=None)


def _read_settings(body: str) -> _Settings:
    """Read the settings of a recipe. Raises KeyError, TypeError or ValueError for another body."""
    fields = json.loads(body)
    model, steps = fields["model"], fields["training"]["steps"]
    if not (model["size"] > 0 and steps > 0):
        raise ValueError("no size or no steps")
    return _Settings(model["flow"], model["architecture"], model["size"], steps)


def _read_spreads(name: str, store: Store, flows: Iterable[str]) -> Iterator[_Spread]:
    """Yield the spreads with at least the degrees of freedom of six seeds of two rules."""
    recipes: dict[str, _Settings] = {}
    for recipe_id, recipe in store.recipes(flows=set(flows)).items():
        with suppress(KeyError, TypeError, ValueError):  # of a version that had other fields
            recipes[recipe_id] = _read_settings(recipe.body)
    tables: dict[tuple[str, ...], list[dict[int, float]]] = {}
    for cell in store.cells(recipe_id=list(recipes), protocol="plain", map_options=None):
        facts = (cell.recipe_id, cell.profile, cell.dataset, cell.variant)
        tables.setdefault((*facts, cell.data_digest, cell.precision), []).append(cell.values)
    for (recipe_id, profile, dataset, variant, *_), rows in tables.items():
        deviation, freedom = pool_pairs(rows)
        if freedom >= MIN_SEEDS - 1:
            settings, images = recipes[recipe_id], set_name(dataset, variant)
            seeds = len(set().union(*rows))
            size = f"{len(rows)} rows with {seeds} seeds"
            source = f"{name}, {profile} on {images} after {settings.steps} steps, {size}"
            yield _Spread(recipe_id, settings, images, deviation, freedom, source)


def pool_pairs(rows: Sequence[Mapping[int, float]]) -> tuple[float, float]:
    """Return the standard deviation of the difference of two rows, and its degrees of freedom.

    It is pooled over all pairs of rows. If every row has every seed, its square is twice the
    residual variance of rows and seeds, with (rows - 1) (seeds - 1) degrees of freedom.
    """
    seeds = sorted(set().union(*rows))
    table = np.array([[row.get(seed, math.nan) for seed in seeds] for row in rows])
    table = table[np.isfinite(table).sum(axis=1) >= 2]
    present = np.isfinite(table)
    # A row's mean cancels in each sum of squares, and a seed's in each difference. Without them
    # the sums below lose no digits.
    for axis in (1, 0):
        counts = np.maximum(present.sum(axis, keepdims=True), 1)
        table = table - table.sum(axis, where=present, keepdims=True) / counts
    table = np.where(present, table, 0.0)
    # Pairs are summed by the seeds that their rows have: (sum x)^2 + (sum y)^2 - 2 sum x sum y.
    patterns, kind = np.unique(present, axis=0, return_inverse=True)
    count = np.bincount(kind)
    masks = patterns.astype(float)
    sums, squares = np.zeros((2, *patterns.shape))
    np.add.at(sums, kind, table)
    np.add.at(squares, kind, table**2)
    total = degrees = 0.0
    for mask, size, of_seeds in zip(masks, count, sums, strict=True):
        n = masks @ mask
        both = n >= 2
        of_rows = table @ mask
        means = np.bincount(kind, of_rows**2) * size - np.bincount(kind, of_rows) * (
            masks @ of_seeds
        )
        differences = (squares @ mask) * size - sums @ of_seeds
        total += float((differences[both] - means[both] / n[both]).sum())
        degrees += float((count * size * (n - 1))[both].sum() - size * (mask.sum() - 1)) / 2
    if degrees <= 0:
        return 0.0, 0.0
    deviation = math.sqrt(max(total, 0.0) / degrees)
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
