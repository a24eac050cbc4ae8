"""Batches of a prepared part, in an order that depends on seed and step alone, and their random
changes."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lcma.harness.seeds import derive_seed
from lcma.sweeps.recipe import Optimization

RESIDENT_SHARE = 0.5
"""Share of the GPU's free memory that a part may take; the flow has the rest."""

AHEAD = 4
"""Batches sent ahead to a GPU while one is processed."""


class BatchOrder:
    """The order of images by step: permutation after permutation of the whole part."""

    def __init__(self, count: int, batch: int, seed: int) -> None:
        self.count, self.batch, self.seed = count, batch, seed
        self.permutation = lru_cache(maxsize=2)(self._permute)

    def _permute(self, epoch: int) -> NDArray[np.int64]:
        # RandomState and not Generator: NumPy promises that its streams never change.
        words = derive_seed(self.seed, "order", epoch)
        state = np.random.RandomState([words & 0xFFFFFFFF, words >> 32])
        return state.permutation(self.count)

    def indices(self, step: int) -> NDArray[np.int64]:
        """Return the image indices (batch,) of a step counted from 0."""
        return np.concatenate([self.permutation(epoch)[part] for epoch, part in self.parts(step)])

    def parts(self, step: int) -> Iterator[tuple[int, slice]]:
        """Yield the epochs of a step's images, and which part of their permutations they are."""
        place, end = step * self.batch, (step + 1) * self.batch
        while place < end:
            epoch, first = divmod(place, self.count)
            last = min(self.count, first + end - place)
            yield epoch, slice(first, last)
            place += last - first


class Images:
    """Images (N, C, H, W) of one part, uint8 or float32, for the device that uses them.

    On a CPU each batch is read from the array, a memory map. On a GPU the whole part is held there
    if it fits; else each batch is gathered into pinned memory and copied.
    """

    def __init__(self, array: NDArray[Any], device: torch.device) -> None:
        self.device = device
        self._array = array
        self._resident: Tensor | None = None
        if device.type != "cpu" and fits_on_device(array.nbytes, _free_memory(device)):
            self._resident = _moved(array, device)

    def __len__(self) -> int:
        return len(self._array)

    @property
    def travel(self) -> bool:
        """True if each batch is copied to the device, so that it pays to send some ahead."""
        return self.device.type != "cpu" and self._resident is None

    def gather(self, indices: NDArray[np.int64]) -> Tensor:
        """Return the images at ``indices`` (n,) as a tensor (n, C, H, W) of their own type."""
        if self._resident is not None:
            return self.select(torch.from_numpy(indices).to(self.device))
        if self.travel:
            return self.pinned(indices).to(self.device, non_blocking=True)
        return torch.from_numpy(self._array[indices])

    def select(self, indices: Tensor) -> Tensor:
        """Return the images at ``indices`` (n,) on the device that holds all of them."""
        assert self._resident is not None
        return self._resident[indices]

    def pinned(self, indices: NDArray[np.int64]) -> Tensor:
        """Return the same in pinned memory of the host, from which a GPU copies by itself.

        PyTorch's allocator hands such memory out again only when the copy from it is done.
        """
        shape = (len(indices), *self._array.shape[1:])
        dtype = torch.from_numpy(self._array[:0]).dtype
        pinned = torch.empty(shape, dtype=dtype, pin_memory=True)
        np.take(self._array, indices, axis=0, out=pinned.numpy(), mode="clip")
        return pinned


class Feed(Protocol):
    """Batches of a training, step by step."""

    def batch(self, step: int) -> Tensor:
        """Return the images of a step on their device."""


@dataclass
class _Direct:
    images: Images
    order: BatchOrder

    def batch(self, step: int) -> Tensor:
        return self.images.gather(self.order.indices(step))


class _OnDevice:
    # The order of an epoch lies there too: but for its first one, no step copies anything.

    def __init__(self, images: Images, order: BatchOrder) -> None:
        self._images, self._order = images, order
        self._permutation = lru_cache(maxsize=2)(self._move)

    def _move(self, epoch: int) -> Tensor:
        pinned = torch.from_numpy(self._order.permutation(epoch)).pin_memory()
        return pinned.to(self._images.device, non_blocking=True)

    def batch(self, step: int) -> Tensor:
        parts = [self._permutation(epoch)[part] for epoch, part in self._order.parts(step)]
        return self._images.select(parts[0] if len(parts) == 1 else torch.cat(parts))


