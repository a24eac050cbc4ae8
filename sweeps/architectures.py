"""Architectures of flows as data, and the register of flows that planning knows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from lcma.sweeps.sections import Section

Count = Annotated[int, Field(le=2**31 - 1)]
"""A number of things or steps that fits the integers of every database."""

# More than any model has, so that a slip of the finger is refused before a machine builds it.
Depth = Annotated[int, Field(le=1_000)]
"""A number of layers of a flow or a net, or of terms of a series."""

Width = Annotated[int, Field(le=2**16)]
"""A number of feature maps or hidden units."""

Iterations = Annotated[int, Field(le=100_000)]
"""The most iterations of a fixed point."""


class RecipePart(Section):
    """Base class of the parts of a recipe."""


class Architecture(RecipePart):
    """Settings of a flow beside the size of its images and the number of its splits; base class.

    A flow has one scale more than it has splits. ``LATER`` are the fields that came after recipes
    had been stored: a recipe's body has them only where they are not at their defaults.
    """

    LATER: ClassVar[frozenset[str]] = frozenset()

    @property
    def swapped(self) -> "Architecture":
        """The same with the other order of the checkerboard masks; TypeError without masks."""
        raise TypeError(f"{type(self).__name__} has no checkerboard masks")


class RealNVPArchitecture(Architecture):
    """Settings of RealNVP, after Dinh et al. 2017 and the author's released code.

    Within a scale: checkerboard couplings, squeeze, channel couplings, unsqueeze, split; the
    last scale has checkerboard couplings alone.
    """

    LATER: ClassVar[frozenset[str]] = frozenset({"scale", "start", "growth"})

    width: Width = Field(
        ge=1, description="feature maps of the first scale's checkerboard couplings"
    )
    growth: int = Field(
        2,
        ge=1,
        le=16,
        description="times as many feature maps after each squeeze: 2 as published, 1 for the "
        "same in all nets",
    )
    blocks: Depth = Field(ge=0, description="residual blocks in each coupling net")
    checkerboard_couplings: Depth = Field(3, ge=1, description="in each scale but the last")
    channel_couplings: Depth = Field(3, ge=1, description="in each scale but the last")
    last_couplings: Depth = Field(4, ge=1, description="checkerboard couplings in the last scale")
    flow_norm: Literal["batch", "actnorm"] = Field(
        "batch", description="normalization after each coupling, on the part it transformed"
    )
    net_norm: Literal["batch", "none"] = Field(
        "batch", description="normalization inside the coupling nets"
    )
    masks: Literal["odd-first", "even-first"] = Field(
        "odd-first",
        description="which colour (row + column) the checkerboard couplings of every scale "
        "change first",
    )
    scale: Literal["tanh", "additive"] = Field(
        "tanh",
        description="a coupling's log-scale: a learned factor times tanh(h), or none, so that it "
        "only adds a shift and its log-determinant is 0",
    )
    start: Literal["torch", "released"] = Field(
        "torch",
        description="weight-normalized directions and biases of the coupling nets at the start: "
        "PyTorch's, or the released code's, uniform up to sqrt(2 / channels), biases 0",
    )

    @property
    def swapped(self) -> "RealNVPArchitecture":
        """The same with the other order of the checkerboard masks."""
        other = "even-first" if self.masks == "odd-first" else "odd-first"
        return self.model_copy(update={"masks": other})


class GlowArchitecture(Architecture):
    """Settings of Glow, after Kingma & Dhariwal 2018 and the released code (openai/glow).

    Within a scale (the paper's level): squeeze, steps, unsqueeze, split. A step is actnorm,
    1x1 convolution, coupling.
    """

    LATER: ClassVar[frozenset[str]] = frozenset({"top"})

    steps: Depth = Field(ge=1, description="in each scale")
    width: Width = Field(512, ge=1, description="feature maps inside the coupling nets")
    conv1x1: Literal["plu", "dense"] = Field(
        "plu", description="the 1x1 convolution's weight as P L (U + diag(s)), or as it is"
    )
    net_actnorm: bool = Field(
        True, description="actnorm inside the coupling nets, as the released code has it"
    )
    scale: Literal["sigmoid", "exp", "additive"] = Field(
        "sigmoid",
        description="a coupling's scale: sigmoid(h + 2), exp(h), or none, so that it only adds a "
        "shift and its log-determinant is 0",
    )
    learned_top: bool = Field(True, description="learn mean and log-scale of the last prior")
    top: Literal["channel", "place"] = Field(
        "channel",
        description="a learned last prior: a pair for each channel, or as released a convolution "
        "of zeros that sees the border, times a gain, so that places at the border differ",
    )

    @model_validator(mode="after")
    def _place_is_learned(self) -> "GlowArchitecture":
        if self.top == "place" and not self.learned_top:
            raise ValueError("`top: place` is a learned prior: leave `learned_top: false` out")
        return self


class IResNetArchitecture(Architecture):
    """Settings of i-ResNet, after Behrmann et al. 2019 and the released code.

    Within a scale: squeeze, blocks, unsqueeze, split. A block is actnorm, then x + g(x) with
    g = activation-3x3-activation-1x1-activation-3x3.
    """

    blocks: Depth = Field(ge=1, description="in each scale")
    width: Width = Field(512, ge=1, description="feature maps inside the blocks")
    coefficient: float = Field(
        0.9, gt=0, lt=1, description="largest spectral norm of each convolution"
    )
    power_iterations: Depth = Field(5, ge=1, description="for each training step")
    train_terms: Depth = Field(5, ge=1, description="of the power series, in training")
    eval_terms: Depth = Field(20, ge=1, description="of the power series, in evaluation")
    probe: Literal["gaussian", "rademacher"] = Field(
        "gaussian", description="the trace estimator's noise in training; evaluation: rademacher"
    )
    neumann: bool = Field(
        False, description="the Neumann gradient; else the series itself is differentiated"
    )
    activation: Literal["elu", "lipswish"] = Field("elu", description="1-Lipschitz nonlinearity")
    inverse_tolerance: float = Field(
        1e-6, gt=0, description="of the fixed point: largest change of an entry in an iteration"
    )
    inverse_max_iterations: Iterations = Field(200, ge=1, description="of the fixed point")


class ResidualFlowArchitecture(Architecture):
    """Settings of Residual Flow, after Chen et al. 2019 and the released code.

    Within a scale: blocks, each x + g(x) followed by actnorm, then the split. The last scale
    ends in fully connected blocks.
    """

    blocks: Depth = Field(ge=1, description="in each scale")
    width: Width = Field(512, ge=1, description="feature maps inside the blocks")
    squeeze_first: bool = Field(
        False,
        description="every scale works on its squeezed input, as published for 64x64 images",
    )
    fully_connected: Depth = Field(4, ge=0, description="fully connected blocks at the end")
    fc_width: Width = Field(128, ge=1, description="hidden units of the fully connected blocks")
    coefficient: float = Field(
        0.98, gt=0, lt=1, description="largest operator norm of each convolution"
    )
    tolerance: float = Field(1e-3, gt=0, description="of the power iteration, in each step")
    max_iterations: Iterations = Field(
        200, ge=1, description="of the power iteration, in each step; on a GPU at most 5"
    )
    exact_terms: Depth = Field(
        2, ge=0, description="of the power series in training, before Russian roulette"
    )
    roulette_mean: float = Field(
        2.0, gt=0, le=1_000, description="mean of the Poisson number of further terms in training"
    )
    eval_terms: Depth = Field(20, ge=1, description="of the power series, in evaluation")
    probe: Literal["gaussian", "rademacher"] = Field(
        "gaussian", description="the trace estimator's noise in training; evaluation: rademacher"
    )
    neumann: bool = Field(
        True, description="the memory-saving Neumann gradient; else the series is differentiated"
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
    """Facts about a flow that planning needs, without being able to build it.

    ``conventional`` is the flow's own factorization. Flags: ``flat_nms``, it can be built without
    any squeeze; ``masks``, its architecture has checkerboard masks to swap (a property
    ``swapped``); ``mixes``, it has 1x1 convolutions, whose shares are a choice;
    ``coupling_nets``, it has nets that can run in bfloat16 or compiled (`lcma.models.nets`);
    ``shrinks``, it has parameters for a recipe's L2 term (None: not known before it is built);
    ``stacks``, all steps of a training do the same operations, so that one can be recorded
    (`lcma.harness.train.recorder`), and trials of one recipe can be trained as one
    (`lcma.harness.train.stack`). The rest is
    a plug-in's: the most splits that the flow can have, the function that builds it, its
    recipes (laid out as in ``sweeps/recipes``), and the plug-in with its version.
    """

    name: str
    architecture: type[Architecture]
    conventional: str
    flat_nms: bool = False
    masks: bool = False
    mixes: bool = False
    coupling_nets: bool = False
    shrinks: bool | None = None
    stacks: bool = False
    most_splits: int | None = None
    parts: Callable[..., Any] | None = None
    recipes: Mapping[str, Any] | None = None
    plugin: str | None = None
    version: str | None = None


_REGISTER: dict[str, FlowFacts] = {}

REGISTERED: Mapping[str, FlowFacts] = MappingProxyType(_REGISTER)
"""Flows that a recipe can name."""


def add(facts: FlowFacts) -> None:
    """Make a flow known by its facts. Raises ValueError if the name is taken."""
    if (known := _REGISTER.get(facts.name)) is not None:
        whose = f"registered by {known.plugin} too" if known.plugin else "lcma's own"
        raise ValueError(f"the flow {facts.name!r} is {whose}: choose another name")
    _REGISTER[facts.name] = facts


def forget(name: str) -> None:
    """Remove a plug-in's flow from the register."""
    del _REGISTER[name]


add(
    FlowFacts(
        "realnvp",
        RealNVPArchitecture,
        conventional="checkerboard-even",
        flat_nms=True,
        masks=True,
        coupling_nets=True,
        shrinks=True,
        stacks=True,
    )
)
add(
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
add(FlowFacts("iresnet", IResNetArchitecture, conventional="rows", shrinks=False))
add(FlowFacts("resflow", ResidualFlowArchitecture, conventional="channel", shrinks=False))
