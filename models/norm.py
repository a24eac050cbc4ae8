"""Normalization between couplings, on the entries that the last coupling transformed."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lcma.models.layers import Layer


@dataclass(frozen=True)
class Transformed:
    """The entries that a coupling changes: a range of channels, and there a spatial mask.

    ``mask`` is (1, 1, H, W) with 1 at changed positions, or None for all positions.
    """

    total: int
    first: int
    count: int
    mask: Tensor | None = None


class PartialNorm(Layer):
    """Normalization y = (x + shift) exp(log_scale) on the transformed entries, x elsewhere.

    The contribution is the log-scale there, (1, C, H, W).
    """

    mask: Tensor | None

    def __init__(self, part: Transformed) -> None:
        super().__init__()
        self.part = part
        self.register_buffer("mask", part.mask, persistent=False)

    def _select(self, x: Tensor) -> Tensor:
        chosen = x[:, self.part.first : self.part.first + self.part.count]
        return chosen if self.mask is None else chosen * self.mask

    def _spread(self, per_channel: Tensor, x: Tensor) -> Tensor:
        """(count,) to (1, C, H, W), zero at the entries left alone."""
        after = self.part.total - self.part.first - self.part.count
        if self.part.first or after:
            per_channel = F.pad(per_channel, (self.part.first, after))
        padded = per_channel.view(1, -1, 1, 1)
        if self.mask is None:
            return padded.expand(1, *x.shape[1:])
        return padded * self.mask

    def _parameters_for(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Shift and log-scale, each (count,)."""
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
    """Learned shift and scale, started so that a first batch leaves with mean 0, variance 1.

    The log-scale is ``rate`` times the parameter; Glow's is 3, which makes it learn faster.
    """

    def __init__(self, part: Transformed, eps: float = 1e-6, rate: float = 1.0) -> None:
        super().__init__(part)
        self.eps, self.rate = eps, rate
        self.shift = nn.Parameter(torch.zeros(part.count))
        self.log_scale = nn.Parameter(torch.zeros(part.count))

    def _parameters_for(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.shift, self.log_scale if self.rate == 1 else self.rate * self.log_scale

    @torch.no_grad()
    def initialize(self, x: Tensor) -> None:
        chosen = self._select(x)
        share = 1.0 if self.mask is None else float(self.mask.mean())
        mean = chosen.mean((0, 2, 3)) / share
        variance = chosen.square().mean((0, 2, 3)) / share - mean.square()
        self.shift.copy_(-mean)
        self.log_scale.copy_(-0.5 * (variance.clamp(min=0) + self.eps).log() / self.rate)


class ChannelNorm(ActNorm):
    """Actnorm over all channels. Once started it stays as it is, weights from a file included."""

    started: Tensor

    def __init__(self, channels: int, *, rate: float = 1.0) -> None:
        super().__init__(Transformed(channels, 0, channels), rate=rate)
        self.register_buffer("started", torch.tensor(False))

    @torch.no_grad()
    def initialize(self, x: Tensor) -> None:
        if not bool(self.started):
            super().initialize(x)
            self.started.fill_(True)


class FlowBatchNorm(PartialNorm):
    """RealNVP's batch norm: batch moments in training, their running average in evaluation.

    As in the released code the moments of a checkerboard part include the zeros at the
    positions left alone, and there is no learned scale.
    """

    running_mean: Tensor
    running_variance: Tensor

    def __init__(self, part: Transformed, eps: float = 1e-4, rate: float = 0.1) -> None:
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
                # In place, lerp has no rule in `torch.vmap`.
                self.running_mean.copy_(self.running_mean.lerp(mean, self.rate))
                self.running_variance.copy_(self.running_variance.lerp(variance, self.rate))
        else:
            mean, variance = self.running_mean, self.running_variance
        return -mean, -0.5 * (variance + self.eps).log()
