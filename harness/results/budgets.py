"""A measure by budget of the pretraining: the smallest budget that is enough, costs, and the maps.

`read_budget_curves` computes the curves of all results in a database, whoever put them there;
docs/budgets.md explains them.
"""

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

import sqlalchemy as sa

from lcma.db import ContributionMap, Store, overlap, select_view
from lcma.db.schema import attempts, jobs
from lcma.harness.results.board import (
    BITS,
    ENOUGH,
    factorization_label,
    find_overrides,
    find_ranked_measure,
)
from lcma.harness.results.lookup import (
    frame_records,
    has_results,
    parse_object,
    read_score,
    require_results,
)
from lcma.harness.results.map_statistics import make_kept_masks
from lcma.harness.results.maps import (
    image_shape,
    iou_by_chance,
    list_map_keys,
    rank_correlation,
    require_fit,
)
from lcma.harness.results.statistics import (
    PairedTest,
    compare_by_seed,
    half_width,
    seeds_needed,
)
from lcma.harness.text import format_count, printable
from lcma.models import make_tables
from lcma.sweeps import catalog, factorizations, known_sets
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
    from_conventional: PairedTest | None = None
    from_longest: PairedTest | None = None
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
        if self.deviation is None:
            return None
        return half_width(self.deviation, self.n)


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
    test: PairedTest | None = None
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
    over. ``notes`` say what to keep in mind. ``chosen_by`` is the measure that stands as holdout.
    ``recipe`` is its JSON where known.
    """

    key: CurveKey
    rows: tuple[BudgetRow, ...]
    conventional: BudgetRow | None
    smallest: SmallestBudget | None
    cost: CostUnit
    stability: tuple[Stability, ...]
    notes: tuple[str, ...]
    measure: str = BITS_PER_DIM
    unit: str = BITS.unit
    direction: str | None = BITS.direction
    chosen_by: str = HOLDOUT
    recipe: str | None = field(default=None, repr=False)

    @property
    def set_name(self) -> str:
        """Name under which the data set is prepared."""
        return known_sets.set_name(self.key.dataset, self.key.variant)

    @property
    def overrides(self) -> Mapping[str, Any] | None:
        """Settings in which the recipe differs from its profile's; None where that is unknown."""
        return find_overrides(self.key.flow, self.set_name, self.key.profile, self.recipe)


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
            seeds = _seeds_to_show(margin, test)
            return SmallestBudget(margin, longest, passed, budget, test, seeds)
        passed = budget
    return SmallestBudget(margin, longest, passed)


def worse_interval(
    test: PairedTest | None, direction: str | None
) -> tuple[float | None, float | None]:
    """Return the 95 % t-interval of by how much the first of two is worse; Nones without one."""
    if test is None or test.low is None or test.high is None:
        return None, None
    return (-test.high, -test.low) if direction == "higher" else (test.low, test.high)


def _seeds_to_show(margin: float, test: PairedTest | None) -> int | None:
    if test is None or test.deviation is None:
        return None
    needed = seeds_needed(margin, test.deviation)
    return None if needed is None else max(needed, ENOUGH)


# Curves from a database

Record = Mapping[str, Any]

_VALUE_KEY = ("attempt_id", "protocol")
"""Columns that tell the results of a measure apart, as rows of `results`."""

_KEY = tuple(one.name for one in fields(CurveKey) if one.name != "label")

_BASE = ("dataset", "variant", "data_digest", "recipe_id", "protocol", "precision")
"""Columns that a curve and the conventional results beside it have in common."""


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
    records = frame_records(store.view("results", sweep_id=sweep_id, **where))
    if not records and not has_results(store, sweep_id):
        of = "the sweep" if sweep_id is not None else "the database"
        raise UserError(
            f"{of} has no results yet: `lcma status` shows what is under way, "
            "`lcma launch demo` makes some"
        )
    if not records:
        require_results(store, sweep_id, where)
    groups: dict[CurveKey, list[Record]] = defaultdict(list)
    for record in records:
        if (
            record["budget"] is not None
            and record["factorization"] not in factorizations.DATA_RULES
        ):
            label = factorization_label(record["factorization"])
            groups[CurveKey(label=label, **{name: record[name] for name in _KEY})].append(record)
    curves: list[BudgetCurve] = []
    names = [factorization] if isinstance(factorization, str) else factorization
    if chosen := {k: groups[k] for k in _choose_curves(groups, names)}:
        reader = _CurveReader(store, chosen, kind)
        curves = [reader.read(key, margin, cost) for key in reader.measured]
    if groups and not curves and measure != BITS_PER_DIM:
        raise UserError(f"no result here that used a pretraining has {printable(measure)}")
    if not curves:
        raise UserError(
            "no result here used a pretraining: launch low at several budgets, such as "
            "`lcma launch words --budget 0,100,1000`"
        )
    return curves


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


