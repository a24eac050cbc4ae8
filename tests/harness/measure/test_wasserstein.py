"""The sliced Wasserstein distance: known values, invariances, and what it detects."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from skimage import data as photographs
from torch import Tensor

from lcma.harness.measure.controls import sample_gaussian
from lcma.harness.measure.wasserstein import Distance, count_levels, sliced_wasserstein

distance = partial(sliced_wasserstein, seed=0)


def make_flat_images(levels: Tensor, side: int = 5) -> Tensor:
    """Return images (N, 1, side, side), each of one brightness."""
    return levels.float().view(-1, 1, 1, 1).expand(-1, 1, side, side)


def compute_flat_factor(dimensions: int) -> float:
    """Return the mean of |sum of a random unit vector|, by which a flat patch is multiplied."""
    ratio = math.lgamma(dimensions / 2) - math.lgamma((dimensions + 1) / 2)
    return math.sqrt(dimensions / math.pi) * math.exp(ratio)


@pytest.fixture(scope="module")
def crops() -> tuple[Tensor, Tensor]:
    """Two sets of 16 x 16 crops of the same photographs, (120, 3, 16, 16) each."""
    random = np.random.RandomState(0)
    crops = []
    for photograph in (photographs.astronaut(), photographs.coffee(), photographs.chelsea()):
        small = photograph[: photograph.shape[0] // 2 * 2, : photograph.shape[1] // 2 * 2]
        small = small.reshape(len(small) // 2, 2, -1, 2, 3).mean((1, 3)).round()
        for _ in range(80):
            y, x = (random.randint(side - 16) for side in small.shape[:2])
            crops.append(small[y : y + 16, x : x + 16].transpose(2, 0, 1))
    both = torch.from_numpy(random.permutation(crops))
    return both[:120], both[120:]


def test_two_shifted_sets_of_numbers_have_the_distance_of_their_shift() -> None:
    levels = torch.linspace(10, 200, 60, dtype=torch.float64)
    shifted = distance(make_flat_images(levels + 20), make_flat_images(levels))
    expected = 1000 * 20 / float(levels.std(correction=0)) * compute_flat_factor(25)
    assert shifted.value == pytest.approx(expected, rel=0.1)  # 512 directions: within 3 %


def test_both_sets_are_normalized_by_the_moments_of_the_real_one() -> None:
    """Normalized by its own moments, each of these sets would equal the other."""
    levels = torch.linspace(40, 160, 50, dtype=torch.float64)
    real = make_flat_images(levels)
    half, double = ((levels - 100) * by + 100 for by in (0.5, 2.0))
    deviation = float(levels.std(correction=0))
    expected = 1000 * float((levels - 100).abs().mean()) / deviation * compute_flat_factor(25)
    assert distance(make_flat_images(double), real).value == pytest.approx(expected, rel=0.1)
    assert distance(make_flat_images(half), real).value == pytest.approx(expected / 2, rel=0.1)


@pytest.mark.parametrize("side", [8, 16])  # all patches are taken
def test_the_order_of_a_set_does_not_matter(side: int) -> None:
    x = torch.rand((40, 3, side, side), generator=torch.Generator().manual_seed(1)) * 255
    order = torch.randperm(40, generator=torch.Generator().manual_seed(2))
    other = distance(x.flip(3), x).value
    assert other > 1
    assert distance(x[order], x).value == pytest.approx(0, abs=1e-3)
    assert distance(x.flip(3)[order], x).value == pytest.approx(other, rel=1e-4)


def test_brightness_and_contrast_of_both_sets_do_not_matter(crops) -> None:
    first, second = crops
    expected = distance(first, second).value
    assert distance(first + 30, second + 30).value == pytest.approx(expected, rel=1e-3)
    assert distance(first / 4, second / 4).value == pytest.approx(expected, rel=1e-3)
    assert distance(first, second).value == expected
    assert distance(first, second, seed=1).value == pytest.approx(expected, rel=0.3)


def test_an_image_has_levels_down_to_8_pixels() -> None:
    assert [count_levels(side) for side in (4, 5, 8, 16, 32, 64, 28)] == [0, 1, 1, 2, 3, 4, 2]


def test_a_gaussian_has_the_moments_of_the_images(crops) -> None:
    x = crops[0].byte().numpy()[:, :1, :4, :4]
    drawn = sample_gaussian(x, 20_000, torch.Generator().manual_seed(0)).flatten(1).double()
    rows = torch.from_numpy(x).flatten(1).double()
    assert torch.allclose(drawn.mean(0), rows.mean(0), atol=3)
    expected = torch.cov(rows.T, correction=0)
    assert float((torch.cov(drawn.T) - expected).abs().max()) < 0.05 * float(expected.max())


def test_constant_real_images_give_a_number() -> None:
    flat = make_flat_images(torch.full((30,), 128.0), 8)
    assert distance(flat, flat) == Distance(0.0, 0.0)
    assert math.isfinite(distance(flat + 1, flat).value)
