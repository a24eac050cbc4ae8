"""What the seeds of a plan could show, from how far earlier results of the same kind spread.

The *comparisons* of a plan are those of the claims that `verdicts` would judge, the effects of
letters that `effects` would compute, and those of a plug-in's rule with the conventional one, each
once. Every one is linear in the bits/dim of some rows of
the board, so that its spread can be taken from any results of these rows.

Results are *of the same kind* if they have the same recipe, hence the same flow and training
length, and exactly the same images. At least `ENOUGH` seeds of the compared rows themselves give
the spread of a comparison. With fewer it is pooled over all pairs of rows of the kind, if that has
more degrees of freedom: as if every pair of factorizations and budgets spread alike.

The stated power is that of a verdict on the comparison: at the level of the first step of Holm's
correction in its family, so at least 80 % wherever it stands there.
"""

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import TYPE_CHECKING

import numpy as np

from lcma.db import Store
from lcma.harness.results.board import ENOUGH, BoardRow, Group, set_settings
from lcma.harness.results.lookup import parse_object
from lcma.harness.results.statistics import (
    LEVEL,
    ROUNDING,
    find_detectable,
    limit_deviation,
    seeds_needed,
    summarize,
)
from lcma.harness.results.verdicts import (
    WITHIN,
    TestedClaim,
    group_families,
    list_cells,
    list_group_claims,
    list_group_pair_claims,
)
from lcma.sweeps import catalog, factorizations
from lcma.sweeps.expansion import Trial

if TYPE_CHECKING:
    import pandas as pd

DIFFERENCES = (0.01, 0.02, 0.05)
"""Differences in bits/dim for which the number of seeds is given."""

MOST_READ = 100
"""Seeds of earlier results that are read: the first so many numbers, and those of the plan."""

GroupKey = tuple[str, str]
"""Recipe id, and name of the data set."""

RowKey = tuple[str, str, str, int | None]
"""The same, with factorization and budget."""

SeedHours = Mapping[GroupKey, Mapping[str, float]]
"""Device hours of all that one seed of a plan runs, by recipe and data set, on each device."""


@dataclass(frozen=True)
class Spread:
    """Standard deviation of a difference over seeds, in earlier results of the same kind.

    ``upper`` is its upper 80 % limit by chi-square, of ``freedom`` degrees. It is from ``seeds`` at
    which all compared rows have a result or, where ``rows`` is no None, pooled over all pairs of so
    many rows with so many seeds. ``source`` is the name of the database.
    """

    deviation: float
    upper: float
    freedom: float
    seeds: int
    rows: int | None
    source: str


@dataclass(frozen=True)
class SeedsNeeded:
    """Seeds that show a true ``difference`` with a power of 80 %.

    ``seeds_at_upper`` are those for the upper limit of the spread. Both are None above 10,000.
    ``hours`` are, by device, those of all that the plan runs with so many ``seeds`` of the compared
    flows and data sets, from the start.
    """

    difference: float
    seeds: int | None
    seeds_at_upper: int | None
    hours: Mapping[str, float] = field(hash=False)


@dataclass(frozen=True)
class PlannedComparison:
    """A comparison that verdicts or effects will make of a plan's results.

    ``claims`` are the keys of the verdicts' claims that need it, 'effects', and 'board' for a
    plug-in's rule against the conventional one. ``groups`` are the
    tables of the board that it is about, as planned. ``n`` is the number of planned seeds.
    ``family_size`` is the number of claims that share Holm's correction, the most of any of its
    claims. ``detectable`` is the smallest true difference that a verdict with n seeds supports with
    a probability of 80 %; None where n is too small for any verdict, and without a ``spread``.
    """

    name: str
    claims: tuple[str, ...]
    groups: tuple[Group, ...] = field(repr=False)
    budget: int | None
    n: int
    family_size: int
    spread: Spread | None = None
    detectable: float | None = None
    needed: tuple[SeedsNeeded, ...] = ()

    @property
    def level(self) -> float:
        """Two-sided level of the paired t-test that a verdict on it has to pass."""
        return LEVEL / self.family_size


