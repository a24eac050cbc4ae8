"""Augmentation of training images, compared with NumPy."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lcma.harness.train.batches import augment
from lcma.sweeps.recipe import Optimization

MODES = {"edge": "edge", "symmetric": "symmetric", "zero": "constant"}
"""NumPy's name of each filling of a shift."""


def make_optimization(**changes: Any) -> Optimization:
    return Optimization.model_validate({"learning_rate": 1e-3, "batch": 4} | changes)


def images(count: int = 200, size: int = 6) -> Tensor:
    drawn = np.random.RandomState(0).randint(1, 256, (count, 2, size, size))
    return torch.from_numpy(drawn.astype(np.uint8))


def draw(optimization: Optimization, x: Tensor, seed: int = 0) -> Tensor:
    return augment(x, optimization, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("fill", MODES)
@pytest.mark.parametrize("limit", [1, 3])
def test_every_image_is_one_of_its_shifts(fill: str, limit: int) -> None:
    x = images()
    shifted = draw(make_optimization(shift=limit, shift_fill=fill), x)
    assert shifted.dtype == torch.uint8
    seen = set()
    for before, after in zip(x.numpy(), shifted.numpy(), strict=True):
        padded = np.pad(before, ((0, 0), (limit, limit), (limit, limit)), mode=MODES[fill])
        matches = [
            (r, q)
            for r in range(2 * limit + 1)
            for q in range(2 * limit + 1)
            if np.array_equal(padded[:, r : r + 6, q : q + 6], after)
        ]
        assert matches, "no shift gives this image"
        seen.add(matches[0])
    assert len(seen) > 0.8 * (2 * limit + 1) ** 2, "all shifts occur"


def test_the_same_generator_gives_the_same_images() -> None:
    optimization, x = make_optimization(shift=2, flips=True), images()
    assert torch.equal(draw(optimization, x), draw(optimization, x))
    assert not torch.equal(draw(optimization, x), draw(optimization, x, seed=1))


def test_without_augmentation_images_stay_as_they_are() -> None:
    x = images()
    assert draw(make_optimization(), x) is x
