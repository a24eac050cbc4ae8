"""Where crops lie, for photographs of any size."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lcma.harness.data.crops import (
    Corners,
    grid_corners,
    holdout_corners,
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


def test_thinning_is_even() -> None:
    corners = train_corners(1411, 1411)
    assert len(corners) == 1024
    per_row = np.unique(corners[:, 0], return_counts=True)[1]
    assert np.ptp(per_row) <= 1
