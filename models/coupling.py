"""Couplings of RealNVP (Dinh et al. 2017, section 3) and their residual nets."""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lcma.models.layers import Layer
from lcma.models.norm import Transformed
from lcma.models.stacked import conv2d, weight_norm

Start = Literal["torch", "released"]


class NormalizedConv(nn.Module):
    """A weight-normalized convolution (Salimans and Kingma 2016): (B, inputs, H, W) to
    (B, outputs, H, W), the kernel of each output a direction times a ``magnitude``.

    A learned magnitude starts at kernel / sqrt(6), as in the released code; otherwise it stays 1.
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
        """Draw the direction as the released code does, whatever the kernel, with biases of 0."""
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
    norm.weight.requires_grad_(False)  # the released code has a learned shift and no scale
    return norm


class _Block(nn.Module):
    def __init__(self, width: int, norm: str) -> None:
        super().__init__()
        bare = norm == "none"
        self.norm1, self.norm2 = _net_norm(norm, width), _net_norm(norm, width)
        self.conv1 = NormalizedConv(width, width, 3, learned=False, bias=bare)
        self.conv2 = NormalizedConv(width, width, 3, learned=True)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.conv1(F.relu(self.norm1(x)))
        out: Tensor = x + self.conv2(F.relu(self.norm2(hidden)))
        return out


class CouplingNet(nn.Module):
    """Net of a coupling as in the released code, (B, inputs, H, W) to (B, outputs, H, W).

    Norm, concat(h, -h), ReLU, 3x3 stem, residual blocks; 1x1 skip convolutions from the stem
    and from every block are summed, then norm, ReLU, 1x1.
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
    """Return (x + shift) exp(log_scale), or x + shift where the coupling is additive."""
    return x + shift if log_scale is None else (x + shift) * log_scale.exp()


def unscale_and_unshift(y: Tensor, shift: Tensor, log_scale: Tensor | None) -> Tensor:
    """Return the x that `shift_and_scale` maps to y."""
    return y - shift if log_scale is None else y * (-log_scale).exp() - shift


class CheckerboardCoupling(Layer):
    """Coupling of a checkerboard: y = (x + t) exp(s) where (row + column) % 2 == ``parity``, given
    the other positions; y = x + t there if ``additive``."""

    changed: Tensor
    given: Tensor

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
        self.register_buffer("given", 1 - changed, persistent=False)
        outputs = channels if additive else 2 * channels
        self.net = CouplingNet(
            channels, outputs, width, blocks, norm, gain=2.0, mask=True, start=start
        )
        self.additive = additive
        if not additive:
            self.scale = nn.Parameter(torch.zeros(()))
        self.transformed = Transformed(channels, 0, channels, changed)

    def shrunk_parameters(self) -> list[nn.Parameter]:
        return [*self.net.magnitudes(), *([] if self.additive else [self.scale])]

    def _shift_and_log_scale(self, given: Tensor) -> tuple[Tensor, Tensor | None]:
        found = self.net(given, self.given) * self.changed
        if self.additive:
            return found, None
        h, t = found.chunk(2, dim=1)
        return t, self.scale * h.tanh()

    def forward(
        self, x: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor | None]:
        shift, log_scale = self._shift_and_log_scale(x * self.given)
        return shift_and_scale(x, shift, log_scale), log_scale

    def inverse(self, y: Tensor) -> Tensor:
        return unscale_and_unshift(y, *self._shift_and_log_scale(y * self.given))

    def extra_repr(self) -> str:
        return f"{'odd' if self.parity else 'even'} positions change, {self.net.extra_repr()}"


class HalfCoupling(Layer):
    """Coupling of channels: y = (x + shift) exp(log_scale) on one half of them, given the other;
    base class.

    The ``second`` half is changed, or the first.
    """

    second = True

    def _shift_and_log_scale(self, given: Tensor) -> tuple[Tensor, Tensor | None]:
        raise TypeError(f"{type(self).__name__} changes nothing")

    def _halves(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is given and what is changed."""
        first, second = x.chunk(2, dim=1)
        return (first, second) if self.second else (second, first)

    def _merge(self, given: Tensor, changed: Tensor) -> Tensor:
        return torch.cat((given, changed) if self.second else (changed, given), dim=1)

    def forward(
        self, x: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor | None]:
        given, changed = self._halves(x)
        shift, log_scale = self._shift_and_log_scale(given)
        y = self._merge(given, shift_and_scale(changed, shift, log_scale))
        return y, None if log_scale is None else self._merge(torch.zeros_like(given), log_scale)

    def inverse(self, y: Tensor) -> Tensor:
        given, changed = self._halves(y)
        shift, log_scale = self._shift_and_log_scale(given)
        return self._merge(given, unscale_and_unshift(changed, shift, log_scale))

    def extra_repr(self) -> str:
        half, net = "second" if self.second else "first", self.get_submodule("net")
        return f"{half} half changes, {net.extra_repr()}"


class ChannelCoupling(HalfCoupling):
    """RealNVP's coupling of channels; y = x + shift on the changed half if ``additive``."""

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
        self.transformed = Transformed(channels, half if second else 0, half)

    def shrunk_parameters(self) -> list[nn.Parameter]:
        return self.net.magnitudes()

    def _shift_and_log_scale(self, given: Tensor) -> tuple[Tensor, Tensor | None]:
        if self.additive:
            return self.net(given), None
        h, t = self.net(given).chunk(2, dim=1)
        return t, self.scale * h.tanh()
