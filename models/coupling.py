"""RealNVP's couplings (Dinh et al. 2017, section 3) and their residual nets."""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lcma.models.layers import Layer
from lcma.models.norm import ChangedPart
from lcma.models.stacked import conv2d, weight_norm

Start = Literal["torch", "released"]


class NormalizedConv(nn.Module):
    """A weight-normalized convolution (Salimans and Kingma 2016).

    It maps (B, inputs, H, W) to (B, outputs, H, W). The kernel of each output is a unit direction
    times a magnitude. A ``learned`` magnitude starts at kernel / sqrt(6), as in the released code;
    otherwise it stays 1.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, learned: bool, bias: bool = True
    ) -> None:
        super().__init__()
        conv = nn.Conv2d(inputs, outputs, kernel, bias=bias)
        self.pad = kernel // 2
        self.direction, self.bias = conv.weight, conv.bias
        start = kernel / math.sqrt(6) if learned else 1.0
        self.magnitude = nn.Parameter(torch.full((outputs, 1, 1, 1), start), requires_grad=learned)

    @torch.no_grad()
    def start_as_released(self) -> None:
        """Draw the direction as the released code does, and set the bias to 0."""
        # The released bound does not depend on the size of the kernel.
        bound = math.sqrt(2 / self.direction.shape[1])
        self.direction.uniform_(-bound, bound)
        if self.bias is not None:
            self.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        weight = weight_norm(self.direction, self.magnitude)
        return conv2d(x, weight, self.bias, self.pad)


def _net_norm(kind: str, channels: int) -> nn.Module:
    if kind == "none":
        return nn.Identity()
    norm = nn.BatchNorm2d(channels, eps=1e-4)
    norm.weight.requires_grad_(False)  # the released code learns a shift and no scale
    return norm


class _Block(nn.Module):
    def __init__(self, width: int, norm: str) -> None:
        super().__init__()
        self.norm1, self.norm2 = _net_norm(norm, width), _net_norm(norm, width)
        # A batch norm would subtract the bias again.
        self.conv1 = NormalizedConv(width, width, 3, learned=False, bias=norm == "none")
        self.conv2 = NormalizedConv(width, width, 3, learned=True)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.conv1(F.relu(self.norm1(x)))
        out: Tensor = x + self.conv2(F.relu(self.norm2(hidden)))
        return out


class CouplingNet(nn.Module):
    """Net of a coupling as in the released code, from (B, inputs, H, W) to (B, outputs, H, W).

    Norm, concatenation of h and -h, ReLU, 3x3 stem, residual blocks. The stem and every block have
    a 1x1 skip convolution; their sum goes through norm, ReLU and a 1x1 convolution.

    Args:
        inputs: Channels of x.
        outputs: Channels of the result.
        width: Channels of all hidden layers.
        blocks: Number of residual blocks.
        norm: `batch` or `none`, inside the net.
        gain: Factor by which the normalized input is multiplied.
        mask: Append a mask (1, 1, H, W) to the input as one more channel.
        start: Initial weights: PyTorch's (`torch`) or those of the released code (`released`).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width: int,
        blocks: int,
        norm: str,
        gain: float,
        mask: bool,
        start: Start = "torch",
    ) -> None:
        super().__init__()
        self.gain = gain
        self.norm_in, self.norm_out = _net_norm(norm, inputs), _net_norm(norm, width)
        self.stem = NormalizedConv(2 * inputs + mask, width, 3, learned=False)
        self.blocks = nn.ModuleList(_Block(width, norm) for _ in range(blocks))
        self.skips = nn.ModuleList(
            NormalizedConv(width, width, 1, learned=True) for _ in range(blocks + 1)
        )
        self.out = NormalizedConv(width, outputs, 1, learned=True)
        if start == "released":
            for conv in self._convs():
                conv.start_as_released()

    def _convs(self) -> list[NormalizedConv]:
        return [m for m in self.modules() if isinstance(m, NormalizedConv)]

    def magnitudes(self) -> list[nn.Parameter]:
        """Return the learned weight-norm magnitudes."""
        return [conv.magnitude for conv in self._convs() if conv.magnitude.requires_grad]

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        h = self.norm_in(x)
        if self.gain != 1:
            h = self.gain * h
        parts = [h, -h]
        if mask is not None:
            parts.append(mask.expand(len(x), 1, *x.shape[2:]))
        h = self.stem(F.relu(torch.cat(parts, dim=1)))
        total = self.skips[0](h)
        for block, skip in zip(self.blocks, self.skips[1:], strict=True):
            h = block(h)
            total = total + skip(h)
        out: Tensor = self.out(F.relu(self.norm_out(total)))
        return out

    def extra_repr(self) -> str:
        return f"width {len(self.stem.direction)}, blocks {len(self.blocks)}"


def shift_and_scale(x: Tensor, shift: Tensor, log_scale: Tensor | None) -> Tensor:
    """Return (x + shift) exp(log_scale), or x + shift if ``log_scale`` is None."""
    return x + shift if log_scale is None else (x + shift) * log_scale.exp()


def unscale_and_unshift(y: Tensor, shift: Tensor, log_scale: Tensor | None) -> Tensor:
    """Return the x that `shift_and_scale` maps to y."""
    return y - shift if log_scale is None else y * (-log_scale).exp() - shift