class _CurveReader:
    """Reads the curves of some groups of results; what several of them share, once."""

    def __init__(
        self, store: Store, groups: Mapping[CurveKey, Sequence[Record]], kind: MeasureKind
    ) -> None:
        self._store, self._kind = store, kind
        recipes = sorted({key.recipe_id for key in groups})
        held_out = HELD_OUT + kind.name
        self._chosen_by = held_out if held_out in store.measure_kinds() else kind.name
        names = [kind.name, self._chosen_by]
        found = store.rows(select_view("measures", measure=names, recipe_id=recipes))
        self._values: dict[tuple[Any, ...], float] = {
            (*(getattr(row, name) for name in _VALUE_KEY), row.measure): row.value for row in found
        }
        self.measured = [
            k for k in groups if any(math.isfinite(self._choice(r)) for r in groups[k])
        ]
        """Keys of the groups with a value."""
        groups = self._groups = {key: groups[key] for key in self.measured}
        known, shipped = store.recipes(recipes), catalog.flows()
        self._conventional = {
            key.recipe_id: known[key.recipe_id].conventional or shipped.get(key.flow)
            for key in groups
        }
        self._recipes = {one.id: one.body for one in known.values()}
        self._batch = {i: _batch_size(body) for i, body in self._recipes.items()}
        names = sorted({name for name in self._conventional.values() if name is not None})
        self._others = frame_records(
            store.view("results", recipe_id=recipes, factorization=names, budget=None)
        )
        own = {record["pretraining_id"] for some in groups.values() for record in some}
        uses = frame_records(store.view("costs", pretraining_id=sorted(own)))
        alone = frame_records(store.view("costs", recipe_id=recipes, factorization=names))
        self._costs = {(c["trial_id"], c["data_digest"]): c for c in (*alone, *uses)}
        self._uses = [cost for cost in uses if cost["state"] == "done"]
        self._segments = _read_segment_costs(store, own)
        self._map_keys = [key for key in list_map_keys(store) if key.pretraining_id in own]

    def _choice(self, record: Record) -> float:
        """Return the value that a result is chosen by, NaN where there is none."""
        return self._value(record, self._chosen_by)

    def _value(self, record: Record, measure: str) -> float:
        of_result = (record[name] for name in _VALUE_KEY)
        return self._values.get((*of_result, measure), math.nan)

    def read(self, key: CurveKey, margin: float | None, cost: CostUnit) -> BudgetCurve:
        """Return the curve of one group."""
        tuned = self._groups[key]
        beside = [
            record
            for record in self._others
            if record["factorization"] == self._conventional[key.recipe_id]
            and all(record[name] == getattr(key, name) for name in _BASE)
        ]
        by_budget: dict[int, list[SeedResult]] = defaultdict(list)
        conventional: list[SeedResult] = []
        lost = 0
        for record in (*tuned, *beside):
            budget = record["budget"]
            if math.isfinite(self._choice(record)):
                results = conventional if budget is None else by_budget[budget]
                results.append(self._read_result(record))
            else:
                lost += 1
        own = {record["pretraining_id"] for record in tuned}
        devices = sorted({record["device"] for record in (*tuned, *beside)})
        rows, base, over = make_rows(
            by_budget,
            conventional,
            self._saved(own, key.data_digest),
            "images" if len(devices) > 1 else cost,
            self._kind.direction,
        )
        stable = measure_stability(self._read_maps(key, own), key.factorization)
        return BudgetCurve(
            key=key,
            rows=rows,
            conventional=base,
            smallest=None
            if margin is None
            else find_smallest_budget(
                {row.budget or 0: row.by_seed for row in rows}, margin, self._kind.direction
            ),
            cost=over,
            stability=tuple(stable),
            notes=tuple(budget_notes(rows, over, cost, stable, devices, lost)),
            measure=self._kind.name,
            unit=self._kind.unit,
            direction=self._kind.direction,
            chosen_by=self._chosen_by,
            recipe=self._recipes.get(key.recipe_id),
        )

    def _read_result(self, record: Record) -> SeedResult:
        cost = self._costs.get((record["trial_id"], record["data_digest"]), {})
        batch = self._batch.get(record["recipe_id"])
        budget = record["budget"]
        of_a_part = self._chosen_by != self._kind.name
        test = self._value(record, self._kind.name) if of_a_part else math.nan
        before = 0.0 if budget is None else _device_seconds(cost, "pretraining_")
        return SeedResult(
            seed=record["seed"],
            holdout=self._choice(record),
            test=test if math.isfinite(test) else None,
            seconds=_total([_device_seconds(cost), before]),
            images=None if batch is None else batch * (record["steps"] + (budget or 0)),
            pretraining_seconds=before,
            pretraining_images=None if batch is None else batch * (budget or 0),
        )

    def _saved(self, own: Set[str], digest: str) -> dict[int, float | None]:
        """Return the device seconds saved at each budget.

        These are what all trials with these maps would have pretrained, minus what was spent.
        """
        alone: dict[int, list[float | None]] = defaultdict(list)
        spent: dict[int, list[float | None]] = defaultdict(list)
        for records, prefix, found in (
            (self._uses, "pretraining_", alone),
            (self._segments, "", spent),
        ):
            for record in records:
                if record["pretraining_id"] in own and record["data_digest"] == digest:
                    found[record["budget"]].append(_device_seconds(record, prefix))
        return {budget: difference_of_sums(times, spent[budget]) for budget, times in alone.items()}

    def _read_maps(
        self, key: CurveKey, own: Set[str]
    ) -> dict[int, dict[int, list[ContributionMap]]]:
        score = read_score(key.factorization, key.map_options)
        found: dict[int, dict[int, list[ContributionMap]]] = defaultdict(dict)
        for one in self._map_keys:
            alike = (one.score, one.data_digest) == (score, key.data_digest)
            if alike and one.pretraining_id in own:
                chosen = ("pretraining_id", "data_digest", "budget", "score")
                maps = self._store.maps(**{name: getattr(one, name) for name in chosen})
                require_fit(maps, f"{one.pretraining_id}@{one.budget}")
                found[one.seed][one.budget] = [*maps]
        return found


