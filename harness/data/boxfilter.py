"""Shrink images by an exact box filter."""

from typing import Any

import numpy as np
import numpy.typing as npt


def box_filter(images: npt.NDArray[Any], factor: int) -> npt.NDArray[Any]:
    """Return the mean of each factor x factor window.

    The mean of uint8 is exact, halves rounded to even; that of float32 is in float64, rounded to
    float32.

    images: N x C x H x W. Returns N x C x H/factor x W/factor. Raises ValueError where factor does
    not divide H and W, or is above 16 (the sums are 16-bit).
    """
    n, c, h, w = images.shape
    if not 1 <= factor <= 16 or h % factor or w % factor:
        raise ValueError(f"a box of {factor} does not fit images of {h}x{w}")
    windows = images.reshape(n, c, h // factor, factor, w // factor, factor)
    if images.dtype != np.uint8:
        means: npt.NDArray[Any] = windows.mean(axis=(3, 5), dtype=np.float64).astype(images.dtype)
        return means
    area = factor * factor
    mean, rest = np.divmod(windows.sum(axis=(3, 5), dtype=np.uint16), np.uint16(area))
    up = (2 * rest > area) | ((2 * rest == area) & (mean % 2 == 1))
    filtered: npt.NDArray[np.uint8] = (mean + up).astype(np.uint8)
    return filtered