@dataclass(frozen=True)
class Power:
    """Power of a plan: the differences that its seeds could show in each of its comparisons."""

    comparisons: tuple[PlannedComparison, ...]

    def __repr__(self) -> str:
        known = sum(one.spread is not None for one in self.comparisons)
        return f"<power of {len(self.comparisons)} comparisons, {known} with a spread>"

    def to_pandas(self) -> "pd.DataFrame":
        """Return a row for each comparison."""
        import pandas as pd

        rows = []
        for one in self.comparisons:
            spread = one.spread
            rows.append(
                {
                    "flow": ", ".join(dict.fromkeys(g.flow for g in one.groups)),
                    "dataset": ", ".join(dict.fromkeys(g.set_name for g in one.groups)),
                    "comparison": one.name,
                    "budget": one.budget,
                    "n": one.n,
                    "spread": None if spread is None else spread.deviation,
                    "spread_upper": None if spread is None else spread.upper,
                    "detectable": one.detectable,
                    **{f"seeds_for_{d}": None for d in DIFFERENCES},
                    **{f"seeds_for_{need.difference}": need.seeds for need in one.needed},
                }
            )
        integers = ["budget", *(f"seeds_for_{d}" for d in DIFFERENCES)]
        return (
            pd.DataFrame(rows).astype(dict.fromkeys(integers, "Int64")) if rows else pd.DataFrame()
        )


def compute_power(
    trials: Sequence[Trial],
    digests: Mapping[str, str],
    stores: Sequence[Store],
    hours: SeedHours | None = None,
) -> Power:
    """Return what the seeds of planned trials could show.

    Args:
        trials: The trials.
        digests: Content hashes of the prepared data sets, by name. Without one nothing is known to
            be of the same images.
        stores: Databases with earlier results. The first that has any of a kind is taken.
        hours: Device hours of one seed.
    """
    planned = _group_trials(trials)
    seeds = {key: frozenset(of) for key, (_, of) in planned.items()}
    groups = _make_groups([trial for trial, _ in planned.values()], digests)
    found: dict[frozenset[tuple[RowKey, float]], PlannedComparison] = {}
    for name, claim, size, weights in _list_comparisons(groups):
        key = frozenset(weights.items())
        same = found.get(key)
        of_rows = dict.fromkeys(row[:2] for row in weights)
        found[key] = PlannedComparison(
            name=name if same is None else same.name,
            claims=(claim,) if same is None else tuple(dict.fromkeys((*same.claims, claim))),
            groups=tuple(groups[one] for one in sorted(of_rows)),
            budget=max((row[3] for row in weights if row[3] is not None), default=None),
            n=len(frozenset.intersection(*(seeds[row] for row in weights))),
            family_size=size if same is None else max(size, same.family_size),
        )
    read = sorted({*range(MOST_READ), *sorted(set().union(*seeds.values()))[:MOST_READ]})
    histories = [_History(one.name, _read_values(one, groups.values(), read)) for one in stores]
    return Power(
        tuple(
            _assess(comparison, _find_spread(dict(weights), histories), hours or {})
            for weights, comparison in found.items()
        )
    )


# The planned comparisons, each as weights of rows


def _group_trials(trials: Sequence[Trial]) -> dict[RowKey, tuple[Trial, list[int]]]:
    """Return one trial of each row of the board, and the seeds of all.

    Rows with map options are experiments of their own, as for verdicts; the rule of a plug-in is an
    option of every row that it has.
    """
    # Trials that differ in the seed share their recipe, whose id is expensive.
    alike: dict[tuple[object, ...], tuple[Trial, list[int]]] = {}
    for trial in trials:
        kind = (id(trial.recipe), trial.dataset, trial.variant, trial.factorization, trial.budget)
        found = alike.get(kind)
        if found is None:
            found = alike[kind] = (trial, [])
        found[1].append(trial.seed)
    return {
        (trial.recipe.id, trial.set_name, trial.factorization, trial.budget): (trial, seeds)
        for trial, seeds in alike.values()
        if not parse_object(trial.map_options or "{}").keys() - {"rule"}
    }


