"""Places of crops in a photograph, whose held-out strip shares no pixel with training.

All arithmetic is on integers: the same photograph gives the same crops everywhere.
"""

import numpy as np
import numpy.typing as npt

SIZE = 32
TRAIN_STRIDE = 16
MAX_TRAIN = 1024
MAX_HOLDOUT = 128

Corners = npt.NDArray[np.int64]
"""Upper left corners of crops as (row, column), N x 2."""


def strip_top(height: int) -> int:
    """Return the first row of the held-out strip.

    The strip has the number of whole crop rows nearest to a tenth of the height, at least one.
    """
    rows = max(1, (height + 5 * SIZE) // (10 * SIZE))
    return height - rows * SIZE


def train_corners(height: int, width: int) -> Corners:
    """Return the crops above the held-out strip: a grid of stride 16, thinned evenly to 1024."""
    return _thin(_grid(0, strip_top(height), width, TRAIN_STRIDE), MAX_TRAIN)


def holdout_corners(height: int, width: int) -> Corners:
    """Return the crops of the held-out strip: a grid without overlap, thinned evenly to 128."""
    return _thin(_grid(strip_top(height), height, width, SIZE), MAX_HOLDOUT)


def grid_corners(height: int, width: int) -> Corners:
    """Return all crops of a grid without overlap: a test photograph is used whole."""
    return _grid(0, height, width, SIZE)


def cut_crops(photograph: npt.NDArray[np.uint8], corners: Corners) -> npt.NDArray[np.uint8]:
    """Cut crops out of a photograph, H x W x C. Returns N x C x 32 x 32."""
    windows = np.lib.stride_tricks.sliding_window_view(photograph, (SIZE, SIZE), axis=(0, 1))
    return np.ascontiguousarray(windows[corners[:, 0], corners[:, 1]])


def _grid(top: int, bottom: int, width: int, stride: int) -> Corners:
    rows = np.arange(top, bottom - SIZE + 1, stride, dtype=np.int64)
    columns = np.arange(0, width - SIZE + 1, stride, dtype=np.int64)
    return np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)


def _thin(corners: Corners, most: int) -> Corners:
    if len(corners) <= most:
        return corners
    return corners[np.arange(most) * len(corners) // most]