def _read_segment_costs(store: Store, pretraining_ids: Collection[str]) -> list[Record]:
    """Return what each segment of pretrainings took, CPU and GPU seconds of all attempts."""
    own = (jobs.c.pretraining_id, jobs.c.data_digest, jobs.c.budget)
    sums = (sa.func.sum(attempts.c[name]).label(name) for name in ("cpu_seconds", "gpu_seconds"))
    query = (
        sa.select(*own, *sums)
        .join_from(jobs, attempts, attempts.c.job_id == jobs.c.id, isouter=True)
        .group_by(*own)
    )
    found = store.rows(query, jobs.c.pretraining_id, pretraining_ids)
    return [dict(row._mapping) for row in found]


def _device_seconds(cost: Record, prefix: str = "") -> float | None:
    """Return GPU seconds, on a CPU its own: wall-clock time is also that of what runs beside."""
    gpu, cpu = cost.get(f"{prefix}gpu_seconds"), cost.get(f"{prefix}cpu_seconds")
    return cpu if gpu is None else gpu


def _batch_size(body: str) -> int | None:
    optimization = parse_object(body).get("optimization")
    batch = optimization.get("batch") if isinstance(optimization, dict) else None
    return batch if isinstance(batch, int) and batch > 0 else None


# Rows: means over seeds, costs and the front


def make_rows(
    by_budget: Mapping[int, Sequence[SeedResult]],
    conventional: Sequence[SeedResult],
    saved: Mapping[int, float | None],
    cost: CostUnit,
    direction: str | None = BITS.direction,
) -> tuple[tuple[BudgetRow, ...], BudgetRow | None, CostUnit]:
    """Return the rows by budget, the conventional one, and the unit that the front is over.

    The unit is images where seconds were requested and not all are known.
    """
    rows = [_make_row(budget, results) for budget, results in sorted(by_budget.items())]
    rows += [_make_row(None, conventional)] if conventional else []
    base, longest = rows[-1] if conventional else None, rows[len(by_budget) - 1]
    rows = [
        replace(
            row,
            from_conventional=None if row is base else _compare_rows(row, base),
            from_longest=None if row is longest else _compare_rows(row, longest),
            saved=None if row.budget is None else saved.get(row.budget),
        )
        for row in rows
    ]
    if cost == "seconds" and any(row.seconds is None for row in rows):
        cost = "images"
    if all(getattr(row, cost) is not None for row in rows):
        rows = _with_front(rows, cost, -1 if direction == "higher" else 1)
    return tuple(rows[: len(by_budget)]), rows[-1] if conventional else None, cost