class _Ahead:
    # Gathers the next batches in a thread and copies them on a stream of their own.

    def __init__(self, images: Images, order: BatchOrder) -> None:
        self._images, self._order = images, order
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="images")
        self._stream = torch.cuda.Stream(images.device)  # type: ignore[no-untyped-call]
        self._sent: deque[tuple[int, Future[tuple[Tensor, torch.cuda.Event]]]] = deque()

    def batch(self, step: int) -> Tensor:
        if not self._sent or self._sent[0][0] != step:
            self._sent.clear()
        first = self._sent[-1][0] + 1 if self._sent else step
        for coming in range(first, step + 1 + AHEAD):
            self._sent.append((coming, self._thread.submit(self._send, coming)))
        batch, there = self._sent.popleft()[1].result()
        stream = torch.cuda.current_stream(self._images.device)
        stream.wait_event(there)
        batch.record_stream(stream)
        return batch

    def _send(self, step: int) -> tuple[Tensor, torch.cuda.Event]:
        pinned = self._images.pinned(self._order.indices(step))
        with torch.cuda.stream(self._stream):
            batch = pinned.to(self._images.device, non_blocking=True)
            there = torch.cuda.Event()  # type: ignore[no-untyped-call]
            there.record(self._stream)
        return batch, there


def make_feed(images: Images, order: BatchOrder) -> Feed:
    """Return the batches of an order, sent ahead if they travel; the images are the same."""
    if images.device.type == "cpu":
        return _Direct(images, order)
    return _Ahead(images, order) if images.travel else _OnDevice(images, order)


def fits_on_device(nbytes: int, free: int) -> bool:
    """Return whether so many bytes of images may stay on a GPU with so many free bytes."""
    return nbytes <= RESIDENT_SHARE * free


def _free_memory(device: torch.device) -> int:
    return torch.cuda.mem_get_info(device)[0]


def _moved(array: NDArray[Any], device: torch.device) -> Tensor:
    """Copy an array to the device in pieces, so that the host never holds it whole."""
    some = torch.from_numpy(array[:0])
    there = torch.empty(array.shape, dtype=some.dtype, device=device)
    rows = max(1, 2**26 // max(1, array[:1].nbytes))
    for start in range(0, len(array), rows):
        there[start : start + rows] = torch.from_numpy(np.array(array[start : start + rows]))
    return there


def augment(x: Tensor, optimization: Optimization, generator: torch.Generator) -> Tensor:
    """Flip and shift images (B, C, H, W) as the recipe says, each image by a draw of its own."""
    if optimization.flips:
        flip = torch.rand(len(x), generator=generator, device=x.device) < 0.5
        x = torch.where(flip.view(-1, 1, 1, 1), x.flip(3), x)
    if optimization.shift:
        x = _shifted(x, optimization.shift, optimization.shift_fill, generator)
    return x


def _shifted(x: Tensor, most: int, fill: str, generator: torch.Generator) -> Tensor:
    batch, _, height, width = x.shape
    offsets = torch.randint(
        -most, most + 1, (batch, 2), generator=generator, device=x.device
    ).unsqueeze(2)
    rows = offsets[:, 0] + _arange(height, x.device)
    columns = offsets[:, 1] + _arange(width, x.device)
    outside = _outside(rows, height)[:, :, None] | _outside(columns, width)[:, None, :]
    images = _arange(batch, x.device)[:, None, None]
    inner_rows, inner_columns = _inside(rows, height, fill), _inside(columns, width, fill)
    moved = x.permute(0, 2, 3, 1)[images, inner_rows[:, :, None], inner_columns[:, None, :]]
    moved = moved.permute(0, 3, 1, 2)
    return moved.masked_fill(outside[:, None], 0) if fill == "zero" else moved


@lru_cache(maxsize=64)
def _arange(size: int, device: torch.device) -> Tensor:
    return torch.arange(size, device=device)


def _outside(places: Tensor, size: int) -> Tensor:
    return (places < 0) | (places >= size)


def _inside(places: Tensor, size: int, fill: str) -> Tensor:
    """Return the source of each place; those outside 0 .. size - 1 are mapped into it."""
    if fill == "symmetric":
        around = places.remainder(2 * size)
        return torch.minimum(around, 2 * size - 1 - around)
    return places.clamp(0, size - 1)
