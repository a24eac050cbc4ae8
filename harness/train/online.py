"""Index tables that change during training (the rule `online`, docs/method.md)."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lcma.models import Flow
from lcma.models.factorization import rank_windows, table_from_mask, windows
from lcma.models.split import Split
from lcma.sweeps.recipe import OnlineOptions


class OnlineTables:
    """The tables of a flow in training, and the running maps that decide how they change.

    The map of a split is a mean over all images since the last change at this or an earlier split.
    The splits take turns. A window is a candidate if its map would keep two other dimensions; the
    candidates with the largest gain change, up to a share of all windows.
    """

    def __init__(self, flow: Flow, options: OnlineOptions, steps: int) -> None:
        self.options = options
        self._last_step = _round_down((1 - options.freeze) * steps)
        self._splits = [layer for layer in flow.layers if isinstance(layer, Split)]
        self._sums = [
            torch.zeros(split.input_shape, dtype=torch.float64, device=split.index.device)
            for split in self._splits
        ]
        self._images = [0 for _ in self._splits]

    def add(self, at_splits: list[Tensor], images: int) -> None:
        """Add a batch: the log-determinants at each split, summed over its images."""
        for split, log_dets in enumerate(at_splits):
            self._sums[split] += log_dets
            self._images[split] += images

    def change(self, step: int) -> tuple[int, float] | None:
        """Update the table whose turn it is after a step; None if no table has its turn.

        Returns:
            The split, from 1, and the share of its windows that changed.
        """
        if step % self.options.every or not 0 < step <= self._last_step:
            return None
        turn = (step // self.options.every - 1) % len(self._splits)
        split = self._splits[turn]
        values = (self._sums[turn] / max(1, self._images[turn])).cpu().numpy()
        kept, changed = improve_windows(_read_kept(split), values, self.options.share)
        if changed:
            split.set_table(table_from_mask(kept))
            for later in range(turn, len(self._splits)):
                self._sums[later].zero_()
                self._images[later] = 0
        return turn + 1, changed / (values.size // 4)

    def state(self) -> dict[str, Any]:
        """Return the running maps; the tables are in the flow's own state."""
        return {"sums": self._sums, "images": self._images}

    def restore(self, state: dict[str, Any]) -> None:
        """Set what `state` returned. The flow must have its tables of that step already."""
        for sums, stored in zip(self._sums, state["sums"], strict=True):
            sums.copy_(stored)
        self._images = list(state["images"])


def _read_kept(split: Split) -> NDArray[np.bool_]:
    """Return which dimensions of a split's input stay, (C, H, W)."""
    kept = np.zeros(math.prod(split.input_shape), dtype=bool)
    kept[split.table.kept.ravel()] = True
    return kept.reshape(split.input_shape)


def improve_windows(
    kept: NDArray[np.bool_], values: NDArray[np.float64], share: float
) -> tuple[NDArray[np.bool_], int]:
    """Let the windows that gain most keep their two highest values.

    At most a share of all windows changes, and at least one if any would. Of windows with equal
    gain the earlier ones change.

    Args:
        kept: Which dimensions stay, (C, H, W).
        values: The map, (C, H, W).
        share: Of the windows, 0 to 1.

    Returns:
        Which dimensions stay then, and the number of windows that changed.
    """
    c, h, w = kept.shape
    map_windows, stays = windows(values).reshape(-1, 4), windows(kept).reshape(-1, 4)
    best = np.zeros_like(stays)
    np.put_along_axis(best, rank_windows(values)[..., :2].reshape(-1, 2), True, axis=1)
    gain = (map_windows * best).sum(1) - (map_windows * stays).sum(1)
    differ = np.flatnonzero((best != stays).any(1))
    limit = max(1, _round_down(share * len(stays)))
    chosen = differ[np.argsort(-gain[differ], kind="stable")[:limit]]
    improved = stays.copy()
    improved[chosen] = best[chosen]
    grid = improved.reshape(c, h // 2, w // 2, 2, 2).transpose(0, 1, 3, 2, 4)
    return grid.reshape(c, h, w), len(chosen)


def _round_down(number: float) -> int:
    # 0.1 * 1000 computed as (1 - 0.9) * 1000 is 99.99999999999997.
    return math.floor(round(number, 6))
