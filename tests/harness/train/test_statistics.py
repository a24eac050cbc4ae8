"""Means and standard errors against formulas written out."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lcma.harness.averages import Floats, RunningMean, clustered_mean

rows_of_three = st.integers(2, 30).flatmap(
    lambda n: arrays(np.float64, (n, 3), elements=st.floats(-100, 100, width=32))
)


def naive_clustered(values: list[float], groups: list[int]) -> float:
    """sqrt(G/(G-1) sum over groups of (sum of deviations)^2) / n."""
    centre = sum(values) / len(values)
    sums: dict[int, float] = {}
    for value, group in zip(values, groups, strict=True):
        sums[group] = sums.get(group, 0.0) + value - centre
    g = len(sums)
    return math.sqrt(g / (g - 1) * sum(s * s for s in sums.values())) / len(values)


def draw_cuts(data: st.DataObject, n: int) -> list[tuple[int, int]]:
    """Cut n rows into consecutive batches."""
    inner = data.draw(st.sets(st.integers(1, n - 1), max_size=4))
    return list(itertools.pairwise([0, *sorted(inner), n]))


@given(st.data(), rows_of_three)
@settings(max_examples=50)
def test_clustered_errors_follow_the_formula(data: st.DataObject, rows: Floats) -> None:
    n = len(rows)
    groups = data.draw(arrays(np.int32, n, elements=st.sampled_from([0, 1, 2, 7])))
    running = RunningMean(3, 8)
    for start, end in draw_cuts(data, n):
        running.add(rows[start:end], groups[start:end])
    distinct = len(set(groups.tolist()))
    assert running.clusters == distinct
    np.testing.assert_allclose(running.mean, rows.mean(0), atol=1e-11)
    if distinct < 2:
        assert np.isnan(running.standard_error).all()
        return
    expected = [naive_clustered(rows[:, k].tolist(), groups.tolist()) for k in range(3)]
    np.testing.assert_allclose(running.standard_error, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("groups", [None, np.full(1, 4), np.full(3, 4)])
def test_one_value_or_cluster_has_no_error(groups: Any) -> None:
    mean = clustered_mean(np.full(1 if groups is None else len(groups), 3.5), groups)
    assert mean.value == 3.5
    assert math.isnan(mean.standard_error)
    assert mean.clusters == (None if groups is None else 1)


def test_far_from_zero_no_digits_are_lost() -> None:
    values = 1e9 + np.random.RandomState(0).normal(size=1000)
    expected = np.std(values - 1e9, ddof=1) / math.sqrt(1000)
    assert clustered_mean(values).standard_error == pytest.approx(expected, rel=1e-6)
