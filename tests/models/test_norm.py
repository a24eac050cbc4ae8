"""The two normalizations between couplings."""

import pytest
import torch
from torch import Tensor

from lcma.models.norm import ActNorm, ChangedPart, ChannelNorm, FlowBatchNorm
from tests.models.conftest import draw

BOARD = (torch.arange(4)[:, None] + torch.arange(4)).remainder(2).double().view(1, 1, 4, 4)

PARTS = {
    "checkerboard": ChangedPart(3, 0, 3, BOARD),
    "first half": ChangedPart(4, 0, 2),
    "second half": ChangedPart(4, 2, 2),
}


@pytest.fixture(params=list(PARTS))
def part(request: pytest.FixtureRequest) -> ChangedPart:
    return PARTS[request.param]


def draw_batch(part: ChangedPart, seed: int = 0) -> Tensor:
    return 2 + 3 * draw(seed, 5, part.total, 4, 4)


def channels(part: ChangedPart) -> slice:
    return slice(part.first, part.first + part.count)


def changed(part: ChangedPart) -> Tensor:
    """Return a mask (1, C, 4, 4) of the entries that the coupling changed."""
    mask = torch.zeros(1, part.total, 4, 4, dtype=torch.bool)
    mask[:, channels(part)] = True
    return mask if part.mask is None else mask & (part.mask > 0)


def check_batch_norm(norm: FlowBatchNorm, x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """Check the output and the contribution by the moments of the channels; return the output."""
    y, contribution = norm(x)
    where = changed(norm.part)
    shift, log_scale = torch.zeros(2, 1, x.shape[1], 1, 1, dtype=x.dtype)
    shift[0, channels(norm.part), 0, 0] = -mean
    log_scale[0, channels(norm.part), 0, 0] = -0.5 * (variance + 1e-4).log()
    expected = torch.where(where, (x + shift) * log_scale.exp(), x)
    assert torch.allclose(y, expected, rtol=1e-12, atol=1e-12)
    assert torch.equal(y.masked_fill(where, 0), x.masked_fill(where, 0))
    assert torch.allclose(contribution, log_scale * where, rtol=1e-12, atol=1e-12)
    return y


def test_batch_norm_uses_the_batch_in_training_and_the_average_in_evaluation(
    part: ChangedPart,
) -> None:
    norm = FlowBatchNorm(part).double().train()
    average = [torch.zeros(part.count).double(), torch.ones(part.count).double()]
    for seed in range(3):
        x = draw_batch(part, seed)
        # Entries that do not change count as zeros.
        values = (x * changed(part))[:, channels(part)]
        moments = [values.mean((0, 2, 3)), values.var((0, 2, 3), correction=0)]
        check_batch_norm(norm, x, *moments)
        average = [0.9 * old + 0.1 * new for old, new in zip(average, moments, strict=True)]
    torch.testing.assert_close(norm.running_mean, average[0], rtol=1e-12, atol=0)
    torch.testing.assert_close(norm.running_variance, average[1], rtol=1e-12, atol=0)
    norm.eval()
    x = draw_batch(part, 9)
    y = check_batch_norm(norm, x, *average)
    assert torch.equal(norm(x)[0], y), "evaluation does not change the average"


def test_actnorm_starts_with_mean_zero_and_variance_one_where_it_acts(part: ChangedPart) -> None:
    norm = ActNorm(part).double()
    x = draw_batch(part)
    norm.initialize(x)
    y = norm(x)[0].detach()
    where = changed(part)
    for c in range(part.first, part.first + part.count):
        values = y[:, c][where[:, c].expand(len(y), 4, 4)]
        assert float(values.mean()) == pytest.approx(0, abs=1e-9)
        assert float(values.var(correction=0)) == pytest.approx(1, abs=1e-5)
    assert torch.equal(y.masked_fill(where, 0), x.masked_fill(where, 0))


def test_actnorm_survives_a_constant_channel(part: ChangedPart) -> None:
    norm = ActNorm(part).double()
    norm.initialize(torch.full((5, part.total, 4, 4), 0.25, dtype=torch.float64))
    assert bool(torch.isfinite(norm.log_scale).all())


@pytest.mark.parametrize("rate", [1.0, 3.0])
def test_actnorm_of_all_channels_starts_once(rate: float) -> None:
    norm = ChannelNorm(4, rate=rate).double()
    x = 2 + 3 * draw(1, 9, 4, 4, 4)
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
    loaded = ChannelNorm(4, rate=rate).double()
    loaded.load_state_dict(norm.state_dict())
    loaded.initialize(10 * x)
    assert torch.equal(loaded(x)[0], y), "weights from a file count as started"
