"""Recipes: all that fixes the training of one flow on one data set."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, SerializeAsAny, ValidationInfo, field_validator, model_validator

from lcma.sweeps.architectures import REGISTERED, Architecture, Count, RecipePart
from lcma.sweeps.errors import describe_error, suggest
from lcma.sweeps.identity import canonical_json, content_id, identity_of

LOG_EVERY = 10
"""Steps between points of the curve `TRAIN_CURVE`; checkpoints fall on these steps, so that a
resumed run logs the same windows as an undisturbed one."""

TRAIN_CURVE = "train_bits_per_dim"
"""The curve of the loss: a point for each window of steps, and one at the end."""

CHANGE_CURVE = "changed_windows"
"""The curves of `online`, with the split behind it: the share of windows that a look changed."""

STACK_LEAST = 4
"""Rows of the smallest stack. With fewer, some convolutions end in other bits than with more."""


class Model(RecipePart):
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
        description="version of the plug-in that the flow is from; it cannot be chosen",
    )

    @field_validator("flow")
    @classmethod
    def _flow_is_known(cls, flow: str) -> str:
        if flow not in REGISTERED:
            raise ValueError(f"unknown flow {flow!r}: {suggest(flow, tuple(REGISTERED))}")
        return flow

    @field_validator("architecture", mode="before")
    @classmethod
    def _architecture_of_the_flow(cls, given: Any, info: ValidationInfo) -> Any:
        # In the flow's own class; pydantic reports its errors at this field.
        flow = info.data.get("flow")
        if flow is None:
            return Architecture()
        wanted = REGISTERED[flow].architecture
        if isinstance(given, Architecture) and type(given) is not wanted:
            raise ValueError(f"{flow} has a {wanted.__name__}, not a {type(given).__name__}")
        if isinstance(given, Mapping):
            known = tuple(wanted.model_fields)
            unknown = next((key for key in given if key not in known), None)
            if unknown is not None:
                raise ValueError(f"{flow} has no {unknown!r}: {suggest(str(unknown), known)}")
        try:
            return wanted.model_validate(given)
        except (ValueError, KeyboardInterrupt):
            raise
        except BaseException as error:  # a validator of a plug-in may raise any
            if REGISTERED[flow].plugin is None:
                raise
            raise ValueError(f"the plug-in raised {describe_error(error)}") from error

    @field_validator("plugin")
    @classmethod
    def _as_loaded(cls, given: str | None, info: ValidationInfo) -> str | None:
        flow = info.data.get("flow")
        loaded = None if flow is None else REGISTERED[flow].version
        if given is not None and given != loaded:
            raise ValueError(f"{flow} is of {loaded or 'no plug-in'} here, not of {given}")
        return loaded

    @model_validator(mode="after")
    def _splits_fit(self) -> "Model":
        most = REGISTERED[self.flow].most_splits
        if most is not None and self.splits > most:
            raise ValueError(f"{self.flow} has at most {most} splits, not {self.splits}")
        smallest = self.size >> self.splits
        if smallest < 2 or smallest << self.splits != self.size:
            raise ValueError(
                f"{self.splits} splits do not fit {self.size}x{self.size} images: "
                f"the size must be a multiple of {2 ** (self.splits + 1)}"
            )
        return self


Beta = Annotated[float, Field(ge=0, lt=1)]


class Optimization(RecipePart):
    """Settings of a training step, the same in pretraining and training."""

    optimizer: Literal["adam", "adamax"] = "adam"
    learning_rate: float = Field(gt=0)
    betas: tuple[Beta, Beta] = Field((0.9, 0.999), description="decay of the moments")
    l2: float = Field(
        0.0,
        ge=0,
        description="times the sum of squares of weight-norm magnitudes and "
        "checkerboard scales, in nats per image",
    )
    clip: float | None = Field(
        None, gt=0, description="largest global norm of the gradient of nats per image"
    )
    batch: int = Field(ge=1, le=100_000)
    warmup: Count = Field(0, ge=0, description="steps of linear warm-up, then constant")
    flips: bool = Field(False, description="random horizontal flips")
    shift: Count = Field(
        0, ge=0, description="random shifts of the images, up to so many pixels each way"
    )
    shift_fill: Literal["edge", "symmetric", "zero"] = Field(
        "edge",
        description="what a shift brings in: the nearest pixel, the image mirrored at its edge, "
        "or 0",
    )
    threads: int = Field(
        1,
        ge=1,
        le=1024,
        description="CPU threads; part of the recipe, since sums "
        "in another order end in other bits",
    )
    autocast: Literal["none", "bfloat16"] = Field(
        "none", description="precision of the nets inside couplings in training; evaluation: none"
    )
    compile: bool = Field(
        False,
        description="torch.compile for the nets inside couplings in training, on GPUs; part of the "
        "recipe, since compiled sums end in other bits",
    )
    stacked: bool = Field(
        False,
        description="train with other trials of the recipe as one; part of the recipe, since sums "
        "in another order end in other bits, but with whom is not",
    )


class Training(RecipePart):
    """Settings of the final training alone."""

    steps: Count = Field(gt=0)
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "constant",
        description="of the learning rate after its warm-up: constant, or falling to zero over the "
        "last part of the training; a pretraining's is constant",
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


class OnlineOptions(RecipePart):
    """Settings of `online`, whose tables change in training. No other trials depend on them."""

    every: Count = Field(
        100,
        gt=0,
        multiple_of=LOG_EVERY,
        description="steps between looks at a table, of one split after the other",
    )
    share: float = Field(
        0.1, gt=0, le=1, description="most of a table's windows that change at once, at least one"
    )
    freeze: float = Field(
        0.5, gt=0, lt=1, description="last part of the training in which no table changes"
    )


class MapOptions(RecipePart):
    """Settings of contribution maps. Only trials that use a map depend on them."""

    score: Score = Field(
        "cumulative",
        description="of a dimension at a split: the log-determinant accumulated so far; the same "
        "minus half the log variance of its value there; or the log-determinant of all layers",
    )
    nms: Literal["squeezed", "flat"] = Field(
        "squeezed",
        description="the flow without splits: squeezed where a split would be, or always at the "
        "size of the image (RealNVP alone)",
    )
    order: Literal["raster", "rank"] = Field(
        "raster", description="order of a window's two dimensions inside a half"
    )
    masks: Literal["same", "swapped"] = Field(
        "same",
        description="the pretraining's order of the checkerboard masks against the trained "
        "flow's (RealNVP alone)",
    )
    conv1x1: Literal["output", "sorted", "uniform"] = Field(
        "output",
        description="what a 1x1 convolution W gives to each channel: half the diagonal of "
        "log(W Wᵀ), the log singular values in descending order, or equal shares (Glow alone)",
    )
    online: OnlineOptions = Field(
        OnlineOptions(), description="how the tables of `online` change; see there"
    )

    @property
    def stored_score(self) -> str:
        """Score under which such maps are stored, such as `cumulative` or `cumulative/sorted`."""
        return self.score if self.conv1x1 == "output" else f"{self.score}/{self.conv1x1}"


_OF_NETS = {"autocast", "compile"}
_LATER_IN_OPTIMIZATION = _OF_NETS | {"stacked"}
_OF_SCHEDULES = {"schedule", "decay"}


class Recipe(RecipePart):
    """Model, optimization and training of a flow; its id is a hash of exactly these three.

    ``maps`` enters the ids of trials that use a map, and no others.
    """

    model: Model
    optimization: Optimization
    training: Training
    maps: MapOptions = MapOptions()

    @model_validator(mode="after")
    def _nets_to_run_faster(self) -> "Recipe":
        changed = self.optimization.model_dump(include=_OF_NETS, exclude_defaults=True)
        if changed and not REGISTERED[self.model.flow].coupling_nets:
            option, value = next(iter(changed.items()))
            known = ", ".join(f.name for f in REGISTERED.values() if f.coupling_nets)
            raise ValueError(
                f"`optimization.{option}: {str(value).lower()}` is for flows with coupling nets "
                f"({known}), and {self.model.flow} has none: leave it out"
            )
        return self

    @model_validator(mode="after")
    def _something_to_shrink(self) -> "Recipe":
        if self.optimization.l2 and REGISTERED[self.model.flow].shrinks is False:
            known = ", ".join(f.name for f in REGISTERED.values() if f.shrinks)
            raise ValueError(
                f"`optimization.l2: {self.optimization.l2:g}` shrinks weight-norm magnitudes and "
                f"checkerboard scales ({known}), and {self.model.flow} has none: leave it out"
            )
        return self

    @model_validator(mode="after")
    def _flow_to_stack(self) -> "Recipe":
        if not self.optimization.stacked:
            return self
        if not REGISTERED[self.model.flow].stacks:
            known = ", ".join(f.name for f in REGISTERED.values() if f.stacks)
            raise ValueError(
                f"`optimization.stacked: true` is for flows that stacks make faster ({known}), "
                f"and {self.model.flow} is not one: leave it out"
            )
        if faster := self.optimization.model_dump(include=_OF_NETS, exclude_defaults=True):
            raise ValueError(
                f"`optimization.stacked: true` and `optimization.{next(iter(faster))}` exclude "
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
        """Canonical JSON with every field written out, for the database; without ``maps``.

        Fields that came later are there where they are not the default, so that bodies from before
        are what they were.
        """
        return canonical_json(self._body())

    def _body(self) -> dict[str, Any]:
        body = self.model_dump(mode="json", exclude={"maps"})
        architecture = self.model.architecture
        for written, part, later in (
            (body["optimization"], self.optimization, _LATER_IN_OPTIMIZATION),
            (body["training"], self.training, _OF_SCHEDULES),
            (body["model"]["architecture"], architecture, architecture.LATER),
        ):
            for name in later - part.model_dump(exclude_defaults=True).keys():
                del written[name]
        if self.model.plugin is None:
            del body["model"]["plugin"]
        return body

    def pretraining_identity(self) -> dict[str, object]:
        """Return what a pretraining depends on: all but the settings of the final training."""
        return {"model": identity_of(self.model), "optimization": identity_of(self.optimization)}

    @property
    def pretraining_part_id(self) -> str:
        """Content id of `pretraining_identity`, 20 hexadecimal digits."""
        return content_id("pretraining part", self.pretraining_identity())

    @property
    def pretraining_part_body(self) -> str:
        """Canonical JSON of that part, as `body` has it."""
        body = self._body()
        return canonical_json({name: body[name] for name in ("model", "optimization")})
