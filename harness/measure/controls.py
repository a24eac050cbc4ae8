"""Controls of a measure of samples: real images, and sets that are worse in a known way.

A measure can be trusted on a data set if it orders them: real images before blurred and noisy
ones, and slightly blurred ones before a Gaussian that has only their means and covariances.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from lcma.harness.seeds import derive_seed
from lcma.sweeps.measures import CONTROLS

GAUSSIAN_IMAGES = 5_000
"""Most training images that the Gaussian is fitted to."""

_CHANGES: Mapping[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "null": lambda x, generator: x,
    "blur_half": lambda x, generator: blur(x, 0.5),
    "blur_1": lambda x, generator: blur(x, 1.0),
    "noise_5": lambda x, generator: x + 5 * torch.randn(x.shape, generator=generator),
    "noise_20": lambda x, generator: x + 20 * torch.randn(x.shape, generator=generator),
}


def make_controls(train: NDArray[Any], count: int) -> Iterator[tuple[str, Tensor]]:
    """Yield the name and the images (count, C, H, W), uint8, of each of `CONTROLS`.

    They are made from evenly spaced images of the train part (N, C, H, W).
    """
    real = torch.from_numpy(choose_images(train, count)).float()
    for index, name in enumerate(CONTROLS):
        generator = torch.Generator().manual_seed(derive_seed(0, "control", index))
        if name == "gaussian":
            x = sample_gaussian(
                choose_images(train, min(len(train), GAUSSIAN_IMAGES)), count, generator
            )
        else:
            x = _CHANGES[name](real, generator)
        yield name, x.round().clamp(0, 255).to(torch.uint8)


def choose_images(images: NDArray[Any], count: int) -> NDArray[Any]:
    """Copy ``count`` evenly spaced images."""
    return np.array(images[np.arange(count) * len(images) // count])


def blur(x: Tensor, sigma: float) -> Tensor:
    """Blur images (N, C, H, W) by a Gaussian of ``sigma`` pixels; borders are mirrored."""
    reach = max(1, int(4 * sigma + 0.5))
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float64)
    weights = torch.exp(-offsets.square() / (2 * sigma**2))
    channels = x.shape[1]
    kernel = (weights / weights.sum()).float().view(1, 1, -1, 1).expand(channels, 1, -1, 1)
    x = F.conv2d(F.pad(x, (0, 0, reach, reach), mode="reflect"), kernel, groups=channels)
    return F.conv2d(F.pad(x, (reach, reach, 0, 0), mode="reflect"), kernel.mT, groups=channels)


def sample_gaussian(images: NDArray[Any], count: int, generator: torch.Generator) -> Tensor:
    """Draw from the Gaussian with the means and the full covariance of images (N, C, H, W)."""
    rows = torch.from_numpy(images).flatten(1).float()
    mean = rows.mean(0)
    noise = torch.randn((count, len(rows)), generator=generator)
    # Normal combinations of centred images have their covariance, without a factorization of it.
    drawn = mean + noise @ (rows - mean) / math.sqrt(len(rows))
    return drawn.view(count, *images.shape[1:])
