"""The curves that results leave possible, each by how well it explains them.

A curve is base + height f(n), f one of `shapes.SHAPES` with a time constant, from some budget on;
before it every budget has a level of its own. Levels, offsets of seeds and the error have flat
priors, the time constant one that is flat in its logarithm, and the number of free levels pays
for itself as in the Bayesian information criterion.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.report.budgets.design import FLOOR, Design, Floats
from harness.report.budgets.shapes import SHAPES
from harness.seeds import derive

DRAWS = 4000
MOST_EARLY = 3
SCALES = 200


@dataclass(frozen=True, eq=False)
class Curves:
    """Curves of one shape and number of free levels, a row or an entry for each.

    ``levels`` (n, K) are bits/dim at the budgets that were tried, in units of the design.
    """

    early: int
    shape: int
    scale: Floats
    base: Floats
    height: Floats
    levels: Floats


@dataclass(frozen=True)
class Posterior:
    """``curves`` drawn from what is possible; ``early`` is the likeliest number of free levels.

    ``misfit`` and ``parameters``: residual sum of squares of the curve that explains the results
    best, and how many numbers that curve has beside the seeds' offsets.
    """

    budgets: tuple[int, ...]
    curves: tuple[Curves, ...]
    early: int
    misfit: float
    parameters: int


def posterior(of: Design) -> Posterior:
    """Draw curves. The same results give the same curves."""
    positive = of.budgets[of.budgets > 0]
    scales = np.geomspace(max(1.0, positive[0] / 4), 3 * of.budgets[-1], SCALES)
    most = min(MOST_EARLY, len(of.budgets) - 3)
    candidates = [
        _explain(of, scales, shape, early)
        for early in range(most + 1)
        for shape in range(len(SHAPES))
    ]
    log_weights = np.stack([c.log_weights for c in candidates])
    weights = np.exp(log_weights - log_weights.max())
    weights /= weights.sum()
    generator = np.random.default_rng(derive(0, "budget curve"))
    counts = generator.multinomial(DRAWS, weights.ravel()).reshape(weights.shape)
    curves = [
        c.draw(of, scales, count, generator)
        for c, count in zip(candidates, counts, strict=True)
        if count.any()
    ]
    by_early = weights.reshape(most + 1, -1).sum(axis=1)
    best = candidates[int(log_weights.max(axis=1).argmax())]
    return Posterior(
        budgets=tuple(int(b) for b in of.budgets),
        curves=tuple(c for c in curves if len(c.height)),
        early=int(by_early.argmax()),
        misfit=float(best.residuals.min()),
        parameters=best.early + 3,
    )


@dataclass(frozen=True, eq=False)
class _Candidates:
    """Curves of one shape and number of free levels, for each time constant (T,)."""

    early: int
    shape: int
    residuals: Floats
    log_weights: Floats
    heights: Floats
    norms: Floats

    def draw(
        self, of: Design, scales: Floats, counts: NDArray[np.int64], generator: np.random.Generator
    ) -> Curves:
        """So many curves of each time constant; those that do not fall are left out."""
        which = np.repeat(np.arange(len(scales)), counts)
        freedom = max(1, of.freedom - 1 - self.early)
        error = np.sqrt(self.residuals[which] / generator.chisquare(freedom, len(which)))
        height = self.heights[which] + error * generator.standard_normal(len(which)) / np.sqrt(
            self.norms[which]
        )
        kept = height > 0
        which, error, height = which[kept], error[kept], height[kept]
        f = SHAPES[self.shape].at(of.budgets, scales[which, None])
        levels = height[:, None] * f
        if self.early:
            free = of.without @ of.by_budget[:, : self.early]
            root = np.linalg.cholesky(np.linalg.inv(free.T @ free))
            left = of.y - levels[:, of.at]
            noise = generator.standard_normal((len(which), self.early)) @ root.T
            levels[:, : self.early] += left @ np.linalg.pinv(free).T + error[:, None] * noise
        noise = generator.standard_normal(len(which)) * error / np.sqrt(len(of.y))
        base = (of.y - levels[:, of.at]).mean(axis=1) + noise
        return Curves(self.early, self.shape, scales[which], base, height, levels + base[:, None])


def _explain(of: Design, scales: Floats, shape: int, early: int) -> _Candidates:
    free = of.without @ of.by_budget[:, :early]
    inside = of.without - free @ np.linalg.pinv(free)
    y = inside @ of.y
    f = SHAPES[shape].at(of.budgets, scales[:, None])[:, of.at] @ inside
    norms = np.square(f).sum(axis=1)
    norms = np.maximum(norms, 1e-12)
    heights = f @ y / norms
    residuals = np.square(y - heights[:, None] * f).sum(axis=1) + len(y) * FLOOR**2
    # What would rise is not a curve of this family.
    level = np.square(y).sum() + len(y) * FLOOR**2
    explained = np.where(heights > 0, residuals, level)
    log_weights = -of.freedom / 2 * np.log(explained) - early / 2 * np.log(of.freedom)
    log_weights += SHAPES[shape].log_prior
    return _Candidates(early, shape, residuals, log_weights, heights, norms)
