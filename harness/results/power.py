"""What the seeds of a plan could show, from how far differences between rules spread over seeds.

The spread of a recipe on a data set is the standard deviation over seeds of the difference of two
rows of the board, pooled over all pairs of rows. The level is 5 %, as of a claim that stands alone:
claims that share Holm's correction need somewhat more seeds.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lcma.db import Store
from lcma.harness.results.board import ENOUGH
from lcma.harness.results.statistics import ROUNDING, find_detectable, seeds_needed
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
    return tuple(
        _assess(Power(*key, len({one.seed for one in trials})), _find_nearest(trials[0], known))
        for key, trials in planned.items()
        if len({(one.factorization, one.budget) for one in trials}) > 1
    )


def _assess(power: Power, known: _Spread | None) -> Power:
    if known is None:
        return power
    deviation = known.deviation
    needed = seeds_needed(SMALL, deviation)
    return replace(
        power,
        spread=deviation,
        source=known.source,
        detectable=find_detectable(power.seeds, deviation) if power.seeds >= ENOUGH else None,
        needed=None if needed is None else max(needed, ENOUGH),
    )


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
