"""Statistics of maps against definitions written out, and on maps whose answer is known."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lcma.harness.results.map_statistics import (
    compute_map_statistics,
    compute_mask_share,
    compute_table_statistics,
    expected_mask_share,
    lay_out_map,
    make_kept_masks,
)
from lcma.models.factorization import make_tables, surviving_ids
from lcma.models.layers import Squeeze
from lcma.sweeps.factorizations import FIXED, is_word, words

SHAPE = (3, 8, 8)
Map = NDArray[np.float64]


def noise(seed: int = 0, shape: tuple[int, ...] = SHAPE) -> Map:
    return np.random.RandomState(seed).normal(size=shape)


def lattice(shape: tuple[int, int, int] = SHAPE, seed: int = 3) -> Map:
    """A value for each channel and position of a window, plus one for each window."""
    c, h, w = shape
    pattern = np.tile(noise(seed, (c, 2, 2)), (1, h // 2, w // 2))
    return pattern + noise(seed + 1, (c, h // 2, w // 2)).repeat(2, axis=1).repeat(2, axis=2)


def naive_share(values: Map) -> float:
    """By loops over windows and positions."""
    C, H, W = values.shape
    total, sums = 0.0, np.zeros((C, 4))
    count = (H // 2) * (W // 2)
    for c, R, Q in itertools.product(range(C), range(H // 2), range(W // 2)):
        four = [values[c, 2 * R + dr, 2 * Q + dq] for dr in (0, 1) for dq in (0, 1)]
        centred = [v - sum(four) / 4 for v in four]
        total += sum(v * v for v in centred)
        sums[c] += centred
    return float(count * np.square(sums / count).sum() / total)


def test_mask_share_of_known_maps() -> None:
    assert compute_mask_share(lattice()) == pytest.approx(1)
    assert compute_mask_share(np.ones(SHAPE)) is None
    mixed = lattice() + noise(9)
    for values in (mixed, noise(9, (2, 4, 6))):
        assert compute_mask_share(values) == pytest.approx(naive_share(values), rel=1e-12)
    assert 0.1 < naive_share(mixed) < 0.9


def test_mask_share_by_chance_is_its_mean_where_positions_are_exchangeable() -> None:
    shares = np.array([compute_mask_share(noise(seed, (1, 4, 4))) for seed in range(4000)])
    expected = expected_mask_share((1, 4, 4))
    assert expected == 0.25
    assert abs(shares.mean() - expected) < 4 * shares.std() / np.sqrt(4000)


@pytest.mark.parametrize("split", [1, 2, 3])
def test_the_squeezed_layout_is_that_of_the_flow_without_splits(split: int) -> None:
    moved = torch.from_numpy(noise())[None]
    for _ in range(split - 1):
        moved = Squeeze().reorder(moved)
    assert np.array_equal(lay_out_map(noise(), split, "squeezed"), moved[0].numpy())
    assert np.array_equal(lay_out_map(noise(), split, "flat"), noise())


def test_the_statistics_of_a_map() -> None:
    values = np.zeros((1, 2, 4))
    values[0, :, :2] = [[4.0, 1.0], [3.0, 0.0]]  # ranks two and three are 2 apart
    values[0, :, 2:] = [[5.0, 5.0], [5.0, 5.0]]  # all four tie
    errors = np.full(values.shape, 0.5)
    statistics = compute_map_statistics(values, errors, 1, "squeezed")
    assert statistics.tied == 0.5
    assert statistics.rank_gap == 1.0, "the median of 2 and 0"
    assert statistics.standard_error == 0.5
    assert statistics.error_to_gap == 0.5
    assert statistics.unresolved == 0.5, "2 is above twice 0.5 * sqrt(2), 0 is not"
    wide = compute_map_statistics(values, 1.5 * errors, 1, "squeezed")
    assert wide.unresolved == 1.0


def test_unknown_errors_leave_gaps_as_they_are() -> None:
    errors = np.full(SHAPE, np.nan)
    unknown = compute_map_statistics(noise(), errors, 1, "squeezed")
    assert (unknown.standard_error, unknown.error_to_gap, unknown.unresolved) == (None, None, None)
    known = compute_map_statistics(noise(), np.ones(SHAPE), 1, "flat")
    assert unknown.rank_gap == known.rank_gap > 0


def compute_statistics(name: str, maps: Any = (), halves: Any = ()) -> list[Any]:
    """Return the statistics of both tables of a factorization."""
    tables = make_tables(name, SHAPE, 2, seed=0, maps=maps)
    return compute_table_statistics(name, tables, SHAPE, maps=maps, halves=halves)


def test_the_checkerboards_are_themselves() -> None:
    for name, overlaps in (("even", (1.0, 0.0)), ("odd", (0.0, 1.0))):
        for split in compute_statistics(f"checkerboard-{name}"):
            assert (split.iou_even, split.iou_odd) == overlaps
            assert (split.purity, split.channel_purity) == (1.0, 1.0)
            assert (split.tied, split.agreement, split.mask_share) == (None, None, None)


def test_a_lattice_that_differs_by_channel_is_pure_only_in_each_channel() -> None:
    values = np.zeros(SHAPE)
    values[0, ::2] = 1  # rows, columns and diagonal: three patterns
    values[1, :, ::2] = 1
    values[2, ::2, ::2] = values[2, 1::2, 1::2] = 1
    first = compute_statistics("LL", [values, values])[0]
    assert first.purity == pytest.approx(1 / 3)
    assert first.channel_purity == 1.0
    assert first.mask_share == pytest.approx(1)


def test_agreement_of_halves_is_the_overlap_of_their_own_tables() -> None:
    maps = [noise(1), noise(2)]
    equal = [(m, m) for m in maps]
    assert [split.agreement for split in compute_statistics("LH", maps, equal)] == [1.0, 1.0]
    unequal = [(m, noise(k + 5)) for k, m in enumerate(maps)]
    kept = []
    for half in zip(*unequal, strict=True):
        tables = make_tables("LH", SHAPE, 2, maps=half)
        kept.append([set(ids.ravel()) for ids in surviving_ids(tables, SHAPE)[1:]])
    ious = [len(a & b) / len(a | b) for a, b in zip(*kept, strict=True)]
    statistics = compute_statistics("LH", maps, unequal)
    assert [split.agreement for split in statistics] == pytest.approx(ious)
    assert ious[1] < ious[0] < 0.6
    empty = [(m, np.full(SHAPE, np.nan)) for m in maps]
    assert [split.agreement for split in compute_statistics("LH", maps, empty)] == [None, None]


def test_ties_are_those_of_the_windows_that_the_split_sees() -> None:
    tied = np.round(noise(4))
    assert 0 < compute_statistics("LL", [tied, tied])[0].tied < 1
    everywhere = compute_statistics("LL", [np.zeros(SHAPE), np.zeros(SHAPE)])
    assert [(split.tied, split.mask_share) for split in everywhere] == [(1.0, None)] * 2


@pytest.mark.parametrize("name", [n for n in (*FIXED, *words(2)) if n != "none"])
def test_kept_masks_are_what_the_flow_keeps(name: str) -> None:
    maps = [noise(1), noise(2)] if is_word(name) else ()
    tables = make_tables(name, SHAPE, 2, seed=0, maps=maps)
    masks = make_kept_masks(tables, SHAPE)
    assert [int(mask.sum()) for mask in masks] == [96, 48]
    for mask, ids in zip(masks, surviving_ids(tables, SHAPE)[1:], strict=True):
        assert set(np.flatnonzero(mask)) == set(ids.ravel())
