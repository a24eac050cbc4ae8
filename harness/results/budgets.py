"""A measure by budget of the pretraining: the smallest budget that is enough, costs, and the maps.

`read_budget_curves` computes the curves of all results in a database, whoever put them there;
docs/budgets.md explains them.
"""

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import groupby
from operator import attrgetter
from typing import Any, Literal

import sqlalchemy as sa

from lcma.db import ContributionMap, RecipeRow, Store, overlap, select_view
from lcma.db.schema import attempts, jobs
from lcma.db.views import views
from lcma.harness.results.board import BITS, ENOUGH, factorization_label, find_ranked_measure
from lcma.harness.results.lookup import has_results, parse_object, read_score, require_results
from lcma.harness.results.map_statistics import make_kept_masks
from lcma.harness.results.maps import image_shape, iou_by_chance, rank_correlation, require_fit
from lcma.harness.results.statistics import (
    Summary,
    compare_by_seed,
    half_width,
    seeds_needed,
)
from lcma.harness.text import printable
from lcma.models import make_tables
from lcma.sweeps import catalog, factorizations
from lcma.sweeps.errors import UserError, suggest
from lcma.sweeps.measures import BITS_PER_DIM, HELD_OUT, HOLDOUT, MeasureKind

MARGIN = 0.01
"""Bits/dim below which a budget is as good as the longest."""

CostUnit = Literal["seconds", "images"]


@dataclass(frozen=True)
class CurveKey:
    """Facts that all results of one curve share. ``label`` is the factorization as shown."""

    flow: str
    dataset: str
    variant: str
    profile: str
    factorization: str
    label: str
    map_options: str | None
    protocol: str
    precision: str
    steps: int
    data_digest: str
    recipe_id: str


@dataclass(frozen=True)
class SeedResult:
    """A trained trial of one seed, in the measure's unit.

    ``holdout`` is what budgets are chosen by: the measure on the holdout part, or for one that is
    of no part, such as `seconds_per_step`, the measure itself; ``test`` is None then.

    Costs are those of the trial by itself, with a whole pretraining of its budget: device seconds
    (GPU seconds, on a CPU CPU seconds) and training images; None where not known.
    """

    seed: int
    holdout: float
    test: float | None
    seconds: float | None
    images: int | None
    pretraining_seconds: float | None
    pretraining_images: int | None


@dataclass(frozen=True)
class BudgetRow:
    """One budget over its seeds; the conventional factorization where ``budget`` is None.

    ``holdout`` and ``test`` are means, ``deviation`` is the sample standard deviation of holdout,
    None for one seed. The differences from the conventional factorization and
    from the longest budget are on holdout, paired by seed. Costs are means over seeds of what the
    trials take by themselves; ``saved`` is how many device seconds sharing the pretrainings saved
    at this budget, over all seeds and all trials in the database that read these maps.
    ``on_front``: no other row is at most as costly and as good, and better in one; ``front_seeds``
    of ``front_of`` seeds have it on the front of their own results.
    """

    budget: int | None
    results: tuple[SeedResult, ...]
    holdout: float
    deviation: float | None
    test: float | None
    pretraining_seconds: float | None
    pretraining_images: float | None
    seconds: float | None
    images: float | None
    from_conventional: Summary | None = None
    from_longest: Summary | None = None
    saved: float | None = None
    on_front: bool = False
    knee: bool = False
    front_seeds: int = 0
    front_of: int = 0

    @property
    def n(self) -> int:
        """Number of seeds."""
        return len(self.results)

    @property
    def by_seed(self) -> dict[int, float]:
        """The measure on holdout by seed."""
        return {one.seed: one.holdout for one in self.results}

    @property
    def half_width(self) -> float | None:
        """Half of the 95 % t-interval of the mean on holdout; None for one seed."""
        return None if self.deviation is None else half_width(self.deviation, self.n)


