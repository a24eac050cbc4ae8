"""Operations that differ if a stack of flows is computed as one, by `torch.vmap`.

Layers call `draw`, `conv2d` and `weight_norm`. For a single flow these are PyTorch's own.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

_in_stack = ContextVar("in a stack", default=False)


def _is_in_stack() -> bool:
    # A compiler cannot trace a context variable, and compiled code is never in a stack.
    return not torch.compiler.is_compiling() and _in_stack.get()


@contextmanager
def in_stack() -> Iterator[None]:
    """Make the layers do what `torch.vmap` needs, within a block."""
    token = _in_stack.set(True)
    try:
        yield
    finally:
        _in_stack.reset(token)


Draw = Callable[[Tensor, torch.Generator | None], Tensor]
"""Function that draws random numbers of the shape of a tensor from a generator."""


class Noise(ABC):
    """A source of random numbers that is passed to a layer's forward in place of a generator."""

    def as_generator(self) -> torch.Generator:
        """Return this object, typed as a generator; layers only pass it on to `draw`."""
        return cast("torch.Generator", self)

    @abstractmethod
    def draw(self, function: Draw, like: Tensor) -> Tensor:
        """Return numbers of the shape of ``like`` that ``function`` draws."""


class GeneratorNoise(Noise):
    """The random numbers of one generator."""

    def __init__(self, generator: torch.Generator) -> None:
        self._generator = generator

    def draw(self, function: Draw, like: Tensor) -> Tensor:
        return function(like, self._generator)


class StackNoise(Noise):
    """The random numbers of a stack, whose row i draws from the generator ``rows[i]``.

    Rows with the same generator get the same numbers.
    """

    def __init__(self, generators: Sequence[torch.Generator], rows: Sequence[int]) -> None:
        self._generators, self._rows = generators, rows

    def draw(self, function: Draw, like: Tensor) -> Tensor:
        """Return the numbers of all rows, one after the other; ``like`` has a row for each."""
        drawn: dict[int, Tensor] = {}
        for row, index in enumerate(self._rows):
            if index not in drawn:
                drawn[index] = function(like[row], self._generators[index])
        return torch.stack([drawn[index] for index in self._rows])


class _InVmap(torch.autograd.Function):
    """A function of all rows of a stack; a subclass has the rule for `torch.vmap`."""

    @staticmethod
    def forward(*args: Any) -> Tensor:
        raise TypeError("this is for torch.vmap")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        pass


class _DrawRows(_InVmap):
    # `torch.vmap` takes no generators, so the numbers of all rows are drawn outside of it.

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], like: Tensor, function: Draw, noise: Noise
    ) -> tuple[Tensor, int]:
        with torch.no_grad():
            return noise.draw(function, like.movedim(in_dims[0], 0)), 0


def draw(function: Draw, like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw random numbers of the shape of ``like``.

    Args:
        function: Draws numbers of the shape of a tensor from a generator.
        like: A tensor of the shape that is wanted.
        generator: The argument of the layer's forward: a generator, None, or a `Noise`.
    """
    if not isinstance(generator, Noise):
        return function(like, generator)
    if not _is_in_stack():
        return generator.draw(function, like)
    numbers: Tensor = _DrawRows.apply(like, function, generator)
    return numbers


def weight_norm(direction: Tensor, magnitude: Tensor) -> Tensor:
    """Return kernels (outputs, inputs, K, K) with the lengths ``magnitude`` (outputs, 1, 1, 1)."""
    if _is_in_stack() and direction.device.type == "cpu":
        return direction * (magnitude / direction.square().sum((1, 2, 3), keepdim=True).sqrt())
    # Not torch's parametrization of this operation, which costs 4 % of a step on a CPU.
    norm = _WeightNorm.apply if _is_in_stack() else torch._weight_norm
    weight: Tensor = norm(direction, magnitude, 0)
    return weight


class _WeightNorm(_InVmap):
    # The kernels of all rows at once. On a GPU this is a fourth of the launches of the formula
    # in `weight_norm`, which stays on CPUs because its bits are those of stored results.

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], direction: Tensor, magnitude: Tensor, dim: int
    ) -> tuple[Tensor, int]:
        direction, magnitude = direction.movedim(in_dims[0], 0), magnitude.movedim(in_dims[1], 0)
        weight = torch._weight_norm(direction.flatten(0, 1), magnitude.flatten(0, 1), dim)
        return weight.view(info.batch_size, -1, *weight.shape[1:]), 0


MATRIX_PIXELS = 64
"""Pixels of an image from which a stack computes a 1x1 convolution as a product of matrices."""

GROUPED_SIZE = 2**18
"""Most numbers in a row's input or output for which a CPU convolves all rows in groups, which is
faster than one row after the other."""


def conv2d(x: Tensor, weight: Tensor, bias: Tensor | None, padding: int = 0) -> Tensor:
    """Convolve images (B, inputs, H, W) by kernels (outputs, inputs, K, K)."""
    if not _is_in_stack():
        return F.conv2d(x, weight, bias, padding=padding)
    # A stack takes the fastest of three ways. Only the shape of a row decides which, so that its
    # bits do not depend on the number of rows.
    outputs, inputs, kernel, _ = weight.shape
    batch, _, height, width = x.shape
    if kernel == 1 and height * width >= MATRIX_PIXELS:
        product = weight.view(outputs, inputs) @ x.flatten(2)
        if bias is not None:
            product = product + bias[:, None]
        return product.view(batch, outputs, height, width)
    size = batch * max(inputs, outputs) * height * width
    # Groups of channels that fill no vectors of 8 are slow at every size.
    if x.device.type == "cpu" and (inputs % 8 or outputs % 8 or size > GROUPED_SIZE):
        y: Tensor = _ConvolveRows.apply(x, weight, bias, padding)  # type: ignore[no-untyped-call]
        return y
    return F.conv2d(x, weight, bias, padding=padding)


class _ConvolveRows(_InVmap):
    """Convolutions of the rows, one after the other."""

    @staticmethod
    def vmap(
        info: Any,
        in_dims: tuple[int | None, ...],
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        padding: int,
    ) -> tuple[Tensor, int]:
        def unbind(tensor: Tensor | None, dim: int | None) -> Sequence[Any]:
            if tensor is None or dim is None:
                return [tensor] * info.batch_size
            return tensor.unbind(dim)

        rows = zip(*map(unbind, (x, weight, bias), in_dims), strict=True)
        return torch.stack([F.conv2d(i, w, b, padding=padding) for i, w, b in rows]), 0
