"""Budget curves: how much pretraining is worth buying, its costs, and the maps behind it.

`read_budget_curves` computes the curves of all results in a database, whoever put them there; the
fit through the means is in `budget_fit`.
"""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

import numpy as np

from lcma.db import ContributionMap, MapKey, Store, overlap
from lcma.harness.results.board import factorization_label
from lcma.harness.results.budget_fit import BudgetResult, Fit, Interval, fit_curve
from lcma.harness.results.lookup import frame_records, parse_object, require_results
from lcma.harness.results.map_statistics import make_kept_masks
from lcma.harness.results.maps import image_shape, iou_by_chance, rank_correlation, require_fit
from lcma.harness.results.statistics import compare_by_seed, t_quantile
from lcma.harness.text import printable
from lcma.models import make_tables
from lcma.sweeps import catalog, factorizations
from lcma.sweeps.errors import UserError

CostUnit = Literal["seconds", "images"]

DECIDE = 6
"""Seeds below which nothing is decided."""


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
    comparable: str


@dataclass(frozen=True)
class SeedResult:
    """A trained trial of one seed.

    Costs are those of the trial by itself: device seconds (GPU seconds, on a CPU wall-clock
    seconds) and training images, each of its training and of a pretraining of its budget; None
    where not known.
    """

    seed: int
    holdout: float
    test: float
    training_seconds: float | None
    pretraining_seconds: float | None
    training_images: int | None
    pretraining_images: int | None

    @property
    def seconds(self) -> float | None:
        """Device seconds of pretraining and training."""
        return _add(self.training_seconds, self.pretraining_seconds)

    @property
    def images(self) -> int | None:
        """Images of pretraining and training."""
        found = _add(self.training_images, self.pretraining_images)
        return None if found is None else int(found)


@dataclass(frozen=True)
class BudgetRow:
    """One budget over its seeds; the conventional factorization where ``budget`` is None.

    ``holdout`` and ``test`` are means in bits/dim, ``deviation`` is the sample standard deviation
    of holdout bits/dim, None for one seed. ``from_conventional`` is the difference on holdout,
    paired by seed, with its 95 % t-interval, None for fewer than two pairs. Costs are means over
    seeds of what the trials take by themselves; ``saved`` is how many device seconds sharing the
    pretrainings saved at this budget, over all seeds and all trials in the database that read these
    maps. ``on_front``: no other row is at most as costly and as high, and better in one;
    ``front_seeds`` of ``front_of`` seeds have it on the front of their own results.
    """

    budget: int | None
    results: tuple[SeedResult, ...]
    holdout: float
    deviation: float | None
    test: float
    from_conventional: Interval | None
    pretraining_seconds: float | None
    pretraining_images: float | None
    seconds: float | None
    images: float | None
    saved: float | None
    on_front: bool = False
    knee: bool = False
    front_seeds: int = 0
    front_of: int = 0

    @property
    def n(self) -> int:
        """Number of seeds."""
        return len(self.results)

    @property
    def half_width(self) -> float | None:
        """Half of the 95 % t-interval of the mean on holdout; None for one seed."""
        if self.deviation is None:
            return None
        # `half_width(deviation / math.sqrt(n), n)` may differ in the last bit of a page.
        return t_quantile(self.n - 1) * self.deviation / math.sqrt(self.n)


