"""Measures of a trained flow's samples by their distance from real images, with controls."""

import contextlib
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from lcma import db
from lcma.harness.data import PreparedSet
from lcma.harness.data.manifest import CONTROLS_FILE, PartName, read_sealed, write_sealed
from lcma.harness.measure.controls import choose_images, make_controls
from lcma.harness.measure.features import Extractor, Features, frechet_distance, kernel_distance
from lcma.harness.measure.measure import EVALUATED_PARTS, Measure, TrainedFlow, make_measurement
from lcma.harness.measure.wasserstein import Distance, count_levels, sliced_wasserstein
from lcma.harness.seeds import derive_seed
from lcma.harness.train.evaluate import OnImages, evaluation_mode
from lcma.harness.train.protocol import PLAIN
from lcma.models import Flow
from lcma.sweeps.errors import UserError
from lcma.sweeps.identity import canonical_json, content_id, identity_of
from lcma.sweeps.measures import (
    CONTROLS,
    FID,
    HOLDOUT_PREFIX,
    KID,
    SWD,
    name_control,
    name_overflow,
)
from lcma.sweeps.recipe import Model

SAMPLES = 500
"""Samples of every trial. More would take more than a tenth of the shortest trainings."""

MIN_SAMPLES, MAX_SAMPLES = 20, 100_000
"""Limits of the samples that may be requested: blocks of two images, and what fits in memory."""

MIN_IMAGES = {SWD: 2, KID: 20, FID: 2049}
"""Fewest images of a measure. A covariance needs more images than features (2048 for `fid`)."""

CHUNK = 100
"""Images drawn at once. The noise of a chunk has its own seed, so the definition fixes this."""


class Sampling(BaseModel):
    """Settings of drawing samples."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    samples: int = Field(SAMPLES, ge=MIN_SAMPLES, le=MAX_SAMPLES)
    temperature: float = Field(1.0, ge=0, allow_inf_nan=False)  # factor of the noise of priors
    seed: int = 0


def make_sampling(samples: int = SAMPLES, temperature: float = 1.0, seed: int = 0) -> Sampling:
    """Return settings of drawing samples. Raises UserError for an invalid temperature."""
    if not (math.isfinite(temperature) and temperature >= 0):
        raise UserError(f"--temperature {temperature} makes no sense: give 0 or more, such as 1.0")
    return Sampling(samples=samples, temperature=temperature, seed=seed)


class SampleProtocol(BaseModel):
    """Protocol by which samples are measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    sampling: Sampling = Sampling()
    extractor: Extractor | None = None

    @property
    def name(self) -> str:
        """`plain` for the settings of every trial, else a name with a hash of the content."""
        if self == SampleProtocol():
            return PLAIN.name
        kind = "samples" if self.extractor is None else self.extractor.name
        return f"{kind}-{content_id('samples', identity_of(self))[:8]}"

    @property
    def body(self) -> str:
        """Canonical JSON."""
        if self.name == PLAIN.name:
            return PLAIN.body
        return canonical_json(self.model_dump(mode="json"))

    @property
    def precision(self) -> str:
        """The precision of the flow."""
        return PLAIN.precision


def draw_images(
    flow: Flow, count: int, sampling: Sampling, *, seed: int, device: torch.device
) -> tuple[Tensor, int]:
    """Draw the first ``count`` samples of a flow, which stays as it is.

    Args:
        flow: A trained flow.
        count: Number of images. The first images do not depend on it.
        sampling: Temperature and seed of the protocol.
        seed: The trial's seed. Trials with the same seed have the same noise.
        device: The flow's device. The noise depends on its kind.

    Returns:
        The images (N, C, H, W), uint8, and the number of images with values that overflowed.
    """
    images, overflowed = [], 0
    with torch.no_grad(), evaluation_mode(flow):
        for start in range(0, count, CHUNK):
            generator = torch.Generator(device)
            generator.manual_seed(derive_seed(sampling.seed, "samples", seed, start))
            x, overflows = flow.sample_checked(CHUNK, generator, temperature=sampling.temperature)
            size = min(CHUNK, count - start)
            images.append(x[:size].clamp(0, 255).to(torch.uint8))
            overflowed += int(overflows[:size].sum())
    return torch.cat(images), overflowed


def has_patches(prepared: PreparedSet) -> bool:
    """Return whether the images are large enough for a patch of `swd`."""
    return count_levels(min(prepared.manifest.shape[1:])) > 0


