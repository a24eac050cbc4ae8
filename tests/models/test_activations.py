"""Nonlinearities with their slopes, against PyTorch's own and against finite differences."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lcma.models.activations import elu, silu

WithSlope = Callable[[Tensor], tuple[Tensor, Tensor]]


def make_points(count: int) -> Tensor:
    return torch.linspace(-30, 30, count, dtype=torch.float64).requires_grad_()


@pytest.mark.parametrize(("ours", "theirs"), [(silu, F.silu), (elu, F.elu)], ids=["silu", "elu"])
def test_value_and_slope_are_those_of_pytorch(
    ours: WithSlope, theirs: Callable[[Tensor], Tensor]
) -> None:
    x = make_points(600)
    y, slope = ours(x)
    expected = theirs(x)
    (expected_slope,) = torch.autograd.grad(expected.sum(), x)
    torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(slope, expected_slope, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("function", [silu, elu])
def test_gradients_of_value_slope_and_both_are_right(function: WithSlope) -> None:
    x = make_points(86)
    assert torch.autograd.gradcheck(function, x)