@dataclass(frozen=True)
class Spread:
    """Mean, least and greatest over seeds."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Stability:
    """The maps of one budget before one split compared with those of ``longest``, seed by seed.

    ``rank_correlation`` is Spearman's over all dimensions, ``overlap`` the intersection over union
    of what the factorization keeps after the split, ``by_chance`` about that of unrelated tables,
    ``mask_share`` the share of the map that the lattice of channel and position explains, ``tied``
    the share of windows in which the map does not say which two stay. None where no seed has it.
    """

    budget: int
    split: int
    seeds: int
    longest: int
    rank_correlation: Spread | None
    overlap: Spread | None
    by_chance: float
    mask_share: Spread | None
    tied: Spread | None


@dataclass(frozen=True)
class BudgetCurve:
    """The fall of bits/dim with pretraining, for one factorization, recipe and data set.

    ``rows`` are by budget; ``conventional`` stands beside them, None without results. ``cost`` is
    the unit that the front is over. ``notes`` say what to keep in mind.
    """

    key: CurveKey
    rows: tuple[BudgetRow, ...]
    conventional: BudgetRow | None
    fit: Fit
    cost: CostUnit
    stability: tuple[Stability, ...]
    notes: tuple[str, ...]

    def row(self, budget: int) -> BudgetRow | None:
        """Return the row of a budget, None where it was not tried."""
        return next((row for row in self.rows if row.budget == budget), None)


# Curves from a database

Record = Mapping[str, Any]

JobKey = tuple[str, str]
"""A trial and the digest of its data."""

_KEY = tuple(field.name for field in fields(CurveKey) if field.name != "label")


def read_budget_curves(
    store: Store,
    *,
    sweep_id: str | None = None,
    factorization: str | None = None,
    share: float = 0.99,
    cost: CostUnit = "seconds",
    **where: str,
) -> list[BudgetCurve]:
    """Return the curves of all results with a pretraining, of one sweep or of all.

    Args:
        store: The database.
        sweep_id: Only this sweep's results; the conventional ones beside them are those of the
            whole database.
        factorization: Only this one, under any of its names.
        share: Share of the gain that the recommended budget reaches, between 0 and 1.
        cost: Unit that the Pareto front is over.
        where: Columns of `trial_results`: flow, dataset, profile.

    Raises:
        UserError: No result meets these options; it names those there are.
    """
    records = frame_records(store.results(sweep_id=sweep_id, **where))
    _require_known(store, sweep_id, records, where)
    groups: dict[CurveKey, list[Record]] = defaultdict(list)
    for record in records:
        if record["budget"] is not None:
            groups[_curve_key(record)].append(record)
    chosen = _choose_curves(groups, factorization)
    if not chosen:
        raise UserError(
            "no result here used a pretraining: launch low at several budgets, such as "
            "`lcma launch words --budget 0,100,1000`"
        )
    base = _StoreReader(store, chosen, groups)
    return [base.curve(key, groups[key], share, cost) for key in chosen]


class _StoreReader:
    """Reads what several curves of one store share, once."""

    def __init__(
        self, store: Store, keys: Sequence[CurveKey], groups: Mapping[CurveKey, Sequence[Record]]
    ) -> None:
        self._store = store
        recipes = sorted({key.recipe_id for key in keys})
        asked, shipped = store.conventional_factorizations(), catalog.flows()
        self._own = {
            key.recipe_id: asked.get(key.recipe_id) or shipped.get(key.flow) for key in keys
        }
        self._batch = {i: _batch_size(body) for i, body in store.recipe_bodies(recipes).items()}
        names = sorted({name for name in self._own.values() if name is not None})
        found = store.results(recipe_id=recipes, factorization=[*names, "none"])
        self._others = frame_records(found)
        pretrainings = sorted(
            {r["pretraining_id"] for key in keys for r in groups[key] if r["pretraining_id"]}
        )
        self._mine = set(pretrainings)
        uses = frame_records(store.view("costs", pretraining_id=pretrainings))
        alone = frame_records(
            store.view("costs", recipe_id=recipes, factorization=[*names, "none"])
        )
        self._costs: dict[JobKey, Record] = {
            (c["trial_id"], c["data_digest"]): c for c in (*alone, *uses)
        }
        self._uses = [c for c in uses if c["state"] == "done"]
        self._segments = frame_records(store.view("snapshots", pretraining_id=pretrainings))
        self._keys = [k for k in store.map_keys() if k.pretraining_id in self._mine]

    def curve(
        self, key: CurveKey, records: Sequence[Record], share: float, cost: CostUnit
    ) -> BudgetCurve:
        by_budget: dict[int, list[SeedResult]] = defaultdict(list)
        lost = 0
        for record in records:
            if math.isfinite(record["holdout_bits_per_dim"]):
                by_budget[record["budget"]].append(self._result(record))
            else:
                lost += 1
        name = self._own[key.recipe_id]
        conventional = [
            self._result(r)
            for r in self._others
            if r["factorization"] == name
            and r["budget"] is None
            and (r["recipe_id"], r["comparable"]) == (key.recipe_id, key.comparable)
            and math.isfinite(r["holdout_bits_per_dim"])
        ]
        own = {r["pretraining_id"] for r in records}
        rows, beside, over = make_rows(
            by_budget, conventional, self._saved(own, key.data_digest), cost
        )
        measured = [
            BudgetResult(one.seed, row.budget, one.holdout)
            for row in rows
            for one in row.results
            if row.budget is not None
        ]
        stable = self._stability(key, own)
        used = [*records, *(r for r in self._others if r["factorization"] == name)]
        devices = sorted({r["device"] for r in used if r["recipe_id"] == key.recipe_id})
        return BudgetCurve(
            key=key,
            rows=rows,
            conventional=beside,
            fit=fit_curve(measured, share),
            cost=over,
            stability=tuple(stable),
            notes=tuple(budget_notes(rows, over, cost, stable, devices, lost)),
        )

    def _result(self, record: Record) -> SeedResult:
        cost = self._costs.get((record["trial_id"], record["data_digest"]), {})
        batch = self._batch.get(record["recipe_id"])
        trained = _device_seconds(cost, "")
        before = _device_seconds(cost, "pretraining_")
        budget = record["budget"] or 0
        return SeedResult(
            seed=record["seed"],
            holdout=record["holdout_bits_per_dim"],
            test=record["bits_per_dim"],
            training_seconds=trained,
            pretraining_seconds=0.0 if record["budget"] is None else before,
            training_images=None if batch is None else batch * record["steps"],
            pretraining_images=None if batch is None else batch * budget,
        )

    def _saved(self, own: set[Any], digest: str) -> dict[int, float | None]:
        """Return the device seconds saved at each budget.

        These are what all trials with these maps would have pretrained, minus what was spent.
        """
        alone: dict[int, list[float | None]] = defaultdict(list)
        for use in self._uses:
            if use["pretraining_id"] in own and use["data_digest"] == digest:
                alone[use["budget"]].append(_device_seconds(use, "pretraining_"))
        spent: dict[int, list[float | None]] = defaultdict(list)
        for segment in self._segments:
            if segment["pretraining_id"] in own and segment["data_digest"] == digest:
                spent[segment["budget"]].append(_device_seconds(segment, ""))
        return {
            budget: difference_of_sums(values, spent[budget]) for budget, values in alone.items()
        }

    def _stability(self, key: CurveKey, own: set[Any]) -> list[Stability]:
        score = str(parse_object(key.map_options or "{}").get("score", "cumulative"))
        by_seed: dict[int, dict[int, list[ContributionMap]]] = defaultdict(dict)
        wanted = [
            k
            for k in self._keys
            if k.pretraining_id in own and (k.score, k.data_digest) == (score, key.data_digest)
        ]
        for one in wanted:
            by_seed[one.seed][one.budget] = self._maps(one)
        return measure_stability(by_seed, key.factorization)

    def _maps(self, key: MapKey) -> list[ContributionMap]:
        chosen = {n: getattr(key, n) for n in ("pretraining_id", "data_digest", "budget", "score")}
        found: list[ContributionMap] = [*self._store.maps(**chosen)]
        require_fit(found, f"{key.pretraining_id}@{key.budget}")
        return found


def _require_known(
    store: Store, sweep_id: str | None, records: Sequence[Record], where: Mapping[str, str]
) -> None:
    if records:
        return
    if not store.has_results(sweep_id=sweep_id):
        of = "the sweep" if sweep_id is not None else "the database"
        raise UserError(
            f"{of} has no results yet: `lcma status` shows what is under way, "
            "`lcma launch demo` makes some"
        )
    require_results(store, sweep_id, where)


def _choose_curves(groups: Mapping[CurveKey, object], requested: str | None) -> list[CurveKey]:
    keys = sorted(groups, key=lambda key: [str(value) for value in asdict(key).values()])
    if requested is None:
        return keys
    present = {key.factorization for key in keys}
    name = requested if requested in present else factorizations.normalize(requested)
    if name in ("conventional", "checkerboard", *factorizations.FIXED):
        raise UserError(
            f"{name} uses no pretraining, so there is no budget curve of it: give a word such as "
            "low; conventional is the baseline of every curve"
        )
    found = [key for key in keys if name in (key.factorization, key.label.split(" ")[0])]
    if keys and not found:
        known = ", ".join(sorted({key.label for key in keys}))
        raise UserError(f"no results of {printable(name)} here: there are {printable(known)}")
    return found


def _curve_key(record: Record) -> CurveKey:
    shared = {name: record[name] for name in _KEY}
    return CurveKey(label=factorization_label(record["factorization"]), **shared)


def _device_seconds(cost: Record, prefix: str) -> float | None:
    """Return GPU seconds, on a CPU wall-clock seconds."""
    gpu, wall = cost.get(f"{prefix}gpu_seconds"), cost.get(f"{prefix}seconds")
    return wall if gpu is None else gpu


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
) -> tuple[tuple[BudgetRow, ...], BudgetRow | None, CostUnit]:
    """Return the rows by budget, the conventional one, and the unit that the front is over.

    The unit is images where seconds were requested and not all are known.
    """
    base = _make_row(None, conventional, (), None) if conventional else None
    rows = [
        _make_row(budget, results, conventional, saved.get(budget))
        for budget, results in sorted(by_budget.items())
    ]
    every = [*rows, *([] if base is None else [base])]
    if cost == "seconds" and any(row.seconds is None for row in every):
        cost = "images"
    if all(_row_cost(row, cost) is not None for row in every):
        every = _with_front(every, cost)
    return tuple(every[: len(rows)]), every[len(rows)] if base else None, cost


def _make_row(
    budget: int | None,
    results: Sequence[SeedResult],
    conventional: Sequence[SeedResult],
    saved: float | None,
) -> BudgetRow:
    ordered = tuple(sorted(results, key=lambda one: one.seed))
    values = [one.holdout for one in ordered]
    paired = compare_by_seed(
        {one.seed: one.holdout for one in ordered},
        {one.seed: one.holdout for one in conventional},
    )
    interval = None
    if paired is not None and paired.low is not None and paired.high is not None:
        interval = Interval(paired.mean, paired.low, paired.high)
    return BudgetRow(
        budget=budget,
        results=ordered,
        holdout=statistics.fmean(values),
        deviation=statistics.stdev(values) if len(values) > 1 else None,
        test=statistics.fmean(one.test for one in ordered),
        from_conventional=interval,
        pretraining_seconds=_mean([one.pretraining_seconds for one in ordered]),
        pretraining_images=_mean([one.pretraining_images for one in ordered]),
        seconds=_mean([one.seconds for one in ordered]),
        images=_mean([one.images for one in ordered]),
        saved=saved,
    )


def _with_front(rows: Sequence[BudgetRow], cost: CostUnit) -> list[BudgetRow]:
    points = [(_row_cost(row, cost) or 0.0, row.holdout) for row in rows]
    on, bend = pareto_front(points), find_knee(points)
    common = set.intersection(*({one.seed for one in row.results} for row in rows))
    counts = [0] * len(rows)
    for seed in common:
        own = [next(one for one in row.results if one.seed == seed) for row in rows]
        for k, is_on in enumerate(
            pareto_front([(_row_cost(one, cost) or 0.0, one.holdout) for one in own])
        ):
            counts[k] += is_on
    return [
        replace(row, on_front=on[k], knee=k == bend, front_seeds=counts[k], front_of=len(common))
        for k, row in enumerate(rows)
    ]


def compute_cost_shares(curve: BudgetCurve, budget: int) -> tuple[float | None, float | None]:
    """Return a budget's cost as shares of the longest one's, without and with training.

    Between budgets that were tried a cost is on the line between its neighbours. None where the
    longest costs nothing, or costs are not known.
    """
    parts: list[float | None] = []
    for name in (f"pretraining_{curve.cost}", curve.cost):
        values = [getattr(row, name) for row in curve.rows]
        if any(value is None for value in values) or not values[-1]:
            parts.append(None)
            continue
        at = np.interp(budget, [row.budget or 0 for row in curve.rows], values)
        parts.append(float(at / values[-1]))
    return parts[0], parts[1]


def difference_of_sums(
    values: Sequence[float | None], less: Sequence[float | None]
) -> float | None:
    """Return the sum of the first minus that of the second, at least 0.

    None where a number is not known.
    """
    plus, minus = _total(values), _total(less)
    return None if plus is None or minus is None else max(0.0, plus - minus)


def _row_cost(row: BudgetRow | SeedResult, cost: CostUnit) -> float | None:
    return row.seconds if cost == "seconds" else row.images


def _mean(values: Sequence[float | None]) -> float | None:
    total = _total(values)
    return None if total is None or not values else total / len(values)


def _total(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) if len(known) == len(values) else None


def _add(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


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

    ``over`` is the unit that the front is over, ``asked`` the one that was requested.
    """
    seeds = [{one.seed for one in row.results} for row in rows]
    if len({frozenset(some) for some in seeds}) > 1:
        yield (
            "Budgets have different seeds: means of different seeds are not to be compared; the "
            "fit takes the seeds' offsets out."
        )
    if min(map(len, seeds)) < DECIDE:
        yield f"Fewer than {DECIDE} seeds decide nothing: this is a first look."
    fresh = [s.tied.mean for s in stable if s.budget == 0 and s.split == 1 and s.tied is not None]
    if fresh:
        ties = f"{fresh[0]:.0%} of its windows at the first split are tied"
        decides = ", and there the order of the positions decides" if fresh[0] else ""
        yield f"Budget 0 is the map of a fresh flow: {ties}{decides}."
    if over != requested:
        yield "Seconds are not all known: the front is over images."
    if len(devices) > 1:
        yield (
            f"Seconds are of {len(devices)} kinds of device "
            f"({', '.join(map(printable, devices))}): "
            "images can be compared, seconds cannot."
        )
    if lost:
        yield f"{lost} results are no finite number and are left out."


