"""Statistics of contribution maps and index tables (docs/method.md, "Instruments")."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lcma.db import MapStatistics, TableStatistics, overlap
from lcma.models import SplitTable, make_tables
from lcma.models.factorization import Map, Order, Shape, surviving_ids, tied_share, windows

Mask = NDArray[np.bool_]
Values = NDArray[np.floating]


def lay_out_map(values: Values, split: int, form: str) -> Values:
    """Return a map (C, H, W) in the layout of the flow without splits before a split, from 1.

    For the ``form`` "squeezed" its shape is (4^(split-1) C, H / 2^(split-1), W / 2^(split-1)); for
    "flat" it stays (C, H, W).
    """
    if form == "squeezed":
        for _ in range(split - 1):
            c, h, w = values.shape
            values = np.moveaxis(windows(values), -1, 1).reshape(4 * c, h // 2, w // 2)
    return values


def compute_mask_share(values: Values) -> float | None:
    """Return the share of the variance inside 2x2 windows that channel and position explain.

    ``values`` is (C, H, W), the share from 0 to 1; None where no window varies. Values without such
    a pattern have a share of 1 / (windows of a channel) on average.
    """
    # What is left without each window's mean, against its mean by channel and position.
    inside = windows(np.asarray(values, dtype=np.float64))
    inside = inside - inside.mean(axis=-1, keepdims=True)
    total = float(np.square(inside).sum())
    if total == 0:
        return None
    pattern = inside.mean(axis=(1, 2), keepdims=True)
    return float(np.square(np.broadcast_to(pattern, inside.shape)).sum()) / total


def expected_mask_share(shape: tuple[int, ...]) -> float:
    """Return the mean of `compute_mask_share` where positions are exchangeable."""
    _, h, w = shape
    return 4 / (h * w)


def compute_map_statistics(values: Values, errors: Values, split: int, form: str) -> MapStatistics:
    """Return statistics of a map and its standard errors, both (C, H, W), in the NMS layout."""
    laid_out, laid_out_errors = (lay_out_map(array, split, form) for array in (values, errors))
    by_window = windows(np.asarray(laid_out, dtype=np.float64))
    # Two dimensions of each window stay: the gap between the second and the third decides which.
    order = np.argsort(-by_window, axis=-1, kind="stable")[..., 1:3]
    second, third = np.moveaxis(np.take_along_axis(by_window, order, axis=-1), -1, 0)
    gaps = second - third
    gap = float(np.median(gaps))
    error = unresolved = None
    if np.isfinite(laid_out_errors).all():
        squares = np.square(windows(np.asarray(laid_out_errors, dtype=np.float64)))
        error = float(np.sqrt(squares.mean()))
        spread = np.sqrt(np.take_along_axis(squares, order, axis=-1).sum(axis=-1))
        unresolved = float(np.mean(gaps <= 2 * spread))
    return MapStatistics(
        mask_share=compute_mask_share(laid_out),
        mask_share_by_chance=expected_mask_share(laid_out.shape),
        standard_error=error,
        rank_gap=gap,
        error_to_gap=None if error is None or gap == 0 else error / gap,
        unresolved=unresolved,
        tied=tied_share(laid_out),
    )


def find_exit_splits(tables: Sequence[SplitTable], shape: Shape) -> NDArray[np.int64]:
    """Return the split at which each dimension (C, H, W) leaves, from 1; 0 where it stays."""
    exits = np.zeros(shape, dtype=np.int64)
    for split, (ids, table) in enumerate(
        zip(surviving_ids(tables, shape), tables, strict=False), 1
    ):
        exits.flat[ids.ravel()[table.left]] = split
    return exits


def make_kept_masks(split_tables: Sequence[SplitTable], shape: Shape) -> list[Mask]:
    """Return masks (C, H, W), in input coordinates, of what is left after each split."""
    exits = find_exit_splits(split_tables, shape)
    return [(exits == 0) | (exits > split) for split in range(1, len(split_tables) + 1)]


def hash_table(table: SplitTable) -> str:
    """Return the SHA-256, in hex, of the table's permutation as little-endian int64."""
    return hashlib.sha256(table.permutation.astype("<i8").tobytes()).hexdigest()


def compute_table_statistics(
    name: str,
    split_tables: Sequence[SplitTable],
    shape: Shape,
    *,
    maps: Sequence[Map] = (),
    halves: Sequence[tuple[Map, Map]] = (),
    order: Order = "raster",
) -> list[TableStatistics]:
    """Return statistics of the tables of a canonical factorization, split by split.

    For words, ``maps`` are those that the tables were made from, and ``halves`` the same maps from
    two halves of the data, each (C, H, W).
    """
    agreements: list[float | None] = [None] * len(split_tables)
    if halves and np.isfinite(halves).all():  # a half without any image has no finite map
        first, second = (
            make_kept_masks(
                make_tables(name, shape, len(split_tables), maps=half, order=order), shape
            )
            for half in zip(*halves, strict=True)
        )
        agreements = [overlap(a, b) for a, b in zip(first, second, strict=True)]
    statistics = []
    for split, (table, ids) in enumerate(
        zip(split_tables, surviving_ids(split_tables, shape), strict=False)
    ):
        read = maps[split].ravel()[ids] if len(maps) else None
        kept = _make_kept_mask(table)
        patterns = windows(kept) @ np.array([1, 2, 4, 8])  # a number for what stays in each window
        even, odd = (_make_kept_mask(make_tables(phase, ids.shape, 1)[0]) for phase in _PHASES)
        statistics.append(
            TableStatistics(
                iou_even=overlap(kept, even),
                iou_odd=overlap(kept, odd),
                purity=_largest_share(patterns.ravel()),
                channel_purity=float(np.mean([_largest_share(c.ravel()) for c in patterns])),
                mask_share=None if read is None else compute_mask_share(read),
                mask_share_by_chance=None if read is None else expected_mask_share(ids.shape),
                tied=None if read is None else tied_share(read),
                agreement=agreements[split],
            )
        )
    return statistics


_PHASES = ("checkerboard-even", "checkerboard-odd")


def _make_kept_mask(table: SplitTable) -> Mask:
    mask = np.zeros(int(np.prod(table.input_shape)), dtype=bool)
    mask[table.kept.ravel()] = True
    return mask.reshape(table.input_shape)


def _largest_share(patterns: NDArray[np.int64]) -> float:
    return float(np.bincount(patterns).max() / patterns.size)
