"""Means with standard errors, cluster-robust where images belong together."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Mean:
    """A mean with its standard error."""

    value: float
    standard_error: float  # NaN if it is unknown
    count: int  # of values
    clusters: int | None  # None if the values are independent


class RunningMean:
    """Elementwise mean and standard error of rows that arrive in batches, in float64.

    Crops of one photograph are not independent, so with groups the standard error is
    cluster-robust: sqrt(G/(G-1) sum_g (sum of g - n_g mean)^2) / n.
    """

    def __init__(self, width: int, groups: int | None) -> None:
        self.count = 0
        self._sum = np.zeros(width)
        self._square = np.zeros(width)
        self._sums = None if groups is None else np.zeros((groups, width))
        self._counts = None if groups is None else np.zeros(groups)

    def add(self, rows: Floats, groups: NDArray[np.integer] | None) -> None:
        """Add rows (n, width) with the group of each (n,)."""
        self.count += len(rows)
        self._sum += rows.sum(0)
        if self._sums is None or self._counts is None or groups is None:
            self._square += np.square(rows).sum(0)
        else:
            np.add.at(self._sums, groups, rows)
            np.add.at(self._counts, groups, 1)

    @property
    def clusters(self) -> int | None:
        """Number of groups with a row, None without groups."""
        return None if self._counts is None else int((self._counts > 0).sum())

    @property
    def mean(self) -> Floats:
        """Mean of each column, (width,)."""
        return self._sum / self.count

    @property
    def standard_error(self) -> Floats:
        """Standard error of each column, (width,)."""
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
    """Return the mean of values (n,) and its standard error, clustered by ``groups`` (n,) if given.

    Example:
        >>> clustered_mean(np.array([1.0, 2.0, 3.0, 4.0]))
        Mean(value=2.5, standard_error=0.6454972243679028, count=4, clusters=None)
    """
    centre = values.mean()  # subtracted first: sums of squares lose digits far from zero
    running = RunningMean(1, None if groups is None else int(groups.max()) + 1)
    running.add((values - centre)[:, None], groups)
    return Mean(
        float(centre + running.mean[0]),
        float(running.standard_error[0]),
        running.count,
        running.clusters,
    )
