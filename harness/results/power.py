"""What the seeds of a plan could show, from how far differences between rules spread over seeds.

The spread of a recipe on a data set is the standard deviation over seeds of the difference of two
rows of the board, pooled over all pairs of rows. The level is 5 %, as of a claim that stands alone:
claims that share Holm's correction need somewhat more seeds.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lcma.db import Store
from lcma.harness.results.board import ENOUGH
from lcma.harness.results.statistics import (
    MOST_ADVISED,
    ROUNDING,
    find_detectable,
    seeds_needed,
)
from lcma.harness.text import format_count
from lcma.sweeps.expansion import Cell, Trial
from lcma.sweeps.known_sets import set_name

SMALL = 0.01
"""Difference in bits/dim for which the number of seeds is given."""


@dataclass(frozen=True)
class Power:
    """What the planned seeds of a flow on a data set could show of the difference of two rules.

    ``overlay`` is the entry of the sweep's ``matrix.recipe`` ('' without one). ``spread`` is in the
    results that ``source`` names, None where there are none. ``detectable`` is the smallest true
    difference that so many ``seeds`` show with a power of 80 %, None for fewer than six, which
    decide nothing. ``needed`` says how many seeds show one of `SMALL`, None above 10,000.
    """

    flow: str
    dataset: str
    overlay: str
    seeds: int
    spread: float | None = None
    source: str = "no results of this flow"
    detectable: float | None = None
    needed: int | None = None


@dataclass(frozen=True)
class _Spread:
    """The spread in the results of a recipe, with its JSON, on a data set."""

    recipe_id: str
    body: Mapping[str, Any]
    dataset: str
    deviation: float
    freedom: float
    source: str


def compute_power(cells: Iterable[Cell], histories: Mapping[str, Store]) -> tuple[Power, ...]:
    """Return what the seeds of planned cells could show, for each flow, data set and overlay.

    Args:
        cells: The cells of the plan. Where they have one rule alone, nothing is compared.
        histories: Databases with earlier results, by name. The spread is that of the same recipe
            and data set, or else of the nearest one; of several, it is from the first database.
    """
    planned: dict[tuple[str, str, str], list[Trial]] = {}
    for cell in cells:
        if cell.trial is not None:
            planned.setdefault((cell.flow, cell.dataset, cell.overlay), []).append(cell.trial)
    flows = {flow for flow, *_ in planned}
    known = [
        one
        for name, store in histories.items()
        for one in sorted(_read_spreads(name, store, flows), key=lambda one: -one.freedom)
    ]
    found = []
    for key, trials in planned.items():
        power = Power(*key, len({one.seed for one in trials}))
        if nearest := _find_nearest(trials[0], known):
            spread = nearest.deviation
            shown = find_detectable(power.seeds, spread) if power.seeds >= ENOUGH else None
            needed = seeds_needed(SMALL, spread)
            needed = needed and max(needed, ENOUGH)
            power = Power(*key, power.seeds, spread, nearest.source, shown, needed)
        if len({(one.factorization, one.budget) for one in trials}) > 1:
            found.append(power)
    return tuple(found)


def _find_nearest(trial: Trial, known: Iterable[_Spread]) -> _Spread | None:
    body, recipe_id = json.loads(trial.recipe.body), trial.recipe.id

    def distance(one: _Spread) -> tuple[float, ...]:
        model, own = one.body["model"], body["model"]
        steps = one.body["training"]["steps"] / body["training"]["steps"]
        return (
            model["architecture"] != own["architecture"],
            abs(math.log(model["size"] / own["size"])),
            one.dataset != trial.set_name,
            abs(math.log(steps)),
            one.recipe_id != recipe_id,
        )

    of_flow = [one for one in known if one.body["model"]["flow"] == trial.recipe.model.flow]
    return min(of_flow, key=distance, default=None)


def _read_spreads(name: str, store: Store, flows: Iterable[str]) -> Iterator[_Spread]:
    """Yield the spreads that are known as well as by six seeds of two rules, or better."""
    recipes = store.recipes(flows=set(flows))
    tables: dict[tuple[str, ...], list[dict[int, float]]] = {}
    for cell in store.cells(recipe_id=list(recipes), protocol="plain", map_options=None):
        facts = (cell.recipe_id, cell.profile, cell.dataset, cell.variant)
        tables.setdefault((*facts, cell.data_digest, cell.precision), []).append(cell.values)
    for (recipe_id, profile, dataset, variant, *_), rows in tables.items():
        deviation, freedom = pool_pairs(rows)
        if freedom >= ENOUGH - 1:
            body, of = json.loads(recipes[recipe_id].body), set_name(dataset, variant)
            seeds = len(set().union(*rows))
            steps = body["training"]["steps"]
            of_rows = f"{len(rows)} rows with {seeds} seeds"
            source = f"{name}, {profile} on {of} after {steps} steps, {of_rows}"
            yield _Spread(recipe_id, body, of, deviation, freedom, source)


def pool_pairs(rows: Sequence[Mapping[int, float]]) -> tuple[float, float]:
    """Return the standard deviation of the difference of two rows, and its degrees of freedom.

    It is pooled over all pairs of rows. Of complete data its square is twice the residual variance
    of rows and seeds, with (rows - 1) (seeds - 1) degrees of freedom.
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
    """Return what the planned seeds show of a difference of two rules, and what a smaller takes.

    Of several flows and data sets it has the ends. None where no two rules are planned.
    """
    if not powers:
        return None
    spreads = sorted(one.spread for one in powers if one.spread is not None)
    if not spreads:
        return "not known: no results of the same flow tell how far seeds spread"
    seeds = min(one.seeds for one in powers)
    smallest = [f"{find_detectable(max(seeds, ENOUGH), one):.2g}" for one in spreads]
    shown = f"{' to '.join(dict.fromkeys((smallest[0], smallest[-1])))} bits/dim"
    said = f"{format_count(seeds, 'seed')} show{'s' if seeds == 1 else ''} {shown}"
    if seeds < ENOUGH:
        decide = "decides" if seeds == 1 else "decide"
        said = f"{format_count(seeds, 'seed')} {decide} nothing; {ENOUGH} show {shown}"
    needed = (one.needed for one in powers if one.spread is not None)
    takes = max(MOST_ADVISED + 1 if n is None else n for n in needed)
    if takes <= max(seeds, ENOUGH):
        return said
    count = f"more than {MOST_ADVISED}" if takes > MOST_ADVISED else f"about {takes}"
    return f"{said}; {SMALL} takes {count}"
