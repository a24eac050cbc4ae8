"""Estimators of log det(I + J) on dense matrices: every probe and every roulette enumerated."""

import itertools
import math

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st

from lcma.models.series import draw_poisson, draw_probe, poisson_tail, sum_series
from tests.models.conftest import draw

SIZE = 6


@pytest.mark.parametrize("seed", range(3))
def test_the_mean_over_all_probes_is_the_diagonal_of_the_logarithm(seed: int) -> None:
    jacobian = draw(seed, SIZE, SIZE)
    jacobian *= 0.6 / torch.linalg.matrix_norm(jacobian, 2)
    probes = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=SIZE)), dtype=torch.float64)
    mean = sum_series(lambda w: w @ jacobian, probes, [1.0] * 80)[0].mean(0)
    logarithm = scipy.linalg.logm(np.eye(SIZE) + jacobian.numpy())
    expected = torch.from_numpy(np.diag(logarithm).copy())
    assert torch.allclose(mean, expected, atol=1e-12)
    assert float((mean.roll(1) - expected).abs().max()) > 1e-2, "shuffled values are seen"
    log_diagonal = (1 + jacobian.diagonal()).abs().log()
    assert float((mean - log_diagonal).abs().max()) > 1e-3, "log|diag(I + J)| is another number"


@given(mean=st.floats(0.2, 6.0), least=st.integers(-3, 40))
def test_tails_keep_their_digits(mean: float, least: int) -> None:
    expected = scipy.stats.poisson.sf(least - 1, mean)
    assert poisson_tail(mean, least) == pytest.approx(expected, rel=1e-10)


def test_probes_have_mean_zero_and_variance_one_and_follow_the_generator() -> None:
    like = torch.zeros(200_000, dtype=torch.float64)
    for kind in ("gaussian", "rademacher"):
        probe = draw_probe(like, kind, torch.Generator().manual_seed(0))
        assert probe.dtype == like.dtype
        assert abs(float(probe.mean())) < 4 / math.sqrt(len(like))
        assert float(probe.var()) == pytest.approx(1, abs=0.02)
        assert torch.equal(probe, draw_probe(like, kind, torch.Generator().manual_seed(0)))
        assert not torch.equal(probe, draw_probe(like, kind, torch.Generator().manual_seed(1)))
    assert set(draw_probe(like, "rademacher", None).unique().tolist()) == {-1.0, 1.0}


def test_poisson_draws_have_their_distribution() -> None:
    generator = torch.Generator().manual_seed(0)
    counts = np.bincount([draw_poisson(2.0, generator) for _ in range(4000)], minlength=12)
    expected = 4000 * scipy.stats.poisson.pmf(range(5), 2.0)
    seen, wanted = [*counts[:5], counts[5:].sum()], [*expected, 4000 - expected.sum()]
    assert scipy.stats.chisquare(seen, wanted).pvalue > 1e-3
