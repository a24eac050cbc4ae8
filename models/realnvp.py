"""RealNVP as a flat list of layers (Dinh, Sohl-Dickstein, Bengio 2017, figure 4)."""

from collections.abc import Sequence
from typing import Any

from lcma.models.coupling import ChannelCoupling, CheckerboardCoupling
from lcma.models.factorization import SplitTable
from lcma.models.layers import Layer, PassAll, PassFlat, Squeeze, Unsqueeze, preprocess
from lcma.models.norm import ActNorm, FlowBatchNorm
from lcma.models.priors import Prior, StandardNormal
from lcma.models.split import Split
from lcma.sweeps.architectures import RealNVPArchitecture
from lcma.sweeps.recipe import Model


def build_layers(
    model: Model, tables: Sequence[SplitTable] | None, *, flat: bool = False
) -> tuple[list[Layer], Prior]:
    """Build the layers from data to noise, and the prior of the dimensions that stay.

    Without ``tables`` the flow has no splits (NMS). If ``flat``, it has no squeeze between the
    scales either.
    """
    arch = model.architecture
    assert isinstance(arch, RealNVPArchitecture)
    first = 1 if arch.masks == "odd-first" else 0  # the released code changes odd positions first
    settings: dict[str, Any] = {
        "blocks": arch.blocks,
        "norm": arch.net_norm,
        "start": arch.start,
        "additive": arch.scale == "additive",
    }

    def with_norm(coupling: CheckerboardCoupling | ChannelCoupling) -> list[Layer]:
        part = coupling.changed_part
        return [coupling, ActNorm(part) if arch.flow_norm == "actnorm" else FlowBatchNorm(part)]

    def checkerboard(channels: int, size: int, width: int, count: int) -> list[Layer]:
        couplings: list[Layer] = []
        for i in range(count):
            coupling = CheckerboardCoupling(
                channels, size, (first + i) % 2, width=width, **settings
            )
            couplings += with_norm(coupling)
        return couplings

    def channelwise(channels: int, width: int, count: int) -> list[Layer]:
        couplings: list[Layer] = []
        for i in range(count):
            coupling = ChannelCoupling(channels, second=i % 2 == 0, width=width, **settings)
            couplings += with_norm(coupling)
        return couplings

    channels, size, width = model.channels, model.size, arch.width
    layers = preprocess(model)
    for split in range(model.splits):
        layers += checkerboard(channels, size, width, arch.checkerboard_couplings)
        layers.append(Squeeze())
        layers += channelwise(4 * channels, arch.growth * width, arch.channel_couplings)
        layers.append(Unsqueeze())
        width *= arch.growth
        if flat:
            layers.append(PassFlat())
            continue
        layers.append(PassAll() if tables is None else Split(tables[split], StandardNormal()))
        channels *= 4 if tables is None else 2
        size //= 2
    layers += checkerboard(channels, size, width, arch.last_couplings)
    return layers, StandardNormal()
