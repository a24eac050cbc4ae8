"""The fit of a budget curve: bits/dim against pretraining steps, over seeds (docs/budgets.md).

Seeds are paired: each has an offset of its own, which is fitted and subtracted. The mean falls
along a saturating curve from some budget on; the first budgets may lie anywhere. Which curve, how
fast and from where on is averaged over what the results leave possible, so that the range of a
recommendation includes that doubt too.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtrc

from lcma.harness.results.statistics import t_quantile
from lcma.harness.seeds import derive_seed
from lcma.sweeps import budgets as steps

LEAST_BUDGETS, LEAST_SEEDS = 3, 2

CONFIDENCE = 0.98
"""Confidence of the range of the recommended budget."""

GATE = 0.995
"""Confidence with which the longest budget has to differ from the first one."""

USUAL = 0.95
"""Confidence of every other interval."""

UNLIKE = 0.001
"""Probability below which the curve does not describe the means."""

POINTS = 120

FLOOR = 3e-5
"""Bits/dim below which nothing is measured: keeps a spread of zero from ending in a division."""

_SINGULAR = 1e-10
"""Share of the largest eigenvalue below which one is 0: the level of all budgets is not known."""

Floats = NDArray[np.float64]

FitVerdict = Literal["recommended", "flat", "worse", "unlike", "few"]

Family = Literal["exponential", "hill"]


@dataclass(frozen=True)
class BudgetResult:
    """Bits/dim of one seed at one budget in steps."""

    seed: int
    budget: int
    bits_per_dim: float


@dataclass(frozen=True)
class Interval:
    """A number in bits/dim, and the ends of its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Band:
    """The fitted curve at ``budgets``: middle and ends of its 95 % interval, in bits/dim.

    It is the mean over these very seeds; how far seeds lie apart is not in it.
    """

    budgets: tuple[float, ...]
    middle: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Fit:
    """The budget worth buying, by the results of several seeds.

    ``verdict``: ``recommended``; ``flat``: the longest budget is not better than the first;
    ``worse``: it is worse; ``unlike``: the means do not fall along any of the curves; ``few``: too
    few results, with all below None. ``budgets`` and ``seeds`` are those that are paired. ``gain``
    is by how many bits/dim the longest budget is below the first (99 % interval), ``resolution``
    half the width of the 95 % interval of a difference between two budgets, ``differ`` whether any
    two budgets differ. ``low`` and ``high`` are the 98 % range of ``recommended``, out to budgets
    of the grid; ``early`` is how many of the first budgets most likely lie off the falling curve;
    ``falling`` says that the recommendation is beyond all but the longest budget. ``best`` is the
    budget with the lowest mean.
    """

    verdict: FitVerdict
    share: float
    budgets: tuple[int, ...]
    seeds: int
    gain: Interval | None = None
    resolution: float | None = None
    differ: bool | None = None
    best: int | None = None
    recommended: int | None = None
    low: int | None = None
    high: int | None = None
    early: int | None = None
    falling: bool = False
    band: Band | None = None


@dataclass(frozen=True, eq=False)
class Design:
    """N results of S seeds at K budgets. ``y`` (N,) is in bits/dim minus ``centre``.

    ``at`` (N,) says at which budget each is, ``by_budget`` (N, K) the same as indicators;
    ``without`` (N, N) removes what the results of a seed have in common.
    """

    y: Floats
    centre: float
    budgets: Floats
    at: NDArray[np.int64]
    by_budget: Floats
    without: Floats
    seeds: int

    @property
    def freedom(self) -> int:
        """Degrees of freedom left when the seeds' offsets are removed."""
        return len(self.y) - self.seeds


@dataclass(frozen=True, eq=False)
class BudgetMeans:
    """Bits/dim by budget (K,) over the average seed, minus the centre of the design.

    ``covariance`` (K, K) is in units of ``error`` squared, the variance of one result about its
    seed and budget; only that of differences means anything. ``freedom`` is 0 where the results are
    too few, or do not hang together, so that nothing is known of the error.
    """

    values: Floats
    covariance: Floats
    residual: float
    freedom: int

    @property
    def error(self) -> float:
        """Standard deviation of one result about its seed and budget."""
        return float(np.sqrt(self.residual / self.freedom))

    def variance(self, one: int, other: int) -> float:
        """Return the variance of the difference between two budgets, in units of the error's."""
        c = self.covariance
        return float(c[one, one] + c[other, other] - 2 * c[one, other])


