"""Running scores against the same statistics of all rows at once."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lcma.harness.train.contribution import measure_maps
from lcma.harness.train.scores import Accumulator, assign_halves

Floats = NDArray[np.float64]
D = 5


def rows(count: int, seed: int = 0) -> tuple[Floats, Floats]:
    """Log-determinants and values that depend on each other and lie far from zero."""
    state = np.random.RandomState(seed)
    values = 30 + state.gamma(2.0, 1.5, (count, D))
    return 0.05 * values + state.normal(0, 0.2, (count, D)), values


def accumulate(log_det: Floats, values: Floats, groups: Any = None, chunk: int = 7) -> Accumulator:
    clusters = None if groups is None else int(groups.max()) + 1
    sums = Accumulator(D, clusters)
    halves = assign_halves(len(values), groups)
    for start in range(0, len(values), chunk):
        part = slice(start, start + chunk)
        sums.add(
            log_det[part], values[part], halves[part], None if groups is None else groups[part]
        )
    return sums


def score(log_det: Floats, values: Floats) -> Floats:
    return np.asarray(log_det.mean(0) - 0.5 * np.log(values.var(0)))


@given(st.integers(4, 60), st.integers(0, 50), st.integers(3, 30))
@settings(max_examples=30)
def test_scores_of_all_rows_and_of_the_halves(count: int, seed: int, chunk: int) -> None:
    log_det, values = rows(count, seed)
    sums = accumulate(log_det, values, chunk=chunk)
    cumulative, normalized = sums.cumulative(), sums.normalized()
    np.testing.assert_allclose(cumulative.values, log_det.mean(0), rtol=1e-12)
    np.testing.assert_allclose(normalized.values, score(log_det, values), rtol=1e-9)
    for half in (0, 1):
        rows_of_half = slice(half, None, 2)
        np.testing.assert_allclose(
            cumulative.halves[half], log_det[rows_of_half].mean(0), rtol=1e-12
        )
        np.testing.assert_allclose(
            normalized.halves[half], score(log_det[rows_of_half], values[rows_of_half]), 1e-8
        )
    expected = 0.5 * np.log(values.var(0)).sum()
    assert sums.half_log_variance == pytest.approx(expected, rel=1e-9)


@given(st.integers(3, 60), st.integers(0, 50))
@settings(max_examples=30)
def test_the_normalized_error_is_that_of_the_influence_function(count: int, seed: int) -> None:
    log_det, values = rows(count, seed)
    around = np.square(values - values.mean(0)) / values.var(0)
    expected = (log_det - 0.5 * around).std(0, ddof=1) / math.sqrt(count)
    found = accumulate(log_det, values).normalized().standard_errors
    np.testing.assert_allclose(found, expected, rtol=1e-7)


@given(st.integers(0, 50))
@settings(max_examples=20)
def test_clusters_enter_the_normalized_error(seed: int) -> None:
    log_det, values = rows(40, seed)
    groups = np.random.RandomState(seed).randint(0, 6, 40)
    around = np.square(values - values.mean(0)) / values.var(0)
    influence = log_det - 0.5 * around
    centred = influence - influence.mean(0)
    present = np.unique(groups)
    sums = np.stack([centred[groups == g].sum(0) for g in present])
    g = len(present)
    expected = np.sqrt(g / (g - 1) * np.square(sums).sum(0)) / 40
    found = accumulate(log_det, values, groups).normalized().standard_errors
    np.testing.assert_allclose(found, expected, rtol=1e-7)


def test_halves_alternate_and_share_no_cluster() -> None:
    assert assign_halves(5, None).tolist() == [0, 1, 0, 1, 0]
    assert assign_halves(6, np.array([4, 4, 9, 2, 9, 2])).tolist() == [1, 1, 0, 0, 0, 0]
    assert assign_halves(3, np.array([7, 7, 7])).tolist() == [0, 1, 0]


def test_a_single_image_has_no_normalized_score(workshop: Any) -> None:
    found = measure_maps(workshop.nms(splits=1), workshop.images(1))
    assert [m.score for m in found] == ["cumulative", "total"]