@dataclass(frozen=True)
class SmallestBudget:
    """The smallest budget that is shown to be enough, and the next shorter one, which is not.

    ``budget`` is None where none shorter than the longest is shown to be. ``failed`` is the
    longest budget that is not, None where all are; ``test`` is of its differences from the longest,
    None where no seed has both, and ``seeds`` is how many would show the margin for a budget that
    is as good as the longest, at the spread of these differences; None where that is not known, or
    nobody would run so many.
    """

    margin: float
    longest: int
    budget: int | None
    failed: int | None = None
    test: Summary | None = None
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

    ``rows`` are by budget; ``conventional`` stands beside them, None without results. ``smallest``
    is None where no margin is given in the measure's unit. ``cost`` is the unit that the front is
    over. ``stability`` is empty until `read_stability` has read the maps of the ``pretrainings``.
    ``chosen_by`` is the measure that stands as holdout. ``lost`` results have no finite number of
    it, and are left out.
    """

    key: CurveKey
    rows: tuple[BudgetRow, ...]
    conventional: BudgetRow | None
    smallest: SmallestBudget | None
    cost: CostUnit
    stability: tuple[Stability, ...] = ()
    measure: str = BITS_PER_DIM
    unit: str = BITS.unit
    direction: str | None = BITS.direction
    chosen_by: str = HOLDOUT
    devices: tuple[str, ...] = ()
    lost: int = 0
    pretrainings: tuple[str, ...] = ()


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
    passed = None
    for budget in shorter:
        test = compare_by_seed(by_budget[budget], by_budget[longest])
        _, most = worse_interval(test, direction)
        if test is None or test.n < ENOUGH or most is None or most > margin:
            deviation = None if test is None else test.deviation
            needed = None if deviation is None else seeds_needed(margin, deviation)
            seeds = None if needed is None else max(needed, ENOUGH)
            return SmallestBudget(margin, longest, passed, budget, test, seeds)
        passed = budget
    return SmallestBudget(margin, longest, passed)


def worse_interval(
    test: Summary | None, direction: str | None
) -> tuple[float | None, float | None]:
    """Return the 95 % t-interval of by how much the first of two is worse; Nones without one."""
    if test is None or test.low is None or test.high is None:
        return None, None
    return (-test.high, -test.low) if direction == "higher" else (test.low, test.high)


# Curves from a database

_KEY = tuple(one.name for one in fields(CurveKey) if one.name != "label")

_BASE = ("dataset", "variant", "data_digest", "recipe_id", "protocol", "precision")
"""Columns that a curve and the conventional results beside it have in common."""

_COLUMNS = (*_KEY, "budget", "seed", "device", "trial_id", "pretraining_id", "attempt_id")


def read_budget_curves(
    store: Store,
    *,
    measure: str = BITS_PER_DIM,
    sweep_id: str | None = None,
    factorization: str | Collection[str] | None = None,
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
        factorization: Only this one, or these, under any of their names.
        margin: By how much a budget that is enough may be worse than the longest, in the measure's
            unit; by default `MARGIN` in bits/dim, and none in others.
        cost: Unit that the Pareto front is over.
        where: Columns of `results`: flow, dataset, profile.

    Raises:
        UserError: No result meets these options, or has the measure; it names those there are.
    """
    kind = find_ranked_measure(store, measure)
    if margin is None and kind.unit == BITS.unit:
        margin = MARGIN
    records = _read_results(store, sweep_id=sweep_id, **where)
    if not records:
        if not has_results(store, sweep_id):
            of = "the sweep" if sweep_id is not None else "the database"
            raise UserError(
                f"{of} has no results yet: `lcma status` shows what is under way, "
                "`lcma launch demo` makes some"
            )
        require_results(store, sweep_id, where)
    groups: dict[CurveKey, list[Any]] = defaultdict(list)
    for record in records:
        rule = record.factorization
        if record.budget is not None and rule not in factorizations.DATA_RULES:
            key = {name: getattr(record, name) for name in _KEY}
            groups[CurveKey(label=factorization_label(rule), **key)].append(record)
    names = [factorization] if isinstance(factorization, str) else factorization
    chosen = {key: groups[key] for key in _choose_curves(groups, names)}
    curves = list(_read_curves(store, chosen, kind, margin, cost)) if chosen else []
    if groups and not curves and measure != BITS_PER_DIM:
        raise UserError(f"no result here that used a pretraining has {printable(measure)}")
    if not curves:
        raise UserError(
            "no result here used a pretraining: launch low at several budgets, such as "
            "`lcma launch words --budget 0,100,1000`"
        )
    return curves


