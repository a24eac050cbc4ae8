"""Priors of what leaves at a split and of what stays to the end."""

import math

import torch
from torch import Tensor, nn


class Prior(nn.Module):
    """Density of a latent z (B, C, H, W) given what stays; element by element."""

    def log_prob(self, z: Tensor, kept: Tensor | None) -> Tensor:
        """Log-density in nats of each element of z, same shape."""
        raise TypeError(f"{type(self).__name__} has no density")

    def sample(self, noise: Tensor, kept: Tensor | None) -> Tensor:
        """The latent that standard normal ``noise`` (B, C, H, W) stands for."""
        raise TypeError(f"{type(self).__name__} cannot be sampled")


class StandardNormal(Prior):
    """N(0, 1) for every dimension (RealNVP)."""

    def log_prob(self, z: Tensor, kept: Tensor | None = None) -> Tensor:
        return -0.5 * (z.square() + math.log(2 * math.pi))

    def sample(self, noise: Tensor, kept: Tensor | None = None) -> Tensor:
        return noise


def standard_noise(
    shape: torch.Size, like: Tensor, generator: torch.Generator | None, temperature: float
) -> Tensor:
    """``temperature`` times standard normal noise in the dtype and on the device of ``like``."""
    noise = torch.randn(shape, generator=generator, dtype=like.dtype, device=like.device)
    return temperature * noise
