"""The split: a fixed permutation cut in two. Every factorization is this layer."""

from typing import Any

import torch
from torch import Tensor

from lcma.models.factorization import Table
from lcma.models.layers import Layer
from lcma.models.priors import Prior


class _Gather(torch.autograd.Function):
    """Select columns by a permutation; the gradient is a selection by its inverse.

    PyTorch's own gradient of index_select adds into a zero tensor, which is slower and, on
    CUDA, not deterministic.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(index, inverse)
        return x.index_select(1, index)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        index, inverse = ctx.saved_tensors
        return gather(grads[0], inverse, index), None, None


def gather(x: Tensor, index: Tensor, inverse: Tensor) -> Tensor:
    """Columns of x (B, D) in the order of ``index`` (D,), a permutation with this inverse."""
    selected: Tensor = _Gather.apply(x, index, inverse)  # type: ignore[no-untyped-call]
    return selected


class Split(Layer):
    """Half of the dimensions leave, as the table says, and get their prior here.

    x (B, C, H, W) becomes kept and left, each (B, 2C, H/2, W/2).
    """

    ends_block = True
    index: Tensor
    inverse_index: Tensor

    def __init__(self, table: Table, prior: Prior) -> None:
        super().__init__()
        self.prior = prior
        self.input_shape = table.input_shape
        self.half_shape = torch.Size(table.kept.shape)
        index = torch.from_numpy(table.permutation)
        self.register_buffer("index", index)
        self.register_buffer("inverse_index", torch.argsort(index))

    def cut(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """(kept, left) of any tensor of the input's shape."""
        moved = gather(t.flatten(1), self.index, self.inverse_index)
        kept, left = moved.chunk(2, dim=1)
        return kept.view(-1, *self.half_shape), left.view(-1, *self.half_shape)

    def join(self, kept: Tensor, left: Tensor) -> Tensor:
        """The inverse of cut."""
        moved = torch.cat([kept.flatten(1), left.flatten(1)], dim=1)
        joined = gather(moved, self.inverse_index, self.index)
        return joined.view(-1, *self.input_shape)
