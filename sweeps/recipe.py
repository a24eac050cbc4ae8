"""Recipes: all settings of the training of one flow on one data set."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, SerializeAsAny, ValidationInfo, field_validator, model_validator

from lcma.sweeps.architectures import REGISTERED, Architecture, Count
from lcma.sweeps.errors import describe_error, suggest
from lcma.sweeps.identity import canonical_json, content_id, identity_of
from lcma.sweeps.sections import Section

LOG_EVERY = 10
"""Steps between points of the curve `TRAIN_CURVE`. Checkpoints are made only at these steps, so
that a resumed run averages the loss over the same steps as an undisturbed one."""

TRAIN_CURVE = "train_bits_per_dim"
"""Name of the curve of the loss: its mean over `LOG_EVERY` steps, and over the steps at the end."""

CHANGE_CURVE = "changed_windows"
"""Start of the names of the curves of `online`, one per split: the share of windows that a look
changed."""

MIN_STACK = 4
"""Rows of the smallest stack. With fewer rows some convolutions give other bits than with more."""


class Model(Section):
    """The flow itself: image size, splits, preprocessing and architecture."""

    flow: str
    size: Count = Field(gt=0, description="height and width of the images in pixels")
    channels: Count = Field(3, gt=0)
    splits: int = Field(
        ge=0, le=20, description="how often half of the dimensions are factored out"
    )
    preprocess: Literal["logit", "center"] = "logit"
    architecture: SerializeAsAny[Architecture]
    plugin: str | None = Field(
        None,
        validate_default=True,
        description="version of the plug-in of the flow; it cannot be set",
    )

    @field_validator("flow")
    @classmethod
    def _flow_is_known(cls, flow: str) -> str:
        if flow not in REGISTERED:
            raise ValueError(f"unknown flow {flow!r}: {suggest(flow, tuple(REGISTERED))}")
        return flow

    @field_validator("architecture", mode="before")
    @classmethod
    def _validate_architecture(cls, value: Any, info: ValidationInfo) -> Any:
        # By the flow's own class; pydantic reports its errors at this field.
        flow = info.data.get("flow")
        if flow is None:
            return Architecture()
        architecture = REGISTERED[flow].architecture
        if isinstance(value, Architecture) and type(value) is not architecture:
            raise ValueError(f"{flow} has a {architecture.__name__}, not a {type(value).__name__}")
        if isinstance(value, Mapping):
            known = tuple(architecture.model_fields)
            unknown = next((key for key in value if key not in known), None)
            if unknown is not None:
                raise ValueError(f"{flow} has no {unknown!r}: {suggest(str(unknown), known)}")
        try:
            return architecture.model_validate(value)
        except (ValueError, KeyboardInterrupt):
            raise
        except BaseException as error:  # a validator of a plug-in may raise anything
            if REGISTERED[flow].plugin is None:
                raise
            raise ValueError(f"the plug-in raised {describe_error(error)}") from error

    @field_validator("plugin")
    @classmethod
    def _fill_in_plugin(cls, version: str | None, info: ValidationInfo) -> str | None:
        flow = info.data.get("flow")
        loaded = None if flow is None else REGISTERED[flow].version
        if version is not None and version != loaded:
            raise ValueError(f"{flow} is of {loaded or 'no plug-in'} here, not of {version}")
        return loaded

    @model_validator(mode="after")
    def _splits_fit(self) -> "Model":
        smallest = self.size >> self.splits
        if smallest < 2 or smallest << self.splits != self.size:
            raise ValueError(
                f"{self.splits} splits do not fit {self.size}x{self.size} images: "
                f"the size must be a multiple of {2 ** (self.splits + 1)}"
            )
        return self


Beta = Annotated[float, Field(ge=0, lt=1)]


class Optimization(Section):
    """Settings of a training step, the same in pretraining and training."""

    optimizer: Literal["adam", "adamax"] = "adam"
    learning_rate: float = Field(gt=0)
    betas: tuple[Beta, Beta] = Field((0.9, 0.999), description="decay of the moments")
    l2: float = Field(
        0.0,
        ge=0,
        description="factor of the sum of squares of weight-norm magnitudes and checkerboard "
        "scales, in nats per image",
    )
    clip: float | None = Field(
        None, gt=0, description="largest norm of the gradient of all weights, in nats per image"
    )
    batch: int = Field(ge=1, le=100_000)
    warmup: Count = Field(0, ge=0, description="steps of linear warm-up before the schedule")
    flips: bool = Field(False, description="random horizontal flips")
    shift: Count = Field(
        0, ge=0, description="random shifts of the images, by at most this many pixels"
    )
    shift_fill: Literal["edge", "symmetric", "zero"] = Field(
        "edge",
        description="pixels that a shift brings in: the nearest, the image mirrored at its edge, "
        "or 0",
    )
    threads: int = Field(
        1,
        ge=1,
        le=1024,
        description="CPU threads; part of the recipe, because they change the order of sums and "
        "so the bits",
    )
    autocast: Literal["none", "bfloat16"] = Field(
        "none", description="precision of the nets inside couplings in training; evaluation: none"
    )
    compile: bool = Field(
        False,
        description="torch.compile for the nets inside couplings in training, on GPUs; part of the "
        "recipe, because it changes the bits",
    )
    stacked: bool = Field(
        False,
        description="train as one with other trials of the recipe; part of the recipe, because it "
        "changes the bits; which other trials does not matter",
    )


class Training(Section):
    """Settings of the final training only."""

    steps: Count = Field(gt=0)
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "constant",
        description="of the learning rate after the warm-up: constant, or falling to zero over the "
        "last part of the training; always constant in a pretraining",
    )
    decay: float = Field(
        0.5, gt=0, le=1, description="share of the steps over which a schedule falls to zero"
    )
    ema: float | None = Field(None, gt=0, lt=1, description="decay of the averaged weights")
    select: Literal["last", "best"] = Field(
        "last", description="evaluate the last weights, or the best by holdout bits/dim"
    )
    holdout_every: Count | None = Field(
        None, gt=0, multiple_of=LOG_EVERY, description="steps between holdout evaluations"
    )

    @model_validator(mode="after")
    def _decay_needs_a_schedule(self) -> "Training":
        if self.schedule == "constant" and self.decay != 0.5:
            raise ValueError("`decay` needs `schedule: linear` or `schedule: cosine`")
        return self

    @model_validator(mode="after")
    def _best_needs_holdout(self) -> "Training":
        if self.select == "best" and self.holdout_every is None:
            raise ValueError("`select: best` needs `holdout_every`, the steps between evaluations")
        return self


Score = Literal["cumulative", "normalized", "total"]


class OnlineOptions(Section):
    """Settings of `online`, whose tables change during training. Other trials ignore them."""

    every: Count = Field(
        100,
        gt=0,
        multiple_of=LOG_EVERY,
        description="steps between looks; each look is at the table of the next split",
    )
    share: float = Field(
        0.1, gt=0, le=1, description="largest share of a table's windows that a look changes"
    )
    freeze: float = Field(
        0.5, gt=0, lt=1, description="last share of the training, in which no table changes"
    )


class MapOptions(Section):
    """Settings of contribution maps. Trials that read no map ignore them."""

    score: Score = Field(
        "cumulative",
        description="of a dimension at a split: its log-determinant accumulated so far "
        "(`cumulative`); the same minus half the log variance of its value (`normalized`); or its "
        "log-determinant of all layers (`total`)",
    )
    nms: Literal["squeezed", "flat"] = Field(
        "squeezed",
        description="the flow without splits: with a squeeze in place of each split, or always at "
        "the size of the image (only RealNVP)",
    )
    order: Literal["raster", "rank"] = Field(
        "raster", description="order of a window's two dimensions inside a half"
    )
    masks: Literal["same", "swapped"] = Field(
        "same",
        description="order of the checkerboard masks in the pretraining: that of the trained flow, "
        "or the other one (only RealNVP)",
    )
    conv1x1: Literal["output", "sorted", "uniform"] = Field(
        "output",
        description="log-determinant of a 1x1 convolution W that each channel gets: half the "
        "diagonal of log(W Wᵀ), the log singular values in descending order, or equal shares (only "
        "Glow)",
    )
    online: OnlineOptions = Field(OnlineOptions(), description="how the tables of `online` change")

    @property
    def stored_score(self) -> str:
        """Name of the score in the database, such as `cumulative` or `cumulative/sorted`."""
        return self.score if self.conv1x1 == "output" else f"{self.score}/{self.conv1x1}"


_NET_FIELDS = {"autocast", "compile"}
# Fields that were added after recipes had been stored; see `Architecture.LATER`.
_LATER_OPTIMIZATION_FIELDS = _NET_FIELDS | {"stacked"}
_LATER_TRAINING_FIELDS = {"schedule", "decay"}


class Recipe(Section):
    """All settings of the training of a flow.

    The id is a hash of ``model``, ``optimization`` and ``training``. ``maps`` enters only the ids
    of trials that read a map.
    """

    model: Model
    optimization: Optimization
    training: Training
    maps: MapOptions = MapOptions()

    @model_validator(mode="after")
    def _check_nets(self) -> "Recipe":
        changed = self.optimization.model_dump(include=_NET_FIELDS, exclude_defaults=True)
        if changed and not REGISTERED[self.model.flow].coupling_nets:
            option, value = next(iter(changed.items()))
            known = ", ".join(facts.name for facts in REGISTERED.values() if facts.coupling_nets)
            raise ValueError(
                f"`optimization.{option}: {str(value).lower()}` is for flows with coupling nets "
                f"({known}), and {self.model.flow} has none: leave it out"
            )
        return self

    @model_validator(mode="after")
    def _check_l2(self) -> "Recipe":
        if self.optimization.l2 and REGISTERED[self.model.flow].shrinks is False:
            known = ", ".join(facts.name for facts in REGISTERED.values() if facts.shrinks)
            raise ValueError(
                f"`optimization.l2: {self.optimization.l2:g}` shrinks weight-norm magnitudes and "
                f"checkerboard scales ({known}), and {self.model.flow} has none: leave it out"
            )
        return self

    @model_validator(mode="after")
    def _check_stacked(self) -> "Recipe":
        if not self.optimization.stacked:
            return self
        if not REGISTERED[self.model.flow].stacks:
            known = ", ".join(facts.name for facts in REGISTERED.values() if facts.stacks)
            raise ValueError(
                f"`optimization.stacked: true` is for flows that stacks make faster ({known}), "
                f"and {self.model.flow} is not one: leave it out"
            )
        if changed := self.optimization.model_dump(include=_NET_FIELDS, exclude_defaults=True):
            raise ValueError(
                f"`optimization.stacked: true` and `optimization.{next(iter(changed))}` exclude "
                "each other: leave one out"
            )
        return self

    @property
    def id(self) -> str:
        """Content id, 20 hexadecimal digits."""
        identity = identity_of(self)
        identity.pop("maps", None)
        return content_id("recipe", identity)

    @property
    def body(self) -> str:
        """Canonical JSON for the database, with every field except ``maps``.

        Fields that were added later are left out at their defaults.
        """
        return canonical_json(self._body())

    def _body(self) -> dict[str, Any]:
        body = self.model_dump(mode="json", exclude={"maps"})
        architecture = self.model.architecture
        for written, part, later in (
            (body["optimization"], self.optimization, _LATER_OPTIMIZATION_FIELDS),
            (body["training"], self.training, _LATER_TRAINING_FIELDS),
            (body["model"]["architecture"], architecture, architecture.LATER),
        ):
            for name in later - part.model_dump(exclude_defaults=True).keys():
                del written[name]
        if self.model.plugin is None:
            del body["model"]["plugin"]
        return body

    def pretraining_identity(self) -> dict[str, object]:
        """Return the settings that a pretraining depends on: all except those of the training."""
        return {"model": identity_of(self.model), "optimization": identity_of(self.optimization)}

    @property
    def pretraining_part_id(self) -> str:
        """Content id of `pretraining_identity`, 20 hexadecimal digits."""
        return content_id("pretraining part", self.pretraining_identity())

    @property
    def pretraining_part_body(self) -> str:
        """Canonical JSON of that part of `body`."""
        body = self._body()
        return canonical_json({name: body[name] for name in ("model", "optimization")})
