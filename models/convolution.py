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
    pad = kernel.shape[-1] // 2
    return F.conv2d(_make_border(height, width, pad, kernel.dtype, kernel.device), kernel)


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # a tensor made in that mode could not be trained with
def _make_border(
    height: int, width: int, pad: int, dtype: torch.dtype, device: torch.device
) -> Tensor:
    inside = torch.zeros(1, 1, height, width, dtype=dtype, device=device)
    return F.pad(inside, [pad] * 4, value=1.0)


class GainedConv(nn.Module):
    """A convolution with a gain per channel: y = (conv(x) + shift) exp(3 log_gain).

    It maps (B, inputs, H, W) to (B, outputs, H, W).

    Args:
        inputs: Channels of x.
        outputs: Channels of y.
        kernel: Height and width of the kernel. If it is wider than 1, x is padded with zeros and
            gets one more channel, 1 in the padding and 0 inside: it shows where the image ends.
        std: Standard deviation of the weights at the start.
        started_by_data: Let `initialize` set shift and gain as an actnorm does, so that the first
            batch is mapped to mean 0 and variance 1.
    """

    started: Tensor

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, std: float, started_by_data: bool = False
    ) -> None:
        super().__init__()
        self.pad = kernel // 2
        self.started_by_data = started_by_data
        self.weight = nn.Parameter(std * torch.randn(outputs, inputs, kernel, kernel))
        self.border = (
            nn.Parameter(std * torch.randn(outputs, 1, kernel, kernel)) if self.pad else None
        )
        self.shift = nn.Parameter(torch.zeros(outputs))
        self.log_gain = nn.Parameter(torch.zeros(outputs))
        if started_by_data:
            self.register_buffer("started", torch.tensor(False))

    def forward(self, x: Tensor) -> Tensor:
        # The gain multiplies the weights, which are smaller than the output.
        gain = (RATE * self.log_gain).exp()
        scale = gain.view(-1, 1, 1, 1)
        out = conv2d(x, self.weight * scale, self.shift * gain, self.pad)
        if self.border is None:
            return out
        return out.add_(respond_to_border(self.border * scale, x.shape[2], x.shape[3]))

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