@dataclass(frozen=True, eq=False)
class Curves:
    """Curves of one family and number of free levels, a row or an entry for each.

    ``levels`` (n, K) are bits/dim at the budgets that were tried, in units of the design.
    """

    early: int
    family: Family
    scale: Floats
    power: Floats
    base: Floats
    height: Floats
    levels: Floats


@dataclass(frozen=True, eq=False)
class Posterior:
    """``curves`` drawn from those that the results leave possible.

    ``early`` is the likeliest number of free levels. ``misfit`` and ``parameters`` are the residual
    sum of squares of the curve that explains the results best, and how many numbers that curve has
    beside the seeds' offsets.
    """

    curves: tuple[Curves, ...]
    early: int
    misfit: float
    parameters: int


def fit_curve(results: Sequence[BudgetResult], share: float = 0.99) -> Fit:
    """Return the curve through the results, and the least budget with ``share`` of the gain.

    The gain is from the first budget there is (0, where it was tried: no pretraining) to the
    longest. There is one finite result for each seed and budget; ``share`` is between 0 and 1.
    """
    used = drop_unpaired(results)
    budgets = tuple(sorted({one.budget for one in used}))
    known = Fit("few", share, budgets, len({one.seed for one in used}))
    if len(budgets) < LEAST_BUDGETS or known.seeds < LEAST_SEEDS:
        return known
    design = make_design(used)
    means = fit_means(design)
    if not means.freedom:
        return known
    gain = _fit_gain(means)
    known = replace(
        known,
        verdict="flat",
        gain=gain,
        resolution=_resolution(means),
        differ=_budgets_differ(design, means),
        best=budgets[int(np.argmin(means.values))],
    )
    if gain.high < 0:
        return replace(known, verdict="worse")
    if gain.low <= 0 or not known.differ:
        return known
    posterior = draw_posterior(design)
    if _is_unlike(posterior, means):
        return replace(known, verdict="unlike")
    least = np.concatenate(
        [_least_budgets(curves, design.budgets, share) for curves in posterior.curves]
    )
    low, middle, high = np.quantile(least, [(1 - CONFIDENCE) / 2, 0.5, (1 + CONFIDENCE) / 2])
    grid = sorted({*steps.grid(budgets[0], budgets[-1]), *budgets})
    recommended = _round_up(grid, middle)
    return replace(
        known,
        verdict="recommended",
        recommended=recommended,
        low=max(b for b in grid if b <= low),
        high=_round_up(grid, high),
        early=posterior.early,
        falling=recommended > budgets[-2],
        band=_fit_band(posterior, design),
    )


def _round_up(grid: Sequence[int], budget: float) -> int:
    return next((b for b in grid if b >= budget), grid[-1])


def _fit_gain(means: BudgetMeans) -> Interval:
    value = float(means.values[0] - means.values[-1])
    half = t_quantile(means.freedom, 1 - GATE) * means.error * np.sqrt(means.variance(0, -1))
    return Interval(value, float(value - half), float(value + half))


def _resolution(means: BudgetMeans) -> float:
    count = len(means.values)
    apart = [means.variance(i, j) for i in range(count) for j in range(i)]
    return float(t_quantile(means.freedom, 1 - USUAL) * means.error * np.sqrt(np.mean(apart)))


def _budgets_differ(design: Design, means: BudgetMeans) -> bool:
    between = float(np.square(design.without @ design.y).sum()) - means.residual
    ratio = between / (len(design.budgets) - 1) / means.error**2
    return bool(fdtrc(len(design.budgets) - 1, means.freedom, max(ratio, 0.0)) < 1 - USUAL)


