"""Glow as a flat list of layers (Kingma & Dhariwal 2018, figure 2; openai/glow)."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lcma.models.conv1x1 import InvertibleConv1x1
from lcma.models.convolution import RATE, GainedConv
from lcma.models.coupling import HalfCoupling
from lcma.models.factorization import SplitTable
from lcma.models.layers import Layer, PassAll, Squeeze, Unsqueeze, preprocess
from lcma.models.norm import ChannelNorm
from lcma.models.priors import (
    ConditionalNormal,
    LearnedNormal,
    PlaceNormal,
    Prior,
    StandardNormal,
)
from lcma.models.split import Split
from lcma.sweeps.architectures import GlowArchitecture
from lcma.sweeps.recipe import Model

Scale = Literal["sigmoid", "exp", "additive"]


class GlowNet(nn.Module):
    """Net of a coupling, from (B, inputs, H, W) to (B, outputs, H, W).

    3x3, ReLU, 1x1, ReLU, and a 3x3 convolution that starts at zero. With ``actnorm`` the first
    two convolutions have one, else only a bias.
    """

    def __init__(self, inputs: int, outputs: int, width: int, *, actnorm: bool) -> None:
        super().__init__()
        first, middle = (
            GainedConv(size, width, kernel, std=0.05, gained=actnorm, started_by_data=actnorm)
            for size, kernel in ((inputs, 3), (width, 1))
        )
        self.first, self.middle = first, middle
        self.last = GainedConv(width, outputs, 3, std=0.0)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(self.middle(self.first(x).relu_()).relu_())
        return out

    @torch.no_grad()
    def initialize(self, x: Tensor) -> None:
        """Set the starting values of the actnorms from a first batch (B, inputs, H, W)."""
        self.first.initialize(x)
        self.middle.initialize(F.relu(self.first(x)))

    def extra_repr(self) -> str:
        return f"width {len(self.first.weight)}"


class GlowCoupling(HalfCoupling):
    """Glow's coupling: y = (x + shift) scale on the second half of the channels.

    Even channels of the net are the shift. Odd channels h give the scale: sigmoid(h + 2) or exp(h).
    If ``scale`` is `additive`, all channels of the net are the shift, and y = x + shift.

    Example:
        >>> import torch
        >>> coupling = GlowCoupling(4, width=8)
        >>> x = torch.randn(2, 4, 8, 8)
        >>> coupling.initialize(x)
        >>> y, contribution = coupling(x)
        >>> torch.equal(y[:, :2], x[:, :2]), contribution.shape
        (True, torch.Size([2, 4, 8, 8]))
    """

    def __init__(
        self, channels: int, *, width: int, actnorm: bool = True, scale: Scale = "sigmoid"
    ) -> None:
        super().__init__()
        half = channels // 2
        self.scale = scale
        self.net = GlowNet(half, half if scale == "additive" else channels, width, actnorm=actnorm)

    def _shift_and_log_scale(self, fixed: Tensor) -> tuple[Tensor, Tensor | None]:
        h = self.net(fixed)
        if self.scale == "additive":
            return h, None
        shift, raw = h.unflatten(1, (-1, 2)).unbind(2)
        return shift, raw if self.scale == "exp" else F.logsigmoid(raw + 2.0)

    def initialize(self, x: Tensor) -> None:
        self.net.initialize(x.chunk(2, dim=1)[0])


def build_layers(model: Model, tables: Sequence[SplitTable] | None) -> tuple[list[Layer], Prior]:
    """Build the layers from data to noise, and the prior of the dimensions that stay.

    Without ``tables`` the flow has no splits (NMS).
    """
    arch = model.architecture
    assert isinstance(arch, GlowArchitecture)

    def scale(channels: int) -> list[Layer]:
        squeezed = 4 * channels
        steps: list[Layer] = [Squeeze()]
        for _ in range(arch.steps):
            steps += [
                ChannelNorm(squeezed, rate=RATE),
                InvertibleConv1x1(squeezed, arch.conv1x1),
                GlowCoupling(
                    squeezed, width=arch.width, actnorm=arch.net_actnorm, scale=arch.scale
                ),
            ]
        return steps

    channels = model.channels
    layers = preprocess(model)
    for split in range(model.splits):
        layers += [*scale(channels), Unsqueeze()]
        channels *= 4 if tables is None else 2
        layers.append(
            PassAll() if tables is None else Split(tables[split], ConditionalNormal(channels))
        )
    layers += scale(channels)
    if not arch.learned_top:
        return layers, StandardNormal()
    top = 4 * channels
    return layers, PlaceNormal(top) if arch.top == "place" else LearnedNormal((top, 1, 1))
