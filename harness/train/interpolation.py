"""Interpolation of two images through the latents of a trained flow (the paper's Figure 3)."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lcma.harness.seeds import derive_seed
from lcma.harness.train.evaluate import evaluation_mode, residual_blocks
from lcma.models import Flow
from lcma.sweeps.errors import UserError

MOST = 64
"""Most steps, as many as fit a picture."""


@dataclass(frozen=True, eq=False)
class Interpolation:
    """Images (steps, C, H, W) on a path; the first and last are those given.

    ``iterations`` is the largest number that the inverse of a residual block took, None without
    such blocks; ``settled`` is True if all ended by their tolerance.
    """

    images: NDArray[np.uint8]
    iterations: int | None
    settled: bool


def interpolate(
    flow: Flow,
    first: NDArray[np.uint8],
    last: NDArray[np.uint8],
    steps: int,
    *,
    spherical: bool = False,
) -> Interpolation:
    """Decode ``steps`` points of a path between the latents of two images (C, H, W).

    All latents of all scales go along one path: a straight line, or with ``spherical`` an arc on
    which the norm goes from one to the other as the angle does. The dequantization noise is
    drawn by a fixed seed. Raises UserError for a number of steps that makes no sense.
    """
    if not 2 <= steps <= MOST:
        raise UserError(f"--steps {steps} makes no sense: give 2 to {MOST}")
    device = next(flow.parameters()).device
    ends = torch.from_numpy(np.stack([first, last])).to(device)
    generator = torch.Generator(device).manual_seed(derive_seed(0, "interpolate"))
    blocks = residual_blocks(flow)
    with torch.no_grad(), evaluation_mode(flow):
        latents = flow.encode(ends, generator)
        weights = _weights(latents, steps, spherical).to(latents[0].dtype)
        x = flow.decode([torch.einsum("se,echw->schw", weights, z) for z in latents])
    settled = all(b.last_iterations < b.fixed_point.max_iterations for b in blocks)
    iterations = max((b.last_iterations for b in blocks), default=None)
    images = x.nan_to_num().clamp(0, 255).to(torch.uint8).cpu().numpy()
    return Interpolation(images, iterations, settled)


def _weights(latents: list[Tensor], steps: int, spherical: bool) -> Tensor:
    """Return the weights of both ends at each step, (steps, 2) in float64; 1 and 0 at the ends."""
    device = latents[0].device
    t = torch.linspace(0, 1, steps, dtype=torch.float64, device=device)
    straight = torch.stack([1 - t, t], dim=1)
    if not spherical:
        return straight
    a, b = torch.cat([z.flatten(1) for z in latents], dim=1).double()
    cosine = (a @ b) / (a.norm() * b.norm())
    angle = torch.arccos(cosine.clamp(-1, 1))
    if not bool(torch.sin(angle) > 1e-6):  # (nearly) the same or opposite directions, or NaN
        return straight
    return torch.sin(straight * angle) / torch.sin(angle)
