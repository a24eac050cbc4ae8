"""Index tables for every factorization: which half of the dimensions leaves at each split.

Windows are 2x2, with positions in raster order: p = 2 dr + dq. To know which dimension is where,
integer ids are gathered like the data; no code computes with indices of later scales.
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
    """Index table of a split of a tensor (C, H, W) into two halves (2C, H/2, W/2).

    The two halves hold each flat index 0 .. C*H*W - 1 once. If a rule takes two positions of every
    window, channel k*C + c of a half holds the k-th of the two in each window of channel c, in
    raster order unless stated otherwise.
    """

    kept: Ints
    """Flat indices of the dimensions that stay, (2C, H/2, W/2)."""

    left: Ints
    """Flat indices of the dimensions that leave, (2C, H/2, W/2)."""

    @property
    def input_shape(self) -> Shape:
        """(C, H, W) of the tensor that is split."""
        c, h, w = self.kept.shape
        return (c // 2, 2 * h, 2 * w)

    @property
    def permutation(self) -> Ints:
        """`kept`, then `left`, flattened to (C*H*W,)."""
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
        name: A canonical factorization, such as `checkerboard-even` or the word `LLH`.
        shape: (C, H, W) of the images; H and W are multiples of 2^splits.
        splits: Number of splits.
        seed: Seed of `random`, `random-local`, `random-lattice` and of rules of plug-ins that read
            one.
        maps: For words and other rules that read maps: one map per split, in nats, (C, H, W) in
            input coordinates. Each is read at the dimensions that are left before its split.
        order: Order of a window's two dimensions inside a half, for rules that rank windows:
            `raster`, or `rank` with the higher contribution first.
        given: Tables of the first splits. The factorization makes the tables of the other splits.

    Returns:
        One table per split, those in ``given`` first.

    Raises:
        ValueError: If maps are missing or of another shape, if ``name`` makes no tables, or if a
            word has another number of letters.
        UserError: If the rule of a plug-in does not return two halves.

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
    if word is not None and len(word) != splits:
        raise ValueError(f"the word {word} has {len(word)} letters: {splits} splits need as many")
    ids = np.arange(np.prod(shape), dtype=np.int64).reshape(shape)
    tables = list(given)
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
            table = _map_rule_table(name, values, shape[0], order)
        elif pair := pattern_pair(name, split):
            table = _lattice_table([_order_positions(pair)], ids.shape)
        elif name in RULES:
            table = _plugin_table(RULES[name], ids.shape, split, seed, values)
        elif name == "random":
            table = _random_table(ids.shape, seed, split)
        elif name == "random-local":
            table = _random_local_table(ids.shape, seed, split)
        elif name == "random-lattice":
            drawn = _make_generator(seed, split).randint(len(PAIRS), size=shape[0], dtype=np.int64)
            table = _lattice_table([_order_positions(PAIRS[k]) for k in drawn], ids.shape)
        elif name == "channel":
            table = _channel_table(ids.shape)
        else:
            raise ValueError(f"{name} makes no tables: name a rule such as checkerboard-even")
        tables.append(table)
        ids = ids.ravel()[table.kept]
    return tables


def surviving_ids(tables: Sequence[SplitTable], shape: Shape) -> list[Ints]:
    """Return the ids of the input dimensions that are left before each split and after the last.

    ``shape`` is (C, H, W) of the images. Each array has the layout of the tensor at that place.
    """
    ids = [np.arange(np.prod(shape), dtype=np.int64).reshape(shape)]
    for table in tables:
        ids.append(ids[-1].ravel()[table.kept])
    return ids


def rank_windows(values: NDArray[np.floating]) -> Ints:
    """Return the positions of each window of (C, H, W) from high to low, (C, H/2, W/2, 4).

    Of two equal values the earlier position counts as higher.
    """
    return np.argsort(-windows(values), axis=-1, kind="stable").astype(np.int64)


def table_from_map(
    values: NDArray[np.floating], letter: str, order: Order = "raster"
) -> SplitTable:
    """Return the table of one letter of a word (the LCMA paper, section 4).

    Args:
        values: Contributions of the dimensions that are left, (C, H, W).
        letter: `L` lets the two low contributions of each window leave, `H` the two high ones.
        order: As for `make_tables`.
    """
    ranked = rank_windows(values)
    high, low = ranked[..., :2], ranked[..., 2:]
    if order == "raster":
        high, low = np.sort(high, axis=-1), np.sort(low, axis=-1)
    kept, left = (high, low) if letter == "L" else (low, high)
    return _table_from_positions(kept, left, values.shape)


def tied_share(values: NDArray[np.floating]) -> float:
    """Return the share of windows whose second and third value are equal, so that order decides."""
    ordered = np.sort(windows(values), axis=-1)
    return float(np.mean(ordered[..., 1] == ordered[..., 2]))


def windows(values: NDArray[Any]) -> NDArray[Any]:
    """Return the 2x2 windows of (C, H, W) as (C, H/2, W/2, 4), positions in raster order."""
    c, h, w = values.shape
    grid = values.reshape(c, h // 2, 2, w // 2, 2)
    return grid.transpose(0, 1, 3, 2, 4).reshape(c, h // 2, w // 2, 4)


def _flat_indices(shape: tuple[int, ...]) -> Ints:
    """Return the flat index into (C, H, W) of each position of each window, (C, H/2, W/2, 4)."""
    return windows(np.arange(np.prod(shape), dtype=np.int64).reshape(shape))


def _table_from_positions(kept: Ints, left: Ints, shape: tuple[int, ...]) -> SplitTable:
    """Return the table of the positions in each window that stay and leave, (C, H/2, W/2, 2)."""
    c, h, w = shape
    indices = _flat_indices(shape)

    def lay_out(positions: Ints) -> Ints:
        chosen = np.take_along_axis(indices, positions, axis=-1)
        return np.moveaxis(chosen, -1, 0).reshape(2 * c, h // 2, w // 2)

    return SplitTable(lay_out(kept), lay_out(left))


def _order_positions(pair: str) -> list[int]:
    """Return the positions of a window a b over c d: first the pair, which stays, then the rest."""
    return ["abcd".index(position) for position in (*pair, *sorted({*"abcd"} - {*pair}))]


def _lattice_table(positions: Sequence[Sequence[int]], shape: tuple[int, ...]) -> SplitTable:
    """Return the table that keeps the same two positions in every window of a colour.

    ``positions`` has, for each colour, the four positions of a window, the two that stay first.
    """
    c, h, w = shape
    # Colours repeat: channel k*C + c is of colour c.
    chosen = np.array(positions, dtype=np.int64)[np.arange(c) % len(positions), None, None]
    kept, left = (
        np.broadcast_to(half, (c, h // 2, w // 2, 2)) for half in (chosen[..., :2], chosen[..., 2:])
    )
    return _table_from_positions(kept, left, shape)


def _map_rule_table(
    name: str, values: NDArray[np.float64], colours: int, order: Order
) -> SplitTable:
    """Return the table of one of `MAP_RULES` for the contributions that are left, (C, H, W)."""
    if name == "low-lattice":
        return _low_lattice_table(values, colours, order)
    if name == "low-tied":
        by_colour = values.reshape(-1, colours, *values.shape[1:])
        tied = np.broadcast_to(by_colour.mean(axis=1, keepdims=True), by_colour.shape)
        return table_from_map(tied.reshape(values.shape), "L", order)
    # low-global: the low half of all dimensions leaves; of equal values the earlier one stays.
    kept = np.zeros(values.size, dtype=bool)
    kept[np.argsort(-values, axis=None, kind="stable")[: values.size // 2]] = True
    return table_from_mask(kept.reshape(values.shape))


def _low_lattice_table(values: NDArray[np.float64], colours: int, order: Order) -> SplitTable:
    """Return the table that keeps, for each colour, the pair that `low` keeps in most windows."""
    kept = np.sort(rank_windows(values)[..., :2], axis=-1)
    positions = []
    for colour in range(colours):
        pairs, counts = np.unique(kept[colour::colours].reshape(-1, 2), axis=0, return_counts=True)
        stays = pairs[counts.argmax()].tolist()  # of equal counts the first in the order of PAIRS
        halves = [stays, [p for p in range(4) if p not in stays]]
        if order == "rank":
            means = windows(values[colour::colours]).reshape(-1, 4).mean(axis=0)
            halves = [sorted(half, key=lambda p: -means[p]) for half in halves]
        positions.append([*halves[0], *halves[1]])
    return _lattice_table(positions, values.shape)


def _channel_table(shape: tuple[int, ...]) -> SplitTable:
    c = shape[0]
    squeezed = _squeeze(_flat_indices(shape))
    return SplitTable(squeezed[: 2 * c], squeezed[2 * c :])


def _squeeze(values: NDArray[Any]) -> NDArray[Any]:
    """Return windows (C, H/2, W/2, 4) as (4C, H/2, W/2), as `lcma.models.layers.Squeeze` does."""
    c, h, w, _ = values.shape
    return np.moveaxis(values, -1, 1).reshape(4 * c, h, w)


def _make_generator(seed: int, split: int) -> np.random.RandomState:
    # NumPy promises that the streams of RandomState never change; those of Generator may.
    return np.random.RandomState([seed, split])


def _random_table(shape: tuple[int, ...], seed: int, split: int) -> SplitTable:
    c, h, w = shape
    halves = _make_generator(seed, split).permutation(c * h * w).astype(np.int64)
    kept, left = halves.reshape(2, 2 * c, h // 2, w // 2)
    return SplitTable(kept, left)


def _random_local_table(shape: tuple[int, ...], seed: int, split: int) -> SplitTable:
    c, h, w = shape
    draws = _make_generator(seed, split).random_sample((c, h // 2, w // 2, 4))
    order = np.argsort(draws, axis=-1)
    kept, left = np.sort(order[..., :2], axis=-1), np.sort(order[..., 2:], axis=-1)
    return _table_from_positions(kept, left, shape)


def table_from_mask(kept: NDArray[np.bool_]) -> SplitTable:
    """Return the table of a mask (C, H, W) that is True for the half that stays.

    If the mask keeps two positions of each window of each channel, the layout is that of
    `SplitTable`. If it keeps as many in each window over all channels, the order is that of the
    rule `channel`. Otherwise it is that of the flat index.

    Raises:
        ValueError: If the mask does not keep half of the dimensions.
    """
    c, h, w = kept.shape
    if 2 * int(kept.sum()) != kept.size:
        raise ValueError(f"{int(kept.sum())} of {kept.size} dimensions stay: half of them must")
    stays = windows(kept)
    if (stays.sum(axis=-1) == 2).all():
        order = np.argsort(~stays, axis=-1, kind="stable")
        return _table_from_positions(order[..., :2], order[..., 2:], kept.shape)
    half = (2 * c, h // 2, w // 2)
    squeezed = _squeeze(stays)
    if (squeezed.sum(axis=0) == 2 * c).all():
        order = np.argsort(~squeezed, axis=0, kind="stable")
        ordered = np.take_along_axis(_squeeze(_flat_indices(kept.shape)), order, axis=0)
        return SplitTable(ordered[: 2 * c], ordered[2 * c :])
    return SplitTable(
        np.flatnonzero(kept).astype(np.int64).reshape(half),
        np.flatnonzero(~kept).astype(np.int64).reshape(half),
    )


def _plugin_table(
    rule: FactorizationRule,
    shape: tuple[int, ...],
    split: int,
    seed: int,
    values: NDArray[np.float64] | None,
) -> SplitTable:
    """Return the table of a rule of a plug-in. Raises UserError if the rule is wrong."""
    where = f"the factorization {rule.name} ({rule.plugin}) at split {split + 1} of {tuple(shape)}"
    if values is not None:
        values = values.view()
        values.flags.writeable = False

    def fill(seed: int) -> SplitTable:
        return check_table(rule.fill(tuple(shape), split + 1, seed, values), shape)

    if rule.reads != "seed":
        seed = 0
    try:
        table, again = fill(seed), fill(seed)
        # The answer of a rule that is not declared to read the seed must not depend on it.
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
            f"{where}: two calls returned different answers; draw only from `seed`, and declare "
            'the rule with reads="seed"'
        )
    if not np.array_equal(table.permutation, other.permutation):
        raise UserError(
            f"{where}: its answer depends on `seed`, which is 0 in every trial unless the rule is "
            'declared with reads="seed"'
        )
    return table


def check_table(answer: Any, shape: tuple[int, ...]) -> SplitTable:
    """Return the table of a rule's answer. Raises ValueError if the answer is not a half."""
    c, h, w = shape
    if isinstance(answer, np.ndarray) and answer.dtype == bool:
        if answer.shape != tuple(shape):
            raise ValueError(f"its mask has the shape {answer.shape}, not {tuple(shape)}")
        return table_from_mask(answer)
    if not isinstance(answer, tuple) or len(answer) != 2:
        raise ValueError(
            f"it returned a {type(answer).__name__}: return a boolean mask of what stays, or the "
            f"pair (kept, left) of index arrays"
        )
    half = (2 * c, h // 2, w // 2)
    kept, left = (np.asarray(part) for part in answer)
    if kept.shape != half or left.shape != half:
        raise ValueError(f"its halves have the shapes {kept.shape} and {left.shape}, not {half}")
    if not all(np.issubdtype(part.dtype, np.integer) for part in (kept, left)):
        raise ValueError(f"its halves hold {kept.dtype} and {left.dtype}, not integers")
    table = SplitTable(kept.astype(np.int64), left.astype(np.int64))
    if not np.array_equal(np.sort(table.permutation), np.arange(c * h * w)):
        raise ValueError(f"its halves are not a partition of 0 .. {c * h * w - 1}")
    return table
