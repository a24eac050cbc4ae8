"""Small flows of every kind, on which all checks run.

To add a flow, add entries to CONFIGURATIONS, one to LARGEST, and its identity setting to
`set_to_identity`. If its log-determinant is not an estimate, add its name to EXACT.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lcma.models import Flow, build
from lcma.models.conv1x1 import InvertibleConv1x1
from lcma.models.coupling import ChannelCoupling, CheckerboardCoupling
from lcma.models.glow import GlowCoupling
from lcma.models.norm import ActNorm, FlowBatchNorm
from lcma.models.residual import ResidualNet
from lcma.sweeps.factorizations import FIXED, is_word, words
from lcma.sweeps.recipe import Model

CONVERGED = {"inverse_tolerance": 1e-14, "inverse_max_iterations": 1000}
"""Settings of an inverse that is exact up to rounding."""


SIZES = {"size": 4, "channels": 3, "splits": 1}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "realnvp": {
        **{"width": 4, "growth": 2, "blocks": 1, "flow_norm": "actnorm", "net_norm": "none"},
        **{"checkerboard_couplings": 2, "channel_couplings": 2, "last_couplings": 2},
    },
    "glow": {"steps": 2, "width": 4, "conv1x1": "plu", "scale": "sigmoid", "net_actnorm": True},
    "iresnet": {"blocks": 2, "width": 4, "eval_terms": 6, **CONVERGED},
    "resflow": {
        **{"blocks": 2, "width": 4, "fully_connected": 1, "fc_width": 5},
        **{"coefficient": 0.9, "eval_terms": 6, **CONVERGED},
    },
}


def make_model(flow: str, preprocess: str, **settings: Any) -> Model:
    """Make a small model with other sizes and other settings of its architecture."""
    sizes = {name: settings.pop(name, value) for name, value in SIZES.items()}
    architecture = ARCHITECTURES[flow] | settings
    content = {"flow": flow, "preprocess": preprocess, "architecture": architecture, **sizes}
    return Model.model_validate(content)


def realnvp(preprocess: str, flow_norm: str, net_norm: str, **settings: Any) -> Model:
    return make_model("realnvp", preprocess, flow_norm=flow_norm, net_norm=net_norm, **settings)


def glow(preprocess: str, conv1x1: str, scale: str, **settings: Any) -> Model:
    return make_model("glow", preprocess, conv1x1=conv1x1, scale=scale, **settings)


TWO_SPLITS = {"size": 8, "channels": 2, "splits": 2}

# Every pair of values of flow_norm, net_norm and preprocess occurs, and of conv1x1, scale and
# preprocess.
CONFIGURATIONS: dict[str, Model] = {
    "realnvp-batch-batch-logit": realnvp("logit", "batch", "batch"),
    "realnvp-batch-none-center": realnvp("center", "batch", "none"),
    "realnvp-actnorm-batch-center": realnvp("center", "actnorm", "batch", size=8, channels=1),
    "realnvp-actnorm-none-logit": realnvp("logit", "actnorm", "none", **TWO_SPLITS),
    "realnvp-released-batch-batch-center": realnvp("center", "batch", "batch", start="released"),
    "realnvp-additive-actnorm-none-center": realnvp("center", "actnorm", "none", scale="additive"),
    "realnvp-same-width-actnorm-none-logit": realnvp("logit", "actnorm", "none", growth=1),
    "realnvp-additive-batch-batch-logit": realnvp("logit", "batch", "batch", scale="additive"),
    "glow-plu-sigmoid-center": glow("center", "plu", "sigmoid", **TWO_SPLITS),
    "glow-dense-sigmoid-logit": glow("logit", "dense", "sigmoid"),
    "glow-dense-exp-center": glow("center", "dense", "exp", net_actnorm=False, learned_top=False),
    "glow-plu-exp-logit": glow("logit", "plu", "exp", net_actnorm=False, channels=1),
    "glow-dense-sigmoid-place-center": glow(
        "center", "dense", "sigmoid", top="place", size=16, channels=1
    ),
    "glow-plu-additive-logit": glow("logit", "plu", "additive"),
    "glow-dense-additive-place-center": glow(
        "center", "dense", "additive", net_actnorm=False, top="place"
    ),
    "iresnet-center": make_model("iresnet", "center", **TWO_SPLITS),
    "resflow-logit": make_model("resflow", "logit", **TWO_SPLITS),
    "resflow-squeezed-center": make_model("resflow", "center", squeeze_first=True),
}

LARGEST = {
    "realnvp": CONFIGURATIONS["realnvp-actnorm-none-logit"],
    "glow": CONFIGURATIONS["glow-plu-sigmoid-center"],
    "iresnet": CONFIGURATIONS["iresnet-center"],
    "resflow": CONFIGURATIONS["resflow-logit"],
}
"""One configuration of each flow, with two splits."""

EXACT = ("realnvp", "glow")
"""Flows whose log-determinant is not an estimate."""


@dataclass(frozen=True)
class Case:
    """A configuration under a factorization."""

    model: Model
    factorization: str

    def maps(self) -> list[NDArray[np.float32]]:
        """Made-up contribution maps, one per split, with ties."""
        m = self.model
        shape = (m.splits, m.channels, m.size, m.size)
        return list(np.random.RandomState(5).randint(-3, 4, shape).astype(np.float32))

    def build(self, seed: int = 0) -> Flow:
        maps = self.maps() if is_word(self.factorization) else ()
        return build(self.model, self.factorization, seed=seed, maps=maps)

    def build_perturbed(self, dtype: torch.dtype = torch.float64) -> Flow:
        """Build the flow in evaluation mode, with no weight at zero.

        Actnorms are initialized after the weights are moved, so that no activation is large.
        """
        return copy.deepcopy(_build_perturbed(self, dtype))

    def build_identity(self) -> Flow:
        """Build the flow in evaluation mode and float64, with y = x after the preprocessing."""
        flow = self.build().double().eval()
        set_to_identity(flow)
        return flow

    def images(self, count: int = 3) -> Tensor:
        m = self.model
        values = np.random.RandomState(7).randint(0, 256, (count, m.channels, m.size, m.size))
        return torch.from_numpy(values.astype(np.uint8))

    def noise(self) -> torch.Generator:
        """Return a new generator, which draws the same dequantization noise each time."""
        return torch.Generator().manual_seed(3)

    def dequantize(self, flow: Flow, count: int = 1) -> Tensor:
        """Return dequantized images: the input of the second layer."""
        x: Tensor = flow.layers[0](self.images(count), self.noise())[0]
        return x


@cache
def _build_perturbed(case: Case, dtype: torch.dtype) -> Flow:
    flow = case.build().to(dtype)
    perturb(flow)
    flow.initialize(case.images(16), case.noise())
    return flow.eval()


FEW = ("none", "channel", "random", "HL")
"""No factorization, a fixed one, one by the seed and one by maps."""


def cases(models: dict[str, Model], few: Sequence[str] | None = FEW) -> list[Any]:
    """Return parameters for a fixture: every model under every factorization.

    A factorization is an index table, whatever the flow and its settings. So a short run has
    ``few`` factorizations of one model (None for all, to test tables), two of one model of each
    other flow, and one of the other models.
    """

    def is_short(model: Model, factorization: str) -> bool:
        if model is LARGEST["realnvp"]:
            return few is None or factorization in few
        return factorization in (("none", "random") if model in LARGEST.values() else ("random",))

    return [
        pytest.param(
            Case(model, factorization),
            id=f"{name}-{factorization}",
            marks=() if is_short(model, factorization) else pytest.mark.slow,
        )
        for name, model in models.items()
        for factorization in [*FIXED, *words(model.splits)]
    ]


@torch.no_grad()
def perturb(flow: nn.Module) -> None:
    """Move every parameter and every running moment by a fixed draw."""
    generator = torch.Generator().manual_seed(11)

    def noise(t: Tensor) -> Tensor:
        normal = torch.randn(t.shape, generator=generator, dtype=torch.float64)
        return (normal + 0.5 * normal.sign()).to(t.dtype)  # nothing near zero

    for name, parameter in flow.named_parameters():
        # Triangular factors become ill conditioned and priors have unbounded scales, so larger
        # moves would cost digits.
        size = 0.5 / len(parameter) if name.endswith("factors") else 0.15
        parameter.add_((0.02 if "prior.net" in name else size) * noise(parameter))
    for name, moment in flow.named_buffers():
        if name.endswith("running_mean"):
            moment.add_(0.15 * noise(moment))
        if name.endswith(("running_variance", "running_var")):
            moment.mul_((0.2 * noise(moment)).exp())


@torch.no_grad()
def set_to_identity(flow: Flow) -> None:
    """Set every layer after the preprocessing to y = x."""
    for layer in flow.modules():
        if isinstance(layer, CheckerboardCoupling | ChannelCoupling):
            last = layer.net.out
            last.magnitude.zero_()
            last.get_parameter("bias").zero_()
        elif isinstance(layer, FlowBatchNorm):
            layer.running_mean.zero_()
            layer.running_variance.fill_(1 - layer.eps)
        elif isinstance(layer, ActNorm):
            layer.shift.zero_()
            layer.log_scale.zero_()
        elif isinstance(layer, ResidualNet):
            for parameter in layer.maps[-1].parameters():
                parameter.zero_()
        elif isinstance(layer, InvertibleConv1x1):
            layer.set_matrix(torch.eye(len(layer.matrix)))
        elif isinstance(layer, GlowCoupling):
            for parameter in layer.net.last.parameters():
                parameter.zero_()
            if layer.scale == "sigmoid":
                layer.net.last.shift[1::2] = 50.0  # where a sigmoid is 1


def draw(seed: int, *shape: int) -> Tensor:
    """Return normal noise in float64."""
    return torch.from_numpy(np.random.RandomState(seed).normal(size=shape))


@pytest.fixture(autouse=True)
def _seed_generator() -> Iterator[None]:
    """Weights drawn outside of `build` are the same each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.fixture(params=cases(CONFIGURATIONS))
def case(request: pytest.FixtureRequest) -> Any:
    """Every configuration under every factorization."""
    return request.param


@pytest.fixture(params=cases({n: m for n, m in CONFIGURATIONS.items() if m.flow in EXACT}))
def exact_case(request: pytest.FixtureRequest) -> Any:
    """Every configuration whose log-determinant is not an estimate."""
    return request.param


@pytest.fixture(params=cases(LARGEST))
def large_case(request: pytest.FixtureRequest) -> Any:
    """One configuration of each flow, with two splits, under every factorization."""
    return request.param


@pytest.fixture(params=[c for c in cases(LARGEST) if c.values[0].factorization != "none"])
def split_case(request: pytest.FixtureRequest) -> Any:
    """A `large_case` with splits."""
    return request.param


@pytest.fixture(params=cases(CONFIGURATIONS, few=None))
def table_case(request: pytest.FixtureRequest) -> Any:
    """A `case`, with more factorizations in a short run, for checks of tables."""
    return request.param


@pytest.fixture(params=list(CONFIGURATIONS))
def nms_case(request: pytest.FixtureRequest) -> Case:
    """Every configuration without splits (NMS)."""
    return Case(CONFIGURATIONS[request.param], "none")