def _read_results(store: Store, **where: Any) -> list[Any]:
    columns = views.tables["results"].c
    query = select_view("results", **where)
    return store.rows(query.with_only_columns(*(columns[name] for name in _COLUMNS)))


def _choose_curves(
    groups: Mapping[CurveKey, object], names: Collection[str] | None
) -> list[CurveKey]:
    keys = sorted(groups, key=lambda key: [str(value) for value in asdict(key).values()])
    if not names:
        return keys
    present = {key.factorization for key in keys}
    requested = {one if one in present else factorizations.normalize(one) for one in names}
    for name in requested:
        if name not in present and not factorizations.needs_budget(name):
            raise UserError(
                f"{name} uses no pretraining, so there is no budget curve of it: give a word such "
                "as low; conventional is the baseline of every curve"
            )
    found = [key for key in keys if requested & {key.factorization, key.label.split(" ")[0]}]
    if keys and not found:
        name = ", ".join(sorted(requested))
        hint = printable(suggest(name, sorted({key.label for key in keys}), "there are"))
        raise UserError(f"no results of {printable(name)} here: {hint}")
    return found


def _read_curves(
    store: Store,
    groups: Mapping[CurveKey, Sequence[Any]],
    kind: MeasureKind,
    margin: float | None,
    cost: CostUnit,
) -> Iterator[BudgetCurve]:
    """Yield the curves of groups of results that have a value."""
    recipes, shipped = store.recipes({key.recipe_id for key in groups}), catalog.flows()
    conventional = {
        key.recipe_id: recipes[key.recipe_id].conventional or shipped.get(key.flow)
        for key in groups
    }
    names = sorted({name for name in conventional.values() if name is not None})
    others = _read_results(store, recipe_id=sorted(recipes), factorization=names, budget=None)
    used = {record.pretraining_id for records in groups.values() for record in records}
    costs = _read_costs(store, used, recipes, names)
    spent = _read_segment_costs(store, used)
    held_out = HELD_OUT + kind.name
    chosen_by = held_out if held_out in store.measure_kinds() else kind.name
    values = _read_values(store, [kind.name, chosen_by], recipes)
    for key, tuned in groups.items():
        beside = [
            record
            for record in others
            if record.factorization == conventional[key.recipe_id]
            and all(getattr(record, name) == getattr(key, name) for name in _BASE)
        ]
        found: dict[int | None, list[SeedResult]] = defaultdict(list)
        for record in (*tuned, *beside):
            own = values.get((record.attempt_id, record.protocol), {})
            if math.isfinite(own.get(chosen_by, math.nan)):
                of_test = own.get(kind.name) if chosen_by != kind.name else None
                result = _make_result(record, own[chosen_by], of_test, costs, recipes)
                found[record.budget].append(result)
        alone = found.pop(None, [])
        if not found:
            continue
        pretrainings = {record.pretraining_id for record in tuned}
        mine = {(pretraining_id, key.data_digest) for pretraining_id in pretrainings}
        done = [one for one in costs.values() if one.state == "done"]
        read, made = (
            [one for one in rows if (one.pretraining_id, one.data_digest) in mine]
            for rows in (done, spent)
        )
        saved = {
            budget: difference_of_sums(
                *([one.before for one in rows if one.budget == budget] for rows in (read, made))
            )
            for budget in found
        }
        devices = tuple(sorted({record.device for record in (*tuned, *beside)}))
        by = "images" if len(devices) > 1 else cost
        rows, base, over = make_rows(found, alone, saved, by, kind.direction)
        smallest = None
        if margin is not None:
            by_budget = {row.budget or 0: row.by_seed for row in rows}
            smallest = find_smallest_budget(by_budget, margin, kind.direction)
        yield BudgetCurve(
            key=key,
            rows=rows,
            conventional=base,
            smallest=smallest,
            cost=over,
            measure=kind.name,
            unit=kind.unit,
            direction=kind.direction,
            chosen_by=chosen_by,
            devices=devices,
            lost=len(tuned) + len(beside) - len(alone) - sum(map(len, found.values())),
            pretrainings=tuple(sorted(pretrainings)),
        )


