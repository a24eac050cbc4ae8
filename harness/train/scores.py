"""Running means of contribution maps under every score, over all images and over two halves."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lcma.harness.averages import Floats, RunningMean


@dataclass(frozen=True)
class ScoredMap:
    """A map (D,) in nats with standard errors, and the maps of two halves of the images (2, D)."""

    values: Floats
    standard_errors: Floats
    halves: Floats


class Accumulator:
    """Sums over images at one split: of the log-determinant L and the value z of each dimension.

    ``clusters`` is the number of clusters, None if images are independent.
    """

    def __init__(self, dimensions: int, clusters: int | None) -> None:
        self.dimensions, self.clusters = dimensions, clusters
        self.log_det = RunningMean(dimensions, clusters)
        self._half_counts = np.zeros(2)
        self._half_sums = np.zeros((2, 3, dimensions))  # L, y, y^2
        self._moments = np.zeros((5, dimensions))  # y^3, y^4, L^2, L y, L y^2
        self._cluster_sums = np.zeros((clusters or 0, 3, dimensions))
        self._cluster_counts = np.zeros(clusters or 0)
        self._centre: Floats | None = None

    def add(
        self,
        log_det: Floats,
        values: Floats,
        halves: NDArray[np.integer],
        groups: NDArray[np.integer] | None,
    ) -> None:
        """Add images: log_det, values (n, D); halves (n,) of 0 and 1; groups (n,)."""
        self.log_det.add(log_det, groups)
        if self._centre is None:
            self._centre = values.mean(0)
            spread = values.std(0)
            self._scale = np.where(spread > 0, spread, 1.0)
        # High powers of values far from zero would lose digits.
        y = (values - self._centre) / self._scale
        y2 = np.square(y)
        rows = np.stack([log_det, y, y2], axis=1)
        for half in (0, 1):
            self._half_sums[half] += rows[halves == half].sum(0)
            self._half_counts[half] += int((halves == half).sum())
        if groups is None:
            powers = (y2 * y, np.square(y2), np.square(log_det), log_det * y, log_det * y2)
            self._moments += np.stack([p.sum(0) for p in powers])
        else:
            np.add.at(self._cluster_sums, groups, rows)
            np.add.at(self._cluster_counts, groups, 1)

    def cumulative(self) -> ScoredMap:
        """Return the mean log-determinant."""
        with np.errstate(invalid="ignore"):
            halves = self._half_sums[:, 0] / self._half_counts[:, None]
        return ScoredMap(self.log_det.mean, self.log_det.standard_error, halves)

    def normalized(self) -> ScoredMap:
        """Return the mean log-determinant minus half the log variance of the value.

        It does not change if one layer scales a dimension and the next undoes it. The standard
        error is that of the influence function L - (z - mean)^2 / (2 variance).
        """
        counts, sums = self._half_counts, self._half_sums
        with np.errstate(invalid="ignore", divide="ignore"):
            halves = np.stack([self._score(sums[h], counts[h]) for h in (0, 1)])
            values = self._score(sums.sum(0), counts.sum())
            return ScoredMap(values, self._normalized_error(), halves)

    @property
    def half_log_variance(self) -> float:
        """Half the log variance of the values, summed over the dimensions."""
        mean, square = (self._half_sums.sum(0) / self._half_counts.sum())[1:]
        variance = (square - np.square(mean)) * np.square(self._scale)
        return float(0.5 * np.log(variance).sum())

    def _score(self, sums: Floats, count: float) -> Floats:
        mean_l, mean, square = sums / count
        variance = (square - np.square(mean)) * np.square(self._scale)
        return np.asarray(mean_l - 0.5 * np.log(variance))

    def _normalized_error(self) -> Floats:
        n = self._half_counts.sum()
        mean_l, mean, square = self._half_sums.sum(0) / n
        variance = square - np.square(mean)
        if self.clusters is not None:
            return self._clustered_error(n, mean_l, mean, variance)
        if n < 2:
            return np.full(self.dimensions, np.nan)
        cubes, fourths, l_square, ly, ly2 = self._moments / n
        fourth = fourths - 4 * mean * cubes + 6 * mean**2 * square - 3 * mean**4
        with_l = ly2 - 2 * mean * ly + mean**2 * mean_l
        covariance = with_l / variance - mean_l
        spread = l_square - mean_l**2 - covariance + 0.25 * (fourth / variance**2 - 1)
        return np.asarray(np.sqrt(np.maximum(spread, 0) / (n - 1)))

    def _clustered_error(self, n: float, mean_l: Floats, mean: Floats, variance: Floats) -> Floats:
        g = self.log_det.clusters or 0
        if g < 2:
            return np.full(self.dimensions, np.nan)
        counts = self._cluster_counts[:, None]
        sum_l, sum_y, sum_square = np.moveaxis(self._cluster_sums, 1, 0)
        around = sum_square - 2 * mean * sum_y + counts * mean**2
        influence = sum_l - counts * mean_l - 0.5 * (around / variance - counts)
        return np.asarray(np.sqrt(g / (g - 1) * np.square(influence).sum(0)) / n)


def assign_halves(count: int, groups: NDArray[np.integer] | None) -> NDArray[np.int64]:
    """Assign each of ``count`` images to one of two halves, (count,) of 0 and 1.

    Images alternate. If there are two or more clusters, these alternate, so that no cluster is in
    both halves.
    """
    if groups is not None:
        present, rank = np.unique(groups, return_inverse=True)
        if len(present) > 1:
            return np.asarray(rank % 2, dtype=np.int64)
    return np.arange(count) % 2
