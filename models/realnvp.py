"""RealNVP as a flat list of layers (Dinh, Sohl-Dickstein, Bengio 2017, figure 4)."""

from collections.abc import Sequence
from typing import Any

from lcma.models.coupling import ChannelCoupling, CheckerboardCoupling
from lcma.models.factorization import SplitTable
from lcma.models.layers import Layer, PassAll, PassFlat, Squeeze, Unsqueeze, preprocess
from lcma.models.norm import ActNorm, FlowBatchNorm, Transformed
from lcma.models.priors import Prior, StandardNormal
from lcma.models.split import Split
from lcma.sweeps.architectures import RealNVPArchitecture
from lcma.sweeps.recipe import Model


def build_layers(
    model: Model, tables: Sequence[SplitTable] | None, *, flat: bool = False
) -> tuple[list[Layer], Prior]:
    """Build the layers from integers to noise, and the prior of what stays.

    Without ``tables`` nothing is factored out (NMS); with ``flat`` nothing is squeezed between
    scales either.
    """
    arch = model.architecture
    assert isinstance(arch, RealNVPArchitecture)
    first = 1 if arch.masks == "odd-first" else 0
    settings: dict[str, Any] = {
        "blocks": arch.blocks,
        "norm": arch.net_norm,
        "start": arch.start,
        "additive": arch.scale == "additive",
    }

    def normed(coupling: CheckerboardCoupling | ChannelCoupling) -> list[Layer]:
        part: Transformed = coupling.transformed
        norm = ActNorm(part) if arch.flow_norm == "actnorm" else FlowBatchNorm(part)
        return [coupling, norm]

    def checkerboard(channels: int, size: int, width: int, count: int) -> list[Layer]:
        found: list[Layer] = []
        for i in range(count):  # the released code changes odd positions first
            parity = (first + i) % 2
            found += normed(CheckerboardCoupling(channels, size, parity, width=width, **settings))
        return found

    def channelwise(channels: int, width: int, count: int) -> list[Layer]:
        found: list[Layer] = []
        for i in range(count):  # the second half changes first
            found += normed(ChannelCoupling(channels, second=i % 2 == 0, width=width, **settings))
        return found

    channels, size, width = model.channels, model.size, arch.width
    found = preprocess(model)
    for split in range(model.splits):
        found += checkerboard(channels, size, width, arch.checkerboard_couplings)
        found.append(Squeeze())
        found += channelwise(4 * channels, arch.growth * width, arch.channel_couplings)
        found.append(Unsqueeze())
        width *= arch.growth
        if flat:
            found.append(PassFlat())
            continue
        found.append(PassAll() if tables is None else Split(tables[split], StandardNormal()))
        channels *= 4 if tables is None else 2
        size //= 2
    found += checkerboard(channels, size, width, arch.last_couplings)
    return found, StandardNormal()
