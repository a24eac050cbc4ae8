"""The register of measures: what each named number of a result is, its unit and direction.

A measure belongs to a result. Those with a direction can be ranked: boards, tests, verdicts and
studies take any of them (docs/measures.md).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from lcma.sweeps.errors import UserError, suggest

Direction = Literal["lower", "higher"]

BITS_PER_DIM = "bits_per_dim"
"""The measure that boards show by default."""

HELD_OUT = "holdout_"

HOLDOUT = HELD_OUT + BITS_PER_DIM
"""The measure by which checkpoints and budgets are chosen."""

SECONDS_PER_STEP = "seconds_per_step"
CPU_SECONDS_PER_STEP = "cpu_seconds_per_step"
"""The measures by which a choice that costs training time is known, on a GPU and on a CPU."""

PLUGIN_NAME = re.compile(r"[a-z_][a-z0-9_]{0,63}")
"""A name of a measure or flow of a plug-in."""

TIMES = frozenset({SECONDS_PER_STEP, CPU_SECONDS_PER_STEP})
"""Measures that no second training gives again."""


@dataclass(frozen=True, slots=True)
class MeasureKind:
    """Kind of a measure: its name, unit, direction and meaning.

    Attributes:
        name: Its name in the database.
        unit: Its unit in words.
        direction: Which values are better; None for one that is not ranked.
        meaning: What it is, in a sentence.
    """

    name: str
    unit: str
    direction: Direction | None
    meaning: str


SWD, KID, FID = "swd", "kid", "fid"
OF_SAMPLES = (SWD, KID, FID)
"""Measures of samples."""

CONTROLS: dict[str, str] = {
    "null": "other real images",
    "gaussian": "samples of a Gaussian with means and full covariance of real images",
    "blur_half": "real images, blurred by half a pixel",
    "blur_1": "real images, blurred by one pixel",
    "noise_5": "real images with noise of 5 of 255 levels",
    "noise_20": "real images with noise of 20 of 255 levels",
}
"""Sets of images that are measured as samples are, to know what a measure sees."""

ORDERS = (
    ("null", "blur_half"),
    ("blur_half", "blur_1"),
    ("null", "noise_5"),
    ("noise_5", "noise_20"),
    ("blur_1", "gaussian"),
)
"""Pairs of controls, of which a measure of samples must find the first better."""


def name_control(measure: str, control: str) -> str:
    """Return the measure that has the value of a control of a measure of samples."""
    return f"{measure}_{control}"


BY_REQUEST = frozenset({KID, FID, HELD_OUT + KID, HELD_OUT + FID})
"""Measures that `lcma measure` takes, and no training."""


def name_overflow(measure: str) -> str:
    """Return the measure that counts the samples of a measure of samples that overflowed."""
    return f"{measure}_overflow"


def _of_samples(name: str, unit: str, meaning: str) -> tuple[MeasureKind, ...]:
    parts = (
        MeasureKind(name, unit, "lower", f"{meaning}, of samples from images of the test part"),
        MeasureKind(HELD_OUT + name, unit, "lower", "the same, from images of the holdout part"),
        MeasureKind(
            name_overflow(name),
            "samples",
            None,
            f"samples behind {name} with values that overflowed",
        ),
    )
    controls = (
        MeasureKind(name_control(name, control), unit, None, f"{name} of a control: {what}")
        for control, what in CONTROLS.items()
    )
    return (*parts, *controls)


SHIPPED: tuple[MeasureKind, ...] = (
    MeasureKind(BITS_PER_DIM, "bits per dimension", "lower", "on the test part"),
    MeasureKind(HOLDOUT, "bits per dimension", "lower", "on the holdout part"),
    MeasureKind(
        "train_bits_per_dim",
        "bits per dimension",
        "lower",
        "on as many images of the train part as the test part has",
    ),
    MeasureKind("log_det", "nats per image", None, "mean log-determinant on the test part"),
    MeasureKind(
        "log_prior", "nats per image", None, "mean log-density of the latents on the test part"
    ),
    MeasureKind(
        "bound_bits_per_dim",
        "bits per dimension",
        "lower",
        "the importance-weighted bound of bound_draws dequantizations on the first test images",
    ),
    MeasureKind(
        "bound_gain",
        "bits per dimension",
        None,
        "by how much the bound is below that of one dequantization on the same images",
    ),
    MeasureKind("bound_draws", "dequantizations", None, "K of the bound"),
    MeasureKind("series_terms", "terms", None, "exact terms of the series of residual blocks"),
    MeasureKind(
        "series_bias",
        "bits per dimension",
        None,
        "what bits per dimension lose at twice as many terms with the same probes, on the first "
        "test images",
    ),
    MeasureKind(
        SECONDS_PER_STEP,
        "seconds",
        "lower",
        "wall-clock seconds of a training step, without evaluations and checkpoints",
    ),
    MeasureKind(
        CPU_SECONDS_PER_STEP,
        "seconds",
        "lower",
        "CPU seconds of a training step, without evaluations and checkpoints; of trainings on CPUs",
    ),
    *_of_samples(
        SWD, "1/1000 standard deviation", "sliced Wasserstein distance on Laplacian pyramids"
    ),
    *_of_samples(
        KID, "squared distance", "kernel distance of features, unbiased, zero for real images"
    ),
    *_of_samples(FID, "squared distance", "Fréchet distance of features"),
)


@dataclass(frozen=True, slots=True)
class PluginMeasure(MeasureKind):
    """A measure of a plug-in; `compute` takes it of a trained flow, see `lcma.sweeps.plugins`."""

    compute: Callable[..., Any]
    plugin: str | None = None
    version: str | None = None

    @property
    def kinds(self) -> tuple[MeasureKind, MeasureKind]:
        """What it is on the test part, and on the holdout part."""
        how = self.unit, self.direction
        return (
            MeasureKind(self.name, *how, f"{self.meaning}, on the test part"),
            MeasureKind(HELD_OUT + self.name, *how, f"{self.meaning}, on the holdout part"),
        )


_registered: dict[str, MeasureKind] = {kind.name: kind for kind in SHIPPED}
_computed: dict[str, PluginMeasure] = {}


def add(measure: PluginMeasure) -> None:
    """Add a plug-in's measure to the register.

    Raises:
        ValueError: Another one has the name, or it is no name.
    """
    if not PLUGIN_NAME.fullmatch(measure.name):
        raise ValueError(
            f"a measure cannot be named {measure.name!r}: use lower case letters, digits and "
            "_, 64 at most"
        )
    for kind in measure.kinds:
        if kind.name in _registered:
            raise ValueError(f"there is a measure {kind.name!r} already: choose another name")
    _computed[measure.name] = measure
    _registered.update({kind.name: kind for kind in measure.kinds})


def remove(measure: PluginMeasure) -> None:
    """Take a plug-in's measure out of the register."""
    _computed.pop(measure.name, None)
    for kind in measure.kinds:
        _registered.pop(kind.name, None)


def plugin_measures() -> tuple[PluginMeasure, ...]:
    """Return the measures of the plug-ins that are loaded."""
    return tuple(_computed.values())


def held_out(name: str) -> str:
    """Return the measure on the holdout part that stands for a measure, if there is one."""
    return HELD_OUT + name if HELD_OUT + name in _registered else name


def find_measure(name: str) -> MeasureKind:
    """Return a registered measure.

    Raises:
        UserError: There is none of that name.
    """
    try:
        return _registered[name]
    except KeyError:
        ranked = [kind.name for kind in _registered.values() if kind.direction]
        hint = suggest(name, ranked, "choose among")
        raise UserError(f"there is no measure '{name}': {hint}") from None


def list_measures() -> tuple[MeasureKind, ...]:
    """Return all registered measures."""
    return tuple(_registered.values())
