"""The contributions of layers, against dense Jacobians."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
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
    (rows,) = torch.autograd.grad(outputs, copies, torch.eye(size, dtype=x.dtype))
    return rows.flatten(1)


def elementwise_error(contribution: Tensor, jacobian: Tensor) -> float:
    """Largest difference between a contribution and log|diagonal|, in nats."""
    expected = jacobian.diagonal().abs().log()
    return float((contribution.flatten() - expected).abs().max())


def log_det_error(contribution: Tensor, jacobian: Tensor) -> float:
    """Difference between a contribution's sum and log|det|, in nats."""
    return abs(float(contribution.sum()) - float(torch.linalg.slogdet(jacobian).logabsdet))


def shuffle(t: Tensor) -> Tensor:
    order = torch.from_numpy(np.random.RandomState(1).permutation(t.numel()))
    return t.flatten()[order].view_as(t)


def latents_of(layers: Sequence[Layer], u: Tensor) -> Tensor:
    """(B, D): the dimensions that leave at the splits of these layers, then those that stay."""
    latents, z = [], u
    for layer in layers:
        if isinstance(layer, Split):
            z, left = layer.cut(z)
            latents.append(left.flatten(1))
        else:
            z, _ = layer(z)
    return torch.cat([*latents, z.flatten(1)], dim=1)


def check_layer(layer: Layer, x: Tensor) -> Tensor:
    """Compare a layer with its Jacobian at one input (1, C, H, W); return its output."""
    contribution: Tensor | None
    with torch.no_grad():
        y, contribution = layer(x)
    output: Tensor = y
    jacobian = dense_jacobian(lambda t: layer(t)[0], x)
    if isinstance(layer, MOVING):
        assert contribution is None
        ids = layer.reorder(torch.arange(x.numel()).view(x.shape)).flatten()
        assert torch.equal(jacobian, torch.eye(x.numel(), dtype=x.dtype)[ids])
        return output
    if isinstance(layer, InvertibleConv1x1):  # test_conv1x1.py has its shares
        return output
    assert isinstance(layer, DIAGONAL), f"no element-wise check for {type(layer).__name__}"
    if contribution is None:
        assert elementwise_error(torch.zeros_like(x), jacobian) == 0
        return output
    full = contribution.expand_as(x)
    size = float(full.abs().max())
    assert size > 1e-3
    assert elementwise_error(full, jacobian) < 1e-12
    assert log_det_error(full, jacobian) < 1e-10
    assert elementwise_error(1.01 * full, jacobian) > 5e-3 * size
    if not bool((full == full.flatten()[0]).all()):
        assert elementwise_error(shuffle(full), jacobian) > 1e-3 * size
    return output


def test_each_layer_has_the_contributions_of_its_jacobian(exact_case: Any) -> None:
    flow = exact_case.build_perturbed()
    z = exact_case.dequantize(flow)
    for layer in list(flow.layers)[1:]:
        z = layer.cut(z)[0] if isinstance(layer, Split) else check_layer(layer, z)


def test_the_sum_of_contributions_is_the_dense_log_determinant(exact_case: Any) -> None:
    flow = exact_case.build_perturbed()
    u = exact_case.dequantize(flow)
    jacobian = dense_jacobian(partial(latents_of, list(flow.layers)[1:]), u)
    with torch.no_grad():
        contributions = flow.contributions(exact_case.images(1), exact_case.noise(), scored=False)
        likelihood = flow(exact_case.images(1), exact_case.noise())
        dequantization = flow.layers[0](exact_case.images(1), exact_case.noise())[1]
    after_it = contributions.total - dequantization
    assert log_det_error(after_it, jacobian) < 1e-9
    assert log_det_error(1.01 * after_it, jacobian) > 1e-3
    assert float(contributions.log_det) == pytest.approx(float(likelihood.log_det), abs=1e-9)
    assert float(contributions.total.sum()) == pytest.approx(float(likelihood.log_det), abs=1e-9)


def test_the_map_at_each_split_is_the_log_determinant_so_far(exact_case: Any) -> None:
    """The preprocessing is not scored."""
    flow = exact_case.build_perturbed()
    layers = list(flow.layers)
    x = layers[1](exact_case.dequantize(flow))[0]
    ends = [k for k, layer in enumerate(layers) if isinstance(layer, Split | PassAll)]
    with torch.no_grad():
        contributions = flow.contributions(exact_case.images(1), exact_case.noise())
    maps, log_dets = contributions.at_splits, contributions.log_det_at_splits
    assert len(ends) == len(maps) == exact_case.model.splits
    for values, log_det, end in zip(maps, log_dets, ends, strict=True):
        jacobian = dense_jacobian(partial(latents_of, layers[2:end]), x)
        assert log_det_error(values, jacobian) < 1e-9
        assert log_det_error(1.01 * values, jacobian) > 1e-3
        assert float(log_det) == pytest.approx(float(values.sum()), abs=1e-9)


def test_contributions_sum_to_the_log_determinant_in_float32(case: Any) -> None:
    """To 1e-6 of the sum of absolute values."""
    flow = case.build_perturbed(torch.float32)
    with torch.no_grad():
        contributions = flow.contributions(case.images(8), case.noise(), scored=False)
        likelihood = flow(case.images(8), case.noise())
    rows = contributions.total.double().flatten(1)
    for log_det in (contributions.log_det.double(), likelihood.log_det.double()):
        assert float(((rows.sum(1) - log_det).abs() / rows.abs().sum(1)).max()) < 1e-6
        assert float(((1.0001 * rows.sum(1) - log_det).abs() / rows.abs().sum(1)).max()) > 1e-6


def test_a_dimension_that_left_gets_nothing_from_later_layers(table_case: Any) -> None:
    flow = table_case.build_perturbed()
    with torch.no_grad():
        contributions = flow.contributions(table_case.images(), table_case.noise())
    maps = [values.flatten(1) for values in (*contributions.at_splits, contributions.total)]
    *left, stayed = (ids.flatten() for ids in flow.latent_ids)
    for values, ids in zip(maps, left, strict=False):
        assert torch.equal(values[:, ids], maps[-1][:, ids])
    assert not torch.equal(maps[-2][:, stayed], maps[-1][:, stayed])
