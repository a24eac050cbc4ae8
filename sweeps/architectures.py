"""Architectures of flows as data, and the register of flows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from lcma.sweeps.sections import Section

Count = Annotated[int, Field(le=2**31 - 1)]
"""A number that fits the integers of every database."""

# These bounds are above those of any real model. They refuse a typing mistake such as 1000000000
# before a machine tries to build it.
Depth = Annotated[int, Field(le=1_000)]
"""A number of layers of a flow or a net, or of terms of a series."""

Width = Annotated[int, Field(le=2**16)]
"""A number of feature maps or hidden units."""

Iterations = Annotated[int, Field(le=100_000)]
"""A largest number of iterations."""


class Architecture(Section):
    """Settings of a flow, except the size of its images and its number of splits; base class.

    A flow has one scale more than it has splits.
    """

    LATER: ClassVar[frozenset[str]] = frozenset()
    """Fields that were added after recipes had been stored. `Recipe.body` leaves them out at their
    defaults, so that stored bodies stay equal to new ones."""


class RealNVPArchitecture(Architecture):
    """Settings of RealNVP, after Dinh et al. 2017 and the author's released code.

    Each scale has checkerboard couplings, squeeze, channel couplings, unsqueeze and split. The last
    scale has only checkerboard couplings.
    """

    LATER: ClassVar[frozenset[str]] = frozenset({"scale", "start", "growth"})

    width: Width = Field(
        ge=1, description="feature maps of the first scale's checkerboard couplings"
    )
    growth: int = Field(
        2,
        ge=1,
        le=16,
        description="factor of the feature maps after each squeeze: 2 as published, 1 for equal "
        "nets",
    )
    blocks: Depth = Field(ge=0, description="residual blocks in each coupling net")
    checkerboard_couplings: Depth = Field(3, ge=1, description="in each scale except the last")
    channel_couplings: Depth = Field(3, ge=1, description="in each scale except the last")
    last_couplings: Depth = Field(4, ge=1, description="checkerboard couplings in the last scale")
    flow_norm: Literal["batch", "actnorm"] = Field(
        "batch", description="normalization after each coupling, of the part that it changed"
    )
    net_norm: Literal["batch", "none"] = Field(
        "batch", description="normalization inside the coupling nets"
    )
    masks: Literal["odd-first", "even-first"] = Field(
        "odd-first",
        description="positions, by the parity of row + column, that the checkerboard couplings of "
        "each scale change first",
    )
    scale: Literal["tanh", "additive"] = Field(
        "tanh",
        description="a coupling's log-scale: a learned factor times tanh(h), or 0 (`additive`), "
        "with a log-determinant of 0",
    )
    start: Literal["torch", "released"] = Field(
        "torch",
        description="initial weights of the coupling nets: PyTorch's, or those of the released "
        "code (directions uniform up to sqrt(2 / channels), biases 0)",
    )

    @property
    def swapped(self) -> "RealNVPArchitecture":
        """The same architecture with the other order of checkerboard masks."""
        other = "even-first" if self.masks == "odd-first" else "odd-first"
        return self.model_copy(update={"masks": other})


class GlowArchitecture(Architecture):
    """Settings of Glow, after Kingma & Dhariwal 2018 and the released code (openai/glow).

    Each scale (the paper's level) has squeeze, steps, unsqueeze and split. A step is actnorm, 1x1
    convolution and coupling.
    """

    LATER: ClassVar[frozenset[str]] = frozenset({"top"})

    steps: Depth = Field(ge=1, description="in each scale")
    width: Width = Field(512, ge=1, description="feature maps inside the coupling nets")
    conv1x1: Literal["plu", "dense"] = Field(
        "plu",
        description="form of the 1x1 convolution's weight: P L (U + diag(s)), or a plain matrix",
    )
    net_actnorm: bool = Field(
        True, description="actnorm inside the coupling nets, as in the released code"
    )
    scale: Literal["sigmoid", "exp", "additive"] = Field(
        "sigmoid",
        description="a coupling's scale: sigmoid(h + 2), exp(h), or 1 (`additive`), with a "
        "log-determinant of 0",
    )
    learned_top: bool = Field(True, description="learn mean and log-scale of the last prior")
    top: Literal["channel", "place"] = Field(
        "channel",
        description="what the last prior learns: mean and log-scale of each channel, or of each "
        "channel and place, different at the border, as in the released code",
    )

    @model_validator(mode="after")
    def _place_is_learned(self) -> "GlowArchitecture":
        if self.top == "place" and not self.learned_top:
            raise ValueError("`top: place` is a learned prior: leave `learned_top: false` out")
        return self


class IResNetArchitecture(Architecture):
    """Settings of i-ResNet, after Behrmann et al. 2019 and the released code.

    Each scale has squeeze, blocks, unsqueeze and split. A block is actnorm, then x + g(x), where g
    is activation, 3x3, activation, 1x1, activation, 3x3.
    """

    blocks: Depth = Field(ge=1, description="in each scale")
    width: Width = Field(512, ge=1, description="feature maps inside the blocks")
    coefficient: float = Field(
        0.9, gt=0, lt=1, description="largest spectral norm of each convolution"
    )
    power_iterations: Depth = Field(5, ge=1, description="before each training step")
    train_terms: Depth = Field(5, ge=1, description="of the power series, in training")
    eval_terms: Depth = Field(20, ge=1, description="of the power series, in evaluation")
    probe: Literal["gaussian", "rademacher"] = Field(
        "gaussian", description="the trace estimator's noise in training; evaluation: rademacher"
    )
    neumann: bool = Field(
        False, description="Neumann gradient; if false, the series itself is differentiated"
    )
    activation: Literal["elu", "lipswish"] = Field("elu", description="1-Lipschitz nonlinearity")
    inverse_tolerance: float = Field(
        1e-6, gt=0, description="of the fixed point: largest change of an entry in an iteration"
    )
    inverse_max_iterations: Iterations = Field(200, ge=1, description="of the fixed point")


class ResidualFlowArchitecture(Architecture):
    """Settings of Residual Flow, after Chen et al. 2019 and the released code.

    Each scale has blocks, x + g(x) followed by actnorm, and a split. The last scale ends with fully
    connected blocks.
    """

    blocks: Depth = Field(ge=1, description="in each scale")
    width: Width = Field(512, ge=1, description="feature maps inside the blocks")
    squeeze_first: bool = Field(
        False,
        description="squeeze the input of every scale, as published for 64x64 images",
    )
    fully_connected: Depth = Field(4, ge=0, description="fully connected blocks at the end")
    fc_width: Width = Field(128, ge=1, description="hidden units of the fully connected blocks")
    coefficient: float = Field(
        0.98, gt=0, lt=1, description="largest operator norm of each convolution"
    )
    tolerance: float = Field(1e-3, gt=0, description="of the power iteration before each step")
    max_iterations: Iterations = Field(
        200, ge=1, description="of the power iteration before each step; on a GPU at most 5"
    )
    exact_terms: Depth = Field(
        2, ge=0, description="of the power series in training, before Russian roulette"
    )
    roulette_mean: float = Field(
        2.0, gt=0, le=500, description="mean of the Poisson number of further terms in training"
    )
    eval_terms: Depth = Field(20, ge=1, description="of the power series, in evaluation")
    probe: Literal["gaussian", "rademacher"] = Field(
        "gaussian", description="the trace estimator's noise in training; evaluation: rademacher"
    )
    neumann: bool = Field(
        True, description="Neumann gradient; if false, the series itself is differentiated"
    )
    activation: Literal["lipswish", "elu"] = Field(
        "lipswish", description="1-Lipschitz nonlinearity"
    )
    inverse_tolerance: float = Field(
        1e-6, gt=0, description="of the fixed point: largest change of an entry in an iteration"
    )
    inverse_max_iterations: Iterations = Field(200, ge=1, description="of the fixed point")


@dataclass(frozen=True)
class FlowFacts:
    """What planning needs to know about a flow, without PyTorch."""

    name: str
    architecture: type[Architecture]
    conventional: str  # the flow's own factorization
    flat_nms: bool = False  # whether it can be built without a squeeze between scales
    mixes: bool = False  # whether it has 1x1 convolutions, whose log-det is shared by convention
    coupling_nets: bool = False  # whether it has nets for `lcma.models.CouplingNets`
    shrinks: bool | None = None  # whether it has parameters for an L2 term; None if not known
    # Whether all training steps do the same operations, so that a step can be recorded
    # (`lcma.harness.train.recorder`) and trials can be stacked (`lcma.harness.train.stack`).
    stacks: bool = False
    # Of a flow from a plug-in:
    parts: Callable[..., Any] | None = None  # builds the layers, see `lcma.models.builder.Parts`
    recipes: Mapping[str, Any] | None = None  # as in a file in `sweeps/recipes`
    plugin: str | None = None
    version: str | None = None


_REGISTER: dict[str, FlowFacts] = {}

REGISTERED: Mapping[str, FlowFacts] = MappingProxyType(_REGISTER)
"""Flows by name."""


def register(facts: FlowFacts) -> None:
    """Register a flow. Raises ValueError if its name is taken."""
    if (other := _REGISTER.get(facts.name)) is not None:
        owner = f"registered by {other.plugin} too" if other.plugin else "lcma's own"
        raise ValueError(f"the flow {facts.name!r} is {owner}: choose another name")
    _REGISTER[facts.name] = facts


def unregister(name: str) -> None:
    """Remove a flow from the register."""
    del _REGISTER[name]


register(
    FlowFacts(
        "realnvp",
        RealNVPArchitecture,
        conventional="checkerboard-even",
        flat_nms=True,
        coupling_nets=True,
        shrinks=True,
        stacks=True,
    )
)
register(
    FlowFacts(
        "glow",
        GlowArchitecture,
        conventional="channel",
        mixes=True,
        coupling_nets=True,
        shrinks=False,
        stacks=True,
    )
)
register(FlowFacts("iresnet", IResNetArchitecture, conventional="rows", shrinks=False))
register(FlowFacts("resflow", ResidualFlowArchitecture, conventional="channel", shrinks=False))
