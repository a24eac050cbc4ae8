"""Priors of the dimensions that leave at a split and of those that stay to the end."""

import math

import torch
from torch import Tensor, nn

from lcma.models.convolution import RATE, GainedConv, respond_to_border


class Prior(nn.Module):
    """Density of a latent z (B, C, H, W), element by element; base class."""

    def log_prob(self, z: Tensor, kept: Tensor | None) -> Tensor:
        """Return the log-density of each element of a latent.

        Args:
            z: Latent (B, C, H, W).
            kept: The dimensions that stay at the split (B, C, H, W); None for the last prior.

        Returns:
            Log-density in nats, of the shape of z.
        """
        raise TypeError(f"{type(self).__name__} has no density")

    def sample(self, noise: Tensor, kept: Tensor | None) -> Tensor:
        """Return the latent (B, C, H, W) that the prior makes of noise.

        Args:
            noise: Standard normal noise (B, C, H, W).
            kept: As for `log_prob`.
        """
        raise TypeError(f"{type(self).__name__} cannot be sampled")


class StandardNormal(Prior):
    """N(0, 1) for every dimension (RealNVP, Residual Flow).

    Example:
        >>> import torch
        >>> round(float(StandardNormal().log_prob(torch.zeros(1, 1, 1, 1))), 4)
        -0.9189
    """

    def log_prob(self, z: Tensor, kept: Tensor | None = None) -> Tensor:
        return -0.5 * (z.square() + math.log(2 * math.pi))

    def sample(self, noise: Tensor, kept: Tensor | None = None) -> Tensor:
        return noise


class Normal(Prior):
    """N(mean, exp(log_scale)²) for every dimension; base class."""

    def mean_and_log_scale(self, like: Tensor, kept: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return both, each broadcastable to the shape of the latent ``like``, given ``kept``."""
        raise TypeError(f"{type(self).__name__} has no mean")

    def log_prob(self, z: Tensor, kept: Tensor | None = None) -> Tensor:
        mean, log_scale = self.mean_and_log_scale(z, kept)
        standard = (z - mean) * (-log_scale).exp()
        return -0.5 * (standard.square() + math.log(2 * math.pi)) - log_scale

    def sample(self, noise: Tensor, kept: Tensor | None = None) -> Tensor:
        mean, log_scale = self.mean_and_log_scale(noise, kept)
        return mean + log_scale.exp() * noise


class LearnedNormal(Normal):
    """A normal with learned mean and log-scale; N(0, 1) at the start.

    Args:
        shape: Shape of both: (C, 1, 1) for a pair per channel (Glow's last prior with
            `top: channel`), (C, H, W) for a pair per dimension (i-ResNet).

    Example:
        >>> import torch
        >>> LearnedNormal((4, 1, 1)).log_prob(torch.zeros(2, 4, 8, 8)).shape
        torch.Size([2, 4, 8, 8])
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(shape))
        self.log_scale = nn.Parameter(torch.zeros(shape))

    def mean_and_log_scale(self, like: Tensor, kept: Tensor | None) -> tuple[Tensor, Tensor]:
        return self.mean, self.log_scale


class PlaceNormal(Normal):
    """A normal whose learned mean and log-scale depend on the place (Glow's released last prior).

    h = (conv(0) + shift) exp(3 log_gain), where conv is a 3x3 convolution that sees ones in the
    padding. So h takes nine values per channel: inside, at four edges and in four corners. The
    first half of the channels of h is the mean, the second the log-scale; both start at 0.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.border = nn.Parameter(torch.zeros(2 * channels, 1, 3, 3))
        self.shift = nn.Parameter(torch.zeros(2 * channels, 1, 1))
        self.log_gain = nn.Parameter(torch.zeros(2 * channels, 1, 1))

    def mean_and_log_scale(self, like: Tensor, kept: Tensor | None) -> tuple[Tensor, Tensor]:
        h = respond_to_border(self.border, like.shape[2], like.shape[3]) + self.shift
        mean, log_scale = (h * (RATE * self.log_gain).exp()).chunk(2, dim=1)
        return mean, log_scale


class ConditionalNormal(Normal):
    """A normal whose mean and log-scale are a 3x3 convolution of what stays (Glow's splits).

    Even channels of the convolution are the mean, odd ones the log-scale; it starts at 0.
    ``channels`` is the number of channels of each half of the split.

    Example:
        >>> import torch
        >>> z, kept = torch.randn(2, 1, 4, 8, 8)
        >>> prior = ConditionalNormal(4)
        >>> prior.log_prob(z, kept).shape, prior.sample(torch.randn(1, 4, 8, 8), kept).shape
        (torch.Size([1, 4, 8, 8]), torch.Size([1, 4, 8, 8]))
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.net = GainedConv(channels, 2 * channels, 3, std=0.0)

    def mean_and_log_scale(self, like: Tensor, kept: Tensor | None) -> tuple[Tensor, Tensor]:
        if kept is None:
            raise ValueError("a conditional prior needs what stays")
        mean, log_scale = self.net(kept).unflatten(1, (-1, 2)).unbind(2)
        return mean, log_scale


def standard_noise(
    shape: torch.Size, like: Tensor, generator: torch.Generator | None, temperature: float
) -> Tensor:
    """Draw standard normal noise times ``temperature``, with dtype and device of ``like``."""
    noise = torch.randn(shape, generator=generator, dtype=like.dtype, device=like.device)
    return temperature * noise
