"""Running scores against the same statistics of all rows at once."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lcma.harness.averages import Floats, clustered_mean
from lcma.harness.train.contribution import measure_maps
from lcma.harness.train.scores import Accumulator, assign_halves

D = 5


def draw_rows(count: int, seed: int = 0) -> tuple[Floats, Floats]:
    """Log-determinants and values that depend on each other and lie far from zero."""
    random = np.random.RandomState(seed)
    values = 30 + random.gamma(2.0, 1.5, (count, D))
    return 0.05 * values + random.normal(0, 0.2, (count, D)), values


def accumulate(log_det: Floats, values: Floats, groups: Any = None, chunk: int = 7) -> Accumulator:
    clusters = None if groups is None else int(groups.max()) + 1
    sums = Accumulator(D, clusters)
    halves = assign_halves(len(values), groups)
    for start in range(0, len(values), chunk):
        part = slice(start, start + chunk)
        chunk_groups = None if groups is None else groups[part]
        sums.add(log_det[part], values[part], halves[part], chunk_groups)
    return sums


def compute_score(log_det: Floats, values: Floats) -> Floats:
    return np.asarray(log_det.mean(0) - 0.5 * np.log(values.var(0)))


@given(st.integers(4, 60), st.integers(0, 50), st.integers(3, 30))
@settings(max_examples=30)
def test_scores_of_all_rows_and_of_the_halves(count: int, seed: int, chunk: int) -> None:
    log_det, values = draw_rows(count, seed)
    sums = accumulate(log_det, values, chunk=chunk)
    cumulative, normalized = sums.cumulative(), sums.normalized()
    np.testing.assert_allclose(cumulative.values, log_det.mean(0), rtol=1e-12)
    np.testing.assert_allclose(normalized.values, compute_score(log_det, values), rtol=1e-9)
    for half in (0, 1):
        log_det_half, values_half = log_det[half::2], values[half::2]
        np.testing.assert_allclose(cumulative.halves[half], log_det_half.mean(0), rtol=1e-12)
        expected = compute_score(log_det_half, values_half)
        np.testing.assert_allclose(normalized.halves[half], expected, rtol=1e-8)
    expected = 0.5 * np.log(values.var(0)).sum()
    assert sums.half_log_variance == pytest.approx(expected, rel=1e-9)


@given(st.integers(3, 60), st.integers(0, 50), st.booleans())
@settings(max_examples=40)
def test_the_normalized_error_is_that_of_the_influence_function(
    count: int, seed: int, clustered: bool
) -> None:
    log_det, values = draw_rows(count, seed)
    groups = np.random.RandomState(seed).randint(0, 6, count) if clustered else None
    influence = log_det - 0.5 * np.square(values - values.mean(0)) / values.var(0)
    expected = [clustered_mean(column, groups).standard_error for column in influence.T]
    errors = accumulate(log_det, values, groups).normalized().standard_errors
    np.testing.assert_allclose(errors, expected, rtol=1e-7)


def test_halves_alternate_and_share_no_cluster() -> None:
    assert assign_halves(5, None).tolist() == [0, 1, 0, 1, 0]
    assert assign_halves(6, np.array([4, 4, 9, 2, 9, 2])).tolist() == [1, 1, 0, 0, 0, 0]
    assert assign_halves(3, np.array([7, 7, 7])).tolist() == [0, 1, 0]


def test_a_single_image_has_no_normalized_score(workshop: Any) -> None:
    maps = measure_maps(workshop.nms(splits=1), workshop.images(1))
    assert [measured.score for measured in maps] == ["cumulative", "total"]
