"""Index tables that change during training (the rule `online`, docs/method.md)."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
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
        # The tables at the start and after each change. Split k, from 1, has `steps_k` (N,), and
        # `kept_k` (N, C, H, W / 8), uint8: what stays of the split's input from that step on, as
        # bits along the width, which equals the height.
        self.history: dict[str, Tensor] = {}
        for number, split in enumerate(self._splits, start=1):
            self._add_to_history(number, 0, _read_kept(split))

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
            self._add_to_history(turn + 1, step, kept)
            for later in range(turn, len(self._splits)):
                self._sums[later].zero_()
                self._images[later] = 0
        return turn + 1, changed / (values.size // 4)

    def state(self) -> dict[str, Any]:
        """Return the running maps and the history; the tables are in the flow's own state."""
        return {"sums": self._sums, "images": self._images, "history": dict(self.history)}

    def restore(self, state: dict[str, Any]) -> None:
        """Set what `state` returned. The flow must have its tables of that step already."""
        for sums, stored in zip(self._sums, state["sums"], strict=True):
            sums.copy_(stored)
        self._images = list(state["images"])
        self.history = {name: tensor.cpu() for name, tensor in state["history"].items()}

    def _add_to_history(self, number: int, step: int, kept: NDArray[np.bool_]) -> None:
        bits = torch.from_numpy(np.packbits(kept, axis=-1))
        for name, value in (("steps", torch.tensor(step)), ("kept", bits)):
            key = f"{name}_{number}"
            earlier = [self.history[key]] if key in self.history else []
            self.history[key] = torch.cat([*earlier, value[None]])


def _read_kept(split: Split) -> NDArray[np.bool_]:
    """Return which dimensions of a split's input stay, (C, H, W)."""
    kept = np.zeros(math.prod(split.input_shape), dtype=bool)
    kept[split.table.kept.ravel()] = True
    return kept.reshape(split.input_shape)


@dataclass(frozen=True)
class SplitHistory:
    """The tables of a split, at the start and after each change."""

    steps: list[int]
    kept: NDArray[np.bool_]  # (N, C, H, W), what stays of the split's input from each step on

    @property
    def changed(self) -> NDArray[np.bool_]:
        """The windows that changed at each step after the first, (N - 1, C, H / 2, W / 2)."""
        count, c, h, w = self.kept.shape
        differ = self.kept[1:] != self.kept[:-1]
        return np.asarray(differ.reshape(count - 1, c, h // 2, 2, w // 2, 2).any(axis=(3, 5)))

    @property
    def shares(self) -> list[float | None]:
        """The share of windows that changed at each step; None for the first."""
        return [None, *(float(changed.mean()) for changed in self.changed)]


def read_history(content: bytes) -> list[SplitHistory]:
    """Read a file of `OnlineTables.history`, by split. Raises ValueError for any other file."""
    try:
        history = safetensors.torch.load(content)
        return [
            _read_split(history[f"steps_{k}"].numpy(), history[f"kept_{k}"].numpy())
            for k in range(1, max(2, len(history) // 2 + 1))
        ]
    except (SafetensorError, KeyError, TypeError) as error:
        raise ValueError(f"no history of tables: {error}") from None


def _read_split(steps: NDArray[Any], bits: NDArray[Any]) -> SplitHistory:
    rising = steps.dtype == np.int64 and steps.ndim == 1 and (np.diff(steps) > 0).all()
    count, channels, side, _ = bits.shape if bits.ndim == 4 else (0, 0, 0, 0)
    fits = bits.dtype == np.uint8 and bits.shape == (len(steps), channels, side, -(-side // 8))
    if not (rising and fits and count and channels and side and side % 2 == 0):
        raise ValueError("no history of tables: its arrays do not fit together")
    kept = np.unpackbits(bits, axis=-1, count=side).astype(bool)
    return SplitHistory([int(step) for step in steps], kept)


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
