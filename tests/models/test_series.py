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
from torch import Tensor

from lcma.models.series import (
    Vjp,
    draw_poisson,
    draw_probe,
    poisson_tail,
    sum_series,
)

SIZE = 6
LIPSCHITZ = 0.6

means = st.floats(0.2, 6.0)


def matrix(seed: int, norm: float = LIPSCHITZ) -> Tensor:
    """(SIZE, SIZE) of this spectral norm, not symmetric."""
    drawn = np.random.RandomState(seed).normal(size=(SIZE, SIZE))
    return torch.from_numpy(norm * drawn / np.linalg.norm(drawn, 2))


def rows_times(jacobian: Tensor) -> Vjp:
    return lambda w: w @ jacobian


def every_sign() -> Tensor:
    """All Rademacher probes, (2^SIZE, SIZE): their mean is the exact expectation."""
    return torch.tensor(list(itertools.product((-1.0, 1.0), repeat=SIZE)), dtype=torch.float64)


def log_diagonal(jacobian: Tensor) -> Tensor:
    """Diagonal of log(I + J) by an independent algorithm."""
    return torch.from_numpy(np.diag(scipy.linalg.logm(np.eye(SIZE) + jacobian.numpy())).copy())


@pytest.mark.parametrize("seed", range(3))
def test_the_mean_over_all_probes_is_the_diagonal_of_the_logarithm(seed: int) -> None:
    jacobian = matrix(seed)
    found = sum_series(rows_times(jacobian), every_sign(), [1.0] * 80)[0].mean(0)
    expected = log_diagonal(jacobian)
    assert torch.allclose(found, expected, atol=1e-12)
    log_det = torch.linalg.slogdet(torch.eye(SIZE) + jacobian).logabsdet
    assert float(found.sum()) == pytest.approx(float(log_det), abs=1e-12)
    assert float((found.roll(1) - expected).abs().max()) > 1e-2, "shuffled values are seen"
    other = (1 + jacobian.diagonal()).abs().log()
    assert float((found - other).abs().max()) > 1e-3, "log|diag(I + J)| is another number"


@given(mean=means, least=st.integers(-3, 40))
def test_tails_keep_their_digits(mean: float, least: int) -> None:
    expected = scipy.stats.poisson.sf(least - 1, mean)
    assert poisson_tail(mean, least) == pytest.approx(expected, rel=1e-10)


def test_probes_have_mean_zero_and_variance_one_and_follow_the_generator() -> None:
    like = torch.zeros(200_000, dtype=torch.float64)
    for kind in ("gaussian", "rademacher"):
        drawn = draw_probe(like, kind, torch.Generator().manual_seed(0))
        assert drawn.dtype == like.dtype
        assert abs(float(drawn.mean())) < 4 / math.sqrt(len(like))
        assert float(drawn.var()) == pytest.approx(1, abs=0.02)
        assert torch.equal(drawn, draw_probe(like, kind, torch.Generator().manual_seed(0)))
        assert not torch.equal(drawn, draw_probe(like, kind, torch.Generator().manual_seed(1)))
    assert set(draw_probe(like, "rademacher", None).unique().tolist()) == {-1.0, 1.0}


def test_poisson_draws_have_their_distribution() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = np.bincount([draw_poisson(2.0, generator) for _ in range(4000)], minlength=12)
    expected = 4000 * scipy.stats.poisson.pmf(range(5), 2.0)
    assert (
        scipy.stats.chisquare(
            [*drawn[:5], drawn[5:].sum()], [*expected, 4000 - expected.sum()]
        ).pvalue
        > 1e-3
    )