def _read_values(
    store: Store, names: Collection[str], recipes: Collection[str]
) -> dict[tuple[str, str], dict[str, float]]:
    """Return the values of measures by attempt and protocol."""
    own = views.tables["measures"].c
    query = select_view("measures", measure=sorted(set(names)), recipe_id=sorted(recipes))
    found: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for row in store.rows(
        query.with_only_columns(own.attempt_id, own.protocol, own.measure, own.value)
    ):
        found[row.attempt_id, row.protocol][row.measure] = row.value
    return found


def _read_costs(
    store: Store, pretrainings: Collection[str], recipes: Collection[str], rules: Sequence[str]
) -> dict[tuple[str, str], Any]:
    """Return what trials took by trial and data: those with a pretraining, and some rules'."""
    own = views.tables["costs"].c
    seconds, before = (
        sa.func.coalesce(own[f"{of}gpu_seconds"], own[f"{of}cpu_seconds"])
        for of in ("", "pretraining_")
    )
    facts = (own.trial_id, own.data_digest, own.pretraining_id, own.budget, own.state)
    query = sa.select(*facts, seconds.label("seconds"), before.label("before"))
    alone = query.where(own.factorization.in_(rules), own.budget.is_(None))
    rows = store.rows(query, own.pretraining_id, pretrainings)
    rows += store.rows(alone, own.recipe_id, recipes)
    return {(row.trial_id, row.data_digest): row for row in rows}


def _read_segment_costs(store: Store, pretrainings: Collection[str]) -> list[Any]:
    """Return what each segment of pretrainings took in all attempts."""
    own = (jobs.c.pretraining_id, jobs.c.data_digest, jobs.c.budget)
    sums = (sa.func.sum(attempts.c[name]) for name in ("gpu_seconds", "cpu_seconds"))
    query = (
        sa.select(*own, sa.func.coalesce(*sums).label("before"))
        .join_from(jobs, attempts, attempts.c.job_id == jobs.c.id, isouter=True)
        .group_by(*own)
    )
    return store.rows(query, jobs.c.pretraining_id, pretrainings)


def _make_result(
    record: Any,
    holdout: float,
    test: float | None,
    costs: Mapping[tuple[str, str], Any],
    recipes: Mapping[str, RecipeRow],
) -> SeedResult:
    """Return a result with its cost: device seconds are GPU seconds, on a CPU its own.

    Wall-clock time is also that of what runs beside.
    """
    spent, budget = costs.get((record.trial_id, record.data_digest)), record.budget
    before = 0.0 if budget is None else getattr(spent, "before", None)
    optimization = parse_object(recipes[record.recipe_id].body).get("optimization")
    batch = optimization.get("batch") if isinstance(optimization, dict) else None
    if not isinstance(batch, int) or batch <= 0:
        batch = None
    return SeedResult(
        seed=record.seed,
        holdout=holdout,
        test=test if test is not None and math.isfinite(test) else None,
        seconds=_add([getattr(spent, "seconds", None), before]),
        images=None if batch is None else batch * (record.steps + (budget or 0)),
        pretraining_seconds=before,
        pretraining_images=None if batch is None else batch * (budget or 0),
    )


