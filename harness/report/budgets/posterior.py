"""The curves that results leave possible, each by how well it explains them.

A curve is base + height f(n), f of one of `shapes.FAMILIES` with a time constant and a power, from
some budget on; before it every budget has a level of its own. Levels, offsets of seeds and the
error have flat priors, the time constant one that is flat in its logarithm, the power that of
`shapes.log_prior`, and the number of free levels pays for itself as in the Bayesian information
criterion. Time constant and power are on a grid, which is laid anew where the weight is.
"""

from dataclasses import dataclass

import numpy as np

from lcma.harness.report.budgets.design import FLOOR, Design, Floats
from lcma.harness.report.budgets.shapes import FAMILIES, POWERS, Family, log_prior, remaining_share
from lcma.harness.seeds import derive_seed

DRAWS = 4000
MOST_EARLY = 3
_COARSE = (60, 15)
_FINE = (48, 32)
_NEGLIGIBLE = 10.0
"""What a curve's log weight lies below the best one's, to be left out."""


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
    """``curves`` drawn from what is possible; ``early`` is the likeliest number of free levels.

    ``misfit`` and ``parameters``: residual sum of squares of the curve that explains the results
    best, and how many numbers that curve has beside the seeds' offsets.
    """

    curves: tuple[Curves, ...]
    early: int
    misfit: float
    parameters: int


def draw_posterior(of: Design) -> Posterior:
    """Draw curves. The same results give the same curves."""
    most = min(MOST_EARLY, len(of.budgets) - 3)
    grids = [_grid(of, family, early) for early in range(most + 1) for family in FAMILIES]
    best = max(grids, key=lambda grid: grid.log_weights.max())
    weights = [np.exp(grid.log_weights - best.log_weights.max()) for grid in grids]
    generator = np.random.default_rng(derive_seed(0, "budget curve"))
    every = np.concatenate(weights)
    counts = generator.multinomial(DRAWS, every / every.sum())
    ends = np.cumsum([len(w) for w in weights])[:-1]
    curves = [
        grid.draw(of, np.repeat(np.arange(len(count)), count), generator)
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
    """Curves of one family and number of free levels: scale, power and what follows (G,)."""

    early: int
    family: Family
    scale: Floats
    power: Floats
    residuals: Floats
    heights: Floats
    norms: Floats
    log_weights: Floats

    def draw(self, of: Design, which: np.ndarray, generator: np.random.Generator) -> Curves:
        """Curves at these places of the grid; those that do not fall are left out."""
        freedom = max(1, of.freedom - 1 - self.early)
        error = np.sqrt(self.residuals[which] / generator.chisquare(freedom, len(which)))
        height = self.heights[which] + error * generator.standard_normal(len(which)) / np.sqrt(
            self.norms[which]
        )
        kept = height > 0
        which, error, height = which[kept], error[kept], height[kept]
        scale, power = self.scale[which], self.power[which]
        f = remaining_share(self.family, of.budgets, scale[:, None], power[:, None])
        levels = height[:, None] * f
        if self.early:
            free = of.without @ of.by_budget[:, : self.early]
            root = np.linalg.cholesky(np.linalg.inv(free.T @ free))
            left = of.y - levels[:, of.at]
            noise = generator.standard_normal((len(which), self.early)) @ root.T
            levels[:, : self.early] += left @ np.linalg.pinv(free).T + error[:, None] * noise
        noise = generator.standard_normal(len(which)) * error / np.sqrt(len(of.y))
        base = (of.y - levels[:, of.at]).mean(axis=1) + noise
        levels = levels + base[:, None]
        return Curves(self.early, self.family, scale, power, base, height, levels)


def _grid(of: Design, family: Family, early: int) -> _Grid:
    positive = of.budgets[of.budgets > 0]
    scales = np.log([max(1.0, positive[0] / 4), 3 * of.budgets[-1]])
    powers = np.log(POWERS)
    coarse = _explain(of, family, early, scales, powers, _COARSE)
    near = coarse.log_weights > coarse.log_weights.max() - _NEGLIGIBLE
    around = [
        _around(np.log(values[near]), ends, count)
        for values, ends, count in (
            (coarse.scale, scales, _COARSE[0]),
            (coarse.power, powers, _COARSE[1]),
        )
    ]
    return _explain(of, family, early, around[0], around[1], _FINE)


def _around(values: Floats, ends: Floats, count: int) -> Floats:
    """The values and a cell of the grid more, within its ends."""
    cell = (ends[1] - ends[0]) / (count - 1)
    return np.asarray(np.clip([values.min() - cell, values.max() + cell], ends[0], ends[1]))


def _explain(
    of: Design,
    family: Family,
    early: int,
    scales: Floats,
    powers: Floats,
    counts: tuple[int, int],
) -> _Grid:
    """A grid between the ends of log(scale) and log(power), by least squares."""
    axes = (
        np.linspace(scales[0], scales[1], counts[0]),
        np.linspace(powers[0], powers[1], counts[1]),
    )
    scale, power = (np.exp(values).ravel() for values in np.meshgrid(*axes, indexing="ij"))
    free = of.without @ of.by_budget[:, :early]
    inside = of.without - free @ np.linalg.pinv(free)
    y = inside @ of.y
    # Sums by budget hold all there is to know, and budgets are fewer than results.
    precision, moment = of.by_budget.T @ inside @ of.by_budget, of.by_budget.T @ y
    f = remaining_share(family, of.budgets, scale[:, None], power[:, None])
    norms = np.maximum((f @ precision * f).sum(axis=1), 1e-12)
    heights = f @ moment / norms
    level = float(np.square(y).sum()) + len(y) * FLOOR**2
    residuals = np.maximum(level - heights**2 * norms, len(y) * FLOOR**2)
    # What would rise explains nothing: it is as good as a level line.
    explained = np.where(heights > 0, residuals, level)
    log_weights = -of.freedom / 2 * np.log(explained) - early / 2 * np.log(of.freedom)
    log_weights += log_prior(power)
    log_weights += np.log([max(np.ptp(axis), 1e-9) / len(axis) for axis in axes]).sum()
    return _Grid(early, family, scale, power, residuals, heights, norms, log_weights)
