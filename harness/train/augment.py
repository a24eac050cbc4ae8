"""Random changes of training images, drawn on the device."""

from functools import lru_cache

import torch
from torch import Tensor

from lcma.sweeps.recipe import Optimization


def augment(x: Tensor, optimization: Optimization, generator: torch.Generator) -> Tensor:
    """Flip and shift images (B, C, H, W) as the recipe says, each image by a draw of its own."""
    if optimization.flips:
        flip = torch.rand(len(x), generator=generator, device=x.device) < 0.5
        x = torch.where(flip.view(-1, 1, 1, 1), x.flip(3), x)
    if optimization.shift:
        x = _shifted(x, optimization.shift, optimization.shift_fill, generator)
    return x


def _shifted(x: Tensor, most: int, fill: str, generator: torch.Generator) -> Tensor:
    batch, _, height, width = x.shape
    offsets = torch.randint(
        -most, most + 1, (batch, 2), generator=generator, device=x.device
    ).unsqueeze(2)
    rows = offsets[:, 0] + _arange(height, x.device)
    columns = offsets[:, 1] + _arange(width, x.device)
    outside = _outside(rows, height)[:, :, None] | _outside(columns, width)[:, None, :]
    images = _arange(batch, x.device)[:, None, None]
    inner_rows, inner_columns = _inside(rows, height, fill), _inside(columns, width, fill)
    moved = x.permute(0, 2, 3, 1)[images, inner_rows[:, :, None], inner_columns[:, None, :]]
    moved = moved.permute(0, 3, 1, 2)
    return moved.masked_fill(outside[:, None], 0) if fill == "zero" else moved


@lru_cache(maxsize=64)
def _arange(size: int, device: torch.device) -> Tensor:
    return torch.arange(size, device=device)


def _outside(places: Tensor, size: int) -> Tensor:
    return (places < 0) | (places >= size)


def _inside(places: Tensor, size: int, fill: str) -> Tensor:
    """Return the source of each place; those outside 0 .. size - 1 are mapped into it."""
    if fill == "symmetric":
        around = places.remainder(2 * size)
        return torch.minimum(around, 2 * size - 1 - around)
    return places.clamp(0, size - 1)
