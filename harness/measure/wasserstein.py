"""Sliced Wasserstein distance between two sets of images, on patches of their Laplacian pyramids.

The definition is that of Karras et al. 2018 (Progressive growing of GANs, section 5), with two
exceptions: the pyramid goes down to 8 pixels, and both sets are normalized by the moments of the
real one. Normalizing each set by its own moments would hide a difference in contrast.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lcma.harness.averages import Floats
from lcma.harness.seeds import derive_seed

MIN_SIDE = 8
"""Least side of a level in pixels."""

PATCHES = 128
"""Most patches of an image and level, drawn at random if it has more."""

REPEATS, DIRECTIONS = 4, 128
"""Sets of random directions on which patches are projected, and directions of a set."""

BLOCKS = 10
"""Disjoint blocks of images from which a standard error is computed."""

SCALE = 1000
"""The factor of distances."""

_DIRECTIONS_AT_ONCE = 32  # the projections of 2,000 images take 33 MB
_BINOMIAL = (1.0, 4.0, 6.0, 4.0, 1.0)


@dataclass(frozen=True)
class Distance:
    """A distance of two sets."""

    value: float
    standard_error: float  # NaN with fewer than two blocks


def count_levels(side: int) -> int:
    """Return the number of levels of images with a side in pixels; 0 if they have no patch."""
    if side < patch_size(side):
        return 0
    return 1 + (count_levels(side // 2) if side % 2 == 0 and side // 2 >= MIN_SIDE else 0)


def patch_size(side: int) -> int:
    """Return the side of a patch on a level with a side, in pixels."""
    return 7 if side >= 16 else 5


def sliced_wasserstein(images: Tensor, real: Tensor, *, seed: int) -> Distance:
    """Return 1000 times the sliced Wasserstein-1 distance, the mean over levels.

    A level's patches are divided by the standard deviation of the real patches, channel by channel
    (their mean cancels), and projected on random unit directions. The distance in a direction is
    the mean difference of the sorted projections.

    Args:
        images: Images (N, C, H, W), values 0..255, of any type.
        real: As many real images.
        seed: Seed of the directions and of the patches.

    Returns:
        The distance of all images. Its standard error is from `BLOCKS` disjoint blocks of both
        sets, each of every `BLOCKS`-th image.
    """
    levels = count_levels(min(real.shape[2:]))
    order = _order_by_block(len(real)).to(real.device)
    pyramids = [_make_levels(x[order].float(), levels) for x in (images, real)]
    distances = [
        _compare_level(image_level, real_level, derive_seed(seed, "swd", index))
        for index, (image_level, real_level) in enumerate(zip(*pyramids, strict=True))
    ]
    total, blocks = (SCALE * np.mean(parts, axis=0) for parts in zip(*distances, strict=True))
    return Distance(float(total), block_error(blocks))


def block_error(blocks: Sequence[float] | Floats) -> float:
    """Return the standard error of a mean from the values of disjoint blocks; NaN for fewer than
    two."""
    if len(blocks) < 2:
        return math.nan
    return float(np.std(blocks, ddof=1) / math.sqrt(len(blocks)))


def _order_by_block(count: int) -> Tensor:
    """Return the indices of images block by block, then the rest.

    A block has every tenth image, since neighbours may be similar.
    """
    size = count // BLOCKS
    blocked = torch.arange(size * BLOCKS).view(size, BLOCKS).T.reshape(-1)
    return torch.cat([blocked, torch.arange(size * BLOCKS, count)])


def _make_levels(x: Tensor, levels: int) -> Iterator[Tensor]:
    """Yield the band-passed levels of a Laplacian pyramid, then the smallest low-passed level."""
    for _ in range(levels - 1):
        smaller = _smooth(x)[:, :, ::2, ::2]
        spread = torch.zeros_like(x)
        spread[:, :, ::2, ::2] = 4 * smaller
        yield x - _smooth(spread)
        x = smaller
    yield x


def _smooth(x: Tensor) -> Tensor:
    """Convolve images with the 5 x 5 binomial; borders are mirrored."""
    weights = torch.tensor(_BINOMIAL, device=x.device) / sum(_BINOMIAL)
    channels = x.shape[1]
    kernel = weights.view(1, 1, 5, 1).expand(channels, 1, 5, 1)
    x = F.conv2d(F.pad(x, (0, 0, 2, 2), mode="reflect"), kernel, groups=channels)
    return F.conv2d(F.pad(x, (2, 2, 0, 0), mode="reflect"), kernel.mT, groups=channels)


def _compare_level(images: Tensor, real: Tensor, seed: int) -> tuple[float, Floats]:
    """Return the distance of a level, and those of the blocks, without `SCALE`."""
    count, channels, *sides = real.shape
    size = patch_size(min(sides))
    generator = torch.Generator().manual_seed(seed)
    positions = [
        _choose_positions(count, [side - size + 1 for side in sides], generator).to(real.device)
        for _ in range(2)
    ]
    patches = [_cut_patches(x, size, p) for x, p in zip((images, real), positions, strict=True)]
    deviations = patches[1].view(-1, channels, size * size).double().std((0, 2), correction=0)
    deviations[deviations == 0] = 1.0
    directions = torch.randn(
        (REPEATS * DIRECTIONS, channels, size * size), generator=generator, dtype=torch.float64
    )
    directions /= directions.square().sum((1, 2), keepdim=True).sqrt()
    directions = (directions.to(real.device) / deviations.view(1, -1, 1)).flatten(1).float()
    distances, block_distances = [], []
    for start in range(0, len(directions), _DIRECTIONS_AT_ONCE):
        batch = directions[start : start + _DIRECTIONS_AT_ONCE]
        ours, theirs = (batch @ p.T for p in patches)
        distance, by_block = _compare_projections(ours, theirs, count)
        distances.append(distance)
        block_distances.append(by_block)
    return float(np.concatenate(distances).mean()), np.concatenate(block_distances).mean(0)


def _choose_positions(count: int, extents: Sequence[int], generator: torch.Generator) -> Tensor:
    """Return the numbers of each image's patches in raster order, (count, P)."""
    available = math.prod(extents)
    if available <= PATCHES:
        return torch.arange(available).expand(count, available)
    return torch.randint(available, (count, PATCHES), generator=generator)


