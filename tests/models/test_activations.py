"""Nonlinearities with their slopes, against PyTorch's own and against finite differences."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lcma.models.activations import elu, silu

Bend = Callable[[Tensor], tuple[Tensor, Tensor]]


@pytest.fixture(params=[(silu, F.silu), (elu, F.elu)], ids=["silu", "elu"])
def pair(request: pytest.FixtureRequest) -> tuple[Bend, Callable[[Tensor], Tensor]]:
    found: tuple[Bend, Callable[[Tensor], Tensor]] = request.param
    return found


def points() -> Tensor:
    return torch.linspace(-30, 30, 600, dtype=torch.float64).requires_grad_()


def test_value_and_slope_are_those_of_pytorch(
    pair: tuple[Bend, Callable[[Tensor], Tensor]],
) -> None:
    ours, theirs = pair
    x = points()
    y, slope = ours(x)
    expected = theirs(x)
    (its_slope,) = torch.autograd.grad(expected.sum(), x)
    torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(slope, its_slope, rtol=1e-12, atol=1e-14)


def test_gradients_of_value_slope_and_both_are_right(
    pair: tuple[Bend, Callable[[Tensor], Tensor]],
) -> None:
    x = points()[::7].detach().requires_grad_()
    ours = pair[0]
    assert torch.autograd.gradcheck(lambda t: ours(t)[0], x)
    assert torch.autograd.gradcheck(lambda t: ours(t)[1], x)
    assert torch.autograd.gradcheck(ours, x)
