"""Normalizations between couplings, of the entries that the last coupling changed."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lcma.models.layers import Layer


@dataclass(frozen=True)
class ChangedPart:
    """The entries that a coupling changes: a range of channels, and a mask of their positions."""

    total: int  # channels of the coupling
    first: int  # the first channel that changes
    count: int  # the number of channels that change
    mask: Tensor | None = None  # (1, 1, H, W), 1 at positions that change; None for all


class PartialNorm(Layer):
    """Normalization: y = (x + shift) exp(log_scale) on the changed entries, y = x elsewhere.

    Base class. The contribution is the log-scale, (1, C, H, W), with 0 elsewhere.
    """

    mask: Tensor | None

    def __init__(self, part: ChangedPart) -> None:
        super().__init__()
        self.part = part
        self.register_buffer("mask", part.mask, persistent=False)

    def _select(self, x: Tensor) -> Tensor:
        chosen = x[:, self.part.first : self.part.first + self.part.count]
        return chosen if self.mask is None else chosen * self.mask

    def _spread(self, per_channel: Tensor, x: Tensor) -> Tensor:
        """Return (count,) as (1, C, H, W), with 0 at the entries that do not change."""
        after = self.part.total - self.part.first - self.part.count
        if self.part.first or after:
            per_channel = F.pad(per_channel, (self.part.first, after))
        padded = per_channel.view(1, -1, 1, 1)
        if self.mask is None:
            return padded.expand(1, *x.shape[1:])
        return padded * self.mask

    def _parameters_for(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return shift and log-scale, each (count,)."""
        raise TypeError(f"{type(self).__name__} has no parameters")

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        shift, log_scale = self._parameters_for(x)
        scales = self._spread(log_scale, x)
        return (x + self._spread(shift, x)) * scales.exp(), scales

    def inverse(self, y: Tensor) -> Tensor:
        shift, log_scale = self._parameters_for(y)
        return y * (-self._spread(log_scale, y)).exp() - self._spread(shift, y)

    def extra_repr(self) -> str:
        return f"{self.part.count} of {self.part.total} channels"


class ActNorm(PartialNorm):
    """Actnorm: learned shift and log-scale per channel.

    `initialize` sets them so that the first batch is mapped to mean 0 and variance 1. The log-scale
    is ``rate`` times its parameter; Glow's rate is 3, so that it learns faster than other weights.
    """

    def __init__(self, part: ChangedPart, eps: float = 1e-6, rate: float = 1.0) -> None:
        super().__init__(part)
        self.eps, self.rate = eps, rate
        self.shift = nn.Parameter(torch.zeros(part.count))
        self.log_scale = nn.Parameter(torch.zeros(part.count))

    def _parameters_for(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.shift, self.log_scale if self.rate == 1 else self.rate * self.log_scale

    @torch.no_grad()
    def initialize(self, x: Tensor) -> None:
        chosen = self._select(x)
        # The mean over all positions includes the zeros of those that do not change.
        share = 1.0 if self.mask is None else float(self.mask.mean())
        mean = chosen.mean((0, 2, 3)) / share
        variance = chosen.square().mean((0, 2, 3)) / share - mean.square()
        self.shift.copy_(-mean)
        self.log_scale.copy_(-0.5 * (variance.clamp(min=0) + self.eps).log() / self.rate)


class ChannelNorm(ActNorm):
    """Actnorm of all channels, which only the first call of `initialize` sets.

    Weights that are loaded count as set.

    Example:
        >>> import torch
        >>> norm = ChannelNorm(3)
        >>> x = 5 + 2 * torch.randn(16, 3, 8, 8)
        >>> norm.initialize(x)
        >>> y, contribution = norm(x)
        >>> torch.allclose(y.mean((0, 2, 3)), torch.zeros(3), atol=1e-5), contribution.shape
        (True, torch.Size([1, 3, 8, 8]))
    """

    started: Tensor

    def __init__(self, channels: int, *, rate: float = 1.0) -> None:
        super().__init__(ChangedPart(channels, 0, channels), rate=rate)
        self.register_buffer("started", torch.tensor(False))

    @torch.no_grad()
    def initialize(self, x: Tensor) -> None:
        if not bool(self.started):
            super().initialize(x)
            self.started.fill_(True)


class FlowBatchNorm(PartialNorm):
    """RealNVP's batch norm: batch moments in training, their running average in evaluation.

    As in the released code, no scale is learned, and the moments of a checkerboard include the
    zeros at the positions that do not change. ``rate`` is the weight of a batch in the average.
    """

    running_mean: Tensor
    running_variance: Tensor

    def __init__(self, part: ChangedPart, eps: float = 1e-4, rate: float = 0.1) -> None:
        super().__init__(part)
        self.eps, self.rate = eps, rate
        self.register_buffer("running_mean", torch.zeros(part.count))
        self.register_buffer("running_variance", torch.ones(part.count))

    def _parameters_for(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.training:
            chosen = self._select(x)
            mean = chosen.mean((0, 2, 3))
            variance = chosen.var((0, 2, 3), correction=0)
            with torch.no_grad():
                # Not lerp_, which has no rule for `torch.vmap`.
                self.running_mean.copy_(self.running_mean.lerp(mean, self.rate))
                self.running_variance.copy_(self.running_variance.lerp(variance, self.rate))
        else:
            mean, variance = self.running_mean, self.running_variance
        return -mean, -0.5 * (variance + self.eps).log()
