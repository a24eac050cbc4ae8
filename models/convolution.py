"""The convolution of Glow's nets and priors (openai/glow): it has a border channel and a gain."""

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lcma.models.stacked import conv2d

RATE = 3.0
"""Factor by which a gain's logarithm is multiplied, so that it learns faster than other weights."""


def respond_to_border(kernel: Tensor, height: int, width: int) -> Tensor:
    """Convolve an image of zeros, padded with ones, by a kernel (outputs, 1, K, K).

    Returns (1, outputs, height, width), which is 0 where the kernel does not reach the padding.
    """
    seen = _unfold_border(height, width, kernel.shape[-1], kernel.dtype, kernel.device)
    return (kernel.flatten(1) @ seen).view(1, -1, height, width)


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # a tensor made in that mode could not be trained with
def _unfold_border(
    height: int, width: int, size: int, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """Return what a kernel of K x K sees of that image at each pixel, (K * K, height * width)."""
    inside = torch.zeros(1, 1, height, width, dtype=dtype, device=device)
    return F.unfold(F.pad(inside, [size // 2] * 4, value=1.0), size)[0]


class GainedConv(nn.Module):
    """A convolution with a gain per channel: y = (conv(x) + shift) exp(3 log_gain).

    It maps (B, inputs, H, W) to (B, outputs, H, W).

    Args:
        inputs: Channels of x.
        outputs: Channels of y.
        kernel: Height and width of the kernel. If it is wider than 1, x is padded with zeros and
            gets one more channel, 1 in the padding and 0 inside: it shows where the image ends.
        std: Standard deviation of the weights at the start.
        gained: Learn the gain; else it stays 1.
        started_by_data: Let `initialize` set shift and gain as an actnorm does, so that the first
            batch is mapped to mean 0 and variance 1.
    """

    started: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        std: float,
        gained: bool = True,
        started_by_data: bool = False,
    ) -> None:
        super().__init__()
        self.pad, self.gained = kernel // 2, gained
        self.started_by_data = started_by_data
        self.weight = nn.Parameter(std * torch.randn(outputs, inputs, kernel, kernel))
        self.border = (
            nn.Parameter(std * torch.randn(outputs, 1, kernel, kernel)) if self.pad else None
        )
        self.shift = nn.Parameter(torch.zeros(outputs))
        self.log_gain = nn.Parameter(torch.zeros(outputs), requires_grad=gained)
        if started_by_data:
            self.register_buffer("started", torch.tensor(False))

    def forward(self, x: Tensor) -> Tensor:
        if not self.gained:
            return self._convolve(x, self.weight, self.shift, self.border)
        # The gain multiplies the weights, which are smaller than the output.
        gain = (RATE * self.log_gain).exp()
        scale = gain.view(-1, 1, 1, 1)
        border = None if self.border is None else self.border * scale
        return self._convolve(x, self.weight * scale, self.shift * gain, border)

    def _convolve(self, x: Tensor, weight: Tensor, shift: Tensor, border: Tensor | None) -> Tensor:
        out = conv2d(x, weight, shift, self.pad)
        if border is None:
            return out
        return out.add_(respond_to_border(border, x.shape[2], x.shape[3]))

    @torch.no_grad()
    def initialize(self, x: Tensor) -> None:
        """Set shift and gain from a first batch (B, inputs, H, W); later calls do nothing."""
        if not self.started_by_data or bool(self.started):
            return
        self.shift.zero_()
        self.log_gain.zero_()
        variance, mean = torch.var_mean(self(x), (0, 2, 3), correction=0)
        self.shift.copy_(-mean)
        self.log_gain.copy_(-0.5 * (variance + 1e-6).log() / RATE)
        self.started.fill_(True)
