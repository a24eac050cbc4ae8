"""The contributions of layers, against dense Jacobians."""

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor

from lcma.models.conv1x1 import InvertibleConv1x1
from lcma.models.coupling import ChannelCoupling, CheckerboardCoupling
from lcma.models.glow import GlowCoupling
from lcma.models.layers import Center, Layer, Logit, PassAll, Squeeze, Unsqueeze
from lcma.models.norm import ActNorm, FlowBatchNorm
from lcma.models.split import Split

COUPLINGS = (CheckerboardCoupling, ChannelCoupling, GlowCoupling)

DIAGONAL = (*COUPLINGS, ActNorm, FlowBatchNorm, Logit, Center)
"""Layers whose contribution is log|diagonal of their Jacobian|, element by element."""

MOVING = (Squeeze, Unsqueeze)
"""Layers that only move dimensions."""


def dense_jacobian(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """(D, D) of a batched function at one input (1, C, H, W): row i is output i's gradient.

    One backward pass over D copies of the input, since images of a batch do not meet in
    evaluation mode.
    """
    size = x.numel()
    copies = x.detach().expand(size, *x.shape[1:]).clone().requires_grad_()
    outputs = function(copies).flatten(1)
    chosen = torch.eye(size, dtype=x.dtype)
    (rows,) = torch.autograd.grad(outputs, copies, chosen)
    return rows.flatten(1)


def elementwise_error(contribution: Tensor, jacobian: Tensor) -> float:
    """Largest difference between a contribution and log|diagonal|, in nats."""
    expected = jacobian.diagonal().abs().log()
    return float((contribution.flatten() - expected).abs().max())


def log_det_error(contribution: Tensor, jacobian: Tensor) -> float:
    """Difference between a contribution's sum and log|det|, in nats."""
    return abs(float(contribution.sum()) - float(torch.linalg.slogdet(jacobian).logabsdet))


def shuffled(t: Tensor) -> Tensor:
    order = torch.from_numpy(np.random.RandomState(1).permutation(t.numel()))
    return t.flatten()[order].view_as(t)


def latents_of(layers: Sequence[Layer], u: Tensor) -> Tensor:
    """(B, D): the dimensions that leave at the splits of these layers, then those that stay."""
    left, z = [], u
    for layer in layers:
        if isinstance(layer, Split):
            z, gone = layer.cut(z)
            left.append(gone.flatten(1))
        else:
            z, _ = layer(z)
    return torch.cat([*left, z.flatten(1)], dim=1)


def check_layer(layer: Layer, x: Tensor) -> Tensor:
    """Compare a layer with its Jacobian at one input (1, C, H, W); return its output."""
    contribution: Tensor | None
    y, contribution = layer(x)
    after: Tensor = y.detach()
    jacobian = dense_jacobian(lambda t: layer(t)[0], x)
    if isinstance(layer, MOVING):
        assert contribution is None
        moved = layer.reorder(torch.arange(x.numel()).view(x.shape)).flatten()
        assert torch.equal(jacobian, torch.eye(x.numel(), dtype=x.dtype)[moved])
        return after
    if isinstance(layer, InvertibleConv1x1):
        assert contribution is not None
        check_mixing(contribution.detach().expand_as(x), jacobian)
        return after
    assert isinstance(layer, DIAGONAL), f"no element-wise check for {type(layer).__name__}"
    if contribution is None:
        assert elementwise_error(torch.zeros_like(x), jacobian) == 0
        return after
    full = contribution.detach().expand_as(x)
    size = float(full.abs().max())
    assert size > 1e-3
    assert elementwise_error(full, jacobian) < 1e-12
    assert log_det_error(full, jacobian) < 1e-10
    assert elementwise_error(1.01 * full, jacobian) > 5e-3 * size
    if not bool((full == full.flatten()[0]).all()):
        assert elementwise_error(shuffled(full), jacobian) > 1e-3 * size
        assert log_det_error(shuffled(full), jacobian) < 1e-10, (
            "only the element-wise check sees it"
        )
    return after


def check_mixing(contribution: Tensor, jacobian: Tensor) -> None:
    """A 1x1 convolution's output shares (1, C, H, W) against its Jacobian (D, D).

    Each pixel is one block W of the Jacobian, and channel c there has half of log(W Wᵀ)_cc.
    """
    _, channels, height, width = contribution.shape
    pixels = height * width
    blocks = jacobian.view(channels, pixels, channels, pixels)
    for p, q in itertools.product(range(pixels), repeat=2):
        block = blocks[:, p, :, q].numpy()
        if p != q:
            assert not block.any()
            continue
        expected = 0.5 * np.diag(scipy.linalg.logm(block @ block.T)).real
        found = contribution.view(channels, pixels)[:, p].numpy()
        np.testing.assert_allclose(found, expected, atol=1e-10)
        assert np.abs(found[::-1] - expected).max() > 1e-3, "shuffled shares are seen"
        assert abs(found - found.mean()).max() > 1e-3, "uniform shares would be seen"
    assert log_det_error(contribution, jacobian) < 1e-10


def test_every_layer_element_by_element(exact: Any) -> None:
    flow = exact.lively()
    z = exact.continuous(flow)
    for layer in list(flow.layers)[1:]:
        z = layer.cut(z)[0] if isinstance(layer, Split) else check_layer(layer, z)


def test_the_sum_of_contributions_is_the_dense_log_determinant(exact: Any) -> None:
    flow = exact.lively()
    u = exact.continuous(flow)
    jacobian = dense_jacobian(partial(latents_of, list(flow.layers)[1:]), u)
    with torch.no_grad():
        found = flow.contributions(exact.images(1), exact.noise(), scored=False)
        likelihood = flow(exact.images(1), exact.noise())
        dequantize = flow.layers[0](exact.images(1), exact.noise())[1]
    own = found.total - dequantize
    assert log_det_error(own, jacobian) < 1e-9
    assert log_det_error(1.01 * own, jacobian) > 1e-3
    assert float(found.log_det) == pytest.approx(float(likelihood.log_det), abs=1e-9)
    assert float(found.total.sum()) == pytest.approx(float(likelihood.log_det), abs=1e-9)


def test_the_map_at_each_split_is_the_log_determinant_so_far(exact: Any) -> None:
    """Of the layers between the preprocessing, which is not scored, and the split."""
    flow = exact.lively()
    layers = list(flow.layers)
    x = layers[1](exact.continuous(flow))[0]
    ends = [k for k, layer in enumerate(layers) if isinstance(layer, Split | PassAll)]
    with torch.no_grad():
        found = flow.contributions(exact.images(1), exact.noise())
    assert len(ends) == len(found.at_splits) == exact.model.splits
    for at_split, scalar, end in zip(found.at_splits, found.log_det_at_splits, ends, strict=True):
        jacobian = dense_jacobian(partial(latents_of, layers[2:end]), x)
        assert log_det_error(at_split, jacobian) < 1e-9
        assert log_det_error(1.01 * at_split, jacobian) > 1e-3
        assert float(scalar) == pytest.approx(float(at_split.sum()), abs=1e-9)


def test_sums_agree_in_float32(case: Any) -> None:
    """Relative to the sum of absolute values, 1e-6."""
    flow = case.lively(torch.float32)
    with torch.no_grad():
        found = flow.contributions(case.images(8), case.noise(), scored=False)
        likelihood = flow(case.images(8), case.noise())
    pairs = [
        (found.total, found.log_det),
        (found.total, likelihood.log_det),
    ]
    for full, scalar in pairs:
        rows = full.double().flatten(1)
        relative = (rows.sum(1) - scalar.double()).abs() / rows.abs().sum(1)
        assert float(relative.max()) < 1e-6
        wrong = (1.0001 * rows.sum(1) - scalar.double()).abs() / rows.abs().sum(1)
        assert float(wrong.max()) > 1e-6


def test_what_has_left_keeps_what_it_had(tabled: Any) -> None:
    """Dimensions that left at a split get nothing from the layers after it."""
    flow = tabled.lively()
    with torch.no_grad():
        found = flow.contributions(tabled.images(), tabled.noise())
    maps = [*found.at_splits, found.total]
    for k, ids in enumerate(flow.latent_ids[:-1]):
        gone = ids.flatten()
        at_leaving = maps[k].flatten(1)[:, gone]
        assert torch.equal(at_leaving, maps[-1].flatten(1)[:, gone])
    stayed = flow.latent_ids[-1].flatten()
    assert not torch.equal(maps[-2].flatten(1)[:, stayed], maps[-1].flatten(1)[:, stayed])
