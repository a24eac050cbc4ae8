"""A measure by budget of the pretraining: the smallest budget that is enough, costs, and the maps.

`read_budget_curves` computes the curves of all results in a database, whoever put them there;
docs/budgets.md explains them.
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
from lcma.harness.results.board import BITS, ENOUGH, factorization_label, find_ranked_measure
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
from lcma.sweeps.measures import BITS_PER_DIM, HELD_OUT, HOLDOUT, MeasureKind

MARGIN = 0.01
"""Bits/dim below which a budget is as good as the longest."""

CostUnit = Literal["seconds", "images"]


@dataclass(frozen=True)
class BudgetRow:
    """One budget over its seeds; the conventional factorization where ``budget`` is None.

    ``by_seed`` is what budgets are chosen by: the measure on the holdout part, or for one that is
    of no part, such as `seconds_per_step`, the measure itself; ``holdout`` is its mean with half of
    the 95 % t-interval. ``test`` is the mean on test, None for a measure of no part. Costs are
    means of what the trials take by themselves, each with a whole pretraining: device seconds (GPU
    seconds, on a CPU CPU seconds) and training images; None where not known. The differences from
    the conventional factorization and from the longest budget are paired by seed. ``on_front``: no
    other row is at most as costly and as good, and better in one.
    """

    budget: int | None
    by_seed: Mapping[int, float]
    n: int
    holdout: float
    deviation: float | None = None
    half_width: float | None = None
    test: float | None = None
    pretraining_seconds: float | None = None
    pretraining_images: int | None = None
    seconds: float | None = None
    images: int | None = None
    from_conventional: Summary | None = None
    from_longest: Summary | None = None
    on_front: bool = False


@dataclass(frozen=True)
class SmallestBudget:
    """The smallest budget that is shown to be enough, and the next shorter one, which is not.

    ``budget`` is None where none shorter than the longest is shown to be. ``failed`` is the
    longest budget that is not, None where all are; ``test`` is of its differences from the longest,
    None where no seed has both, ``worse`` whether they are shown to be above the margin, and
    ``seeds`` how many would show the margin for a budget that is as good as the longest, at their
    spread; None where nobody would run so many.
    """

    margin: float
    longest: int
    budget: int | None
    failed: int | None = None
    test: Summary | None = None
    worse: bool = False
    seeds: int | None = None


@dataclass(frozen=True)
class Stability:
    """The maps of one budget before one split compared with those of ``longest``, seed by seed.

    Means over seeds: ``rank_correlation`` is Spearman's over all dimensions, ``overlap`` the
    intersection over union of what the factorization keeps after the split, ``by_chance`` about
    that of unrelated tables, ``mask_share`` the share of the map that the lattice of channel and
    position explains, ``tied`` the share of windows in which the map does not say which two stay.
    None where no seed has it.
    """

    budget: int
    split: int
    seeds: int
    longest: int
    by_chance: float
    rank_correlation: float | None
    overlap: float | None
    mask_share: float | None
    tied: float | None


@dataclass(frozen=True)
class BudgetCurve:
    """A measure by budget, for one factorization, recipe and data set.

    ``key`` has the facts that all its results share, and the ``label`` of the factorization.
    ``rows`` are by budget; ``conventional`` stands beside them, None without results. ``smallest``
    is None where no margin is given in the measure's unit. ``cost`` is the unit that the front is
    over. ``stability`` is empty until `read_stability` has read the maps of the ``pretrainings``.
    ``chosen_by`` is the measure that stands as holdout.
    """

    key: Mapping[str, Any]
    rows: tuple[BudgetRow, ...]
    conventional: BudgetRow | None
    smallest: SmallestBudget | None
    cost: CostUnit
    measure: str = BITS_PER_DIM
    unit: str = BITS.unit
    direction: str | None = BITS.direction
    chosen_by: str = HOLDOUT
    pretrainings: tuple[str, ...] = ()
    stability: tuple[Stability, ...] = ()


def find_smallest_budget(
    by_budget: Mapping[int, Mapping[int, float]],
    margin: float,
    direction: str | None = BITS.direction,
) -> SmallestBudget:
    """Return the smallest budget from which on none is worse than the longest by over a margin.

    Budgets are tested from the longest downwards. One passes if the 95 % t-interval of how much
    worse than the longest it is, paired by seed, ends at the margin or below it, with at least six
    seeds; the first that does not ends the search. Since that order does not depend on the results,
    and no test follows one that failed, the chance to name a budget that is worse by the margin or
    more is at most that of one test, 2.5 %, however many budgets there are (a fixed-sequence
    procedure).

    Args:
        by_budget: Values by budget and seed, of at least one budget.
        margin: In their unit, above 0.
        direction: Whether 'lower' or 'higher' values are better.
    """
    longest, *shorter = sorted(by_budget, reverse=True)
    sign, passed = -1 if direction == "higher" else 1, None
    for budget in shorter:
        test = compare_by_seed(by_budget[budget], by_budget[longest])
        if test is None:
            return SmallestBudget(margin, longest, passed, budget)
        least, most = -math.inf, math.inf
        if test.n >= ENOUGH and test.low is not None and test.high is not None:
            least, most = sorted((sign * test.low, sign * test.high))
        if most > margin:
            seeds = None if test.deviation is None else seeds_needed(margin, test.deviation)
            seeds = ENOUGH if test.deviation is None else seeds and max(seeds, ENOUGH)
            return SmallestBudget(margin, longest, passed, budget, test, least > margin, seeds)
        passed = budget
    return SmallestBudget(margin, longest, passed)


# Curves from a database

KEY = (
    *("flow", "dataset", "variant", "profile", "factorization", "map_options", "protocol"),
    *("precision", "steps", "data_digest", "recipe_id"),
)
"""What all results of a curve have in common."""

_TABLE = ("flow", "dataset", "variant", "data_digest", "recipe_id")
_TRIALS = (*_TABLE, "factorization", "map_options", "budget")

_read_key, _read_trials = attrgetter(*KEY), attrgetter(*_TRIALS)
_read_table = attrgetter(*_TABLE, "protocol", "precision")


def read_budget_curves(
    store: Store,
    *,
    measure: str = BITS_PER_DIM,
    sweep_id: str | None = None,
    margin: float | None = None,
    cost: CostUnit = "seconds",
    **where: Any,
) -> list[BudgetCurve]:
    """Return the curves of all results with a pretraining, of one sweep or of all.

    Args:
        store: The database.
        measure: What budgets are compared by; on the holdout part where it is of a part.
        sweep_id: Only this sweep's results; the conventional ones beside them are those of the
            whole database.
        margin: By how much a budget that is enough may be worse than the longest, in the measure's
            unit; by default `MARGIN` in bits/dim, and none in others.
        cost: Unit that the Pareto front is over; images where seconds are of several kinds of
            device, or not all known.
        where: Columns of `results`, each with the value or values it may have.

    Raises:
        UserError: No result meets these options, or has the measure; it names those there are.
    """
    kind = find_ranked_measure(store, measure)
    if margin is None and kind.unit == BITS.unit:
        margin = MARGIN
    held_out = HELD_OUT + kind.name
    chosen_by = held_out if held_out in store.measure_kinds() else kind.name
    cells = _read_cells(store, chosen_by, sweep_id=sweep_id, **where)
    if not cells:
        require_results(store, sweep_id, where)
    tuned = sorted(
        (
            cell
            for cell in cells
            if cell.budget is not None and cell.factorization not in factorizations.DATA_RULES
        ),
        key=lambda cell: ([str(one) for one in _read_key(cell)], cell.budget),
    )
    if not tuned:
        raise UserError(
            f"no result here that used a pretraining has {printable(measure)}: launch low at "
            "several budgets, such as `lcma launch words --budget 0,100,1000`"
        )
    recipes = store.recipes({cell.recipe_id for cell in tuned})
    rules = read_conventional(store, recipes)
    own_rules, of = sorted({*rules.values()}), {"recipe_id": sorted(recipes)}
    usual = {
        _read_table(cell): cell
        for cell in _read_cells(store, chosen_by, factorization=own_rules, budget=None, **of)
        if cell.factorization == rules.get(cell.recipe_id)
    }
    of_test = [] if chosen_by == kind.name else _read_cells(store, kind.name, **of)
    tests = {(_read_trials(cell), cell.protocol): cell.values for cell in of_test}
    costs = _read_costs(store, recipes, own_rules)
    curves = []
    for key, alike in groupby(tuned, key=_read_key):
        members = list(alike)
        base = usual.get(_read_table(members[0]))
        every = [*members, *([] if base is None else [base])]
        batch = (
            parse_object(recipes[members[0].recipe_id].body).get("optimization", {}).get("batch")
        )
        rows, used = [], set[str]()
        for cell in every:
            own = _read_trials(cell)
            rows.append(_make_row(cell, tests.get((own, cell.protocol), {}), costs[own], batch))
            if cell.budget is not None:
                used |= {costs[own][seed].pretraining_id for seed in cell.values}
        devices = {making.device for cell in every for making in cell.makings}
        curve = make_curve(rows, margin, "images" if len(devices) > 1 else cost, kind)
        facts = dict(zip(KEY, key, strict=True))
        facts["label"] = factorization_label(facts["factorization"])
        used_ids = tuple(sorted(used))
        curves.append(replace(curve, key=facts, chosen_by=chosen_by, pretrainings=used_ids))
    return curves


def _read_cells(store: Store, measure: str, **where: Any) -> list[SeededCell]:
    """Return cells with their finite values, without those that have none."""
    found = []
    for cell in store.cells(measure=measure, **where):
        values = {seed: value for seed, value in cell.values.items() if math.isfinite(value)}
        if values:
            found.append(replace(cell, values=values))
    return found


def _read_costs(
    store: Store, recipes: Collection[str], rules: Sequence[str]
) -> dict[tuple[Any, ...], dict[int, Any]]:
    """Return what trials took, by what their seeds have in common and by seed.

    They are those with a pretraining, and some rules'. Device seconds are GPU seconds, on a CPU its
    own: wall-clock time is also that of what runs beside.
    """
    own = views.tables["costs"].c
    seconds, before = (
        sa.func.coalesce(own[f"{of}gpu_seconds"], own[f"{of}cpu_seconds"]).label(f"{of}seconds")
        for of in ("", "pretraining_")
    )
    facts = (*(own[name] for name in _TRIALS), own.seed, own.pretraining_id)
    query = sa.select(*facts, seconds, before).where(
        own.budget.is_not(None) | own.factorization.in_(rules)
    )
    found: dict[tuple[Any, ...], dict[int, Any]] = defaultdict(dict)
    for row in store.rows(query, own.recipe_id, recipes):
        found[_read_trials(row)][row.seed] = row
    return found


# Rows: means over seeds, costs and the front


def _make_row(
    cell: SeededCell, test: Mapping[int, float], spent: Mapping[int, Any], batch: int | None
) -> BudgetRow:
    """Return a row without its place among others; ``test`` and ``spent`` are by seed."""
    own, steps = summarize(cell.values.values()), cell.budget or 0
    costs = [spent.get(seed) for seed in cell.values]
    training = _mean(one and one.seconds for one in costs)
    before = 0.0 if cell.budget is None else _mean(one and one.pretraining_seconds for one in costs)
    return BudgetRow(
        budget=cell.budget,
        by_seed=cell.values,
        n=own.n,
        holdout=own.mean,
        deviation=own.deviation,
        half_width=own.half_width,
        test=_mean(test.get(seed) for seed in cell.values),
        pretraining_seconds=before,
        pretraining_images=batch and batch * steps,
        seconds=None if training is None or before is None else training + before,
        images=batch and batch * (cell.steps + steps),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    """Return the mean, None where a value is not known."""
    found = list(values)
    known = [value for value in found if value is not None]
    return math.fsum(known) / len(found) if len(known) == len(found) else None


def make_curve(
    rows: Sequence[BudgetRow],
    margin: float | None = MARGIN,
    cost: CostUnit = "seconds",
    kind: MeasureKind = BITS,
) -> BudgetCurve:
    """Return the curve of rows by budget, the conventional one without a budget last."""
    base = rows[-1] if rows[-1].budget is None else None
    longest = next(row for row in reversed(rows) if row.budget is not None)
    if any(row.seconds is None for row in rows):
        cost = "images"
    sign = -1 if kind.direction == "higher" else 1
    points = [(getattr(row, cost), sign * row.holdout) for row in rows]
    known = all(x is not None for x, _ in points)
    front = [
        known and not any(ox <= x and oy <= y and (ox, oy) != (x, y) for ox, oy in points)
        for x, y in points
    ]
    found = [
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
        rows=tuple(row for row in found if row.budget is not None),
        conventional=None if base is None else found[-1],
        smallest=find_smallest_budget(by_budget, margin, kind.direction) if margin else None,
        cost=cost,
        measure=kind.name,
        unit=kind.unit,
        direction=kind.direction,
    )


def _compare(one: BudgetRow, other: BudgetRow | None) -> Summary | None:
    return None if other in (None, one) else compare_by_seed(one.by_seed, other.by_seed)


# Stability: how a contribution map changes with the length of its pretraining

Maps = Mapping[int, Mapping[int, Sequence[ContributionMap]]]
"""Maps by split, by seed and budget. Those of one seed fit together."""


def read_stability(store: Store, curves: Sequence[BudgetCurve]) -> list[BudgetCurve]:
    """Return curves with how their maps change, which takes longer to read than all else."""
    found = []
    for curve in curves:
        rule, options = curve.key["factorization"], curve.key["map_options"]
        stored = store.maps(
            pretraining_id=curve.pretrainings,
            data_digest=curve.key["data_digest"],
            score=read_score(rule, options),
        )
        by_seed: dict[int, dict[int, list[ContributionMap]]] = defaultdict(dict)
        for own, maps in groupby(stored, key=attrgetter("seed", "budget", "pretraining_id")):
            seed, budget, pretraining_id = own
            by_seed[seed][budget] = list(maps)
            require_fit(by_seed[seed][budget], f"{pretraining_id}@{budget}")
        found.append(replace(curve, stability=tuple(measure_stability(by_seed, rule))))
    return found


def measure_stability(by_seed: Maps, factorization: str) -> list[Stability]:
    """Return each budget's maps compared with those of the longest one, by budget and split.

    The longest is the greatest that at least half of the seeds have; seeds without it, and budgets
    beyond it, are left out. ``factorization`` is a word, or another rule, of which no overlaps are
    known.
    """
    counts = Counter(budget for budgets in by_seed.values() for budget in budgets)
    longest = max(counts, key=lambda one: (2 * counts[one] >= len(by_seed), one), default=0)
    numbers: dict[tuple[int, int], list[tuple[float | None, ...]]] = defaultdict(list)
    for budgets in by_seed.values():
        if (reference := budgets.get(longest)) is None:
            continue
        kept = _kept_dimensions(reference, factorization)
        for budget, maps in budgets.items():
            if budget <= longest and len(maps) == len(reference):
                own = _kept_dimensions(maps, factorization)
                for k, (one, other) in enumerate(zip(maps, reference, strict=True)):
                    both = overlap(own[k], kept[k]) if own and kept else None
                    # A later map of self is of what the earlier ones have left alone.
                    there = own[k - 1] & kept[k - 1] if k and factorization == "self" else ...
                    correlation = rank_correlation(one.values[there], other.values[there])
                    known = one.statistics
                    numbers[budget, k + 1].append((correlation, both, known.mask_share, known.tied))
    return [
        Stability(
            *(budget, split, len(rows), longest, iou_by_chance(split)),
            *map(_mean_known, zip(*rows, strict=True)),
        )
        for (budget, split), rows in sorted(numbers.items())
    ]


def _kept_dimensions(maps: Sequence[ContributionMap], factorization: str) -> list[Any]:
    """Return what a factorization keeps after each split; nothing for a rule of a plug-in."""
    word = factorizations.as_word(factorization, len(maps))
    if factorization not in factorizations.MAP_RULES and (word is None or len(word) != len(maps)):
        return []
    shape = image_shape(maps)
    found = make_tables(factorization, shape, len(maps), maps=[m.values for m in maps])
    return list(make_kept_masks(found, shape))


def _mean_known(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None
