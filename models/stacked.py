"""What layers do otherwise where the flows of a stack are computed as one, by `torch.vmap`.

A layer calls `draw`, `conv2d` and `weight_norm`; for a flow alone they are PyTorch's own.
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
    # A compiler cannot trace a context's variable, and nothing that is compiled is in a stack.
    return not torch.compiler.is_compiling() and _in_stack.get()


@contextmanager
def in_stack() -> Iterator[None]:
    """Make the layers do what `torch.vmap` needs, for the time of a block."""
    token = _in_stack.set(True)
    try:
        yield
    finally:
        _in_stack.reset(token)


Draw = Callable[[Tensor, torch.Generator | None], Tensor]
"""Draws numbers of the shape of a tensor by a generator."""


class Noise(ABC):
    """A source of numbers in place of the generator that a layer's forward is given."""

    def as_generator(self) -> torch.Generator:
        """Return this object as what layers say they take; they pass it on to `draw` alone."""
        return cast("torch.Generator", self)

    @abstractmethod
    def draw(self, one: Draw, like: Tensor) -> Tensor:
        """Return numbers of the shape of a tensor, as ``one`` draws them."""


class GeneratorNoise(Noise):
    """The numbers of a generator."""

    def __init__(self, generator: torch.Generator) -> None:
        self._generator = generator

    def draw(self, one: Draw, like: Tensor) -> Tensor:
        return one(like, self._generator)


class StackNoise(Noise):
    """The numbers of a generator for each flow of a stack.

    ``torch.vmap`` takes no generators, so `draw` draws for each flow apart. The flow in row i gets
    the numbers of generator ``rows[i]``.
    """

    def __init__(self, generators: Sequence[torch.Generator], rows: Sequence[int]) -> None:
        self._generators, self._rows = generators, rows

    def draw(self, one: Draw, like: Tensor) -> Tensor:
        """Return the numbers of each row, in the order of the rows; ``like`` has a row for each."""
        drawn: list[Tensor | None] = [None] * len(self._generators)
        for row, index in enumerate(self._rows):
            if drawn[index] is None:
                drawn[index] = one(like[row], self._generators[index])
        return torch.stack([cast("Tensor", drawn[index]) for index in self._rows])


class _InVmap(torch.autograd.Function):
    """A function of all rows of a stack, by the rule that a subclass has for `torch.vmap`."""

    @staticmethod
    def forward(*given: Any) -> Tensor:
        raise TypeError("this is for torch.vmap")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        pass


class _Stacked(_InVmap):
    """Numbers for each row."""

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], like: Tensor, one: Draw, noise: Noise
    ) -> tuple[Tensor, int]:
        with torch.no_grad():
            return noise.draw(one, like.movedim(in_dims[0], 0)), 0


def draw(one: Draw, like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw numbers with ``one``, by a generator or what stands for one.

    Args:
        one: Draws numbers of the shape of a tensor by a generator.
        like: What the numbers are for.
        generator: As a layer's forward was given it.
    """
    if not isinstance(generator, Noise):
        return one(like, generator)
    if not _is_in_stack():
        return generator.draw(one, like)
    stacked: Tensor = _Stacked.apply(like, one, generator)
    return stacked


def weight_norm(direction: Tensor, magnitude: Tensor) -> Tensor:
    """Return kernels (outputs, inputs, K, K) with the lengths ``magnitude`` (outputs, 1, 1, 1)."""
    if _is_in_stack() and direction.device.type == "cpu":
        return direction * (magnitude / direction.square().sum((1, 2, 3), keepdim=True).sqrt())
    # The operation behind torch's parametrization, whose machinery is 4 % of a step on a CPU.
    norm = _WeightNorm.apply if _is_in_stack() else torch._weight_norm
    weight: Tensor = norm(direction, magnitude, 0)
    return weight


class _WeightNorm(_InVmap):
    """Kernels of all rows at once: on a GPU in a fourth of the launches of what is written out,
    whose bits the stacks of CPUs have."""

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], direction: Tensor, magnitude: Tensor, dim: int
    ) -> tuple[Tensor, int]:
        direction, magnitude = direction.movedim(in_dims[0], 0), magnitude.movedim(in_dims[1], 0)
        weight = torch._weight_norm(direction.flatten(0, 1), magnitude.flatten(0, 1), dim)
        return weight.view(info.batch_size, -1, *weight.shape[1:]), 0


MATRIX_PLACES = 64
"""Places of an image from which on a stack's 1x1 convolution is a product of matrices."""

GROUPED_SIZE = 2**18
"""Numbers in a row's input or output up to which convolving all rows in groups is faster than one
after the other, on a CPU; with numbers of channels that fill no vectors it never is."""


def conv2d(x: Tensor, weight: Tensor, bias: Tensor | None, padding: int = 0) -> Tensor:
    """Convolve images (B, inputs, H, W) by kernels (outputs, inputs, K, K).

    In a stack the fastest of three ways is taken, by the shape of a row alone, so that its bits do
    not depend on the number of rows.
    """
    if not _is_in_stack():
        return F.conv2d(x, weight, bias, padding=padding)
    outputs, inputs, kernel, _ = weight.shape
    batch, _, height, width = x.shape
    if kernel == 1 and height * width >= MATRIX_PLACES:
        found = weight.view(outputs, inputs) @ x.flatten(2)
        if bias is not None:
            found = found + bias[:, None]
        return found.view(batch, outputs, height, width)
    size = batch * max(inputs, outputs) * height * width
    if x.device.type == "cpu" and (inputs % 8 or outputs % 8 or size > GROUPED_SIZE):
        in_turn: Tensor = _InTurn.apply(x, weight, bias, padding)  # type: ignore[no-untyped-call]
        return in_turn
    return F.conv2d(x, weight, bias, padding=padding)


class _InTurn(_InVmap):
    """Convolutions of the rows one after the other."""

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

        own = zip(*map(unbind, (x, weight, bias), in_dims), strict=True)
        return torch.stack([F.conv2d(i, w, b, padding=padding) for i, w, b in own]), 0
