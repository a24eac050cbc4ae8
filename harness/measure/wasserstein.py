"""Sliced Wasserstein distance between two sets of images, on patches of their Laplacian pyramids.

The definition is that of Karras et al. 2018 (Progressive growing of GANs, section 5), but for two
things: the pyramid goes down to 8 pixels, and both sets are normalized by the moments of the real
one. Those of each set by itself would hide a difference in contrast.
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

SMALLEST = 8
"""Pixels of the side below which no further level is made."""

PATCHES = 128
"""Most patches of an image and level: all of them where it has no more, else some at random."""

REPEATS, DIRECTIONS = 4, 128
"""Sets of random directions on which patches are projected, and directions of a set."""

BLOCKS = 10
"""Disjoint blocks of images behind a standard error."""

SCALE = 1000
"""The factor by which distances are shown."""

_AT_ONCE = 32  # directions: projections of 2,000 images on them take 33 MB
_BINOMIAL = (1.0, 4.0, 6.0, 4.0, 1.0)


@dataclass(frozen=True)
class Distance:
    """A distance of two sets, with its standard error over blocks, NaN where there is none."""

    value: float
    standard_error: float


def count_levels(side: int) -> int:
    """Return the number of levels of images of so many pixels a side; 0 if they have no patch."""
    if side < patch_size(side):
        return 0
    return 1 + (count_levels(side // 2) if side % 2 == 0 and side // 2 >= SMALLEST else 0)


def patch_size(side: int) -> int:
    """Return the pixels of a patch's side on a level of so many."""
    return 7 if side >= 16 else 5


def sliced_wasserstein(images: Tensor, real: Tensor, *, seed: int) -> Distance:
    """Return 1000 times the sliced Wasserstein-1 distance, the mean over levels.

    A level's patches are divided by the standard deviation of the real ones, channel by channel
    (their mean cancels), and projected on random unit directions; of each direction it is the mean
    difference of sorted projections.

    Args:
        images: Images (N, C, H, W), values 0..255, of any type.
        real: As many real ones.
        seed: What the directions follow from, and the places of patches.

    Returns:
        The distance of all images. The standard error is from `BLOCKS` disjoint blocks of both,
        every `BLOCKS`-th image in one.

    Raises:
        ValueError: The sets differ in shape, are empty, or have no patch.
    """
    if images.shape != real.shape or not len(real):
        raise ValueError(f"sets of shapes {tuple(images.shape)} and {tuple(real.shape)}")
    levels = count_levels(min(real.shape[2:]))
    if not levels:
        raise ValueError(f"images of {tuple(real.shape[2:])} pixels have no patch")
    order = _order_by_block(len(real)).to(real.device)
    pyramids = [_list_levels(x[order].float(), levels) for x in (images, real)]
    found = [
        _compare_level(one, other, derive_seed(seed, "swd", level))
        for level, (one, other) in enumerate(zip(*pyramids, strict=True))
    ]
    whole, blocks = (SCALE * np.mean(parts, axis=0) for parts in zip(*found, strict=True))
    return Distance(float(whole), block_error(blocks))


def block_error(blocks: Sequence[float] | Floats) -> float:
    """Return the standard error of a mean of disjoint blocks; NaN for fewer than two."""
    if len(blocks) < 2:
        return math.nan
    return float(np.std(blocks, ddof=1) / math.sqrt(len(blocks)))


def _order_by_block(count: int) -> Tensor:
    # Block after block, then what is left over; every tenth image, since neighbours may be alike.
    size = count // BLOCKS
    blocked = torch.arange(size * BLOCKS).view(size, BLOCKS).T.reshape(-1)
    return torch.cat([blocked, torch.arange(size * BLOCKS, count)])


def _list_levels(x: Tensor, levels: int) -> Iterator[Tensor]:
    """Yield the band-passed levels of a Laplacian pyramid, then what is left."""
    for _ in range(levels - 1):
        smaller = _filter(x)[:, :, ::2, ::2]
        spread = torch.zeros_like(x)
        spread[:, :, ::2, ::2] = 4 * smaller
        yield x - _filter(spread)
        x = smaller
    yield x


