"""The box filter against exact rational arithmetic."""

from fractions import Fraction

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcma.harness.data.boxfilter import box_filter


@given(
    factor=st.sampled_from([2, 4]),
    images=hnp.arrays(np.uint8, (1, 2, 4, 8), elements=st.integers(0, 255)),
)
def test_equals_the_exact_mean_with_halves_to_even(factor: int, images: np.ndarray) -> None:
    filtered = box_filter(images, factor)
    assert filtered.dtype == np.uint8
    assert filtered.shape == (1, 2, 4 // factor, 8 // factor)
    for (n, c, h, w), value in np.ndenumerate(filtered):
        window = images[n, c, h * factor : (h + 1) * factor, w * factor : (w + 1) * factor]
        # round() of a Fraction rounds halves to even.
        assert value == round(Fraction(int(window.sum(dtype=np.int64)), factor**2))


@pytest.mark.parametrize(("total", "mean"), [(2, 0), (6, 2), (10, 2), (5, 1), (7, 2), (1020, 255)])
def test_halves_go_to_the_even_neighbour(total: int, mean: int) -> None:
    window = np.array([total // 4 + (i < total % 4) for i in range(4)], np.uint8)
    assert box_filter(window.reshape(1, 1, 2, 2), 2).item() == mean


@pytest.mark.parametrize(("factor", "size"), [(2, 3), (4, 6), (0, 4), (17, 17)])
def test_refuses_a_box_that_does_not_fit(factor: int, size: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        box_filter(np.zeros((1, 1, size, size), np.uint8), factor)
