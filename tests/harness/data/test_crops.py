"""Where crops lie, for photographs of any size."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lcma.harness.data.crops import (
    Corners,
    cut_crops,
    grid_corners,
    holdout_corners,
    strip_top,
    train_corners,
)

SIZES = st.integers(64, 1500)


def covered(corners: Corners, height: int, width: int) -> np.ndarray:
    counts = np.zeros((height, width), np.int32)
    for row, column in corners:
        counts[row : row + 32, column : column + 32] += 1
    return counts


@settings(max_examples=40, deadline=None)
@given(height=SIZES, width=SIZES)
def test_train_and_holdout_share_no_pixel(height: int, width: int) -> None:
    train = covered(train_corners(height, width), height, width)
    holdout = covered(holdout_corners(height, width), height, width)
    assert train.any()
    assert holdout.any()
    assert not (train.astype(bool) & holdout.astype(bool)).any()
    assert holdout.max() == 1


@given(height=SIZES, width=SIZES)
def test_crops_lie_inside_are_distinct_and_few_enough(height: int, width: int) -> None:
    kinds = (
        (train_corners(height, width), 1024),
        (holdout_corners(height, width), 128),
        (grid_corners(height, width), (height // 32) * (width // 32)),
    )
    for corners, most in kinds:
        assert 0 < len(corners) <= most
        assert len(np.unique(corners, axis=0)) == len(corners)
        assert corners.min() >= 0
        assert corners[:, 0].max() + 32 <= height
        assert corners[:, 1].max() + 32 <= width


@given(height=SIZES)
def test_strip_is_whole_rows_nearest_to_a_tenth(height: int) -> None:
    strip = height - strip_top(height)
    assert strip % 32 == 0
    assert strip == 32 or abs(strip - height / 10) <= 16


def test_test_grid_covers_the_photograph_once() -> None:
    counts = covered(grid_corners(100, 70), 100, 70)
    assert (counts[:96, :64] == 1).all()
    assert counts.sum() == 96 * 64


def test_thinning_is_even() -> None:
    corners = train_corners(1411, 1411)
    assert len(corners) == 1024
    per_row = np.unique(corners[:, 0], return_counts=True)[1]
    assert np.ptp(per_row) <= 1


def test_cut_takes_the_native_pixels() -> None:
    photograph = np.random.default_rng(0).integers(0, 256, (80, 90, 3), dtype=np.uint8)
    corners = np.array([[0, 0], [17, 58], [48, 5]])
    images = cut_crops(photograph, corners)
    assert images.shape == (3, 3, 32, 32)
    assert images.flags.c_contiguous
    for image, (row, column) in zip(images, corners, strict=True):
        window = photograph[row : row + 32, column : column + 32]
        np.testing.assert_array_equal(image, window.transpose(2, 0, 1))
