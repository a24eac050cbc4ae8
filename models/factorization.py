"""Which half of the dimensions leaves at each split: index tables for every factorization.

Windows are 2x2, positions in raster order p = 2 dr + dq. Identity of dimensions is kept by
gathering integer ids along with the data, never by arithmetic on indices of later scales.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sweeps.factorizations import is_word

Ints = NDArray[np.int64]
Shape = tuple[int, int, int]
Map = NDArray[np.floating]
Order = Literal["raster", "rank"]


@dataclass(frozen=True)
class Table:
    """Flat local indices into (C, H, W) of what stays and what leaves.

    ``kept`` and ``left`` have shape (2C, H/2, W/2) and together are a partition of
    0 .. C*H*W - 1. Channel k*C + c holds the k-th of each window's two of colour c, in raster
    order unless said otherwise, for the rules that take two of every window.
    """

    kept: Ints
    left: Ints

    @property
    def input_shape(self) -> Shape:
        c, h, w = self.kept.shape
        return (c // 2, 2 * h, 2 * w)

    @property
    def permutation(self) -> Ints:
        """Kept, then left, flattened: shape (C*H*W,)."""
        return np.concatenate([self.kept.ravel(), self.left.ravel()])


def tables(
    name: str,
    shape: Shape,
    splits: int,
    *,
    seed: int = 0,
    maps: Sequence[Map] = (),
    order: Order = "raster",
) -> list[Table]:
    """The table of each split for a canonical factorization of images of ``shape`` (C, H, W).

    ``maps`` holds for words one contribution map per split, (C, H, W) in input coordinates:
    the map of split l is read at the ids that are still there (Algorithm 1); ``order`` is that
    of a window's two dimensions inside a half. ``seed`` drives `random` and `random-local`.
    Raises ValueError where maps are missing or misshapen.
    """
    if is_word(name) and [np.shape(m) for m in maps] != [shape] * splits:
        raise ValueError(f"{name} needs {splits} maps of shape {shape}")
    ids = np.arange(np.prod(shape), dtype=np.int64).reshape(shape)
    found = []
    for split in range(splits):
        if is_word(name):
            values = np.asarray(maps[split], dtype=np.float64).ravel()[ids]
            table = from_map(values, name[split], order)
        elif name == "random":
            table = _random(ids.shape, seed, split)
        elif name == "random-local":
            table = _random_local(ids.shape, seed, split)
        else:
            table = _FIXED[name](ids.shape)
        found.append(table)
        ids = ids.ravel()[table.kept]
    return found


def surviving_ids(found: Sequence[Table], shape: Shape) -> list[Ints]:
    """Input ids present before each split and after the last, in their local layout."""
    ids = [np.arange(np.prod(shape), dtype=np.int64).reshape(shape)]
    for table in found:
        ids.append(ids[-1].ravel()[table.kept])
    return ids


def ranks(values: NDArray[np.floating]) -> Ints:
    """Window positions from the highest to the lowest value; in a tie the earlier is higher.

    values (C, H, W) -> (C, H/2, W/2, 4).
    """
    return np.argsort(-windows(values), axis=-1, kind="stable").astype(np.int64)


def from_map(values: NDArray[np.floating], letter: str, order: Order = "raster") -> Table:
    """L: the two low contributions of each window leave; H: the two high ones do (section 4).

    values: contributions of the dimensions still there, (C, H, W). Inside a half a window's two
    are in raster order, or the higher one first (``rank``).
    """
    ranked = ranks(values)
    high, low = ranked[..., :2], ranked[..., 2:]
    if order == "raster":
        high, low = np.sort(high, axis=-1), np.sort(low, axis=-1)
    kept, left = (high, low) if letter == "L" else (low, high)
    return _local(kept, left, values.shape)


def tied_windows(values: NDArray[np.floating]) -> float:
    """Share of windows in which ranks two and three have the same value, so that order decides."""
    ordered = np.sort(windows(values), axis=-1)
    return float(np.mean(ordered[..., 1] == ordered[..., 2]))


def windows(values: NDArray[Any]) -> NDArray[Any]:
    """2x2 windows of (C, H, W): (C, H/2, W/2, 4), positions in raster order."""
    c, h, w = values.shape
    grid = values.reshape(c, h // 2, 2, w // 2, 2)
    return grid.transpose(0, 1, 3, 2, 4).reshape(c, h // 2, w // 2, 4)


def _local(kept: Ints, left: Ints, shape: tuple[int, ...]) -> Table:
    """From window positions (C, H/2, W/2, 2) to a table."""
    c, h, w = shape
    index = windows(np.arange(c * h * w).reshape(shape)).astype(np.int64)

    def half(positions: Ints) -> Ints:
        picked = np.take_along_axis(index, positions, axis=-1)
        return np.moveaxis(picked, -1, 0).reshape(2 * c, h // 2, w // 2)

    return Table(half(kept), half(left))


def _positions(kept: tuple[int, int]) -> Callable[[tuple[int, ...]], Table]:
    left = tuple(p for p in range(4) if p not in kept)

    def build(shape: tuple[int, ...]) -> Table:
        c, h, w = shape
        full = (c, h // 2, w // 2, 2)
        return _local(np.broadcast_to(kept, full), np.broadcast_to(left, full), shape)

    return build


def _channel(shape: tuple[int, ...]) -> Table:
    c, h, w = shape
    index = windows(np.arange(c * h * w).reshape(shape)).astype(np.int64)
    squeezed = np.moveaxis(index, -1, 1).reshape(4 * c, h // 2, w // 2)
    return Table(squeezed[: 2 * c], squeezed[2 * c :])


_FIXED: dict[str, Callable[[tuple[int, ...]], Table]] = {
    "checkerboard-even": _positions((0, 3)),
    "checkerboard-odd": _positions((1, 2)),
    "rows": _positions((2, 3)),
    "channel": _channel,
}


def _generator(seed: int, split: int) -> np.random.RandomState:
    # RandomState and not Generator: NumPy promises that its streams never change.
    return np.random.RandomState([seed, split])


def _random(shape: tuple[int, ...], seed: int, split: int) -> Table:
    c, h, w = shape
    halves = _generator(seed, split).permutation(c * h * w).astype(np.int64)
    kept, left = halves.reshape(2, 2 * c, h // 2, w // 2)
    return Table(kept, left)


def _random_local(shape: tuple[int, ...], seed: int, split: int) -> Table:
    c, h, w = shape
    draws = _generator(seed, split).random_sample((c, h // 2, w // 2, 4))
    order = np.argsort(draws, axis=-1)
    return _local(np.sort(order[..., :2], axis=-1), np.sort(order[..., 2:], axis=-1), shape)
