"""Priors of the dimensions that leave and stay, and the convolution of Glow's priors."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.signal import correlate
from scipy.stats import norm
from torch import Tensor, nn

from lcma.models.convolution import GainedConv
from lcma.models.priors import ConditionalNormal, LearnedNormal, PlaceNormal, StandardNormal
from tests.models.conftest import draw


@torch.no_grad()
def perturb(module: nn.Module, size: float = 0.3) -> None:
    for seed, parameter in enumerate(module.parameters()):
        parameter.add_(size * draw(seed, *parameter.shape))


def naive(conv: GainedConv, x: Tensor) -> NDArray[Any]:
    """The convolution with a border channel and a gain, plane by plane."""
    weight, gain = conv.weight.detach().numpy(), np.exp(3 * conv.log_gain.detach().numpy())
    pad = weight.shape[-1] // 2
    y = np.zeros((len(x), len(weight), *x.shape[2:]))
    for image, out in itertools.product(range(len(x)), range(len(weight))):
        total = np.zeros(x.shape[2:])
        for channel, plane in enumerate(x[image].numpy()):
            total += correlate(np.pad(plane, pad), weight[out, channel], mode="valid")
        if pad:
            edge = np.pad(np.zeros(x.shape[2:]), pad, constant_values=1.0)
            total += correlate(edge, conv.border[out, 0].detach().numpy(), mode="valid")
        y[image, out] = (total + float(conv.shift[out].detach())) * gain[out]
    return y


@pytest.mark.parametrize("kernel", [1, 3])
@torch.no_grad()
def test_the_convolution_knows_its_border_and_has_a_gain(kernel: int) -> None:
    conv = GainedConv(3, 4, kernel, std=0.05).double()
    perturb(conv)
    x = draw(7, 2, 3, 5, 4)
    y = conv(x)
    np.testing.assert_allclose(y, naive(conv, x), atol=1e-12)
    if kernel == 3:
        conv.border.zero_()
        changed = (conv(x) - y).abs().amax((0, 1)) > 1e-9
        changed[1:-1, 1:-1].logical_not_()
        assert changed.all(), "the border channel is seen only at the border"


@torch.no_grad()
def test_a_convolution_started_by_data_leaves_with_mean_0_and_variance_1() -> None:
    conv = GainedConv(3, 4, 3, std=0.05, started_by_data=True).double()
    perturb(conv)
    x = 3 + 2 * draw(8, 20, 3, 6, 6)
    conv.initialize(x)
    y = conv(x)
    assert torch.allclose(y.mean((0, 2, 3)), torch.zeros(4).double(), atol=1e-9)
    assert torch.allclose(y.var((0, 2, 3), correction=0), torch.ones(4).double(), atol=1e-4)
    conv.initialize(10 * x)
    assert torch.equal(conv(x), y), "it starts once"
    loaded = GainedConv(3, 4, 3, std=0.05, started_by_data=True).double()
    loaded.load_state_dict(conv.state_dict())
    loaded.initialize(10 * x)
    assert torch.equal(loaded(x), y), "weights from a file count as started"


def test_a_convolution_not_started_by_data_stays() -> None:
    conv = GainedConv(3, 4, 3, std=0.0).double()
    conv.initialize(draw(8, 4, 3, 6, 6))
    assert not conv(draw(9, 4, 3, 6, 6)).any()


def check_normal(
    prior: Any, z: Tensor, mean: NDArray[Any], scale: NDArray[Any], kept: Tensor | None = None
) -> None:
    """Compare density and sampler with a normal of these moments."""
    density = norm.logpdf(z.numpy(), mean, scale)
    np.testing.assert_allclose(prior.log_prob(z, kept), density, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(prior.sample(z, kept), mean + scale * z.numpy(), atol=1e-11)


@pytest.mark.parametrize("shape", [(4, 1, 1), (4, 3, 3)])
@torch.no_grad()
def test_a_learned_normal(shape: tuple[int, int, int]) -> None:
    prior = LearnedNormal(shape).double()
    z = draw(1, 5, 4, 3, 3)
    assert torch.equal(prior.log_prob(z), StandardNormal().log_prob(z))
    perturb(prior)
    check_normal(prior, z, prior.mean.numpy(), prior.log_scale.exp().numpy())
    assert prior.mean.shape == shape


@pytest.mark.parametrize("size", [1, 2, 5])
@torch.no_grad()
def test_a_normal_by_place(size: int) -> None:
    """Plane by plane: the kernel over an image of zeros that is padded with ones."""
    prior = PlaceNormal(4).double()
    z = draw(4, 5, 4, size, size)
    assert torch.equal(prior.log_prob(z), StandardNormal().log_prob(z))
    perturb(prior, 0.2)
    kernels, shift, gain = (t.numpy() for t in prior.parameters())
    edge = np.pad(np.zeros((size, size)), 1, constant_values=1.0)
    planes = np.stack([correlate(edge, kernel[0], mode="valid") for kernel in kernels])
    h = (planes + shift) * np.exp(3 * gain)
    check_normal(prior, z, h[:4], np.exp(h[4:]))
    assert len(np.unique(h[0].round(12))) == min(size, 3) ** 2, "nine kinds of place"


@torch.no_grad()
def test_a_conditional_normal() -> None:
    prior = ConditionalNormal(4).double()
    z, kept = draw(2, 5, 4, 3, 3), draw(3, 5, 4, 3, 3)
    assert torch.equal(prior.log_prob(z, kept), StandardNormal().log_prob(z, kept))
    perturb(prior)
    h = naive(prior.net, kept)
    check_normal(prior, z, h[:, 0::2], np.exp(h[:, 1::2]), kept)
    change = prior.log_prob(z, kept.flip(0)) - prior.log_prob(z, kept)
    assert float(change.abs().max()) > 0.1, "it looks at what stays"
    with pytest.raises(ValueError, match="needs what stays"):
        prior.log_prob(z, None)
