"""A measure by pretraining budget: the smallest budget that is enough, costs, and the maps.

`read_budget_curves` computes the curves of all results in a database; docs/tuning.md explains
them.
"""

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter
from typing import Any, Literal

import sqlalchemy as sa

from lcma.db import ContributionMap, SeededCell, Store, overlap
from lcma.db.views import views
from lcma.harness.results.board import BITS, MIN_SEEDS, factorization_label, find_ranked_measure
from lcma.harness.results.lookup import (
    parse_object,
    read_conventional,
    read_score,
    require_results,
)
from lcma.harness.results.map_statistics import make_kept_masks
from lcma.harness.results.maps import image_shape, iou_by_chance, rank_correlation, require_fit
from lcma.harness.results.statistics import Summary, compare_by_seed, seeds_needed, summarize
from lcma.harness.text import printable
from lcma.models import make_tables
from lcma.sweeps import factorizations
from lcma.sweeps.errors import UserError
from lcma.sweeps.measures import BITS_PER_DIM, HOLDOUT, HOLDOUT_PREFIX, MeasureKind

MARGIN = 0.01
"""Bits/dim by which a budget may be worse than the longest and still be enough."""

CostUnit = Literal["seconds", "images"]


@dataclass(frozen=True)
class BudgetRow:
    """One budget over its seeds, or the conventional factorization.

    Costs are means over trials, each with a whole pretraining of its own; None where not known.
    Seconds are GPU seconds, or CPU seconds on a CPU. Differences are paired by seed.
    """

    budget: int | None  # None for the conventional factorization
    # By these values budgets are chosen: the measure on the holdout part, or the measure itself
    # where it has no parts, such as `seconds_per_step`.
    by_seed: Mapping[int, float]
    n: int
    holdout: float  # mean of `by_seed`
    deviation: float | None = None
    half_width: float | None = None  # of the 95 % t-interval of `holdout`
    test: float | None = None  # mean on the test part; None where the measure has no parts
    pretraining_seconds: float | None = None
    pretraining_images: int | None = None
    seconds: float | None = None  # with the pretraining, as `images`
    images: int | None = None
    from_conventional: Summary | None = None
    from_longest: Summary | None = None
    on_front: bool = False  # no other row is as cheap and as good, and better in one of both


@dataclass(frozen=True)
class SmallestBudget:
    """The smallest budget shown to be enough, and the next shorter one, which is not."""

    margin: float
    longest: int
    budget: int | None  # None where only the longest is shown to be enough
    failed: int | None = None  # the longest budget not shown to be enough
    test: Summary | None = None  # of `failed` minus the longest; None where no seed has both
    worse: bool = False  # `failed` is shown to be worse by more than the margin
    # How many seeds would show that a budget as good as the longest is within the margin, at the
    # spread of `test`; None where nobody would run as many.
    seeds: int | None = None


@dataclass(frozen=True)
class Stability:
    """The maps of one budget before one split compared with those of the longest, seed by seed.

    Numbers are means over seeds, None where no seed has them.
    """

    budget: int
    split: int
    seeds: int
    longest: int
    by_chance: float  # approximate overlap of unrelated tables
    rank_correlation: float | None  # Spearman's, over all dimensions
    overlap: float | None  # intersection over union of what is kept after the split
    mask_share: float | None  # share of the map's variance that channel and position explain
    tied: float | None  # share of windows in which the map does not say which two stay


@dataclass(frozen=True)
class BudgetCurve:
    """A measure by budget, for one factorization, recipe and data set."""

    key: Mapping[str, Any]  # `KEY_FACTS`, and the factorization's "label"
    rows: tuple[BudgetRow, ...]  # by budget
    conventional: BudgetRow | None
    smallest: SmallestBudget | None  # None where no margin is given in the measure's unit
    cost: CostUnit  # of the Pareto front
    measure: str = BITS_PER_DIM
    unit: str = BITS.unit
    direction: str | None = BITS.direction
    chosen_by: str = HOLDOUT  # the measure in `BudgetRow.holdout`
    pretrainings: tuple[str, ...] = ()
    stability: tuple[Stability, ...] = ()  # empty until `read_stability` has read the maps