class CheckerboardCoupling(Layer):
    """Checkerboard coupling: y = (x + t) exp(s) at the changed positions, y = x at the others.

    The positions with (row + column) % 2 == ``parity`` are changed; shift t and log-scale s are
    computed from the others. If ``additive``, s is 0.

    Example:
        >>> import torch
        >>> coupling = CheckerboardCoupling(3, 8, 1, width=4, blocks=0, norm="none")
        >>> x = torch.randn(2, 3, 8, 8)
        >>> y, contribution = coupling(x)
        >>> y.shape, contribution.shape
        (torch.Size([2, 3, 8, 8]), torch.Size([2, 3, 8, 8]))
        >>> torch.allclose(coupling.inverse(y), x, atol=1e-5)
        True
    """

    changed: Tensor
    fixed: Tensor

    def __init__(
        self,
        channels: int,
        size: int,
        parity: int,
        *,
        width: int,
        blocks: int,
        norm: str,
        start: Start = "torch",
        additive: bool = False,
    ) -> None:
        super().__init__()
        self.parity = parity
        grid = torch.arange(size)
        changed = ((grid[:, None] + grid) % 2 == parity).float().view(1, 1, size, size)
        self.register_buffer("changed", changed, persistent=False)
        self.register_buffer("fixed", 1 - changed, persistent=False)
        outputs = channels if additive else 2 * channels
        self.net = CouplingNet(
            channels, outputs, width, blocks, norm, gain=2.0, mask=True, start=start
        )
        self.additive = additive
        if not additive:
            self.scale = nn.Parameter(torch.zeros(()))
        self.changed_part = ChangedPart(channels, 0, channels, changed)

    def shrunk_parameters(self) -> list[nn.Parameter]:
        return [*self.net.magnitudes(), *([] if self.additive else [self.scale])]

    def _shift_and_log_scale(self, fixed: Tensor) -> tuple[Tensor, Tensor | None]:
        out = self.net(fixed, self.fixed) * self.changed
        if self.additive:
            return out, None
        h, t = out.chunk(2, dim=1)
        return t, self.scale * h.tanh()

    def forward(
        self, x: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor | None]:
        shift, log_scale = self._shift_and_log_scale(x * self.fixed)
        return shift_and_scale(x, shift, log_scale), log_scale

    def inverse(self, y: Tensor) -> Tensor:
        return unscale_and_unshift(y, *self._shift_and_log_scale(y * self.fixed))

    def extra_repr(self) -> str:
        return f"{'odd' if self.parity else 'even'} positions change, {self.net.extra_repr()}"


class HalfCoupling(Layer):
    """Channel coupling: y = (x + t) exp(s) on one half of the channels, y = x on the other.

    Base class; a subclass computes shift t and log-scale s from the fixed half.
    """

    second = True
    """Whether the second half of the channels changes, or the first."""

    def _shift_and_log_scale(self, fixed: Tensor) -> tuple[Tensor, Tensor | None]:
        raise TypeError(f"{type(self).__name__} changes nothing")

    def _split_channels(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the fixed and the changed half."""
        first, second = x.chunk(2, dim=1)
        return (first, second) if self.second else (second, first)

    def _merge_channels(self, fixed: Tensor, changed: Tensor) -> Tensor:
        return torch.cat((fixed, changed) if self.second else (changed, fixed), dim=1)

    def forward(
        self, x: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor | None]:
        fixed, changed = self._split_channels(x)
        shift, log_scale = self._shift_and_log_scale(fixed)
        y = self._merge_channels(fixed, shift_and_scale(changed, shift, log_scale))
        if log_scale is None:
            return y, None
        return y, self._merge_channels(torch.zeros_like(fixed), log_scale)

    def inverse(self, y: Tensor) -> Tensor:
        fixed, changed = self._split_channels(y)
        shift, log_scale = self._shift_and_log_scale(fixed)
        return self._merge_channels(fixed, unscale_and_unshift(changed, shift, log_scale))

    def extra_repr(self) -> str:
        half, net = "second" if self.second else "first", self.get_submodule("net")
        return f"{half} half changes, {net.extra_repr()}"


class ChannelCoupling(HalfCoupling):
    """RealNVP's channel coupling; its log-scale is 0 if ``additive``.

    Example:
        >>> import torch
        >>> coupling = ChannelCoupling(4, second=True, width=4, blocks=0, norm="none")
        >>> x = torch.randn(2, 4, 8, 8)
        >>> y, contribution = coupling(x)
        >>> torch.equal(y[:, :2], x[:, :2]), contribution.shape
        (True, torch.Size([2, 4, 8, 8]))
    """

    def __init__(
        self,
        channels: int,
        *,
        second: bool,
        width: int,
        blocks: int,
        norm: str,
        start: Start = "torch",
        additive: bool = False,
    ) -> None:
        super().__init__()
        half = channels // 2
        self.second = second
        outputs = half if additive else 2 * half
        self.net = CouplingNet(
            half, outputs, width, blocks, norm, gain=1.0, mask=False, start=start
        )
        self.additive = additive
        if not additive:
            self.scale = nn.Parameter(torch.ones(()))
        self.changed_part = ChangedPart(channels, half if second else 0, half)

    def shrunk_parameters(self) -> list[nn.Parameter]:
        return self.net.magnitudes()

    def _shift_and_log_scale(self, fixed: Tensor) -> tuple[Tensor, Tensor | None]:
        if self.additive:
            return self.net(fixed), None
        h, t = self.net(fixed).chunk(2, dim=1)
        return t, self.scale * h.tanh()
