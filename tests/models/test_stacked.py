"""Convolutions in a stack: three ways with one result, chosen by the shape of a row."""

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lcma.models.stacked import _WeightNorm, conv2d, in_stack, weight_norm

ROWS = 5
SHAPES = {
    "as a product of matrices": (8, 8, 1, 16),
    "as one with groups": (8, 16, 3, 4),
    "one with groups, few places": (8, 8, 1, 2),
    "in turn, few channels": (3, 8, 3, 4),
    "in turn, much": (8, 72, 3, 32),
}
"""Inputs, outputs, sides of the kernel and of the image."""


def rows(inputs: int, outputs: int, kernel: int, side: int, bias: bool) -> Iterator[list[Tensor]]:
    """Yield images, kernels and, if wanted, a bias."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(4, inputs, side, side), (outputs, inputs, kernel, kernel), (outputs,)]
    for _ in range(ROWS):
        row = [torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes]
        yield row[: 2 + bias]


def with_gradients(y: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    return [y, *torch.autograd.grad(y.square().sum(), inputs)]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("way", SHAPES)
def test_every_row_is_its_own_convolution(way: str, bias: bool) -> None:
    """Values and gradients."""
    inputs, outputs, kernel, side = SHAPES[way]
    single = list(rows(inputs, outputs, kernel, side, bias))
    stacked = [torch.stack(parts).requires_grad_() for parts in zip(*single, strict=True)]

    def convolve(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return conv2d(x, weight, bias, padding=kernel // 2)

    with in_stack():
        results = with_gradients(torch.vmap(convolve)(*stacked), stacked)
    for row, parts in enumerate(single):
        parts = [part.requires_grad_() for part in parts]
        expected = with_gradients(F.conv2d(*parts, padding=kernel // 2), parts)
        for result, wanted in zip(results, expected, strict=True):
            torch.testing.assert_close(result[row], wanted, rtol=1e-9, atol=1e-9)


def test_every_row_has_kernels_of_its_own_lengths() -> None:
    """By the formula, and by the operation that stacks call on a GPU."""
    generator = torch.Generator().manual_seed(0)
    shapes = (ROWS, 8, 3, 3, 3), (ROWS, 8, 1, 1, 1)
    stacked = [torch.rand(s, generator=generator).add(0.1).requires_grad_() for s in shapes]
    single = torch.stack([weight_norm(*row) for row in zip(*stacked, strict=True)])
    expected = with_gradients(single, stacked)
    for function in (weight_norm, lambda v, g: _WeightNorm.apply(v, g, 0)):
        with in_stack():
            results = with_gradients(torch.vmap(function)(*stacked), stacked)
        torch.testing.assert_close(results, expected)