def _make_row(budget: int | None, results: Sequence[SeedResult]) -> BudgetRow:
    holdout = [one.holdout for one in results]
    return BudgetRow(
        budget=budget,
        results=tuple(sorted(results, key=lambda one: one.seed)),
        holdout=statistics.fmean(holdout),
        deviation=statistics.stdev(holdout) if len(holdout) > 1 else None,
        test=_mean([one.test for one in results]),
        pretraining_seconds=_mean([one.pretraining_seconds for one in results]),
        pretraining_images=_mean([one.pretraining_images for one in results]),
        seconds=_mean([one.seconds for one in results]),
        images=_mean([one.images for one in results]),
    )


def _compare_rows(one: BudgetRow, other: BudgetRow | None) -> PairedTest | None:
    return None if other is None else compare_by_seed(one.by_seed, other.by_seed)


def _with_front(rows: Sequence[BudgetRow], cost: CostUnit, sign: int) -> list[BudgetRow]:
    points = [(getattr(row, cost), sign * row.holdout) for row in rows]
    on, bend = pareto_front(points), find_knee(points)
    by_seed = [
        {one.seed: (getattr(one, cost), sign * one.holdout) for one in row.results} for row in rows
    ]
    common = set.intersection(*map(set, by_seed))
    fronts = [pareto_front([own[seed] for own in by_seed]) for seed in common]
    return [
        replace(
            row,
            on_front=on[k],
            knee=k == bend,
            front_seeds=sum(front[k] for front in fronts),
            front_of=len(common),
        )
        for k, row in enumerate(rows)
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
    plus, minus = _total(values), _total(less)
    return None if plus is None or minus is None else max(0.0, plus - minus)


def _mean(values: Sequence[float | None]) -> float | None:
    total = _total(values)
    return None if total is None else total / len(values)


def _total(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) if len(known) == len(values) else None


# Notes


def budget_notes(
    rows: Sequence[BudgetRow],
    over: CostUnit,
    requested: CostUnit,
    stable: Sequence[Stability],
    devices: Sequence[str],
    lost: int,
) -> Iterable[str]:
    """Yield sentences on what to keep in mind.

    ``over`` is the unit that the front is over, ``requested`` the one that was asked for.
    """
    seeds = [{one.seed for one in row.results} for row in rows]
    if len({frozenset(some) for some in seeds}) > 1:
        yield "Budgets have different seeds: compare the differences, which are paired, not means."
    fresh = [s.tied for s in stable if s.budget == 0 and s.split == 1 and s.tied is not None]
    if fresh:
        ties = f"{fresh[0]:.0%} of its windows at the first split are tied"
        decides = ", and there the order of the positions decides" if fresh[0] else ""
        yield f"Budget 0 is the map of a fresh flow: {ties}{decides}."
    if len(devices) > 1:
        kinds = f"{len(devices)} kinds of device ({', '.join(map(printable, devices))})"
        use = "compare costs in" if over == requested else "shares of cost and the front are of"
        yield f"Seconds are of {kinds}: {use} images, not seconds."
    elif over != requested:
        yield "Seconds are not all known: the front is over images."
    if lost:
        have, are = ("has", "is") if lost == 1 else ("have", "are")
        results = format_count(lost, "result")
        yield f"{results} {have} no finite number of this measure and {are} left out."


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
    found: dict[tuple[int, int], list[tuple[float | None, ...]]] = defaultdict(list)
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
                    alone = (known.mask_share, known.tied) if known else (None, None)
                    found[budget, k + 1].append((correlation, both, *alone))
    return [
        Stability(budget, split, len(seeds), longest, iou_by_chance(split), *_mean_columns(seeds))
        for (budget, split), seeds in sorted(found.items())
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