def _is_unlike(posterior: Posterior, means: BudgetMeans) -> bool:
    """Return whether an F test says that the means lie off the best curve."""
    spare = len(means.values) - 1 - posterior.parameters
    if spare < 1:
        return not posterior.curves
    ratio = (posterior.misfit - means.residual) / spare / means.error**2
    return not posterior.curves or bool(fdtrc(spare, means.freedom, max(ratio, 0.0)) < UNLIKE)


def _least_budgets(curves: Curves, budgets: Floats, share: float) -> Floats:
    """Return for each curve from how many steps on it has that share of its gain.

    Curves without a gain are left out. Before a curve begins to fall, only budgets that were tried
    are taken.
    """
    start, end = curves.levels[:, 0], curves.levels[:, -1]
    target = end + (1 - share) * (start - end)
    left = np.clip((target - curves.base) / curves.height, 1e-300, 1 - 1e-12)
    least = steps_until(curves.family, left, curves.scale, curves.power)
    least = np.clip(least, budgets[curves.early], budgets[-1])
    settled = curves.levels[:, curves.early] <= target
    for k in range(curves.early - 1, -1, -1):
        least = np.where(settled, budgets[k + 1], least)
        settled &= curves.levels[:, k] <= target
    return np.asarray(least[start > end])


def _fit_band(posterior: Posterior, design: Design) -> Band:
    first = design.budgets[design.budgets > 0][0]
    inside = np.geomspace(max(1.0, first / 10), design.budgets[-1], POINTS)
    at = np.unique(np.concatenate([inside[inside >= design.budgets[0]], design.budgets]))
    drawn = np.concatenate(
        [_curve_values(curves, at, design.budgets) for curves in posterior.curves]
    )
    tails = [(1 - USUAL) / 2, 0.5, (1 + USUAL) / 2]
    low, middle, high = design.centre + np.quantile(drawn, tails, axis=0)
    return Band(*(tuple(float(v) for v in row) for row in (at, middle, low, high)))


def _curve_values(curves: Curves, at: Floats, budgets: Floats) -> Floats:
    """Return bits/dim at any budgets; between free levels along a line in log(1 + n)."""
    scale, power = curves.scale[:, None], curves.power[:, None]
    values = curves.base[:, None] + curves.height[:, None] * remaining_share(
        curves.family, at, scale, power
    )
    if curves.early:
        nodes = np.log1p(budgets[: curves.early + 1])
        before = at < budgets[curves.early]
        x = np.log1p(at[before])
        right = np.clip(np.searchsorted(nodes, x, side="right"), 1, curves.early)
        part = (x - nodes[right - 1]) / (nodes[right] - nodes[right - 1])
        levels = curves.levels
        values[:, before] = levels[:, right - 1] * (1 - part) + levels[:, right] * part
    return values


# Results of several seeds at several budgets, with the offsets of the seeds removed


def drop_unpaired(results: Sequence[BudgetResult]) -> list[BudgetResult]:
    """Return the results without seeds that have one budget alone.

    Those say nothing of a difference.
    """
    counts = Counter(one.seed for one in results)
    kept = (one for one in results if counts[one.seed] > 1)
    return sorted(kept, key=lambda one: (one.seed, one.budget))


def make_design(results: Sequence[BudgetResult]) -> Design:
    """Return the design of results that are paired, finite, and one for each seed and budget."""
    seeds = sorted({one.seed for one in results})
    budgets = sorted({one.budget for one in results})
    at = np.array([budgets.index(one.budget) for one in results])
    by_seed = np.eye(len(seeds))[[seeds.index(one.seed) for one in results]]
    y = np.array([one.bits_per_dim for one in results], dtype=np.float64)
    return Design(
        y=y - y.mean(),
        centre=float(y.mean()),
        budgets=np.array(budgets, dtype=np.float64),
        at=at,
        by_budget=np.eye(len(budgets))[at],
        without=np.eye(len(at)) - by_seed @ np.linalg.pinv(by_seed),
        seeds=len(seeds),
    )