# The Pareto front of two costs, both of which should be small

Point = tuple[float, float]


def pareto_front(points: Sequence[Point]) -> list[bool]:
    """Return for each point whether no other is at most as high in both costs and lower in one.

    Points that are equal are all on the front or all off it.
    """
    order = sorted(range(len(points)), key=lambda i: points[i])
    on = [False] * len(points)
    lowest: float | None = None
    last: Point | None = None
    for i in order:
        if points[i] == last:
            on[i] = True
        elif lowest is None or points[i][1] < lowest:
            on[i], lowest, last = True, points[i][1], points[i]
    return on


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

    The longest is the greatest that at least half of the seeds have; seeds without it, and budgets
    beyond it, are left out. ``factorization`` is a word, or another rule, of which no overlaps are
    known.
    """
    counts: dict[int, int] = defaultdict(int)
    for budgets in by_seed.values():
        for budget in budgets:
            counts[budget] += 1
    if not counts:
        return []
    most = max(counts.values())
    longest = max(b for b, count in counts.items() if 2 * count >= min(len(by_seed), 2 * most))
    found: dict[tuple[int, int], list[_Numbers]] = defaultdict(list)
    for _, budgets in sorted(by_seed.items()):
        if longest not in budgets:
            continue
        reference = budgets[longest]
        kept = _kept_dimensions(reference, factorization)
        for budget, maps in budgets.items():
            if budget <= longest and len(maps) == len(reference):
                for k, numbers in enumerate(_compare_maps(maps, reference, kept, factorization)):
                    found[budget, k + 1].append(numbers)
    return [
        Stability(
            budget=budget,
            split=split,
            seeds=len(numbers),
            longest=longest,
            rank_correlation=_spread(n["rank_correlation"] for n in numbers),
            overlap=_spread(n["overlap"] for n in numbers),
            by_chance=iou_by_chance(split),
            mask_share=_spread(n["mask_share"] for n in numbers),
            tied=_spread(n["tied"] for n in numbers),
        )
        for (budget, split), numbers in sorted(found.items())
    ]


_Numbers = dict[str, float | None]


def _compare_maps(
    maps: Sequence[ContributionMap],
    reference: Sequence[ContributionMap],
    kept: Sequence[Any] | None,
    factorization: str,
) -> Iterable[_Numbers]:
    own = _kept_dimensions(maps, factorization)
    for k, (one, other) in enumerate(zip(maps, reference, strict=True)):
        statistics = one.statistics
        both = None if own is None or kept is None else overlap(own[k], kept[k])
        yield {
            "rank_correlation": rank_correlation(one.values, other.values),
            "overlap": both,
            "mask_share": None if statistics is None else statistics.mask_share,
            "tied": None if statistics is None else statistics.tied,
        }


def _kept_dimensions(maps: Sequence[ContributionMap], factorization: str) -> list[Any] | None:
    if not factorizations.is_word(factorization) or len(factorization) != len(maps):
        return None
    shape = image_shape(maps)
    found = make_tables(factorization, shape, len(maps), maps=[m.values for m in maps])
    return list(make_kept_masks(found, shape))


def _spread(values: Iterable[float | None]) -> Spread | None:
    known = [value for value in values if value is not None]
    return Spread(float(np.mean(known)), min(known), max(known)) if known else None
