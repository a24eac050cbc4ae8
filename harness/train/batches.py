"""Batches of a prepared part, in an order that depends on seed and step alone."""

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.seeds import derive


class BatchOrder:
    """Which images make up which step: permutation after permutation of the whole part."""

    def __init__(self, count: int, batch: int, seed: int) -> None:
        self.count, self.batch, self.seed = count, batch, seed
        self._epoch = lru_cache(maxsize=2)(self._permutation)

    def _permutation(self, epoch: int) -> NDArray[np.int64]:
        # RandomState and not Generator: NumPy promises that its streams never change.
        words = derive(self.seed, "order", epoch)
        state = np.random.RandomState([words & 0xFFFFFFFF, words >> 32])
        return state.permutation(self.count)

    def indices(self, step: int) -> NDArray[np.int64]:
        """Image indices (batch,) of a step counted from 0."""
        places = np.arange(step * self.batch, (step + 1) * self.batch)
        epochs, within = np.divmod(places, self.count)
        parts = [self._epoch(int(e))[within[epochs == e]] for e in np.unique(epochs)]
        return np.concatenate(parts)


class Images:
    """uint8 images (N, C, H, W) of one part, gathered on the device where they are used."""

    def __init__(self, array: NDArray[np.uint8], device: torch.device) -> None:
        self.device = device
        self._array = array
        self._resident = torch.from_numpy(np.array(array)).to(device) if _fits(device) else None

    def __len__(self) -> int:
        return len(self._array)

    def gather(self, indices: NDArray[np.int64]) -> Tensor:
        """The images at ``indices`` (n,) as a uint8 tensor (n, C, H, W)."""
        if self._resident is None:
            return torch.from_numpy(self._array[indices])
        return self._resident[torch.from_numpy(indices).to(self.device)]


def _fits(device: torch.device) -> bool:
    return device.type != "cpu"