def _filter(x: Tensor) -> Tensor:
    # With the 5 x 5 binomial; borders are mirrored.
    side = torch.tensor(_BINOMIAL, device=x.device) / sum(_BINOMIAL)
    channels = x.shape[1]
    rows = side.view(1, 1, 5, 1).expand(channels, 1, 5, 1)
    x = F.conv2d(F.pad(x, (0, 0, 2, 2), mode="reflect"), rows, groups=channels)
    return F.conv2d(F.pad(x, (2, 2, 0, 0), mode="reflect"), rows.mT, groups=channels)


def _compare_level(images: Tensor, real: Tensor, seed: int) -> tuple[float, Floats]:
    """Return the distance of a level, and those of the blocks; without the factor."""
    count, channels, *sides = real.shape
    size = patch_size(min(sides))
    generator = torch.Generator().manual_seed(seed)
    places = [
        _choose_places(count, [side - size + 1 for side in sides], generator).to(real.device)
        for _ in range(2)
    ]
    patches = [_cut(x, size, p) for x, p in zip((images, real), places, strict=True)]
    deviations = patches[1].view(-1, channels, size * size).double().std((0, 2), correction=0)
    deviations[deviations == 0] = 1.0
    directions = torch.randn(
        (REPEATS * DIRECTIONS, channels, size * size), generator=generator, dtype=torch.float64
    )
    directions /= directions.square().sum((1, 2), keepdim=True).sqrt()
    directions = (directions.to(real.device) / deviations.view(1, -1, 1)).flatten(1).float()
    whole, blocks = [], []
    for start in range(0, len(directions), _AT_ONCE):
        some = directions[start : start + _AT_ONCE]
        projected = [some @ p.T for p in patches]
        one, each = _compare_projections(projected[0], projected[1], count)
        whole.append(one)
        blocks.append(each)
    return float(np.concatenate(whole).mean()), np.concatenate(blocks).mean(0)


def _choose_places(count: int, extents: Sequence[int], generator: torch.Generator) -> Tensor:
    """Return which patches of each image are taken, (count, P), by their number in raster order."""
    most = math.prod(extents)
    if most <= PATCHES:
        return torch.arange(most).expand(count, most)
    return torch.randint(most, (count, PATCHES), generator=generator)


def _cut(x: Tensor, size: int, places: Tensor) -> Tensor:
    """Return patches (N P, C size size) in float32."""
    count, channels = x.shape[:2]
    windows = x.unfold(2, size, 1).unfold(3, size, 1).movedim(1, 3)  # N, H', W', C, size, size
    across = windows.shape[2]
    each = torch.arange(count, device=x.device)[:, None]
    return windows[each, places // across, places % across].reshape(-1, channels * size * size)


def _compare_projections(a: Tensor, b: Tensor, count: int) -> tuple[Floats, Floats]:
    """Return the distances (D,) of projections (D, N P), and of the blocks (D, `BLOCKS`).

    It sorts them in place.
    """
    size = count // BLOCKS * (a.shape[1] // count)
    each = np.zeros((len(a), 0))
    if size:  # views, of which each block lies in one piece
        shape, strides = (len(a), BLOCKS, size), (a.shape[1], size, 1)
        blocks = [x.as_strided(shape, strides) for x in (a, b)]
        for x in blocks:
            _sort(x)
        each = _mean_difference(blocks[0], blocks[1])
    _sort(a)
    _sort(b)
    return _mean_difference(a, b), each


def _sort(x: Tensor) -> None:
    if x.device.type == "cpu":
        x.numpy().sort()  # ten times as fast
    else:
        x.copy_(x.sort().values)


def _mean_difference(a: Tensor, b: Tensor) -> Floats:
    return np.asarray((a - b).abs_().mean(-1).double().cpu())
