"""Paired differences and their tests against textbooks, enumeration by hand, scipy, statsmodels."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from lcma.harness.results import statistics
from lcma.harness.results.statistics import Summary, compute_sign_flip_p, compute_t_p, summarize
from tests.processes import run_python

DARWIN = (49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48)
"""Heights of crossed minus self-fertilized plants of Zea mays, eighths of an inch (Fisher: The
Design of Experiments, ch. 3)."""


def test_darwins_plants() -> None:
    """Fisher counts 863 of the 2^15 signs whose sum is at least as large, 1726 on both sides."""
    assert compute_sign_flip_p(DARWIN) == pytest.approx(1726 / 2**15)


numbers = st.lists(st.integers(-1000, 1000).map(lambda k: k / 250), min_size=2, max_size=8)


@given(numbers, st.sampled_from([0.0, 0.25]))
def test_p_and_intervals_against_scipy_and_an_enumeration(
    differences: list[float], limit: float
) -> None:
    values = [difference - limit for difference in differences]
    n, total = len(values), abs(math.fsum(values))
    as_extreme = [
        abs(math.fsum(s * d for s, d in zip(signs, values, strict=True))) >= total - 1e-9
        for signs in itertools.product((-1, 1), repeat=n)
    ]
    flip_p = compute_sign_flip_p(differences, limit)
    assert flip_p == pytest.approx(sum(as_extreme) / 2**n)
    if len(set(differences)) > 1:
        summary = summarize(differences)
        expected = stats.ttest_1samp(differences, limit)
        assert compute_t_p(summary, limit) == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-12)
        interval = expected.confidence_interval(0.95)
        assert (summary.low, summary.high) == pytest.approx((interval.low, interval.high), abs=1e-8)


def test_intervals_and_p_have_the_same_bits_with_other_instructions() -> None:
    """Elsewhere they are on another processor; here numpy and its BLAS use fewer instructions."""
    code = (
        "from lcma.harness.results.statistics import compute_t_p, summarize\n"
        "summaries = [summarize([0.3, -0.1, *([0.2] * n)]) for n in range(1, 9)]\n"
        "print([(summary, compute_t_p(summary)) for summary in summaries])"
    )
    fewer = {"OPENBLAS_CORETYPE": "Prescott", "NPY_DISABLE_CPU_FEATURES": "AVX2,FMA3"}
    printed = [run_python("-c", code, **variables) for variables in ({}, fewer)]
    assert printed[0].stdout == printed[1].stdout != ""


def test_one_number_and_equal_differences() -> None:
    assert summarize([0.5]) == Summary(1, 0.5)
    equal = summarize([-0.25] * 6)
    assert (equal.low, equal.high) == (-0.25, -0.25)
    assert (compute_t_p(equal), compute_sign_flip_p([-0.25] * 6)) == (0.0, 2 / 64)
    assert compute_t_p(summarize([0.0] * 6)) == compute_sign_flip_p([0.0] * 6) == 1.0


def test_signs_of_many_pairs_are_drawn_the_same_each_time() -> None:
    values = [*np.random.default_rng(1).normal(0.3, 1, size=40)]
    p = compute_sign_flip_p(values)
    assert p == compute_sign_flip_p(values) == pytest.approx(compute_t_p(summarize(values)), 0.2)


def test_holm_on_the_example_of_its_paper_and_statsmodels() -> None:
    """Holm (1979): ordered p-values are multiplied by m, m - 1, ... and made monotone."""
    adjusted = statistics.adjust_holm([0.01, 0.04, 0.03, 0.005])
    assert adjusted == pytest.approx([0.03, 0.06, 0.06, 0.02])
    p = list(np.random.default_rng(0).uniform(size=20))
    assert statistics.adjust_holm(p) == pytest.approx(list(multipletests(p, method="holm")[1]))
    assert (statistics.adjust_holm([]), statistics.adjust_holm([0.2])) == ([], [0.2])


@pytest.mark.parametrize(("effect", "n"), [(1.0, 10), (0.5, 34), (0.2, 199)])
def test_how_many_seeds_an_effect_needs(effect: float, n: int) -> None:
    """The numbers of G*Power for a paired t-test at 5 % and 80 %."""
    assert statistics.seeds_needed(-effect * 0.03, 0.03) == n
    assert statistics.seeds_needed(1e-6, 1.0) is None, "nobody could show that"
    assert statistics.seeds_needed(0.01, 0.0) == 2


def test_the_detectable_effect_falls_with_every_seed_and_has_a_power_of_80_percent() -> None:
    """Also where scipy's power has no value."""
    effects = [statistics.find_detectable(n, 1.0) for n in range(2, 200)]
    assert all(0.0 < more < less < math.inf for less, more in itertools.pairwise(effects))
    random = np.random.default_rng(0)
    for n in (3, 4, 6, 51):
        effect = statistics.find_detectable(n, 1.0)
        p = stats.ttest_1samp(random.normal(effect, 1.0, (100_000, n)), 0.0, axis=1).pvalue
        assert np.mean(p < 0.05) == pytest.approx(0.8, abs=0.005)
        assert statistics.seeds_needed(effect * 1.001, 1.0) == n
    for n in (1449, 9999):
        normal = (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) / math.sqrt(n)
        assert statistics.find_detectable(n, 1.0) == pytest.approx(normal, rel=1e-3)
