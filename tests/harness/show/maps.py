"""Contribution maps for tests of pictures and comparisons."""

import numpy as np

from lcma.db import ContributionMap
from lcma.harness.results.map_statistics import compute_map_statistics


def noise(seed, shape):
    """Normal values of that shape."""
    return np.random.default_rng(seed).normal(size=shape)


def contribution(values, split=1, errors=0.1):
    """A map with these values and one standard error."""
    values = np.asarray(values, dtype=np.float32)
    errors = np.full_like(values, errors)
    return ContributionMap(
        pretraining_id="p",
        data_digest="d",
        budget=100,
        split=split,
        score="cumulative",
        values=values,
        standard_errors=errors,
        halves=np.stack([values, values]),
        statistics=compute_map_statistics(values, errors, split, "squeezed"),
        images=10,
        mean_log_det=float(values.sum()),
    )
