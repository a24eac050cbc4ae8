"""Nonlinearities with their slopes, from which vector-Jacobian products are made.

PyTorch's own backward of SiLU computes the slope anew, exponential included, for each product; a
power series takes many at one point.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


class _Silu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        share = x.sigmoid()
        y = x * share
        ctx.save_for_backward(y, share)
        ctx.set_materialize_grads(False)
        return y, torch.addcmul(share, y, 1 - share)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_y: Tensor | None, of_slope: Tensor | None) -> Tensor | None:
        y, share = ctx.saved_tensors
        rest = 1 - share
        slope = torch.addcmul(share, y, rest)
        found = None if of_y is None else of_y * slope
        if of_slope is not None:
            # The slope's own: rest (share + slope - y share).
            curvature = slope.add_(share).addcmul_(y, share, value=-1).mul_(rest)
            bent = curvature.mul_(of_slope)
            found = bent if found is None else found.add_(bent)
        return found


class _Elu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        y = F.elu(x)
        slope = 1 + y.clamp(max=0)
        ctx.save_for_backward(y)
        ctx.set_materialize_grads(False)
        return y, slope

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_y: Tensor | None, of_slope: Tensor | None) -> Tensor | None:
        (y,) = ctx.saved_tensors
        slope = 1 + y.clamp(max=0)
        found = None if of_y is None else of_y * slope
        if of_slope is not None:
            bent = of_slope * slope * (y < 0)
            found = bent if found is None else found.add_(bent)
        return found


def silu(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return x sigmoid(x) and its slope, of x's shape; both can be differentiated once."""
    y, slope = _Silu.apply(x)  # type: ignore[no-untyped-call]
    return y, slope


def elu(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return max(x, exp(x) - 1) and its slope, of x's shape; both can be differentiated once."""
    y, slope = _Elu.apply(x)  # type: ignore[no-untyped-call]
    return y, slope


def lipswish_gains(sharpness: Tensor) -> tuple[Tensor, Tensor]:
    """Return (before, after) with LipSwish(x) = after * silu(before * x) for a ``sharpness`` b.

    LipSwish is x sigmoid(softplus(b) x) / 1.1 (Chen et al. 2019, section 4); its slope is at most
    0.99986 for every b. The two gains can be folded into the maps around it.
    """
    before = F.softplus(sharpness)
    return before, 1 / (1.1 * before)
