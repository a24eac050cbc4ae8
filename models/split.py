"""The split: a permutation that is cut in two. Factorizations differ only in its index table."""

from typing import Any

import torch
from torch import Tensor

from lcma.models.factorization import SplitTable
from lcma.models.layers import Layer
from lcma.models.priors import Prior


def _select(x: Tensor, index: Tensor) -> Tensor:
    if index.dim() == 1:
        return x.index_select(1, index)
    return x.gather(2, index.unsqueeze(1).expand_as(x))  # a stack: x (R, B, D), index (R, D)


class _Gather(torch.autograd.Function):
    """Selection of columns by a permutation, whose gradient is the selection by its inverse.

    PyTorch's own gradient of index_select adds into a tensor of zeros, which is slower and, on
    CUDA, not deterministic.
    """

    @staticmethod
    def forward(x: Tensor, index: Tensor, inverse: Tensor) -> Tensor:
        return _select(x, index)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[2])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (inverse,) = ctx.saved_tensors
        return _select(grads[0], inverse), None, None

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int, int, int], x: Tensor, index: Tensor, inverse: Tensor
    ) -> tuple[Tensor, int]:
        moved = (t.movedim(dim, 0) for t, dim in zip((x, index, inverse), in_dims, strict=True))
        return gather(*moved), 0


def gather(x: Tensor, index: Tensor, inverse: Tensor) -> Tensor:
    """Return the columns of x (B, D) in the order of the permutation ``index`` (D,).

    ``inverse`` (D,) is the inverse permutation.
    """
    selected: Tensor = _Gather.apply(x, index, inverse)  # type: ignore[no-untyped-call]
    return selected


class Split(Layer):
    """A layer at which half of the dimensions leave, by an index table.

    Args:
        table: Flat indices of the dimensions that stay and of those that leave.
        prior: Prior of the dimensions that leave, given those that stay.

    Example:
        >>> import torch
        >>> from lcma.models.factorization import make_tables
        >>> from lcma.models.priors import StandardNormal
        >>> (table,) = make_tables("rows", (1, 2, 2), 1)
        >>> split = Split(table, StandardNormal())
        >>> kept, left = split.cut(torch.arange(4.0).view(1, 1, 2, 2))
        >>> kept.flatten().tolist(), left.flatten().tolist()
        ([2.0, 3.0], [0.0, 1.0])
        >>> split.join(kept, left).flatten().tolist()
        [0.0, 1.0, 2.0, 3.0]
    """

    ends_block = True
    index: Tensor
    inverse_index: Tensor

    def __init__(self, table: SplitTable, prior: Prior) -> None:
        super().__init__()
        self.prior = prior
        self.input_shape = table.input_shape
        self.half_shape = torch.Size(table.kept.shape)
        index = torch.from_numpy(table.permutation)
        self.register_buffer("index", index)
        self.register_buffer("inverse_index", torch.argsort(index))

    @property
    def table(self) -> SplitTable:
        """The index table, copied from the buffers."""
        kept, left = self.index.cpu().numpy().copy().reshape(2, *self.half_shape)
        return SplitTable(kept, left)

    @torch.no_grad()
    def set_table(self, table: SplitTable) -> None:
        """Change the index table in place."""
        index = torch.from_numpy(table.permutation)
        self.index.copy_(index)
        self.inverse_index.copy_(torch.argsort(index))

    def cut(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Cut a tensor (B, C, H, W) into (kept, left), each (B, 2C, H/2, W/2)."""
        moved = gather(t.flatten(1), self.index, self.inverse_index)
        kept, left = moved.chunk(2, dim=1)
        return kept.view(-1, *self.half_shape), left.view(-1, *self.half_shape)

    def join(self, kept: Tensor, left: Tensor) -> Tensor:
        """Return the tensor (B, C, H, W) that `cut` cuts into ``kept`` and ``left``."""
        moved = torch.cat([kept.flatten(1), left.flatten(1)], dim=1)
        joined = gather(moved, self.inverse_index, self.index)
        return joined.view(-1, *self.input_shape)

    def extra_repr(self) -> str:
        shape = "x".join(map(str, self.half_shape))
        return f"{shape} stay, {shape} leave, {type(self.prior).__name__}"