# Rows: means over seeds, costs and the front

_MEANS = (*("holdout", "test", "pretraining_seconds", "pretraining_images", "seconds", "images"),)


def make_rows(
    by_budget: Mapping[Any, Sequence[SeedResult]],
    conventional: Sequence[SeedResult],
    saved: Mapping[Any, float | None],
    cost: CostUnit,
    direction: str | None = BITS.direction,
) -> tuple[tuple[BudgetRow, ...], BudgetRow | None, CostUnit]:
    """Return the rows by budget, the conventional one, and the unit that the front is over.

    The unit is images where seconds were requested and not all are known.
    """
    rows = [_make_row(budget, results) for budget, results in sorted(by_budget.items())]
    longest, base = rows[-1], _make_row(None, conventional) if conventional else None
    rows += [] if base is None else [base]
    if cost == "seconds" and any(row.seconds is None for row in rows):
        cost = "images"
    rows = [
        replace(
            row,
            from_conventional=_compare_rows(row, base),
            from_longest=_compare_rows(row, longest),
            saved=None if row.budget is None else saved.get(row.budget),
            **front,
        )
        for row, front in zip(rows, _find_fronts(rows, cost, direction), strict=True)
    ]
    return tuple(rows[: len(by_budget)]), rows[-1] if conventional else None, cost


def _make_row(budget: int | None, results: Sequence[SeedResult]) -> BudgetRow:
    holdout = [one.holdout for one in results]
    means: dict[str, Any] = {
        name: _add([getattr(one, name) for one in results], len(results)) for name in _MEANS
    }
    return BudgetRow(
        budget=budget,
        results=tuple(sorted(results, key=attrgetter("seed"))),
        deviation=statistics.stdev(holdout) if len(holdout) > 1 else None,
        **means,
    )


def _compare_rows(one: BudgetRow, other: BudgetRow | None) -> Summary | None:
    return None if other in (None, one) else compare_by_seed(one.by_seed, other.by_seed)


def _find_fronts(
    rows: Sequence[BudgetRow], cost: CostUnit, direction: str | None
) -> list[dict[str, Any]]:
    """Return of each row whether it is on the front, and in how many seeds' own results."""
    sign = -1 if direction == "higher" else 1

    def point(one: BudgetRow | SeedResult) -> tuple[float, float]:
        return getattr(one, cost), sign * one.holdout

    if any(getattr(row, cost) is None for row in rows):
        return [{} for _ in rows]
    points = [point(row) for row in rows]
    on, bend = pareto_front(points), find_knee(points)
    by_seed = [{one.seed: point(one) for one in row.results} for row in rows]
    common = set.intersection(*map(set, by_seed))
    fronts = [pareto_front([own[seed] for own in by_seed]) for seed in common]
    return [
        {
            "on_front": on[k],
            "knee": k == bend,
            "front_seeds": sum(front[k] for front in fronts),
            "front_of": len(common),
        }
        for k in range(len(rows))
    ]


def compute_cost_shares(curve: BudgetCurve, budget: int) -> tuple[float | None, float | None]:
    """Return a budget's cost as shares of the longest one's, without and with training.

    None where the longest costs nothing, or costs are not known.
    """
    row = next(row for row in curve.rows if row.budget == budget)
    parts: list[float | None] = []
    for name in (f"pretraining_{curve.cost}", curve.cost):
        part, whole = getattr(row, name), getattr(curve.rows[-1], name)
        parts.append(part / whole if part is not None and whole else None)
    return parts[0], parts[1]


def difference_of_sums(
    values: Sequence[float | None], less: Sequence[float | None]
) -> float | None:
    """Return the sum of the first minus that of the second, at least 0.

    None where a number is not known.
    """
    plus, minus = _add(values), _add(less)
    return None if plus is None or minus is None else max(0.0, plus - minus)


