"""Batches of a training and their augmentation. Their order follows from seed and step alone."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lcma.harness.seeds import derive_seed
from lcma.sweeps.recipe import Optimization

RESIDENT_SHARE = 0.5
"""Share of a GPU's free memory that a part's images may take; the flow has the rest."""

ReadBatch = Callable[[int], Tensor]
"""A function that returns the images of a step on their device."""


class BatchOrder:
    """The image indices of each step: permutations of the whole part, one after another."""

    def __init__(self, count: int, batch: int, seed: int) -> None:
        self.count, self.batch, self.seed = count, batch, seed
        self.permutation = lru_cache(maxsize=2)(self._permute)

    def _permute(self, epoch: int) -> NDArray[np.int64]:
        # RandomState and not Generator: NumPy promises that its streams never change.
        words = derive_seed(self.seed, "order", epoch)
        state = np.random.RandomState([words & 0xFFFFFFFF, words >> 32])
        return state.permutation(self.count)

    def indices(self, step: int) -> NDArray[np.int64]:
        """Return the image indices (batch,) of a step, counted from 0."""
        return np.concatenate([self.permutation(epoch)[part] for epoch, part in self.parts(step)])

    def parts(self, step: int) -> Iterator[tuple[int, slice]]:
        """Yield each epoch of a step's images, with their slice of its permutation."""
        position, end = step * self.batch, (step + 1) * self.batch
        while position < end:
            epoch, first = divmod(position, self.count)
            last = min(self.count, first + end - position)
            yield epoch, slice(first, last)
            position += last - first


class Images:
    """Images (N, C, H, W) of one part, uint8 or float32, for the device that uses them.

    A CPU reads each batch from the array, a memory map. A GPU holds the whole part if it fits;
    otherwise each batch is gathered into pinned memory and copied.
    """

    def __init__(self, array: NDArray[Any], device: torch.device) -> None:
        self.device = device
        self._array = array
        self._resident: Tensor | None = None
        if device.type != "cpu":
            free, _ = torch.cuda.mem_get_info(device)
            if array.nbytes <= RESIDENT_SHARE * free:
                self._resident = _copy_to_device(array, device)

    def __len__(self) -> int:
        return len(self._array)

    @property
    def are_resident(self) -> bool:
        """True if a GPU holds the whole part."""
        return self._resident is not None

    def gather(self, indices: NDArray[np.int64]) -> Tensor:
        """Return the images at ``indices`` (n,) as a tensor (n, C, H, W) of their own type."""
        if self._resident is not None:
            return self.select(torch.from_numpy(indices).to(self.device))
        if self.device.type == "cpu":
            return torch.from_numpy(self._array[indices])
        shape = (len(indices), *self._array.shape[1:])
        dtype = torch.from_numpy(self._array[:0]).dtype
        # PyTorch's allocator hands this memory out again only when the copy from it is done.
        pinned = torch.empty(shape, dtype=dtype, pin_memory=True)
        np.take(self._array, indices, axis=0, out=pinned.numpy(), mode="clip")
        return pinned.to(self.device, non_blocking=True)

    def select(self, indices: Tensor) -> Tensor:
        """Return the images at ``indices`` (n,) on the device that holds all of them."""
        assert self._resident is not None
        return self._resident[indices]


class _ResidentBatches:
    """Batches of images that the GPU holds, and their order too: a step copies nothing, except the
    first one of an epoch."""

    def __init__(self, images: Images, order: BatchOrder) -> None:
        self._images, self._order = images, order
        self._permutation = lru_cache(maxsize=2)(self._copy_permutation)

    def _copy_permutation(self, epoch: int) -> Tensor:
        pinned = torch.from_numpy(self._order.permutation(epoch)).pin_memory()
        return pinned.to(self._images.device, non_blocking=True)

    def read(self, step: int) -> Tensor:
        parts = [self._permutation(epoch)[part] for epoch, part in self._order.parts(step)]
        return self._images.select(parts[0] if len(parts) == 1 else torch.cat(parts))


def make_batch_reader(images: Images, order: BatchOrder) -> ReadBatch:
    """Return what reads the batches of an order in the way that is fastest for the images."""
    if images.are_resident:
        return _ResidentBatches(images, order).read
    return lambda step: images.gather(order.indices(step))


def _copy_to_device(array: NDArray[Any], device: torch.device) -> Tensor:
    """Copy an array to the device in pieces, so that the host never holds it whole."""
    dtype = torch.from_numpy(array[:0]).dtype
    resident = torch.empty(array.shape, dtype=dtype, device=device)
    rows = max(1, 2**26 // max(1, array[:1].nbytes))
    for start in range(0, len(array), rows):
        resident[start : start + rows] = torch.from_numpy(np.array(array[start : start + rows]))
    return resident


def augment(x: Tensor, optimization: Optimization, generator: torch.Generator) -> Tensor:
    """Flip and shift images (B, C, H, W) as the recipe says, each image by a draw of its own."""
    if optimization.flips:
        flip = torch.rand(len(x), generator=generator, device=x.device) < 0.5
        x = torch.where(flip.view(-1, 1, 1, 1), x.flip(3), x)
    if optimization.shift:
        x = _shift(x, optimization.shift, optimization.shift_fill, generator)
    return x


def _shift(x: Tensor, limit: int, fill: str, generator: torch.Generator) -> Tensor:
    batch, _, height, width = x.shape
    offsets = torch.randint(
        -limit, limit + 1, (batch, 2), generator=generator, device=x.device
    ).unsqueeze(2)
    rows = offsets[:, 0] + _arange(height, x.device)
    columns = offsets[:, 1] + _arange(width, x.device)
    outside = _is_outside(rows, height)[:, :, None] | _is_outside(columns, width)[:, None, :]
    images = _arange(batch, x.device)[:, None, None]
    source_rows = _move_inside(rows, height, fill)
    source_columns = _move_inside(columns, width, fill)
    shifted = x.permute(0, 2, 3, 1)[images, source_rows[:, :, None], source_columns[:, None, :]]
    shifted = shifted.permute(0, 3, 1, 2)
    return shifted.masked_fill(outside[:, None], 0) if fill == "zero" else shifted


@lru_cache(maxsize=64)
def _arange(size: int, device: torch.device) -> Tensor:
    return torch.arange(size, device=device)


def _is_outside(positions: Tensor, size: int) -> Tensor:
    return (positions < 0) | (positions >= size)


def _move_inside(positions: Tensor, size: int, fill: str) -> Tensor:
    """Map positions outside 0 .. size - 1 to those that fill them: mirrored, or the nearest."""
    if fill == "symmetric":
        mirrored = positions.remainder(2 * size)
        return torch.minimum(mirrored, 2 * size - 1 - mirrored)
    return positions.clamp(0, size - 1)