def _make_groups(rows: Sequence[Trial], digests: Mapping[str, str]) -> dict[GroupKey, Group]:
    """Return the tables that the board will have, with rows that have no values yet."""
    members: defaultdict[GroupKey, list[Trial]] = defaultdict(list)
    for trial in rows:
        members[trial.recipe.id, trial.set_name].append(trial)
    found = [
        _make_group(key[0], of, digests.get(key[1], ""), conventional=_find_conventional(of[0]))
        for key, of in members.items()
    ]
    bodies = {key[0]: of[0].recipe.body for key, of in members.items()}
    return dict(zip(members, set_settings(found, bodies), strict=True))


def _make_group(
    recipe_id: str, rows: Sequence[Trial], digest: str, *, conventional: str | None
) -> Group:
    first = rows[0]
    return Group(
        dataset=first.dataset,
        variant=first.variant,
        data_digest=digest,
        flow=first.recipe.model.flow,
        recipe_id=recipe_id,
        protocol="plain",
        precision="",
        profile=first.profile,
        splits=first.recipe.model.splits,
        size=first.recipe.model.size,
        steps=first.recipe.training.steps,
        images=None,
        clusters=None,
        standard_error=None,
        made_with=(),
        reference=None,
        notes=(),
        rows=tuple(
            BoardRow(
                factorization=trial.factorization,
                budget=trial.budget,
                map_options=trial.map_options,
                conventional=trial.factorization == conventional,
                by_seed={},
                mean=None,
                deviation=None,
                low=None,
                high=None,
                difference=None,
                rank=None,
                diverged=0,
                failed=0,
                published=(),
                cleared=None,
                reference=False,
            )
            for trial in rows
        ),
    )


def _find_conventional(trial: Trial) -> str | None:
    model = trial.recipe.model
    own = catalog.flows()[model.flow]
    try:
        return factorizations.canonical("conventional", conventional=own, splits=model.splits)
    except factorizations.ImpossibleError:
        return None


def _list_comparisons(
    groups: Mapping[GroupKey, Group],
) -> Iterator[tuple[str, str, int, dict[RowKey, float]]]:
    """Yield name, claim, size of the claim's family, and the weights of the rows."""
    for key, group in groups.items():
        (marked,), rows = _mark_rows([(key, group)])
        yield from _weigh(list(list_group_claims(marked)), rows)
        words = next(filter(None, (cells.words for cells in list_cells(marked))), {})
        for split in range(group.splits if words else 0):
            weights = {
                row: (1 if row[2][split] == "L" else -1) / (len(words) / 2)
                for row in rows
                if row[2] in words and row[3] == words[row[2]].budget
            }
            yield f"effect of L at split {split + 1}", "effects", 1, weights
        # No claim is about a rule of one's own, which the board compares.
        conventional = [row for row, of in zip(rows, group.rows, strict=True) if of.conventional]
        own = [row for row in rows if row[2] in factorizations.RULES]
        for rule, other in itertools.product(own, conventional):
            yield f"{rule[2]} - {other[2]}", "board", 1, {rule: 1.0, other: -1.0}
    between = [
        (key, replace(group, rows=_choose_ends(group)))
        for key, group in groups.items()
        if len(groups) > 1
    ]
    marked_all, rows = _mark_rows(between)
    yield from _weigh(list(list_group_pair_claims(marked_all)), rows)


def _choose_ends(group: Group) -> tuple[BoardRow, ...]:
    """Return the rows that claims on several groups are about."""
    low = "L" * group.splits
    return tuple(row for row in group.rows if row.conventional or row.factorization == low)


