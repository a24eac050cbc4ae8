"""i-ResNet as a flat list of layers (Behrmann et al. 2019; jhjacobsen/invertible-resnet)."""

from collections.abc import Sequence

from lcma.models.factorization import SplitTable
from lcma.models.layers import Layer, PassAll, Squeeze, Unsqueeze, preprocess
from lcma.models.lipschitz import PowerIteration
from lcma.models.norm import ChannelNorm
from lcma.models.priors import LearnedNormal, Prior
from lcma.models.residual import Estimator, FixedPoint, ResidualBlock, conv_net
from lcma.models.split import Split
from lcma.sweeps.architectures import IResNetArchitecture
from lcma.sweeps.recipe import Model


def build_layers(model: Model, tables: Sequence[SplitTable] | None) -> tuple[list[Layer], Prior]:
    """Build the layers from data to noise, and the prior of the dimensions that stay.

    Without ``tables`` the flow has no splits (NMS).
    """
    arch = model.architecture
    assert isinstance(arch, IResNetArchitecture)
    estimator = Estimator(
        arch.train_terms,
        probe=arch.probe,
        neumann=arch.neumann,
        eval_terms=arch.eval_terms,
    )
    power = PowerIteration(arch.power_iterations)
    fixed_point = FixedPoint(arch.inverse_tolerance, arch.inverse_max_iterations)

    def scale(channels: int, size: int, *, first: bool) -> list[Layer]:
        squeezed = 4 * channels
        blocks: list[Layer] = [Squeeze()]
        for k in range(arch.blocks):
            net = conv_net(
                squeezed,
                size // 2,
                arch.width,
                arch.coefficient,
                arch.activation,
                first=first and k == 0,
            )
            blocks += [ChannelNorm(squeezed), ResidualBlock(net, estimator, power, fixed_point)]
        return blocks

    channels, size = model.channels, model.size
    layers = preprocess(model)
    for split in range(model.splits):
        layers += [*scale(channels, size, first=split == 0), Unsqueeze()]
        size //= 2
        channels *= 4 if tables is None else 2
        prior = LearnedNormal((channels, size, size))
        layers.append(PassAll() if tables is None else Split(tables[split], prior))
    layers += scale(channels, size, first=model.splits == 0)
    return layers, LearnedNormal((4 * channels, size // 2, size // 2))
