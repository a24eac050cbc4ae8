"""Nonlinearities that return their slopes too, for vector-Jacobian products.

A power series takes many products at one point. PyTorch's backward of SiLU would compute the slope,
with its exponential, again for each of them.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


class _Silu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        sigmoid = x.sigmoid()
        y = x * sigmoid
        ctx.save_for_backward(y, sigmoid)
        ctx.set_materialize_grads(False)
        return y, torch.addcmul(sigmoid, y, 1 - sigmoid)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor | None, grad_slope: Tensor | None) -> Tensor | None:
        y, sigmoid = ctx.saved_tensors
        rest = 1 - sigmoid
        slope = torch.addcmul(sigmoid, y, rest)
        gradient = None if grad_y is None else grad_y * slope
        if grad_slope is not None:
            # The derivative of the slope is rest (sigmoid + slope - y sigmoid).
            curvature = slope.add_(sigmoid).addcmul_(y, sigmoid, value=-1).mul_(rest)
            part = curvature.mul_(grad_slope)
            gradient = part if gradient is None else gradient.add_(part)
        return gradient


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
    def backward(ctx: Any, grad_y: Tensor | None, grad_slope: Tensor | None) -> Tensor | None:
        (y,) = ctx.saved_tensors
        slope = 1 + y.clamp(max=0)
        gradient = None if grad_y is None else grad_y * slope
        if grad_slope is not None:
            part = grad_slope * slope * (y < 0)
            gradient = part if gradient is None else gradient.add_(part)
        return gradient


def silu(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return x sigmoid(x) and its slope, both of the shape of x and differentiable once."""
    y, slope = _Silu.apply(x)  # type: ignore[no-untyped-call]
    return y, slope


def elu(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return ELU(x) and its slope, both of the shape of x and differentiable once."""
    y, slope = _Elu.apply(x)  # type: ignore[no-untyped-call]
    return y, slope


def lipswish_gains(sharpness: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gains (before, after) with which LipSwish(x) = after * silu(before * x).

    LipSwish is x sigmoid(softplus(b) x) / 1.1 with the ``sharpness`` b (Chen et al. 2019, section
    4). Its slope is at most 0.99986 for every b. The gains can be folded into the linear maps
    around it.
    """
    before = F.softplus(sharpness)
    return before, 1 / (1.1 * before)
