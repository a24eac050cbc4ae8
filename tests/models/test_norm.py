"""The two normalizations between couplings."""

from typing import Any

import numpy as np
import pytest
import torch

from lcma.models.norm import ActNorm, ChangedPart, ChannelNorm, FlowBatchNorm, PartialNorm

BOARD = (torch.arange(4)[:, None] + torch.arange(4)).remainder(2).double().view(1, 1, 4, 4)

PARTS = {
    "checkerboard": ChangedPart(3, 0, 3, BOARD),
    "first half": ChangedPart(4, 0, 2),
    "second half": ChangedPart(4, 2, 2),
}


@pytest.fixture(params=list(PARTS))
def part(request: pytest.FixtureRequest) -> ChangedPart:
    return PARTS[request.param]


def batch(part: ChangedPart, seed: int = 0) -> torch.Tensor:
    drawn = np.random.RandomState(seed).normal(2.0, 3.0, (5, part.total, 4, 4))
    return torch.from_numpy(drawn)


def changed(part: ChangedPart) -> torch.Tensor:
    """(1, C, 4, 4) bool: the entries that the coupling transformed."""
    found = torch.zeros(1, part.total, 4, 4, dtype=torch.bool)
    found[:, part.first : part.first + part.count] = True
    return found if part.mask is None else found & (part.mask > 0)


def naive_moments(part: ChangedPart, x: torch.Tensor) -> tuple[np.ndarray[Any, Any], ...]:
    """Mean and variance of each channel over all positions; 0 at those that do not change."""
    values = np.where(changed(part).numpy(), x.numpy(), 0.0)
    chosen = values[:, part.first : part.first + part.count]
    return chosen.mean((0, 2, 3)), chosen.var((0, 2, 3))


def test_batch_norm_uses_the_batch_in_training_and_the_average_in_evaluation(
    part: ChangedPart,
) -> None:
    norm = FlowBatchNorm(part).double().train()
    running_mean, running_variance = np.zeros(part.count), np.ones(part.count)
    where = changed(part)
    for seed in range(3):
        x = batch(part, seed)
        y, contribution = norm(x)
        mean, variance = naive_moments(part, x)
        running_mean = 0.9 * running_mean + 0.1 * mean
        running_variance = 0.9 * running_variance + 0.1 * variance
        _check(norm, x, y, contribution, mean, variance, where)
    np.testing.assert_allclose(norm.running_mean, running_mean, rtol=1e-12)
    np.testing.assert_allclose(norm.running_variance, running_variance, rtol=1e-12)
    norm.eval()
    x = batch(part, 9)
    y, contribution = norm(x)
    _check(norm, x, y, contribution, running_mean, running_variance, where)
    np.testing.assert_allclose(norm.running_mean, running_mean, rtol=1e-12)
    again, _ = norm(x)
    assert torch.equal(again, y), "evaluation does not change the average"


def _check(
    norm: PartialNorm,
    x: torch.Tensor,
    y: torch.Tensor,
    contribution: torch.Tensor,
    mean: Any,
    variance: Any,
    where: torch.Tensor,
) -> None:
    first, last = norm.part.first, norm.part.first + norm.part.count
    expected = x.clone()
    scale = torch.from_numpy(1 / np.sqrt(variance + 1e-4)).view(1, -1, 1, 1)
    moved = (x[:, first:last] - torch.from_numpy(mean).view(1, -1, 1, 1)) * scale
    expected[:, first:last] = torch.where(where[:, first:last], moved, x[:, first:last])
    assert torch.allclose(y, expected, rtol=1e-12, atol=1e-12)
    assert torch.equal(y[where.expand_as(y).logical_not()], x[where.expand_as(x).logical_not()])
    scales = torch.zeros(1, x.shape[1], 4, 4, dtype=x.dtype)
    scales[:, first:last] = scale.log()
    assert torch.allclose(contribution, scales * where, rtol=1e-12, atol=1e-12)


def test_actnorm_starts_with_mean_zero_and_variance_one_where_it_acts(part: ChangedPart) -> None:
    norm = ActNorm(part).double()
    x = batch(part)
    norm.initialize(x)
    y = norm(x)[0].detach()
    where = changed(part)
    for c in range(part.first, part.first + part.count):
        chosen = y[:, c][where[:, c].expand(len(y), 4, 4)]
        assert float(chosen.mean()) == pytest.approx(0, abs=1e-9)
        assert float(chosen.var(correction=0)) == pytest.approx(1, abs=1e-5)
    others = where.expand_as(y).logical_not()
    assert torch.equal(y[others], x[others])


def test_actnorm_survives_a_constant_channel(part: ChangedPart) -> None:
    norm = ActNorm(part).double()
    norm.initialize(torch.full((5, part.total, 4, 4), 0.25, dtype=torch.float64))
    assert bool(torch.isfinite(norm.log_scale).all())


@pytest.mark.parametrize("rate", [1.0, 3.0])
def test_actnorm_of_all_channels(rate: float) -> None:
    """(x + shift) exp(rate log_scale), started once."""
    norm = ChannelNorm(4, rate=rate).double()
    x = torch.from_numpy(np.random.RandomState(1).normal(2.0, 3.0, (9, 4, 4, 4)))
    norm.initialize(x)
    y, contribution = norm(x)
    log_scale = (rate * norm.log_scale).view(1, 4, 1, 1)
    expected = (x + norm.shift.view(1, 4, 1, 1)) * log_scale.exp()
    assert torch.allclose(y, expected, rtol=0, atol=1e-12)
    assert torch.equal(contribution, log_scale.expand(1, 4, 4, 4))
    assert torch.allclose(y.mean((0, 2, 3)), torch.zeros(4).double(), atol=1e-12)
    assert torch.allclose(y.var((0, 2, 3), correction=0), torch.ones(4).double(), atol=1e-6)
    norm.initialize(10 * x)
    assert torch.equal(norm(x)[0], y)
    other = ChannelNorm(4, rate=rate).double()
    other.load_state_dict(norm.state_dict())
    other.initialize(10 * x)
    assert torch.equal(other(x)[0], y), "weights from a file count as started"
