"""Small flows with nothing at rest: every check walks the same list of them.

A further flow is one more entry of CONFIGURATIONS, its identity setting in ``at_identity``.
"""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models import Flow, build
from models.coupling import ChannelCoupling, CheckerboardCoupling
from models.norm import ActNorm, FlowBatchNorm
from sweeps.architectures import RealNVPArchitecture
from sweeps.factorizations import FIXED, is_word, words
from sweeps.recipe import Model


def realnvp(
    flow_norm: str = "actnorm",
    net_norm: str = "none",
    preprocess: str = "logit",
    *,
    size: int = 4,
    channels: int = 3,
    splits: int = 1,
) -> Model:
    architecture = RealNVPArchitecture.model_validate(
        {
            "width": 4,
            "blocks": 1,
            "checkerboard_couplings": 2,
            "channel_couplings": 2,
            "last_couplings": 2,
            "flow_norm": flow_norm,
            "net_norm": net_norm,
        }
    )
    return Model.model_validate(
        {
            "flow": "realnvp",
            "size": size,
            "channels": channels,
            "splits": splits,
            "preprocess": preprocess,
            "architecture": architecture,
        }
    )


# Every pair of values of flow_norm, net_norm and preprocess occurs.
CONFIGURATIONS: dict[str, Model] = {
    "realnvp-batch-batch-logit": realnvp("batch", "batch", "logit"),
    "realnvp-batch-none-center": realnvp("batch", "none", "center"),
    "realnvp-actnorm-batch-center": realnvp("actnorm", "batch", "center", size=8, channels=1),
    "realnvp-actnorm-none-logit": realnvp(size=8, channels=2, splits=2),
}


@dataclass(frozen=True)
class Case:
    """A configuration under a factorization."""

    model: Model
    factorization: str

    def maps(self) -> list[NDArray[np.float32]]:
        """Made-up contribution maps, one per split, with ties."""
        m = self.model
        draws = np.random.RandomState(5).randint(-3, 4, (m.splits, m.channels, m.size, m.size))
        return list(draws.astype(np.float32))

    def build(self, seed: int = 0, *, table_seed: int | None = None) -> Flow:
        maps = self.maps() if is_word(self.factorization) else ()
        return build(self.model, self.factorization, seed=seed, table_seed=table_seed, maps=maps)

    def lively(self, dtype: torch.dtype = torch.float64) -> Flow:
        """In evaluation mode, with weights moved so that nothing is zero."""
        flow = self.build().to(dtype)
        perturb(flow)
        return flow.eval()

    def idle(self) -> Flow:
        """In evaluation mode and float64, with every layer after the preprocessing y = x."""
        flow = self.build().double().eval()
        at_identity(flow)
        return flow

    def images(self, count: int = 3) -> Tensor:
        m = self.model
        drawn = np.random.RandomState(7).randint(0, 256, (count, m.channels, m.size, m.size))
        return torch.from_numpy(drawn.astype(np.uint8))

    def noise(self) -> torch.Generator:
        """A fresh generator of the same dequantization noise at every call."""
        return torch.Generator().manual_seed(3)

    def continuous(self, flow: Flow, count: int = 1) -> Tensor:
        """Dequantized images, what the second layer gets."""
        found: Tensor = flow.layers[0](self.images(count), self.noise())[0]
        return found


def factorizations(model: Model) -> list[str]:
    return [*FIXED, *words(model.splits)]


CASES = [
    pytest.param(Case(model, factorization), id=f"{name}-{factorization}")
    for name, model in CONFIGURATIONS.items()
    for factorization in factorizations(model)
]


@torch.no_grad()
def perturb(flow: nn.Module) -> None:
    """Move every parameter and every running moment by a fixed draw."""
    generator = torch.Generator().manual_seed(11)

    def noise(t: Tensor) -> Tensor:
        drawn = torch.randn(t.shape, generator=generator, dtype=torch.float64)
        return (drawn + 0.5 * drawn.sign()).to(t.dtype)  # nothing near zero

    for parameter in flow.parameters():
        parameter.add_(0.15 * noise(parameter))
    for name, moment in flow.named_buffers():
        if name.endswith("running_mean"):
            moment.add_(0.15 * noise(moment))
        if name.endswith(("running_variance", "running_var")):
            moment.mul_((0.2 * noise(moment)).exp())


@torch.no_grad()
def at_identity(flow: Flow) -> None:
    """Set every layer after the preprocessing to y = x."""
    for layer in flow.layers:
        if isinstance(layer, CheckerboardCoupling | ChannelCoupling):
            last = layer.net.out
            last.get_parameter("parametrizations.weight.original0").zero_()
            last.get_parameter("bias").zero_()
        elif isinstance(layer, FlowBatchNorm):
            layer.running_mean.zero_()
            layer.running_variance.fill_(1 - layer.eps)
        elif isinstance(layer, ActNorm):
            layer.shift.zero_()
            layer.log_scale.zero_()


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    """Every configuration under every factorization."""
    found: Case = request.param
    return found


LARGEST = CONFIGURATIONS["realnvp-actnorm-none-logit"]


@pytest.fixture(params=factorizations(LARGEST))
def factorized(request: pytest.FixtureRequest) -> Case:
    """One configuration, with two splits, under every factorization."""
    return Case(LARGEST, request.param)


@pytest.fixture(params=[name for name in factorizations(LARGEST) if name != "none"])
def split(request: pytest.FixtureRequest) -> Case:
    """The same without `none`."""
    return Case(LARGEST, request.param)


@pytest.fixture(params=list(CONFIGURATIONS))
def unsplit(request: pytest.FixtureRequest) -> Case:
    """Every configuration with no split (NMS)."""
    return Case(CONFIGURATIONS[request.param], "none")