def find_smallest_budget(
    by_budget: Mapping[int, Mapping[int, float]],
    margin: float,
    direction: str | None = BITS.direction,
) -> SmallestBudget:
    """Return the smallest budget from which on none is worse than the longest by over a margin.

    Budgets are tested from the longest downwards (a fixed-sequence procedure). A budget passes if
    it has at least six seeds and the upper end of the 95 % t-interval of (budget - longest), paired
    by seed, is at most the margin. The search ends at the first budget that does not pass. The
    order of tests does not depend on the results and no test follows a failed one, so the chance
    to name a budget that is worse by the margin or more is at most that of one test, 2.5 %, however
    many budgets there are.

    Args:
        by_budget: Values by budget and seed, of at least one budget.
        margin: In their unit, above 0.
        direction: Whether "lower" or "higher" values are better.
    """
    longest, *shorter = sorted(by_budget, reverse=True)
    sign, passed = -1 if direction == "higher" else 1, None
    for budget in shorter:
        test = compare_by_seed(by_budget[budget], by_budget[longest])
        if test is None:
            return SmallestBudget(margin, longest, passed, budget)
        least, most = -math.inf, math.inf
        if test.n >= MIN_SEEDS and test.low is not None and test.high is not None:
            least, most = sorted((sign * test.low, sign * test.high))
        if most > margin:
            seeds = None if test.deviation is None else seeds_needed(margin, test.deviation)
            seeds = MIN_SEEDS if test.deviation is None else seeds and max(seeds, MIN_SEEDS)
            return SmallestBudget(margin, longest, passed, budget, test, least > margin, seeds)
        passed = budget
    return SmallestBudget(margin, longest, passed)


# Curves from a database

KEY_FACTS = (
    *("flow", "dataset", "variant", "profile", "factorization", "map_options", "protocol"),
    *("precision", "steps", "data_digest", "recipe_id"),
)
"""Facts that all results of a curve share."""

_TABLE_FACTS = ("flow", "dataset", "variant", "data_digest", "recipe_id")
_TRIAL_FACTS = (*_TABLE_FACTS, "factorization", "map_options", "budget")

_read_key, _read_trial = attrgetter(*KEY_FACTS), attrgetter(*_TRIAL_FACTS)
_read_table = attrgetter(*_TABLE_FACTS, "protocol", "precision")


def read_budget_curves(
    store: Store,
    *,
    measure: str = BITS_PER_DIM,
    sweep_id: str | None = None,
    margin: float | None = None,
    **where: Any,
) -> list[BudgetCurve]:
    """Return the curves of all results with a pretraining, of one sweep or of all.

    Args:
        store: The database.
        measure: The measure by which budgets are compared, on the holdout part if it has parts.
        sweep_id: Only this sweep's results, beside the conventional ones of the whole database at
            the same seeds.
        margin: By how much a budget that is enough may be worse than the longest, in the measure's
            unit; by default `MARGIN` in bits/dim, and none in other units.
        where: Columns of `results`, each with the value or values it may have.

    Raises:
        UserError: No result meets these options or has the measure. The message lists what exists.
    """
    kind = find_ranked_measure(store, measure)
    if margin is None and kind.unit == BITS.unit:
        margin = MARGIN
    held_out = HOLDOUT_PREFIX + kind.name
    chosen_by = held_out if held_out in store.measure_kinds() else kind.name
    cells = store.cells(measure=chosen_by, sweep_id=sweep_id, **where)
    if not cells:
        require_results(store, sweep_id, where)
    pretrained = sorted(
        (
            cell
            for cell in cells
            if cell.budget is not None and cell.factorization not in factorizations.DATA_RULES
        ),
        key=lambda cell: ([str(fact) for fact in _read_key(cell)], cell.budget),
    )
    if not pretrained:
        raise UserError(
            f"no result here that used a pretraining has {printable(measure)}: launch low at "
            "several budgets, such as `lcma launch words --budget 0,100,1000`"
        )
    recipes = store.recipes({cell.recipe_id for cell in pretrained})
    rules = read_conventional(store, recipes)
    seeds = sorted({seed for cell in pretrained for seed in cell.values})
    own_rules = sorted({*rules.values()})
    by_recipe: dict[str, Any] = {"recipe_id": sorted(recipes)}
    conventional = defaultdict[Any, list[SeededCell]](list)
    for cell in store.cells(
        measure=chosen_by, factorization=own_rules, budget=None, seed=seeds, **by_recipe
    ):
        if cell.factorization == rules.get(cell.recipe_id):
            conventional[_read_table(cell)].append(cell)
    test_cells = () if chosen_by == kind.name else store.cells(measure=kind.name, **by_recipe)
    tests = {(_read_trial(cell), cell.protocol): cell.values for cell in test_cells}
    costs = _read_costs(store, recipes, own_rules)
    curves = []
    for key, group in groupby(pretrained, key=_read_key):
        members = list(group)
        recipe = parse_object(recipes[members[0].recipe_id].body)
        batch = recipe.get("optimization", {}).get("batch")
        bases = conventional[_read_table(members[0])]
        if len(bases) == 1:  # a plug-in's rule may have several versions
            common = set().union(*(cell.values for cell in members))
            values = {seed: v for seed, v in bases[0].values.items() if seed in common}
            if values:
                members.append(replace(bases[0], values=values))
        rows, used = [], set[str]()
        for cell in members:
            trial = _read_trial(cell)
            rows.append(_make_row(cell, tests.get((trial, cell.protocol), {}), costs[trial], batch))
            if cell.budget is not None:
                used |= {costs[trial][seed].pretraining_id for seed in cell.values}
        devices = {making.device for cell in members for making in cell.makings}
        curve = make_curve(rows, margin, kind, alike=len(devices) <= 1)
        facts = dict(zip(KEY_FACTS, key, strict=True))
        facts["label"] = factorization_label(facts["factorization"])
        used_ids = tuple(sorted(used))
        curves.append(replace(curve, key=facts, chosen_by=chosen_by, pretrainings=used_ids))
    return curves


