"""Index tables for every factorization: which half of the dimensions each split factors out.

Windows are 2x2, positions in raster order p = 2 dr + dq. Identity of dimensions is kept by
gathering integer ids along with the data, never by arithmetic on indices of later scales.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lcma.sweeps.errors import UserError
from lcma.sweeps.factorizations import (
    MAP_RULES,
    PAIRS,
    RULES,
    FactorizationRule,
    as_word,
    needs_maps,
    pattern_pair,
)
from lcma.sweeps.plugins import describe_failure

Ints = NDArray[np.int64]
Shape = tuple[int, int, int]
Map = NDArray[np.floating]
Order = Literal["raster", "rank"]


@dataclass(frozen=True)
class SplitTable:
    """Index table of a split: flat indices into (C, H, W) of what stays and what is factored out.

    ``kept`` and ``left`` have shape (2C, H/2, W/2) and together are a partition of
    0 .. C*H*W - 1. For the rules that take two of every window, channel k*C + c holds the k-th of
    each window's two of colour c, in raster order unless stated otherwise.
    """

    kept: Ints
    left: Ints

    @property
    def input_shape(self) -> Shape:
        """(C, H, W) of what is split."""
        c, h, w = self.kept.shape
        return (c // 2, 2 * h, 2 * w)

    @property
    def permutation(self) -> Ints:
        """Kept, then left, flattened to (C*H*W,)."""
        return np.concatenate([self.kept.ravel(), self.left.ravel()])


def make_tables(
    name: str,
    shape: Shape,
    splits: int,
    *,
    seed: int = 0,
    maps: Sequence[Map] = (),
    order: Order = "raster",
    given: Sequence[SplitTable] = (),
) -> list[SplitTable]:
    """Return the index table of each split (step 3 of Algorithm 1).

    Args:
        name: A canonical factorization.
        shape: (C, H, W) of the images.
        splits: Number of splits.
        seed: Seed of `random`, `random-local`, `random-lattice` and rules of plug-ins that read it.
        maps: For words and other rules that read maps, one map per split, (C, H, W) in input
            coordinates; that of split l is read at the dimensions that are still there.
        order: Order of a window's two dimensions inside a half, for words and rules that rank
            windows by maps.
        given: Tables of the first splits; the factorization fills those after them.

    Raises:
        ValueError: If maps are missing or of another shape.
        UserError: If a plug-in's rule does not give two halves.

    Example:
        >>> (table,) = make_tables("checkerboard-even", (1, 2, 2), 1)
        >>> table.kept.ravel().tolist(), table.left.ravel().tolist()
        ([0, 3], [1, 2])
        >>> (table,) = make_tables("L", (1, 2, 2), 1, maps=[np.array([[[4.0, 1.0], [2.0, 3.0]]])])
        >>> table.left.ravel().tolist()  # the two low contributions
        [1, 2]
    """
    if needs_maps(name) and [np.shape(m) for m in maps] != [shape] * splits:
        raise ValueError(f"{name} needs {splits} maps of shape {shape}")
    word = as_word(name, splits)
    ids = np.arange(np.prod(shape), dtype=np.int64).reshape(shape)
    found = list(given)
    for table in given:
        ids = ids.ravel()[table.kept]
    for split in range(len(given), splits):
        values = None
        if needs_maps(name):
            values = np.asarray(maps[split], dtype=np.float64).ravel()[ids]
        if word is not None:
            assert values is not None
            table = table_from_map(values, word[split], order)
        elif name in MAP_RULES:
            assert values is not None
            table = _by_map_rule(name, values, shape[0], order)
        elif pair := pattern_pair(name, split):
            table = _lattice([_pair_positions(pair)], ids.shape)
        elif name in RULES:
            table = _by_rule(RULES[name], ids.shape, split, seed, values)
        elif name == "random":
            table = _random(ids.shape, seed, split)
        elif name == "random-local":
            table = _random_local(ids.shape, seed, split)
        elif name == "random-lattice":
            drawn = _generator(seed, split).randint(len(PAIRS), size=shape[0], dtype=np.int64)
            table = _lattice([_pair_positions(PAIRS[k]) for k in drawn], ids.shape)
        elif name == "channel":
            table = _channel(ids.shape)
        else:
            raise ValueError(f"{name} makes no tables: name a rule such as checkerboard-even")
        found.append(table)
        ids = ids.ravel()[table.kept]
    return found


def surviving_ids(found: Sequence[SplitTable], shape: Shape) -> list[Ints]:
    """Return the input ids present before each split and after the last, in their local layout."""
    ids = [np.arange(np.prod(shape), dtype=np.int64).reshape(shape)]
    for table in found:
        ids.append(ids[-1].ravel()[table.kept])
    return ids


def ranks(values: NDArray[np.floating]) -> Ints:
    """Rank the positions of each window from the highest to the lowest value.

    In a tie the earlier position is higher. values (C, H, W) -> (C, H/2, W/2, 4).
    """
    return np.argsort(-windows(values), axis=-1, kind="stable").astype(np.int64)


def table_from_map(
    values: NDArray[np.floating], letter: str, order: Order = "raster"
) -> SplitTable:
    """Return the table of one letter of a word (section 4).

    L factors out the two low contributions of each window, H the two high ones. ``values`` are
    contributions of the dimensions still there, (C, H, W). Inside a half a window's two are in
    raster order, or the higher one first (``rank``).
    """
    ranked = ranks(values)
    high, low = ranked[..., :2], ranked[..., 2:]
    if order == "raster":
        high, low = np.sort(high, axis=-1), np.sort(low, axis=-1)
    kept, left = (high, low) if letter == "L" else (low, high)
    return _local(kept, left, values.shape)


def tied_windows(values: NDArray[np.floating]) -> float:
    """Return the share of windows whose ranks two and three are tied, so that order decides."""
    ordered = np.sort(windows(values), axis=-1)
    return float(np.mean(ordered[..., 1] == ordered[..., 2]))


def windows(values: NDArray[Any]) -> NDArray[Any]:
    """Return the 2x2 windows of (C, H, W): (C, H/2, W/2, 4), positions in raster order."""
    c, h, w = values.shape
    grid = values.reshape(c, h // 2, 2, w // 2, 2)
    return grid.transpose(0, 1, 3, 2, 4).reshape(c, h // 2, w // 2, 4)


def _local(kept: Ints, left: Ints, shape: tuple[int, ...]) -> SplitTable:
    """Return the table of window positions (C, H/2, W/2, 2)."""
    c, h, w = shape
    index = windows(np.arange(c * h * w).reshape(shape)).astype(np.int64)

    def half(positions: Ints) -> Ints:
        picked = np.take_along_axis(index, positions, axis=-1)
        return np.moveaxis(picked, -1, 0).reshape(2 * c, h // 2, w // 2)

    return SplitTable(half(kept), half(left))


def _pair_positions(pair: str) -> list[int]:
    """Return the four positions of a window a b over c d: the pair, which stays, then the rest."""
    return ["abcd".index(position) for position in (*pair, *sorted({*"abcd"} - {*pair}))]


def _lattice(positions: Sequence[Sequence[int]], shape: tuple[int, ...]) -> SplitTable:
    """Return the table that takes of every window of a colour the same two.

    ``positions`` has for each colour the four positions of a window, the two that stay first;
    channel k*C + c is of colour c.
    """
    c, h, w = shape
    chosen = np.array(positions, dtype=np.int64)[np.arange(c) % len(positions), None, None]
    kept, left = (
        np.broadcast_to(half, (c, h // 2, w // 2, 2)) for half in (chosen[..., :2], chosen[..., 2:])
    )
    return _local(kept, left, shape)


def _by_map_rule(name: str, values: NDArray[np.float64], colours: int, order: Order) -> SplitTable:
    """Return the table of one of `MAP_RULES` for the contributions still there, (C, H, W)."""
    if name == "low-lattice":
        return _low_lattice(values, colours, order)
    if name == "low-tied":
        by_colour = values.reshape(-1, colours, *values.shape[1:])
        tied = np.broadcast_to(by_colour.mean(axis=1, keepdims=True), by_colour.shape)
        return table_from_map(tied.reshape(values.shape), "L", order)
    return _low_global(values)


def _low_lattice(values: NDArray[np.float64], colours: int, order: Order) -> SplitTable:
    """Return the table that keeps of each colour the pair that `low` keeps in most windows.

    In a tie the pair that is first in `PAIRS` is kept.
    """
    kept = np.sort(ranks(values)[..., :2], axis=-1)
    positions = []
    for colour in range(colours):
        pairs, counts = np.unique(kept[colour::colours].reshape(-1, 2), axis=0, return_counts=True)
        stays = pairs[counts.argmax()].tolist()
        halves = [stays, [p for p in range(4) if p not in stays]]
        if order == "rank":
            means = windows(values[colour::colours]).reshape(-1, 4).mean(axis=0)
            halves = [sorted(half, key=lambda p: -means[p]) for half in halves]
        positions.append([*halves[0], *halves[1]])
    return _lattice(positions, values.shape)


def _low_global(values: NDArray[np.floating]) -> SplitTable:
    """Return the table that factors out the low half of all dimensions (C, H, W).

    In a tie the earlier one is higher, as in a window. The layout is that of `table_from_mask`.
    """
    kept = np.zeros(values.size, dtype=bool)
    kept[np.argsort(-values, axis=None, kind="stable")[: values.size // 2]] = True
    return table_from_mask(kept.reshape(values.shape))


def _channel(shape: tuple[int, ...]) -> SplitTable:
    c, h, w = shape
    index = windows(np.arange(c * h * w).reshape(shape)).astype(np.int64)
    squeezed = np.moveaxis(index, -1, 1).reshape(4 * c, h // 2, w // 2)
    return SplitTable(squeezed[: 2 * c], squeezed[2 * c :])


def _generator(seed: int, split: int) -> np.random.RandomState:
    # RandomState and not Generator: NumPy promises that its streams never change.
    return np.random.RandomState([seed, split])


def _random(shape: tuple[int, ...], seed: int, split: int) -> SplitTable:
    c, h, w = shape
    halves = _generator(seed, split).permutation(c * h * w).astype(np.int64)
    kept, left = halves.reshape(2, 2 * c, h // 2, w // 2)
    return SplitTable(kept, left)


def _random_local(shape: tuple[int, ...], seed: int, split: int) -> SplitTable:
    c, h, w = shape
    draws = _generator(seed, split).random_sample((c, h // 2, w // 2, 4))
    order = np.argsort(draws, axis=-1)
    return _local(np.sort(order[..., :2], axis=-1), np.sort(order[..., 2:], axis=-1), shape)


def table_from_mask(kept: NDArray[np.bool_]) -> SplitTable:
    """Return the table of a mask (C, H, W) that is True for the half that stays.

    Where it takes two of each window, the layout is that of `SplitTable`. Otherwise, where it takes
    as many of each window over all channels, the order is that of `channel`; otherwise it is
    that of the flat index. Raises ValueError where it is not a half.
    """
    c, h, w = kept.shape
    if 2 * int(kept.sum()) != kept.size:
        raise ValueError(f"{int(kept.sum())} of {kept.size} dimensions stay: half of them must")
    inside = windows(kept)
    index = windows(np.arange(kept.size).reshape(kept.shape)).astype(np.int64)
    if (inside.sum(axis=-1) == 2).all():
        order = np.argsort(~inside, axis=-1, kind="stable")
        return _local(order[..., :2], order[..., 2:], kept.shape)
    half = (2 * c, h // 2, w // 2)
    over = np.moveaxis(inside, -1, 1).reshape(4 * c, h // 2, w // 2)
    if (over.sum(axis=0) == 2 * c).all():
        order = np.argsort(~over, axis=0, kind="stable")
        squeezed = np.moveaxis(index, -1, 1).reshape(over.shape)
        ordered = np.take_along_axis(squeezed, order, axis=0)
        return SplitTable(ordered[: 2 * c], ordered[2 * c :])
    return SplitTable(
        np.flatnonzero(kept).astype(np.int64).reshape(half),
        np.flatnonzero(~kept).astype(np.int64).reshape(half),
    )


def _by_rule(
    rule: FactorizationRule,
    shape: tuple[int, ...],
    split: int,
    seed: int,
    values: NDArray[np.float64] | None,
) -> SplitTable:
    """Return the table of a plug-in's rule. Raises UserError naming it if it gives none."""
    where = f"the factorization {rule.name} ({rule.plugin}) at split {split + 1} of {tuple(shape)}"
    read = None if values is None else values.view()
    if read is not None:
        read.flags.writeable = False

    def fill(seed: int) -> SplitTable:
        return _as_table(rule.fill(tuple(shape), split + 1, seed, read), shape)

    given = seed if rule.reads == "seed" else 0
    try:
        table, again = fill(given), fill(given)
        # A rule that does not read the seed must not answer by it either.
        other = again if rule.reads == "seed" else fill(1)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        text = describe_failure(error, rule.plugin).removeprefix("ValueError: ")
        if rule.reads != "maps" and "NoneType" in text:
            text += '; `values` is None unless the rule is declared with reads="maps"'
        raise UserError(f"{where}: {text}") from error
    if not np.array_equal(table.permutation, again.permutation):
        raise UserError(
            f"{where}: called twice it gave two answers; draw from `seed` alone, and declare the "
            'rule with reads="seed"'
        )
    if not np.array_equal(table.permutation, other.permutation):
        raise UserError(
            f"{where}: its answer depends on `seed`, which is 0 in every trial unless the rule is "
            'declared with reads="seed"'
        )
    return table


def _as_table(given: Any, shape: tuple[int, ...]) -> SplitTable:
    c, h, w = shape
    if isinstance(given, np.ndarray) and given.dtype == bool:
        if given.shape != tuple(shape):
            raise ValueError(f"its mask has the shape {given.shape}, not {tuple(shape)}")
        return table_from_mask(given)
    if not isinstance(given, tuple) or len(given) != 2:
        raise ValueError(
            f"it gave a {type(given).__name__}: give a boolean mask of what stays, or the pair "
            f"(kept, left) of index arrays"
        )
    half = (2 * c, h // 2, w // 2)
    kept, left = (np.asarray(part) for part in given)
    if kept.shape != half or left.shape != half:
        raise ValueError(f"its halves have the shapes {kept.shape} and {left.shape}, not {half}")
    if not all(np.issubdtype(part.dtype, np.integer) for part in (kept, left)):
        raise ValueError(f"its halves hold {kept.dtype} and {left.dtype}, not integers")
    table = SplitTable(kept.astype(np.int64), left.astype(np.int64))
    if not np.array_equal(np.sort(table.permutation), np.arange(c * h * w)):
        raise ValueError(f"its halves are not a partition of 0 .. {c * h * w - 1}")
    return table
