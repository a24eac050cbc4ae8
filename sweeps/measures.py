"""The register of measures: the name, unit, direction and meaning of each number of a result.

Boards, tests, verdicts and studies take any measure that has a direction (docs/measures.md).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from lcma.sweeps.errors import UserError, suggest

Direction = Literal["lower", "higher"]

BITS_PER_DIM = "bits_per_dim"
"""The measure that boards show by default."""

HOLDOUT_PREFIX = "holdout_"
"""Beginning of the name of a measure on the holdout part."""

HOLDOUT = HOLDOUT_PREFIX + BITS_PER_DIM
"""The measure that chooses checkpoints and budgets."""

SECONDS_PER_STEP = "seconds_per_step"
CPU_SECONDS_PER_STEP = "cpu_seconds_per_step"

PLUGIN_NAME = re.compile(r"[a-z_][a-z0-9_]{0,63}")
"""Names that a plug-in's measure or flow can have."""

TIME_MEASURES = frozenset({SECONDS_PER_STEP, CPU_SECONDS_PER_STEP})
"""Measures that differ from training to training of one trial."""


@dataclass(frozen=True, slots=True)
class MeasureKind:
    """Name, unit, direction and meaning of a measure."""

    name: str  # in the database
    unit: str  # in words
    direction: Direction | None  # which values are better; None if it is not ranked
    meaning: str  # in a few words


SWD, KID, FID = "swd", "kid", "fid"
SAMPLE_MEASURES = (SWD, KID, FID)
"""Measures of the quality of samples."""

CONTROLS: dict[str, str] = {
    "null": "other real images",
    "gaussian": "samples of a Gaussian with means and full covariance of real images",
    "blur_half": "real images, blurred by half a pixel",
    "blur_1": "real images, blurred by one pixel",
    "noise_5": "real images with noise of 5 of 255 levels",
    "noise_20": "real images with noise of 20 of 255 levels",
}
"""Sets of images that are measured like samples, to check what a sample measure detects."""

CONTROL_ORDERS = (
    ("null", "blur_half"),
    ("blur_half", "blur_1"),
    ("null", "noise_5"),
    ("noise_5", "noise_20"),
    ("blur_1", "gaussian"),
)
"""Pairs (better, worse) of controls: a sound sample measure orders each pair so."""


def name_control(measure: str, control: str) -> str:
    """Return the name of the measure that holds the value of a control for a sample measure."""
    return f"{measure}_{control}"


REQUESTED_MEASURES = frozenset({KID, FID, HOLDOUT_PREFIX + KID, HOLDOUT_PREFIX + FID})
"""Measures that only `lcma measure` takes, and no training."""


def name_overflow(measure: str) -> str:
    """Return the name of the measure that counts the overflowed samples of a sample measure."""
    return f"{measure}_overflow"


def _make_sample_kinds(name: str, unit: str, meaning: str) -> tuple[MeasureKind, ...]:
    holdout = HOLDOUT_PREFIX + name
    parts = (
        MeasureKind(name, unit, "lower", f"{meaning}, of samples from images of the test part"),
        MeasureKind(holdout, unit, "lower", "the same, from images of the holdout part"),
        MeasureKind(
            name_overflow(name),
            "samples",
            None,
            f"samples behind {name} with values that overflowed",
        ),
    )
    controls = (
        MeasureKind(name_control(name, control), unit, None, f"{name} of a control: {images}")
        for control, images in CONTROLS.items()
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
    *_make_sample_kinds(
        SWD, "1/1000 standard deviation", "sliced Wasserstein distance on Laplacian pyramids"
    ),
    *_make_sample_kinds(
        KID, "squared distance", "kernel distance of features, unbiased, zero for real images"
    ),
    *_make_sample_kinds(FID, "squared distance", "Fréchet distance of features"),
)


@dataclass(frozen=True, slots=True)
class PluginMeasure(MeasureKind):
    """A measure of a plug-in."""

    compute: Callable[..., Any]  # see `lcma.sweeps.plugins.measure`
    plugin: str | None = None
    version: str | None = None

    @property
    def kinds(self) -> tuple[MeasureKind, MeasureKind]:
        """Its kinds on the test part and on the holdout part."""
        unit, direction, holdout = self.unit, self.direction, HOLDOUT_PREFIX + self.name
        return (
            MeasureKind(self.name, unit, direction, f"{self.meaning}, on the test part"),
            MeasureKind(holdout, unit, direction, f"{self.meaning}, on the holdout part"),
        )


_kinds: dict[str, MeasureKind] = {kind.name: kind for kind in SHIPPED}
_plugin_measures: dict[str, PluginMeasure] = {}


def register(measure: PluginMeasure) -> None:
    """Register a measure. Raises ValueError if its name is taken or not allowed."""
    if not PLUGIN_NAME.fullmatch(measure.name):
        raise ValueError(
            f"a measure cannot be named {measure.name!r}: use lower case letters, digits and "
            "_, 64 at most"
        )
    for kind in measure.kinds:
        if kind.name in _kinds:
            raise ValueError(f"there is a measure {kind.name!r} already: choose another name")
    _plugin_measures[measure.name] = measure
    _kinds.update({kind.name: kind for kind in measure.kinds})


def unregister(name: str) -> None:
    """Remove the measure of a plug-in from the register."""
    for kind in _plugin_measures.pop(name).kinds:
        del _kinds[kind.name]


def plugin_measures() -> tuple[PluginMeasure, ...]:
    """Return the measures of all loaded plug-ins."""
    return tuple(_plugin_measures.values())


def require_kept_measure(name: str) -> None:
    """Raise UserError for a name that is no measure of kept weights."""
    declared = [measure.name for measure in plugin_measures()]
    known = (*SAMPLE_MEASURES, BITS_PER_DIM, *declared)
    if name not in known:
        hint = suggest(name, known, "choose among")
        if not declared:
            hint += ", or load the plug-in that has it with LCMA_PLUGINS=FILE"
        raise UserError(f"{name!r} is not measured of kept weights: {hint}")


def find_holdout_measure(name: str) -> str:
    """Return the name of a measure on the holdout part, or ``name`` if it is not taken there."""
    return HOLDOUT_PREFIX + name if HOLDOUT_PREFIX + name in _kinds else name


def find_measure(name: str) -> MeasureKind:
    """Return a measure by its name. Raises UserError if it is unknown."""
    try:
        return _kinds[name]
    except KeyError:
        ranked = [kind.name for kind in _kinds.values() if kind.direction]
        hint = suggest(name, ranked, "choose among")
        raise UserError(f"there is no measure '{name}': {hint}") from None


def list_measures() -> tuple[MeasureKind, ...]:
    """Return all measures."""
    return tuple(_kinds.values())
