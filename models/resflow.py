"""Residual Flow as a flat list of layers (Chen et al. 2019; rtqichen/residual-flows)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lcma.models.factorization import SplitTable
from lcma.models.layers import Layer, PassAll, Squeeze, Unsqueeze, preprocess
from lcma.models.lipschitz import NormedLinear, PowerIteration
from lcma.models.norm import ChannelNorm
from lcma.models.priors import Prior, StandardNormal
from lcma.models.residual import (
    Estimator,
    FixedPoint,
    FlatNet,
    ResidualBlock,
    ResidualNet,
    conv_net,
)
from lcma.models.split import Split
from lcma.sweeps.architectures import ResidualFlowArchitecture
from lcma.sweeps.recipe import Model


class DimensionNorm(Layer):
    """Actnorm with a shift and a scale for each of the ``dimensions`` C*H*W of an image."""

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(dimensions)

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        y, contribution = self.norm(_as_channels(x))
        return y.view_as(x), contribution.reshape(1, *x.shape[1:])

    def inverse(self, y: Tensor) -> Tensor:
        return self.norm.inverse(_as_channels(y)).view_as(y)

    def initialize(self, x: Tensor) -> None:
        self.norm.initialize(_as_channels(x))

    def extra_repr(self) -> str:
        return f"{self.norm.part.total} dimensions"


def _as_channels(x: Tensor) -> Tensor:
    return x.flatten(1)[:, :, None, None]


def build_layers(model: Model, tables: Sequence[SplitTable] | None) -> tuple[list[Layer], Prior]:
    """Build the layers from data to noise, and the prior of the dimensions that stay.

    Without ``tables`` the flow has no splits (NMS).
    """
    arch = model.architecture
    assert isinstance(arch, ResidualFlowArchitecture)
    estimator = Estimator(
        arch.exact_terms,
        roulette_mean=arch.roulette_mean,
        probe=arch.probe,
        neumann=arch.neumann,
        eval_terms=arch.eval_terms,
    )
    power = PowerIteration(arch.max_iterations, arch.tolerance)
    fixed_point = FixedPoint(arch.inverse_tolerance, arch.inverse_max_iterations)

    def block(net: ResidualNet) -> ResidualBlock:
        return ResidualBlock(net, estimator, power, fixed_point)

    def scale(channels: int, size: int, *, first: bool) -> list[Layer]:
        blocks: list[Layer] = []
        if arch.squeeze_first:
            channels, size = 4 * channels, size // 2
            blocks.append(Squeeze())
        if first:
            blocks.append(ChannelNorm(channels))
        for k in range(arch.blocks):
            net = conv_net(
                channels,
                size,
                arch.width,
                arch.coefficient,
                arch.activation,
                first=first and k == 0,
            )
            blocks += [block(net), ChannelNorm(channels)]
        return blocks

    channels, size = model.channels, model.size
    layers = preprocess(model)
    for split in range(model.splits):
        layers += scale(channels, size, first=split == 0)
        if arch.squeeze_first:
            layers.append(Unsqueeze())
        size //= 2
        layers.append(PassAll() if tables is None else Split(tables[split], StandardNormal()))
        channels *= 4 if tables is None else 2
    layers += scale(channels, size, first=model.splits == 0)
    dimensions, widths = channels * size**2, [arch.fc_width] * 2
    for _ in range(arch.fully_connected):
        maps = [
            NormedLinear(inputs, outputs, arch.coefficient)
            for inputs, outputs in zip([dimensions, *widths], [*widths, dimensions], strict=True)
        ]
        layers += [block(FlatNet(maps, arch.activation)), DimensionNorm(dimensions)]
    return layers, StandardNormal()