def _mark_rows(groups: Sequence[tuple[GroupKey, Group]]) -> tuple[list[Group], list[RowKey]]:
    """Return the groups with values that find the weights of a sum of rows, and all the rows.

    At "seed" k the k-th row is 1 and all others are 0; at -1 all are.
    """
    keys = [(*key, row.factorization, row.budget) for key, group in groups for row in group.rows]
    numbers = iter(range(len(keys)))
    zeros = dict.fromkeys(range(-1, len(keys)), 0.0)
    marked = [
        replace(
            group,
            rows=tuple(replace(row, by_seed=zeros | {next(numbers): 1.0}) for row in group.rows),
        )
        for _, group in groups
    ]
    return marked, keys


def _weigh(
    claims: Sequence[TestedClaim], rows: Sequence[RowKey]
) -> Iterator[tuple[str, str, int, dict[RowKey, float]]]:
    sizes = {index: len(family) for family in group_families(claims) for index in family}
    for index, claim in enumerate(claims):
        if claim.key in WITHIN:
            continue  # of a margin: no difference is to be shown
        for comparison in claim.comparisons:
            values = comparison.by_seed
            weights = {
                row: round(values[number] - values[-1], 12) for number, row in enumerate(rows)
            }
            weights = {row: weight for row, weight in weights.items() if weight}
            yield comparison.name, claim.key, sizes[index], weights


# Their spread in earlier results


def _read_values(
    store: Store, groups: Iterable[Group], seeds: Sequence[int]
) -> dict[RowKey, dict[int, float]]:
    """Return the bits/dim by row and seed of results that have a group's recipe and images.

    Of several precisions of evaluation, the one with the most values is taken.
    """
    names = {(one.recipe_id, one.data_digest): one.set_name for one in groups if one.data_digest}
    found = store.bits_by_seed(
        {recipe for recipe, _ in names}, {digest for _, digest in names}, seeds
    )
    counted: Counter[tuple[str, str, str]] = Counter()
    for (recipe, digest, precision, *_), values in found.items():
        counted[recipe, digest, precision] += len(values)
    most = {
        (recipe, digest): precision
        for (recipe, digest, precision), _ in reversed(counted.most_common())
    }
    return {
        (recipe, names[recipe, digest], factorization, budget): values
        for (recipe, digest, precision, factorization, budget), values in found.items()
        if (recipe, digest) in names and most[recipe, digest] == precision
    }


def _find_spread(weights: Mapping[RowKey, float], histories: Iterable["_History"]) -> Spread | None:
    """Return the spread from the first history that has one."""
    return next(filter(None, (one.find_spread(weights) for one in histories)), None)