def _cut_patches(x: Tensor, size: int, positions: Tensor) -> Tensor:
    """Return patches (N P, C size size) in float32."""
    count, channels = x.shape[:2]
    windows = x.unfold(2, size, 1).unfold(3, size, 1).movedim(1, 3)  # N, H', W', C, size, size
    width = windows.shape[2]
    images = torch.arange(count, device=x.device)[:, None]
    patches = windows[images, positions // width, positions % width]
    return patches.reshape(-1, channels * size * size)


def _compare_projections(a: Tensor, b: Tensor, count: int) -> tuple[Floats, Floats]:
    """Return the distances (D,) of projections (D, N P), and of the blocks (D, `BLOCKS`).

    It sorts them in place.
    """
    size = count // BLOCKS * (a.shape[1] // count)
    by_block = np.zeros((len(a), 0))
    if size:
        # Views: `_order_by_block` has made each block contiguous.
        shape, strides = (len(a), BLOCKS, size), (a.shape[1], size, 1)
        blocks = [x.as_strided(shape, strides) for x in (a, b)]
        for block in blocks:
            _sort(block)
        by_block = _mean_difference(blocks[0], blocks[1])
    _sort(a)
    _sort(b)
    return _mean_difference(a, b), by_block


def _sort(x: Tensor) -> None:
    if x.device.type == "cpu":
        x.numpy().sort()  # ten times as fast as PyTorch
    else:
        x.copy_(x.sort().values)


def _mean_difference(a: Tensor, b: Tensor) -> Floats:
    return np.asarray((a - b).abs_().mean(-1).double().cpu())
