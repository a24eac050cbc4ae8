"""What a contribution map and an index table are made of (docs/method.md, "Instruments")."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lcma.db import MapStatistics, TableStatistics, overlap
from lcma.models import SplitTable, make_tables
from lcma.models.factorization import Map, Order, Shape, surviving_ids, tied_windows, windows

Mask = NDArray[np.bool_]
Values = NDArray[np.floating]


def nms_layout(values: Values, split: int, form: str) -> Values:
    """A map (C, H, W) as the flow without splits has it before split ``split`` (from 1).

    ``squeezed``: (4^(split-1) C, H / 2^(split-1), W / 2^(split-1)); ``flat``: as it is.
    """
    if form == "squeezed":
        for _ in range(split - 1):
            c, h, w = values.shape
            values = np.moveaxis(windows(values), -1, 1).reshape(4 * c, h // 2, w // 2)
    return values


def mask_share(values: Values) -> float | None:
    """Share of the variance inside 2x2 windows that channel and position explain, 0 to 1.

    values (C, H, W). What is left after the mean of each window is taken out, against its mean
    for each (channel, position of the window); None where nothing is left. Values without any
    such pattern come to 1 / (windows of a channel) on average.
    """
    inside = windows(np.asarray(values, dtype=np.float64))
    inside = inside - inside.mean(axis=-1, keepdims=True)
    total = float(np.square(inside).sum())
    if total == 0:
        return None
    pattern = inside.mean(axis=(1, 2), keepdims=True)
    return float(np.square(np.broadcast_to(pattern, inside.shape)).sum()) / total


def mask_share_by_chance(shape: tuple[int, ...]) -> float:
    """What `mask_share` comes to on average where positions are exchangeable."""
    _, h, w = shape
    return 4 / (h * w)


def map_statistics(values: Values, errors: Values, split: int, form: str) -> MapStatistics:
    """Statistics of a map (C, H, W) with its standard errors, in windows of the NMS layout."""
    laid, uncertain = nms_layout(values, split, form), nms_layout(errors, split, form)
    ordered = windows(np.asarray(laid, dtype=np.float64))
    order = np.argsort(-ordered, axis=-1, kind="stable")[..., 1:3]
    second, third = np.moveaxis(np.take_along_axis(ordered, order, axis=-1), -1, 0)
    gaps = second - third
    gap = float(np.median(gaps))
    error = unresolved = None
    if np.isfinite(uncertain).all():
        squares = np.square(windows(np.asarray(uncertain, dtype=np.float64)))
        error = float(np.sqrt(squares.mean()))
        spread = np.sqrt(np.take_along_axis(squares, order, axis=-1).sum(axis=-1))
        unresolved = float(np.mean(gaps <= 2 * spread))
    return MapStatistics(
        mask_share=mask_share(laid),
        mask_share_by_chance=mask_share_by_chance(laid.shape),
        standard_error=error,
        rank_gap=gap,
        error_to_gap=None if error is None or gap == 0 else error / gap,
        unresolved=unresolved,
        tied=tied_windows(laid),
    )


def kept_masks(found: Sequence[SplitTable], shape: Shape) -> list[Mask]:
    """Which dimensions are still there after each split, (C, H, W) in input coordinates."""
    masks = []
    for ids in surviving_ids(found, shape)[1:]:
        mask = np.zeros(int(np.prod(shape)), dtype=bool)
        mask[ids.ravel()] = True
        masks.append(mask.reshape(shape))
    return masks


def table_digest(table: SplitTable) -> str:
    """Sha256 in hex of the table's permutation as little-endian int64."""
    return hashlib.sha256(table.permutation.astype("<i8").tobytes()).hexdigest()


def table_statistics(
    name: str,
    found: Sequence[SplitTable],
    shape: Shape,
    *,
    maps: Sequence[Map] = (),
    halves: Sequence[tuple[Map, Map]] = (),
    order: Order = "raster",
) -> list[TableStatistics]:
    """Statistics of the tables of a canonical factorization, split by split.

    For words: ``maps`` are those that filled the tables, ``halves`` the same maps from two
    halves of the data, each (C, H, W).
    """
    agreements: list[float | None] = [None] * len(found)
    if halves:
        first, second = (
            kept_masks(make_tables(name, shape, len(found), maps=half, order=order), shape)
            for half in zip(*halves, strict=True)
        )
        agreements = [overlap(a, b) for a, b in zip(first, second, strict=True)]
    statistics = []
    for split, (table, ids) in enumerate(zip(found, surviving_ids(found, shape), strict=False)):
        read = maps[split].ravel()[ids] if len(maps) else None
        kept = _local(table)
        patterns = _patterns(kept)
        even, odd = (_local(make_tables(phase, ids.shape, 1)[0]) for phase in _PHASES)
        statistics.append(
            TableStatistics(
                iou_even=overlap(kept, even),
                iou_odd=overlap(kept, odd),
                purity=_most_common(patterns.ravel()),
                channel_purity=float(np.mean([_most_common(c.ravel()) for c in patterns])),
                mask_share=None if read is None else mask_share(read),
                mask_share_by_chance=None if read is None else mask_share_by_chance(ids.shape),
                tied=None if read is None else tied_windows(read),
                agreement=agreements[split],
            )
        )
    return statistics


_PHASES = ("checkerboard-even", "checkerboard-odd")


def _local(table: SplitTable) -> Mask:
    mask = np.zeros(int(np.prod(table.input_shape)), dtype=bool)
    mask[table.kept.ravel()] = True
    return mask.reshape(table.input_shape)


def _patterns(kept: Mask) -> NDArray[np.int64]:
    """Which positions of each window stay, as a number from 0 to 15: (C, h, w)."""
    return np.asarray(windows(kept) @ np.array([1, 2, 4, 8]), dtype=np.int64)


def _most_common(patterns: NDArray[np.int64]) -> float:
    return float(np.bincount(patterns).max() / patterns.size)
