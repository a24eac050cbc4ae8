"""A recipe: all that fixes the training of one flow on one data set."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sweeps.identity import canonical_json, content_id, identity_of

Count = Annotated[int, Field(le=2**31 - 1)]
"""A number of things or steps that fits every database's integers."""


class Part(BaseModel):
    """Base of all recipe parts: frozen, strict about unknown keys, numbers finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class RealNVPArchitecture(Part):
    """RealNVP after Dinh et al. 2017 and the author's released code.

    Within a scale: checkerboard couplings, squeeze, channel couplings, unsqueeze, split; the
    last scale has checkerboard couplings alone.
    """

    width: Count = Field(
        gt=0, description="feature maps of the first scale's checkerboard couplings"
    )
    blocks: Count = Field(ge=0, description="residual blocks in each coupling net")
    checkerboard_couplings: Count = Field(3, ge=1, description="in each scale but the last")
    channel_couplings: Count = Field(3, ge=1, description="in each scale but the last")
    last_couplings: Count = Field(4, ge=1, description="checkerboard couplings in the last scale")
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

    @property
    def swapped(self) -> "RealNVPArchitecture":
        """The same with the other order of the checkerboard masks."""
        other = "even-first" if self.masks == "odd-first" else "odd-first"
        return self.model_copy(update={"masks": other})


class Model(Part):
    """The flow itself: image size, splits, preprocessing and architecture."""

    flow: str
    size: Count = Field(gt=0, description="height and width of the images in pixels")
    channels: Count = Field(3, gt=0)
    splits: Count = Field(ge=0, description="how many times half of the dimensions leave")
    preprocess: Literal["logit", "center"] = "logit"
    architecture: RealNVPArchitecture

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


class Optimization(Part):
    """How a step is made, alike in pretraining and training."""

    optimizer: Literal["adam"] = "adam"
    learning_rate: float = Field(gt=0)
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    l2: float = Field(
        0.0,
        ge=0,
        description="times the sum of squares of weight-norm magnitudes and "
        "checkerboard scales, in nats per image",
    )
    clip: float | None = Field(
        None, gt=0, description="largest global norm of the gradient of nats per image"
    )
    batch: Count = Field(gt=0)
    warmup: Count = Field(0, ge=0, description="steps of linear warm-up, then constant")
    flips: bool = Field(False, description="random horizontal flips")
    threads: Count = Field(
        1,
        gt=0,
        description="CPU threads; part of the recipe, since sums "
        "in another order end in other bits",
    )


class Training(Part):
    """What only the final training has."""

    steps: Count = Field(gt=0)
    ema: float | None = Field(None, gt=0, lt=1, description="decay of the averaged weights")
    select: Literal["last", "best"] = Field(
        "last", description="evaluate the last weights, or the best by holdout bits/dim"
    )
    holdout_every: Count | None = Field(
        None, gt=0, multiple_of=10, description="steps between holdout evaluations"
    )

    @model_validator(mode="after")
    def _best_needs_holdout(self) -> "Training":
        if self.select == "best" and self.holdout_every is None:
            raise ValueError("`select: best` needs `holdout_every`, the steps between evaluations")
        return self


class MapOptions(Part):
    """How contribution maps are made and read. Only trials that use a map depend on it."""

    score: Literal["cumulative", "normalized", "total"] = Field(
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


class Recipe(Part):
    """Model, optimization and training; its id is a hash of exactly these three.

    ``maps`` enters the ids of trials that use a map, and no others.
    """

    model: Model
    optimization: Optimization
    training: Training
    maps: MapOptions = MapOptions()

    @property
    def id(self) -> str:
        identity = identity_of(self)
        identity.pop("maps", None)
        return content_id("recipe", identity)

    @property
    def body(self) -> str:
        """Canonical JSON with every field written out, for the database; without ``maps``."""
        return canonical_json(self.model_dump(mode="json", exclude={"maps"}))

    def pretraining_identity(self) -> dict[str, object]:
        """What a pretraining depends on: everything but the final training's own part."""
        return {"model": identity_of(self.model), "optimization": identity_of(self.optimization)}