class _History:
    """The values of a database, which tell how far sums of rows spread."""

    def __init__(self, source: str, values: Mapping[RowKey, Mapping[int, float]]) -> None:
        self._source, self._values = source, values
        self._rows: defaultdict[GroupKey, list[Mapping[int, float]]] = defaultdict(list)
        for row, of in values.items():
            self._rows[row[:2]].append(of)
        self._pools: dict[GroupKey, tuple[float, float, int, int] | None] = {}

    def find_spread(self, weights: Mapping[RowKey, float]) -> Spread | None:
        """Return the spread of a weighted sum of rows, None where there are too few values."""
        own = self._measure_own(weights)
        if own is not None and own.seeds >= ENOUGH:
            return own
        found = [one for one in (own, self._measure_pooled(weights)) if one is not None]
        return max(found, key=attrgetter("freedom"), default=None)

    def _measure_own(self, weights: Mapping[RowKey, float]) -> Spread | None:
        seeds = set.intersection(*(set(self._values.get(row, ())) for row in weights))
        if len(seeds) < 2:
            return None
        sums = [
            math.fsum(weight * self._values[row][seed] for row, weight in weights.items())
            for seed in sorted(seeds)
        ]
        deviation = summarize(sums).deviation or 0.0
        return self._make_spread(deviation, len(seeds) - 1, len(seeds), None)

    def _measure_pooled(self, weights: Mapping[RowKey, float]) -> Spread | None:
        """Return the spread as if all rows of a kind had errors alike, independent at a seed."""
        by_group: defaultdict[GroupKey, list[float]] = defaultdict(list)
        for row, weight in weights.items():
            by_group[row[:2]].append(weight)
        pools = []
        for key, own in by_group.items():
            pool = self._pool(key)
            # What a seed does to all rows of a group is in no pair, and has to cancel here too.
            if pool is None or abs(math.fsum(own)) > ROUNDING:
                return None
            pools.append((math.fsum(weight**2 for weight in own) / 2, *pool))
        variance = math.fsum(scale * pooled for scale, pooled, *_ in pools)
        freedom, seeds, rows = (min(of) for of in list(zip(*pools, strict=True))[2:])
        return self._make_spread(math.sqrt(variance), freedom, int(seeds), int(rows))

    def _pool(self, key: GroupKey) -> tuple[float, float, int, int] | None:
        if key not in self._pools:
            self._pools[key] = _pool_pairs(self._rows.get(key, []))
        return self._pools[key]

    def _make_spread(
        self, deviation: float, freedom: float, seeds: int, rows: int | None
    ) -> Spread:
        deviation = 0.0 if deviation <= ROUNDING else deviation
        upper = limit_deviation(deviation, freedom)
        return Spread(deviation, upper, freedom, seeds, rows, self._source)


def _pool_pairs(rows: Sequence[Mapping[int, float]]) -> tuple[float, float, int, int] | None:
    """Return the variance of the difference of two rows, with its degrees of freedom.

    It is pooled over all pairs of rows. Of complete data it is twice the residual variance of rows
    and seeds, with (rows - 1) (seeds - 1) degrees of freedom. The numbers of seeds and rows follow.
    """
    seeds = sorted(set().union(*rows))
    table = np.array([[row.get(seed, math.nan) for seed in seeds] for row in rows])
    table = table.reshape(len(rows), len(seeds))
    table = table[np.isfinite(table).sum(axis=1) >= 2]
    ones, others = np.triu_indices(len(table), 1)
    differences = table[ones] - table[others]
    n = np.isfinite(differences).sum(axis=1)
    differences, n = differences[n >= 2], n[n >= 2]
    if not len(n):
        return None
    squares = np.nansum((differences - np.nanmean(differences, axis=1)[:, None]) ** 2)
    degrees = float((n - 1).sum())
    return float(squares) / degrees, 2 * degrees / len(table), int(n.max()), len(table)


def _assess(
    planned: PlannedComparison, spread: Spread | None, hours: SeedHours
) -> PlannedComparison:
    """Return the comparison with what its seeds could show."""
    if spread is None:
        return planned
    of_groups = [hours.get((one.recipe_id, one.set_name), {}) for one in planned.groups]
    devices = sorted(set.intersection(*(set(one) for one in of_groups)))
    needed = []
    for difference in DIFFERENCES:
        seeds = _count_seeds(difference, spread.deviation, planned.level)
        taken = {}
        if seeds is not None:
            taken = {d: seeds * math.fsum(one[d] for one in of_groups) for d in devices}
        at_upper = _count_seeds(difference, spread.upper, planned.level)
        needed.append(SeedsNeeded(difference, seeds, at_upper, taken))
    return replace(
        planned,
        spread=spread,
        detectable=None
        if planned.n < ENOUGH
        else find_detectable(planned.n, spread.deviation, planned.level),
        needed=tuple(needed),
    )


def _count_seeds(difference: float, deviation: float, level: float) -> int | None:
    found = seeds_needed(difference, deviation, level)
    return None if found is None else max(found, ENOUGH)
