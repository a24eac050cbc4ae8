"""Interpolation of two images through the latents of a trained flow (the paper's Figure 3)."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lcma.harness.seeds import derive_seed
from lcma.harness.train.evaluate import evaluation_mode, residual_blocks
from lcma.models import Flow
from lcma.sweeps.errors import UserError

MAX_STEPS = 64
"""As many as fit a picture."""


@dataclass(frozen=True, eq=False)
class Interpolation:
    """Images on a path between two images."""

    images: NDArray[np.uint8]  # (steps, C, H, W), the two images included
    iterations: int | None  # most that a residual block's inverse took; None without such blocks
    settled: bool  # all inverses ended by their tolerance


def interpolate(
    flow: Flow, first: NDArray[np.uint8], last: NDArray[np.uint8], steps: int
) -> Interpolation:
    """Decode ``steps`` points of the straight line between the latents of two images (C, H, W).

    The latents of all scales move together. The dequantization noise has a fixed seed. Raises
    UserError for a number of steps out of range.
    """
    if not 2 <= steps <= MAX_STEPS:
        raise UserError(f"--steps {steps} makes no sense: give 2 to {MAX_STEPS}")
    device = next(flow.parameters()).device
    ends = torch.from_numpy(np.stack([first, last])).to(device)
    generator = torch.Generator(device).manual_seed(derive_seed(0, "interpolate"))
    blocks = residual_blocks(flow)
    with torch.no_grad(), evaluation_mode(flow):
        latents = flow.encode(ends, generator)
        t = torch.linspace(0, 1, steps, dtype=torch.float64, device=device)
        weights = torch.stack([1 - t, t], dim=1).to(latents[0].dtype)
        x = flow.decode([torch.einsum("se,echw->schw", weights, z) for z in latents])
    settled = all(b.last_iterations < b.fixed_point.max_iterations for b in blocks)
    iterations = max((b.last_iterations for b in blocks), default=None)
    images = x.nan_to_num().clamp(0, 255).to(torch.uint8).cpu().numpy()
    return Interpolation(images, iterations, settled)