def _add(values: Sequence[float | None], parts: int = 1) -> float | None:
    """Return the sum divided by a number, None where a value is not known."""
    known = [value for value in values if value is not None]
    return math.fsum(known) / parts if len(known) == len(values) else None


# The Pareto front of two costs, both of which should be small

Point = tuple[float, float]


def pareto_front(points: Sequence[Point]) -> list[bool]:
    """Return for each point whether no other is at most as high in both costs and lower in one.

    Points that are equal are all on the front or all off it.
    """
    return [
        not any(other[0] <= x and other[1] <= y and other != (x, y) for other in points)
        for x, y in points
    ]


def find_knee(points: Sequence[Point]) -> int | None:
    """Return the index of the front's point furthest below the line between its ends.

    Both costs are scaled to the front's ends. Of several the one cheapest in the first cost; None
    where no point of the front lies below that line.
    """
    on = pareto_front(points)
    ends = sorted(point for point, is_on in zip(points, on, strict=True) if is_on)
    if not ends or ends[0][0] == ends[-1][0]:
        return None
    (x0, y0), (x1, y1) = ends[0], ends[-1]
    below = [
        (1 - (x - x0) / (x1 - x0) - (y - y1) / (y0 - y1), -x, -i) if is_on else (0.0, -x, -i)
        for i, ((x, y), is_on) in enumerate(zip(points, on, strict=True))
    ]
    best = max(below)
    return -best[2] if best[0] > 1e-9 else None


# Stability: how a contribution map changes with the length of its pretraining

Maps = Mapping[int, Mapping[int, Sequence[ContributionMap]]]
"""Maps by split, by seed and budget. Those of one seed fit together."""


def read_stability(store: Store, curves: Sequence[BudgetCurve]) -> list[BudgetCurve]:
    """Return curves with how their maps change, which takes longer to read than all else."""
    found = [measure_stability(_read_maps(store, one), one.key.factorization) for one in curves]
    return [replace(c, stability=tuple(own)) for c, own in zip(curves, found, strict=True)]


def _read_maps(store: Store, curve: BudgetCurve) -> Maps:
    found: dict[int, dict[int, list[ContributionMap]]] = defaultdict(dict)
    stored = store.maps(
        pretraining_id=curve.pretrainings,
        data_digest=curve.key.data_digest,
        score=read_score(curve.key.factorization, curve.key.map_options),
    )
    for own, maps in groupby(stored, key=attrgetter("seed", "budget", "pretraining_id")):
        seed, budget, pretraining_id = own
        found[seed][budget] = list(maps)
        require_fit(found[seed][budget], f"{pretraining_id}@{budget}")
    return found


def measure_stability(by_seed: Maps, factorization: str) -> list[Stability]:
    """Return each budget's maps compared with those of the longest one, by budget and split.

    The longest is the greatest that at least half of the seeds have, of those with several budgets
    where there are any; seeds without it, and budgets beyond it, are left out. ``factorization`` is
    a word, or another rule, of which no overlaps are known.
    """
    by_seed = {seed: found for seed, found in by_seed.items() if len(found) > 1} or by_seed
    counts = Counter(budget for budgets in by_seed.values() for budget in budgets)
    if not counts:
        return []
    least = min(len(by_seed) / 2, max(counts.values()))
    longest = max(budget for budget, count in counts.items() if count >= least)
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
        Stability(budget, split, len(rows), longest, iou_by_chance(split), *_mean_columns(rows))
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


def _mean_columns(rows: Sequence[Sequence[float | None]]) -> list[float | None]:
    """Return the mean of each column over what is known in it."""
    columns = [
        [value for value in column if value is not None] for column in zip(*rows, strict=True)
    ]
    return [statistics.fmean(column) if column else None for column in columns]
