"""RealNVP as a flat list of layers (Dinh, Sohl-Dickstein, Bengio 2017, figure 4)."""

from collections.abc import Sequence

from lcma.models.coupling import ChannelCoupling, CheckerboardCoupling
from lcma.models.factorization import SplitTable
from lcma.models.layers import (
    Center,
    Dequantize,
    Layer,
    Logit,
    PassAll,
    PassFlat,
    Squeeze,
    Unsqueeze,
)
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
    if not isinstance(arch, RealNVPArchitecture):
        raise TypeError(f"not a RealNVP: {model.flow}")
    first = 1 if arch.masks == "odd-first" else 0

    def normed(coupling: CheckerboardCoupling | ChannelCoupling) -> list[Layer]:
        part: Transformed = coupling.transformed
        norm = ActNorm(part) if arch.flow_norm == "actnorm" else FlowBatchNorm(part)
        return [coupling, norm]

    def checkerboard(channels: int, size: int, width: int, count: int) -> list[Layer]:
        found: list[Layer] = []
        for i in range(count):  # the released code changes odd positions first
            found += normed(
                CheckerboardCoupling(
                    channels,
                    size,
                    parity=(first + i) % 2,
                    width=width,
                    blocks=arch.blocks,
                    norm=arch.net_norm,
                    start=arch.start,
                    additive=arch.scale == "additive",
                )
            )
        return found

    def channelwise(channels: int, width: int, count: int) -> list[Layer]:
        found: list[Layer] = []
        for i in range(count):  # the second half changes first
            found += normed(
                ChannelCoupling(
                    channels,
                    second=i % 2 == 0,
                    width=width,
                    blocks=arch.blocks,
                    norm=arch.net_norm,
                    start=arch.start,
                    additive=arch.scale == "additive",
                )
            )
        return found

    channels, size, width = model.channels, model.size, arch.width
    found: list[Layer] = [Dequantize(), Logit() if model.preprocess == "logit" else Center()]
    for split in range(model.splits):
        found += checkerboard(channels, size, width, arch.checkerboard_couplings)
        found.append(Squeeze())
        found += channelwise(4 * channels, arch.growth * width, arch.channel_couplings)
        found.append(Unsqueeze())
        width *= arch.growth
        if flat:
            found.append(PassFlat())
            continue
        if tables is None:
            found.append(PassAll())
            channels *= 4
        else:
            found.append(Split(tables[split], StandardNormal()))
            channels *= 2
        size //= 2
    found += checkerboard(channels, size, width, arch.last_couplings)
    return found, StandardNormal()