def _read_costs(
    store: Store, recipes: Collection[str], rules: Sequence[str]
) -> dict[tuple[Any, ...], dict[int, Any]]:
    """Return the costs of trials with a pretraining or of ``rules``, by trial facts and seed."""
    columns = views.tables["costs"].c
    # Not wall-clock time, which depends on what else runs on the machine.
    seconds, pretraining_seconds = (
        sa.func.coalesce(columns[f"{prefix}gpu_seconds"], columns[f"{prefix}cpu_seconds"]).label(
            f"{prefix}seconds"
        )
        for prefix in ("", "pretraining_")
    )
    facts = (*(columns[name] for name in _TRIAL_FACTS), columns.seed, columns.pretraining_id)
    query = sa.select(*facts, seconds, pretraining_seconds).where(
        columns.budget.is_not(None) | columns.factorization.in_(rules)
    )
    costs: dict[tuple[Any, ...], dict[int, Any]] = defaultdict(dict)
    for row in store.rows(query, columns.recipe_id, recipes):
        costs[_read_trial(row)][row.seed] = row
    return costs


# Rows: means over seeds, costs and the front


def _make_row(
    cell: SeededCell, test: Mapping[int, float], costs: Mapping[int, Any], batch: int | None
) -> BudgetRow:
    """Return a row without its comparisons with others; ``test`` and ``costs`` are by seed."""
    summary, steps = summarize(cell.values.values()), cell.budget or 0
    spent = [costs.get(seed) for seed in cell.values]
    training = _mean(cost and cost.seconds for cost in spent)
    pretraining = 0.0 if cell.budget is None else _mean(c and c.pretraining_seconds for c in spent)
    return BudgetRow(
        budget=cell.budget,
        by_seed=cell.values,
        n=summary.n,
        holdout=summary.mean,
        deviation=summary.deviation,
        half_width=summary.half_width,
        test=_mean(test.get(seed) for seed in cell.values),
        pretraining_seconds=pretraining,
        pretraining_images=batch and batch * steps,
        seconds=None if training is None or pretraining is None else training + pretraining,
        images=batch and batch * (cell.steps + steps),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    """Return the mean, or None where a value is not known."""
    numbers = list(values)
    known = [value for value in numbers if value is not None]
    return math.fsum(known) / len(numbers) if len(known) == len(numbers) else None


def make_curve(
    rows: Sequence[BudgetRow],
    margin: float | None = MARGIN,
    kind: MeasureKind = BITS,
    *,
    alike: bool = True,
) -> BudgetCurve:
    """Return the curve of rows by budget; the conventional row, if any, comes last.

    The cost is in seconds if all are known and of ``alike`` devices, else in images.
    """
    base = rows[-1] if rows[-1].budget is None else None
    longest = next(row for row in reversed(rows) if row.budget is not None)
    known_seconds = all(row.seconds is not None for row in rows)
    cost: CostUnit = "seconds" if alike and known_seconds else "images"
    sign = -1 if kind.direction == "higher" else 1
    points = [(getattr(row, cost), sign * row.holdout) for row in rows]
    known = all(x is not None for x, _ in points)
    front = [
        known and not any(ox <= x and oy <= y and (ox, oy) != (x, y) for ox, oy in points)
        for x, y in points
    ]
    compared = [
        replace(
            row,
            from_conventional=_compare(row, base),
            from_longest=_compare(row, longest),
            on_front=on_front,
        )
        for row, on_front in zip(rows, front, strict=True)
    ]
    by_budget = {row.budget: row.by_seed for row in rows if row.budget is not None}
    return BudgetCurve(
        key={},
        rows=tuple(row for row in compared if row.budget is not None),
        conventional=None if base is None else compared[-1],
        smallest=find_smallest_budget(by_budget, margin, kind.direction) if margin else None,
        cost=cost,
        measure=kind.name,
        unit=kind.unit,
        direction=kind.direction,
    )


def _compare(row: BudgetRow, base: BudgetRow | None) -> Summary | None:
    return None if base is None or base is row else compare_by_seed(row.by_seed, base.by_seed)


# Stability: how a contribution map changes with the length of its pretraining

Maps = Mapping[int, Mapping[int, Sequence[ContributionMap]]]
"""Maps by seed, budget and split. The maps of a seed have the same shape."""


def read_stability(store: Store, curves: Sequence[BudgetCurve]) -> list[BudgetCurve]:
    """Return the curves with the stability of their maps, which are slow to read."""
    completed = []
    for curve in curves:
        rule, options = curve.key["factorization"], curve.key["map_options"]
        stored = store.maps(
            pretraining_id=curve.pretrainings,
            data_digest=curve.key["data_digest"],
            score=read_score(rule, options),
        )
        by_seed: dict[int, dict[int, list[ContributionMap]]] = defaultdict(dict)
        by_pretraining = groupby(stored, key=attrgetter("seed", "budget", "pretraining_id"))
        for (seed, budget, pretraining_id), maps in by_pretraining:
            by_seed[seed][budget] = list(maps)
            require_fit(by_seed[seed][budget], f"{pretraining_id}@{budget}")
        completed.append(replace(curve, stability=tuple(measure_stability(by_seed, rule))))
    return completed


def measure_stability(by_seed: Maps, factorization: str) -> list[Stability]:
    """Return each budget's maps compared with those of the longest budget, by budget and split.

    The longest is the greatest budget that at least half of the seeds have; seeds without it, and
    budgets beyond it, are left out. Overlaps are None for a ``factorization`` whose tables the maps
    alone do not make.
    """
    counts = Counter(budget for budgets in by_seed.values() for budget in budgets)
    longest = max(counts, key=lambda b: (2 * counts[b] >= len(by_seed), b), default=0)
    numbers: dict[tuple[int, int], list[tuple[float | None, ...]]] = defaultdict(list)
    for budgets in by_seed.values():
        if (reference := budgets.get(longest)) is None:
            continue
        kept_last = _make_masks(reference, factorization)
        for budget, maps in budgets.items():
            if budget <= longest and len(maps) == len(reference):
                kept = _make_masks(maps, factorization)
                for k, (this, last) in enumerate(zip(maps, reference, strict=True)):
                    shared = overlap(kept[k], kept_last[k]) if kept and kept_last else None
                    # A later map of `self` has values only where the earlier splits left some.
                    where = kept[k - 1] & kept_last[k - 1] if k and factorization == "self" else ...
                    correlation = rank_correlation(this.values[where], last.values[where])
                    share, tied = this.statistics.mask_share, this.statistics.tied
                    numbers[budget, k + 1].append((correlation, shared, share, tied))
    return [
        Stability(
            *(budget, split, len(rows), longest, iou_by_chance(split)),
            *map(_compute_known_mean, zip(*rows, strict=True)),
        )
        for (budget, split), rows in sorted(numbers.items())
    ]


def _make_masks(maps: Sequence[ContributionMap], factorization: str) -> list[Any]:
    """Return masks of what is kept after each split; none for a rule of a plug-in."""
    word = factorizations.as_word(factorization, len(maps))
    if factorization not in factorizations.MAP_RULES and (word is None or len(word) != len(maps)):
        return []
    shape = image_shape(maps)
    tables = make_tables(factorization, shape, len(maps), maps=[m.values for m in maps])
    return list(make_kept_masks(tables, shape))


def _compute_known_mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None
