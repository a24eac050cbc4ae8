"""Index tables that change while a flow is trained (`online`, docs/method.md)."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lcma.models import Flow
from lcma.models.factorization import ranks, table_from_mask, windows
from lcma.models.split import Split
from lcma.sweeps.recipe import OnlineOptions


class OnlineTables:
    """The tables of a flow in training, and the running maps that decide how they change.

    The map of a split is a mean over all images since the last change at it or at an earlier one.
    Splits are looked at in turn. At each look, of the windows in which other two dimensions
    would stay, those with the largest gain change, up to a share of all windows.
    """

    def __init__(self, flow: Flow, options: OnlineOptions, steps: int) -> None:
        self.options = options
        self._last = math.floor((1 - options.freeze) * steps)
        self._splits = [layer for layer in flow.layers if isinstance(layer, Split)]
        self._sums = [
            torch.zeros(one.input_shape, dtype=torch.float64, device=one.index.device)
            for one in self._splits
        ]
        self._images = [0 for _ in self._splits]

    def add(self, at_splits: list[Tensor], images: int) -> None:
        """Add a batch: the log-determinants at each split, summed over its images."""
        for split, summed in enumerate(at_splits):
            self._sums[split] += summed
            self._images[split] += images

    def change(self, step: int) -> tuple[int, float] | None:
        """Look at the table whose turn it is after a step; None if it is no table's.

        Returns:
            The split, from 1, and the share of its windows that were changed.
        """
        if step % self.options.every or not 0 < step <= self._last:
            return None
        turn = (step // self.options.every - 1) % len(self._splits)
        split = self._splits[turn]
        values = (self._sums[turn] / max(1, self._images[turn])).cpu().numpy()
        kept = np.zeros(values.size, dtype=bool)
        kept[split.table.kept.ravel()] = True
        found, changed = improve_windows(kept.reshape(values.shape), values, self.options.share)
        if changed:
            split.set_table(table_from_mask(found))
            for later in range(turn, len(self._splits)):
                self._sums[later].zero_()
                self._images[later] = 0
        return turn + 1, changed / (values.size // 4)

    def state(self) -> dict[str, Any]:
        """Return the running maps; the tables are in the flow's own state."""
        return {"sums": self._sums, "images": self._images}

    def restore(self, state: dict[str, Any]) -> None:
        """Set what `state` returned."""
        for own, stored in zip(self._sums, state["sums"], strict=True):
            own.copy_(stored)
        self._images = list(state["images"])


def improve_windows(
    kept: NDArray[np.bool_], values: NDArray[np.float64], share: float
) -> tuple[NDArray[np.bool_], int]:
    """Return what stays once some windows keep their two highest values, and how many changed.

    Of the windows that would change those with the largest gain do, the earlier ones of equal gain,
    up to a share of all windows and at least one. ``kept`` and ``values`` are (C, H, W).
    """
    c, h, w = kept.shape
    inside, stays = windows(values).reshape(-1, 4), windows(kept).reshape(-1, 4)
    best = np.zeros_like(stays)
    np.put_along_axis(best, ranks(values)[..., :2].reshape(-1, 2), True, axis=1)
    gain = (inside * best).sum(1) - (inside * stays).sum(1)
    differ = np.flatnonzero((best != stays).any(1))
    most = max(1, math.floor(share * len(stays)))
    chosen = differ[np.argsort(-gain[differ], kind="stable")[:most]]
    found = stays.copy()
    found[chosen] = best[chosen]
    grid = found.reshape(c, h // 2, w // 2, 2, 2).transpose(0, 1, 3, 2, 4)
    return grid.reshape(c, h, w), len(chosen)