def fit_means(design: Design) -> BudgetMeans:
    """Return the least squares fit with an offset for each seed and a mean for each budget."""
    inside = design.without @ design.by_budget
    precision = inside.T @ inside
    covariance = np.asarray(np.linalg.pinv(precision, _SINGULAR, True), dtype=np.float64)
    values = covariance @ inside.T @ design.y
    rank = int(np.linalg.matrix_rank(precision, _SINGULAR * len(design.y), True))
    residual = float(np.square(design.without @ design.y - inside @ values).sum())
    # The average seed: what is left of each seed after its budgets averages to nothing.
    values = values + float((design.y - values[design.at]).mean())
    return BudgetMeans(
        values=values,
        covariance=covariance,
        residual=residual + len(design.y) * FLOOR**2,
        freedom=max(0, design.freedom - rank) if rank == len(design.budgets) - 1 else 0,
    )


# Curves that fall from 1 at no pretraining towards 0:
# ``exponential``: exp(-(n / scale)^power); ``hill``: 1 / (1 + (n / scale)^power).

FAMILIES: tuple[Family, ...] = ("exponential", "hill")

POWERS = (0.4, 3.2)
"""The least and the greatest power."""

_DEVIATION = 0.4


def remaining_share(family: Family, steps: Floats, scale: Floats, power: Floats) -> Floats:
    """Return what is left of the fall after ``steps``; all arguments broadcast."""
    z = (steps / scale) ** power
    return np.asarray(np.exp(-z) if family == "exponential" else 1 / (1 + z))


def steps_until(family: Family, left: Floats, scale: Floats, power: Floats) -> Floats:
    """Return after how many steps so much is ``left``, between 0 and 1."""
    z = -np.log(left) if family == "exponential" else 1 / left - 1
    return np.asarray(scale * z ** (1 / power))


def log_prior(power: Floats) -> Floats:
    """Return the log prior of a power: normal in log(power), deviation 0.4.

    A power far from 1 has to earn its place.
    """
    return np.asarray(-np.square(np.log(power) / _DEVIATION) / 2)


# The posterior: curves that the results leave possible, each by how well it explains them. A curve
# is base + height f(n), f of one of `FAMILIES` with a time constant and a power, from some budget
# on; before it every budget has a level of its own. Levels, offsets of seeds and the error have
# flat priors, the time constant one that is flat in its logarithm, the power that of `log_prior`,
# and each free level costs as much as in the Bayesian information criterion. Time constant and
# power are on a grid, which is refined where the weight is.

DRAWS = 4000

MOST_EARLY = 3

_COARSE = (60, 15)

_FINE = (48, 32)

_NEGLIGIBLE = 10.0
"""Distance below the best log weight at which a curve is left out."""


def draw_posterior(design: Design) -> Posterior:
    """Return curves drawn from the posterior. The same results give the same curves."""
    most = min(MOST_EARLY, len(design.budgets) - 3)
    grids = [_grid(design, family, early) for early in range(most + 1) for family in FAMILIES]
    best = max(grids, key=lambda grid: grid.log_weights.max())
    weights = [np.exp(grid.log_weights - best.log_weights.max()) for grid in grids]
    generator = np.random.default_rng(derive_seed(0, "budget curve"))
    every = np.concatenate(weights)
    counts = generator.multinomial(DRAWS, every / every.sum())
    ends = np.cumsum([len(w) for w in weights])[:-1]
    curves = [
        grid.draw(design, np.repeat(np.arange(len(count)), count), generator)
        for grid, count in zip(grids, np.split(counts, ends), strict=True)
        if count.any()
    ]
    by_early = np.zeros(most + 1)
    for grid, weight in zip(grids, weights, strict=True):
        by_early[grid.early] += weight.sum()
    return Posterior(
        curves=tuple(some for some in curves if len(some.height)),
        early=int(by_early.argmax()),
        misfit=float(best.residuals.min()),
        parameters=best.early + 3,
    )