class SampleMeasure(Measure):
    """A distance of samples from real images: of patches (`swd`), or of an extractor's features
    (`kid` and `fid`).

    It compares as many samples as a part has images, at most ``sampling.samples``.
    """

    def __init__(
        self, name: str, sampling: Sampling | None = None, features: Features | None = None
    ) -> None:
        self.sampling = sampling or Sampling()
        extractor = None if features is None else features.extractor
        self._sample_protocol = SampleProtocol(sampling=self.sampling, extractor=extractor)
        super().__init__(name, self._sample_protocol.name)
        self._extract: Callable[[Tensor], Tensor] = features or (lambda images: images)
        self._compare: Callable[[Tensor, Tensor], Distance]
        if extractor is None:
            seed = self.sampling.seed
            self._key = f"{name} 1 seed {seed}"
            self._compare = partial(sliced_wasserstein, seed=seed)
        else:
            self._key = f"{name} 1 {canonical_json(extractor.model_dump(mode='json'))}"
            self._compare = kernel_distance if name == KID else frechet_distance
        self._real: dict[tuple[str, PartName, int, torch.device], Tensor] = {}

    def find_protocol(self, model: Model) -> SampleProtocol:
        return self._sample_protocol

    def require_images(self, prepared: PreparedSet) -> None:
        name, counts, needed = (
            prepared.manifest.name,
            prepared.manifest.counts,
            MIN_IMAGES[self.name],
        )
        smallest = min(counts.test, counts.holdout, counts.train)
        if smallest < needed:
            raise UserError(
                f"{self.name} needs {needed} images of each part, and {name} has {smallest}: "
                "take another measure or a larger set"
            )
        if self.sampling.samples < needed:
            raise UserError(f"{self.name} needs {needed} samples: give --samples {needed} or more")
        if self.name == SWD and not has_patches(prepared):
            raise UserError(
                f"the images of {name} are smaller than a patch of {SWD}: take a set of "
                "8 pixels or more"
            )

    def take(self, trained: TrainedFlow, on_images: OnImages) -> Sequence[db.Measurement]:
        """Measure the distance from the test and the holdout part, overflow and controls."""
        prepared, device = trained.prepared, trained.device
        counts = {
            p: min(self.sampling.samples, prepared.manifest.counts[p]) for p in EVALUATED_PARTS
        }
        samples, overflowed = draw_images(
            trained.flow, max(counts.values()), self.sampling, seed=trained.seed, device=device
        )
        features = self._extract(samples)
        measurements = [
            make_measurement(name_overflow(self.name), float(overflowed), images=len(samples)),
            *self._measure_controls(prepared, counts["test"], device),
        ]
        for (part, count), prefix in zip(counts.items(), ("", HOLDOUT_PREFIX), strict=True):
            real = self._extract_real(prepared, part, count, device)
            distance = self._compare(features[:count], real)
            measurements.append(_make(prefix + self.name, distance, count))
        return measurements

    def _extract_real(
        self, prepared: PreparedSet, part: PartName, count: int, device: torch.device
    ) -> Tensor:
        """Return features of evenly spaced real images of a part, extracted once a device: one
        process may measure trials of a GPU and of a CPU."""
        key = (prepared.manifest.digest, part, count, device)
        if key not in self._real:
            images = torch.from_numpy(choose_images(prepared.part(part).images, count))
            self._real[key] = self._extract(images.to(device))
        return self._real[key]

    def _measure_controls(
        self, prepared: PreparedSet, count: int, device: torch.device
    ) -> list[db.Measurement]:
        """Return the controls' distances from the test part: those in the set's folder, or
        measured now and stored there.

        A file that belongs to other images, or has no seal, is replaced. Raises UserError if it was
        changed.
        """
        count = min(count, prepared.manifest.counts["train"])
        digest, key = prepared.manifest.digest, f"{self._key}, {count} images"
        distances = _measured_controls.get((digest, key)) or _read_controls(prepared).get(key)
        if distances is None or {*distances} != {*CONTROLS}:
            distances = {}
            real = self._extract_real(prepared, "test", count, device)
            for name, images in make_controls(prepared.part("train").images, count):
                distance = self._compare(self._extract(images.to(device)), real)
                measurement = _make(name, distance, count)
                distances[name] = (measurement.value, measurement.standard_error)
            file = _ControlsFile(
                digest=digest, controls=_read_controls(prepared) | {key: distances}
            )
            # If the folder cannot be written, they are computed again the next time.
            with contextlib.suppress(UserError):
                write_sealed(prepared.folder / CONTROLS_FILE, file.model_dump(mode="json"))
        _measured_controls[digest, key] = distances
        return [
            db.Measurement(name_control(self.name, control), value, error, count)
            for control, (value, error) in distances.items()
        ]


def _make(name: str, distance: Distance, count: int) -> db.Measurement:
    return make_measurement(name, distance.value, distance.standard_error, count)


_Distances = dict[str, tuple[float, float | None]]
"""Value and standard error of each control."""

_measured_controls: dict[tuple[str, str], _Distances] = {}
"""Controls by the set's digest and their key in the file, for folders that are read-only."""


class _ControlsFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: Literal[1] = 1
    digest: str
    controls: dict[str, _Distances]


def _read_controls(prepared: PreparedSet) -> dict[str, _Distances]:
    """Return the controls in the set's folder by key; none if they are not this set's."""
    try:
        file = _ControlsFile.model_validate(read_sealed(prepared.folder / CONTROLS_FILE))
    except ValidationError:
        return {}
    return file.controls if file.digest == prepared.manifest.digest else {}
