"""Means with standard errors, clustered where images belong together."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Mean:
    """A mean over ``count`` values; ``standard_error`` is NaN where it cannot be known."""

    value: float
    standard_error: float
    count: int
    clusters: int | None


class RunningMean:
    """Elementwise mean and standard error of rows that arrive in batches, in float64.

    With groups the error is cluster-robust: sqrt(G/(G-1) sum_g (sum of g - n_g mean)^2) / n,
    since crops of one photograph are not independent.
    """

    def __init__(self, width: int, groups: int | None) -> None:
        self.count = 0
        self._sum = np.zeros(width)
        self._square = np.zeros(width)
        self._sums = None if groups is None else np.zeros((groups, width))
        self._counts = None if groups is None else np.zeros(groups)

    def add(self, rows: Floats, groups: NDArray[np.integer] | None) -> None:
        """rows (n, width), groups (n,)."""
        self.count += len(rows)
        self._sum += rows.sum(0)
        if self._sums is None or self._counts is None or groups is None:
            self._square += np.square(rows).sum(0)
        else:
            np.add.at(self._sums, groups, rows)
            np.add.at(self._counts, groups, 1)

    @property
    def clusters(self) -> int | None:
        """How many groups had any row."""
        return None if self._counts is None else int((self._counts > 0).sum())

    @property
    def mean(self) -> Floats:
        return self._sum / self.count

    @property
    def standard_error(self) -> Floats:
        n = self.count
        if self._sums is None or self._counts is None:
            if n < 2:
                return np.full_like(self._sum, np.nan)
            variance = np.maximum(self._square / n - np.square(self.mean), 0) * n / (n - 1)
            return np.asarray(np.sqrt(variance / n))
        g = self.clusters or 0
        if g < 2:
            return np.full_like(self._sum, np.nan)
        deviations = self._sums - self._counts[:, None] * self.mean
        return np.asarray(np.sqrt(g / (g - 1) * np.square(deviations).sum(0)) / n)


def clustered_mean(values: Floats, groups: NDArray[np.integer] | None = None) -> Mean:
    """Mean of values (n,) and its standard error, clustered by ``groups`` (n,) if given."""
    centre = values.mean()  # a running square loses digits far from zero
    running = RunningMean(1, None if groups is None else int(groups.max()) + 1)
    running.add((values - centre)[:, None], groups)
    return Mean(
        float(centre + running.mean[0]),
        float(running.standard_error[0]),
        running.count,
        running.clusters,
    )
