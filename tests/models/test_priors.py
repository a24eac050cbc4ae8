"""Priors of the dimensions that leave and stay, and the convolution of Glow's priors."""

import itertools

import numpy as np
import pytest
import torch
from scipy.signal import correlate
from scipy.stats import norm
from torch import Tensor, nn

from lcma.models.convolution import GainedConv
from lcma.models.priors import ConditionalNormal, LearnedNormal, PlaceNormal, StandardNormal


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.RandomState(seed).normal(size=shape))


@torch.no_grad()
def moved(module: nn.Module, size: float = 0.3) -> nn.Module:
    """In float64 with every parameter somewhere."""
    module.double()
    for seed, parameter in enumerate(module.parameters()):
        parameter.add_(size * drawn(seed, *parameter.shape))
    return module


def naive(conv: GainedConv, x: Tensor) -> np.ndarray:
    """The convolution with a border channel and a gain, plane by plane."""
    weight, gain = conv.weight.detach().numpy(), np.exp(3 * conv.log_gain.detach().numpy())
    pad = weight.shape[-1] // 2
    found = np.zeros((len(x), len(weight), *x.shape[2:]))
    for image, out in itertools.product(range(len(x)), range(len(weight))):
        total = np.zeros(x.shape[2:])
        for channel, plane in enumerate(x[image].numpy()):
            total += correlate(np.pad(plane, pad), weight[out, channel], mode="valid")
        if pad:
            edge = np.pad(np.zeros(x.shape[2:]), pad, constant_values=1.0)
            total += correlate(edge, conv.border[out, 0].detach().numpy(), mode="valid")
        found[image, out] = (total + float(conv.shift[out].detach())) * gain[out]
    return found


@pytest.mark.parametrize("kernel", [1, 3])
def test_the_convolution_knows_its_border_and_has_a_gain(kernel: int) -> None:
    conv = GainedConv(3, 4, kernel, std=0.05)
    moved(conv)
    x = drawn(7, 2, 3, 5, 4)
    found = conv(x).detach().numpy()
    np.testing.assert_allclose(found, naive(conv, x), atol=1e-12)
    if kernel == 3:
        with torch.no_grad():
            conv.border.zero_()
        changed = np.abs(conv(x).detach().numpy() - found).max((0, 1)) > 1e-9
        inside = np.zeros_like(changed)
        inside[1:-1, 1:-1] = True
        assert (changed == ~inside).all(), "the border channel is seen only at the border"


def test_a_convolution_started_by_data_leaves_with_mean_0_and_variance_1() -> None:
    conv = GainedConv(3, 4, 3, std=0.05, started_by_data=True)
    moved(conv)
    x = 3 + 2 * drawn(8, 20, 3, 6, 6)
    conv.initialize(x)
    out = conv(x).detach()
    assert torch.allclose(out.mean((0, 2, 3)), torch.zeros(4).double(), atol=1e-9)
    assert torch.allclose(out.var((0, 2, 3), correction=0), torch.ones(4).double(), atol=1e-4)
    conv.initialize(10 * x)
    assert torch.equal(conv(x), out), "it starts once"
    other = GainedConv(3, 4, 3, std=0.05, started_by_data=True).double()
    other.load_state_dict(conv.state_dict())
    other.initialize(10 * x)
    assert torch.equal(other(x), out), "weights from a file count as started"


def test_a_convolution_not_started_by_data_stays() -> None:
    conv = GainedConv(3, 4, 3, std=0.0).double()
    conv.initialize(drawn(8, 4, 3, 6, 6))
    assert not conv(drawn(9, 4, 3, 6, 6)).any()


SHAPES = [(4, 1, 1), (4, 3, 3)]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_learned_normal(shape: tuple[int, int, int]) -> None:
    prior = LearnedNormal(shape).double()
    z = drawn(1, 5, 4, 3, 3)
    assert torch.equal(prior.log_prob(z), StandardNormal().log_prob(z))
    moved(prior)
    mean, scale = (t.detach().numpy() for t in (prior.mean, prior.log_scale.exp()))
    found = prior.log_prob(z).detach().numpy()
    np.testing.assert_allclose(found, norm.logpdf(z.numpy(), mean, scale), atol=1e-12)
    sampled = prior.sample(z, None).detach().numpy()
    np.testing.assert_allclose(sampled, mean + scale * z.numpy(), atol=1e-12)
    assert prior.mean.shape == shape


@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_normal_by_place(size: int) -> None:
    """Plane by plane: the kernel over an image of zeros that is padded with ones."""
    prior = PlaceNormal(4).double()
    z = drawn(4, 5, 4, size, size)
    assert torch.equal(prior.log_prob(z), StandardNormal().log_prob(z))
    moved(prior, 0.2)
    kernel, shift, gain = (t.detach().numpy() for t in prior.parameters())
    edge = np.pad(np.zeros((size, size)), 1, constant_values=1.0)
    planes = np.stack([correlate(edge, one[0], mode="valid") for one in kernel])
    h = (planes + shift) * np.exp(3 * gain)
    mean, scale = h[:4], np.exp(h[4:])
    found = prior.log_prob(z).detach().numpy()
    np.testing.assert_allclose(found, norm.logpdf(z.numpy(), mean, scale), rtol=1e-11)
    sampled = prior.sample(z).detach().numpy()
    np.testing.assert_allclose(sampled, mean + scale * z.numpy(), atol=1e-12)
    assert len(np.unique(mean[0].round(12))) == min(size, 3) ** 2, "nine kinds of place"


def test_a_conditional_normal() -> None:
    prior = ConditionalNormal(4)
    prior.double()
    z, kept = drawn(2, 5, 4, 3, 3), drawn(3, 5, 4, 3, 3)
    assert torch.equal(prior.log_prob(z, kept), StandardNormal().log_prob(z, kept))
    moved(prior)
    h = naive(prior.net, kept)
    mean, scale = h[:, 0::2], np.exp(h[:, 1::2])
    found = prior.log_prob(z, kept).detach().numpy()
    np.testing.assert_allclose(found, norm.logpdf(z.numpy(), mean, scale), atol=1e-11)
    np.testing.assert_allclose(
        prior.sample(z, kept).detach().numpy(), mean + scale * z.numpy(), atol=1e-11
    )
    others = prior.log_prob(z, kept.flip(0)).detach().numpy()
    assert np.abs(others - found).max() > 0.1, "it looks at what stays"
    with pytest.raises(ValueError, match="needs what stays"):
        prior.log_prob(z, None)