@dataclass(frozen=True, eq=False)
class _Grid:
    """Curves of one family and number of free levels: scale, power and their fits, each (G,)."""

    early: int
    family: Family
    scale: Floats
    power: Floats
    residuals: Floats
    heights: Floats
    norms: Floats
    log_weights: Floats

    def draw(self, design: Design, which: np.ndarray, generator: np.random.Generator) -> Curves:
        """Return curves at these places of the grid, without those that do not fall."""
        freedom = max(1, design.freedom - 1 - self.early)
        error = np.sqrt(self.residuals[which] / generator.chisquare(freedom, len(which)))
        height = self.heights[which] + error * generator.standard_normal(len(which)) / np.sqrt(
            self.norms[which]
        )
        kept = height > 0
        which, error, height = which[kept], error[kept], height[kept]
        scale, power = self.scale[which], self.power[which]
        f = remaining_share(self.family, design.budgets, scale[:, None], power[:, None])
        levels = height[:, None] * f
        if self.early:
            free = design.without @ design.by_budget[:, : self.early]
            root = np.linalg.cholesky(np.linalg.inv(free.T @ free))
            left = design.y - levels[:, design.at]
            noise = generator.standard_normal((len(which), self.early)) @ root.T
            levels[:, : self.early] += left @ np.linalg.pinv(free).T + error[:, None] * noise
        noise = generator.standard_normal(len(which)) * error / np.sqrt(len(design.y))
        base = (design.y - levels[:, design.at]).mean(axis=1) + noise
        levels = levels + base[:, None]
        return Curves(self.early, self.family, scale, power, base, height, levels)


def _grid(design: Design, family: Family, early: int) -> _Grid:
    positive = design.budgets[design.budgets > 0]
    scales = np.log([max(1.0, positive[0] / 4), 3 * design.budgets[-1]])
    powers = np.log(POWERS)
    coarse = _explain_results(design, family, early, scales, powers, _COARSE)
    near = coarse.log_weights > coarse.log_weights.max() - _NEGLIGIBLE
    around = [
        _narrow_axis(np.log(values[near]), ends, count)
        for values, ends, count in (
            (coarse.scale, scales, _COARSE[0]),
            (coarse.power, powers, _COARSE[1]),
        )
    ]
    return _explain_results(design, family, early, around[0], around[1], _FINE)


def _narrow_axis(values: Floats, ends: Floats, count: int) -> Floats:
    """Return the ends of the values and a cell of the grid more, within its ends."""
    cell = (ends[1] - ends[0]) / (count - 1)
    return np.asarray(np.clip([values.min() - cell, values.max() + cell], ends[0], ends[1]))


def _explain_results(
    design: Design,
    family: Family,
    early: int,
    scales: Floats,
    powers: Floats,
    counts: tuple[int, int],
) -> _Grid:
    """Return a grid between the ends of log(scale) and log(power), by least squares."""
    axes = (
        np.linspace(scales[0], scales[1], counts[0]),
        np.linspace(powers[0], powers[1], counts[1]),
    )
    scale, power = (np.exp(values).ravel() for values in np.meshgrid(*axes, indexing="ij"))
    free = design.without @ design.by_budget[:, :early]
    inside = design.without - free @ np.linalg.pinv(free)
    y = inside @ design.y
    # Sums by budget hold all there is to know, and budgets are fewer than results.
    precision, moment = design.by_budget.T @ inside @ design.by_budget, design.by_budget.T @ y
    f = remaining_share(family, design.budgets, scale[:, None], power[:, None])
    norms = np.maximum((f @ precision * f).sum(axis=1), 1e-12)
    heights = f @ moment / norms
    level = float(np.square(y).sum()) + len(y) * FLOOR**2
    residuals = np.maximum(level - heights**2 * norms, len(y) * FLOOR**2)
    # What would rise explains nothing: it is as good as a level line.
    explained = np.where(heights > 0, residuals, level)
    log_weights = -design.freedom / 2 * np.log(explained) - early / 2 * np.log(design.freedom)
    log_weights += log_prior(power)
    log_weights += np.log([max(np.ptp(axis), 1e-9) / len(axis) for axis in axes]).sum()
    return _Grid(early, family, scale, power, residuals, heights, norms, log_weights)
