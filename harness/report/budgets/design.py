"""Results of several seeds at several budgets, with the seeds taken out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FLOOR = 3e-5
"""Bits/dim below which nothing is measured: keeps a spread of zero from ending in a division."""
_SINGULAR = 1e-10
"""Share of the largest eigenvalue below which one is 0: the level of all budgets is not known."""


@dataclass(frozen=True)
class Measured:
    """Bits/dim of one seed at one budget in steps."""

    seed: int
    budget: int
    bits_per_dim: float


@dataclass(frozen=True, eq=False)
class Design:
    """N results of S seeds at K budgets. ``y`` (N,) in bits/dim less ``centre``.

    ``at`` (N,) says at which budget each is, ``by_budget`` (N, K) the same as indicators;
    ``without`` (N, N) takes out what the results of a seed have in common.
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
        """Degrees of freedom left when the seeds are out."""
        return len(self.y) - self.seeds


@dataclass(frozen=True, eq=False)
class Means:
    """Bits/dim by budget (K,) over the average seed, less the centre of the design.

    ``covariance`` (K, K) is in units of ``error`` squared, the variance of one result about its
    seed and budget; only that of differences means anything. ``freedom`` is 0 where the results
    are too few, or do not hang together, so that nothing is known of the error.
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
        """Of the difference between two budgets, in units of the error's."""
        c = self.covariance
        return float(c[one, one] + c[other, other] - 2 * c[one, other])


def drop_unpaired(results: Sequence[Measured]) -> list[Measured]:
    """Without seeds that have one budget alone: they say nothing of a difference."""
    counts = Counter(one.seed for one in results)
    kept = (one for one in results if counts[one.seed] > 1)
    return sorted(kept, key=lambda one: (one.seed, one.budget))


def make_design(results: Sequence[Measured]) -> Design:
    """Of results that are paired, finite, and one for each seed and budget."""
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


def fit_means(of: Design) -> Means:
    """Least squares with an offset for each seed and a mean for each budget."""
    inside = of.without @ of.by_budget
    precision = inside.T @ inside
    covariance = np.asarray(np.linalg.pinv(precision, _SINGULAR, True), dtype=np.float64)
    values = covariance @ inside.T @ of.y
    rank = int(np.linalg.matrix_rank(precision, _SINGULAR * len(of.y), True))
    residual = float(np.square(of.without @ of.y - inside @ values).sum())
    # The average seed: what is left of each seed after its budgets averages to nothing.
    values = values + float((of.y - values[of.at]).mean())
    return Means(
        values=values,
        covariance=covariance,
        residual=residual + len(of.y) * FLOOR**2,
        freedom=max(0, of.freedom - rank) if rank == len(of.budgets) - 1 else 0,
    )
