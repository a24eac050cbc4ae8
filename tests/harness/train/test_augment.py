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


def make_images() -> Tensor:
    pixels = np.random.RandomState(0).randint(1, 256, (200, 2, 6, 6))
    return torch.from_numpy(pixels.astype(np.uint8))


def augment_images(optimization: Optimization, x: Tensor, seed: int = 0) -> Tensor:
    return augment(x, optimization, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("fill", MODES)
@pytest.mark.parametrize("limit", [1, 3])
def test_every_image_is_one_of_its_shifts(fill: str, limit: int) -> None:
    x = make_images()
    shifted = augment_images(make_optimization(shift=limit, shift_fill=fill), x)
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
    optimization, x = make_optimization(shift=2, flips=True), make_images()
    assert torch.equal(augment_images(optimization, x), augment_images(optimization, x))
    assert not torch.equal(augment_images(optimization, x), augment_images(optimization, x, seed=1))
