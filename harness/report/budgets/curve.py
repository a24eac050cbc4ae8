"""The budget curve: bits/dim against pretraining steps, fitted over seeds (docs/budgets.md).

Seeds are paired: each has an offset of its own, which is taken out. The mean falls along a
saturating curve from some budget on; the first budgets may lie anywhere. Which curve, how fast
and from where on is averaged over what the results leave possible, so that the range of a
recommendation holds that doubt too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.special import fdtrc, stdtrit

from lcma.harness.report.budgets.design import (
    Design,
    Floats,
    Means,
    Measured,
    drop_unpaired,
    fit_means,
    make_design,
)
from lcma.harness.report.budgets.posterior import Curves, Posterior, draw_posterior
from lcma.harness.report.budgets.shapes import remaining_share, steps_until
from lcma.sweeps import budgets as steps

Verdict = Literal["recommended", "flat", "worse", "unlike", "few"]

LEAST_BUDGETS, LEAST_SEEDS = 3, 2
CONFIDENCE = 0.98
"""Of the range of the recommended budget."""
GATE = 0.995
"""Confidence with which the longest budget has to differ from the first one."""
USUAL = 0.95
"""Confidence of every other interval."""
UNLIKE = 0.001
"""Below this probability the curve does not describe the means."""
POINTS = 120


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
    """What the results of several seeds say about how much pretraining is worth buying.

    ``verdict``: ``recommended``; ``flat``: the longest budget is not better than the first;
    ``worse``: it is worse; ``unlike``: the means do not fall along any of the curves; ``few``:
    too few results, with all below None. ``budgets`` and ``seeds`` are those that are paired.
    ``gain`` is by how many bits/dim the longest budget is below the first (99 % interval),
    ``resolution`` half the width of the 95 % interval of a difference between two budgets,
    ``differ`` whether any two budgets differ. ``low`` and ``high`` are the 98 % range of
    ``recommended``, out to budgets of the grid; ``early`` is how many of the first budgets most
    likely lie off the falling curve; ``falling`` says that the recommendation is beyond all but
    the longest budget. ``best`` is the budget with the lowest mean.
    """

    verdict: Verdict
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


def fit_curve(results: Sequence[Measured], share: float = 0.99) -> Fit:
    """The curve through the results, and the least budget with ``share`` of the gain.

    The gain is from the first budget there is (0, where it was tried: what no pretraining comes
    to) to the longest. One finite result for each seed and budget; ``share`` is between 0 and 1.
    """
    used = drop_unpaired(results)
    budgets = tuple(sorted({one.budget for one in used}))
    known = Fit("few", share, budgets, len({one.seed for one in used}))
    if len(budgets) < LEAST_BUDGETS or known.seeds < LEAST_SEEDS:
        return known
    of = make_design(used)
    found = fit_means(of)
    if not found.freedom:
        return known
    gain = _gain(found)
    known = replace(
        known,
        verdict="flat",
        gain=gain,
        resolution=_resolution(found),
        differ=_differ(of, found),
        best=budgets[int(np.argmin(found.values))],
    )
    if gain.high < 0:
        return replace(known, verdict="worse")
    if gain.low <= 0 or not known.differ:
        return known
    possible = draw_posterior(of)
    if _unlike(possible, found):
        return replace(known, verdict="unlike")
    least = np.concatenate([_least(curves, of.budgets, share) for curves in possible.curves])
    low, middle, high = np.quantile(least, [(1 - CONFIDENCE) / 2, 0.5, (1 + CONFIDENCE) / 2])
    grid = sorted({*steps.grid(budgets[0], budgets[-1]), *budgets})
    recommended = _not_below(grid, middle)
    return replace(
        known,
        verdict="recommended",
        recommended=recommended,
        low=max(b for b in grid if b <= low),
        high=_not_below(grid, high),
        early=possible.early,
        falling=recommended > budgets[-2],
        band=_band(possible, of),
    )


def _not_below(grid: Sequence[int], budget: float) -> int:
    return next((b for b in grid if b >= budget), grid[-1])


def _gain(of: Means) -> Interval:
    value = float(of.values[0] - of.values[-1])
    half = stdtrit(of.freedom, (1 + GATE) / 2) * of.error * np.sqrt(of.variance(0, -1))
    return Interval(value, float(value - half), float(value + half))


def _resolution(of: Means) -> float:
    count = len(of.values)
    apart = [of.variance(i, j) for i in range(count) for j in range(i)]
    return float(stdtrit(of.freedom, (1 + USUAL) / 2) * of.error * np.sqrt(np.mean(apart)))


def _differ(of: Design, found: Means) -> bool:
    """By an F test whether budgets differ at all."""
    between = float(np.square(of.without @ of.y).sum()) - found.residual
    ratio = between / (len(of.budgets) - 1) / found.error**2
    return bool(fdtrc(len(of.budgets) - 1, found.freedom, max(ratio, 0.0)) < 1 - USUAL)


def _unlike(possible: Posterior, found: Means) -> bool:
    """By an F test whether the means lie off the best curve by more than the error explains."""
    spare = len(found.values) - 1 - possible.parameters
    if spare < 1:
        return not possible.curves
    ratio = (possible.misfit - found.residual) / spare / found.error**2
    return not possible.curves or bool(fdtrc(spare, found.freedom, max(ratio, 0.0)) < UNLIKE)


def _least(curves: Curves, budgets: Floats, share: float) -> Floats:
    """For each curve from how many steps on it has that share of its gain; none where it has none.

    Before the curve begins to fall, only budgets that were tried are taken.
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


def _band(possible: Posterior, of: Design) -> Band:
    first = of.budgets[of.budgets > 0][0]
    inside = np.geomspace(max(1.0, first / 10), of.budgets[-1], POINTS)
    at = np.unique(np.concatenate([inside[inside >= of.budgets[0]], of.budgets]))
    drawn = np.concatenate([_values(curves, at, of.budgets) for curves in possible.curves])
    tails = [(1 - USUAL) / 2, 0.5, (1 + USUAL) / 2]
    low, middle, high = of.centre + np.quantile(drawn, tails, axis=0)
    return Band(*(tuple(float(v) for v in row) for row in (at, middle, low, high)))


def _values(curves: Curves, at: Floats, budgets: Floats) -> Floats:
    """Bits/dim at any budgets; between levels that are free, along a line in log(1 + n)."""
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
