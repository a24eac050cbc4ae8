"""Measures of a trained flow's samples, beside real images and beside controls."""

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
from lcma.harness.measure.measure import EVALUATED, Measure, TrainedFlow, make_measurement
from lcma.harness.measure.wasserstein import Distance, count_levels, sliced_wasserstein
from lcma.harness.seeds import derive_seed
from lcma.harness.train.evaluate import OnImages, evaluation_mode
from lcma.harness.train.protocol import PLAIN
from lcma.models import Flow
from lcma.sweeps.errors import UserError
from lcma.sweeps.identity import canonical_json, content_id, identity_of
from lcma.sweeps.measures import CONTROLS, FID, HELD_OUT, KID, SWD, name_control, name_overflow
from lcma.sweeps.recipe import Model

SAMPLES = 500
"""Samples that are drawn unless others are requested: more would take more than a tenth of the
shortest trainings."""

LEAST, MOST = 20, 100_000
"""Fewest and most samples that may be requested: blocks of two images, and what memory takes."""

LEAST_IMAGES = {SWD: 2, KID: 20, FID: 2049}
"""Fewest images of a measure. Of no more than features, covariances would say nothing."""

CHUNK = 100
"""Images drawn at once. Noise is drawn chunk by chunk, so this is part of the definition."""


class Sampling(BaseModel):
    """Settings of drawing samples; ``temperature`` scales the noise of every prior."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    samples: int = Field(SAMPLES, ge=LEAST, le=MOST)
    temperature: float = Field(1.0, ge=0, allow_inf_nan=False)
    seed: int = 0


def make_sampling(samples: int = SAMPLES, temperature: float = 1.0, seed: int = 0) -> Sampling:
    """Return settings of drawing samples. Raises UserError for a temperature that makes no
    sense."""
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
        """`plain` for what is taken with every trial, else a name with a hash of the content."""
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
    """Draw the first ``count`` samples of a flow on its device; the flow is left as it was.

    Args:
        flow: A trained flow.
        count: Number of images; fewer of them are the first of more.
        sampling: Temperature and seed of the protocol.
        seed: The trial's seed: trials of one seed have the same noise, others have other noise.
        device: The flow's device. Another kind draws other noise.

    Returns:
        The images (N, C, H, W), uint8, and how many of them have values that overflowed.
    """
    images, overflowed = [], 0
    with torch.no_grad(), evaluation_mode(flow):
        for start in range(0, count, CHUNK):
            generator = torch.Generator(device)
            generator.manual_seed(derive_seed(sampling.seed, "samples", seed, start))
            x, over = flow.sample_checked(CHUNK, generator, temperature=sampling.temperature)
            some = min(CHUNK, count - start)
            images.append(x[:some].clamp(0, 255).to(torch.uint8))
            overflowed += int(over[:some].sum())
    return torch.cat(images), overflowed


def has_patches(prepared: PreparedSet) -> bool:
    """Return whether images are large enough for a patch of `swd`."""
    return count_levels(min(prepared.manifest.shape[1:])) > 0


class SampleMeasure(Measure):
    """A distance of samples from real images: of patches (`swd`), or of an extractor's features
    (`kid` and `fid`).

    As many samples are taken as a part has images, at most those of ``sampling``.
    """

    def __init__(
        self, name: str, sampling: Sampling | None = None, features: Features | None = None
    ) -> None:
        self.sampling = sampling or Sampling()
        extractor = None if features is None else features.extractor
        self.settings = SampleProtocol(sampling=self.sampling, extractor=extractor)
        super().__init__(name, self.settings.name)
        self._describe: Callable[[Tensor], Tensor] = features or (lambda images: images)
        self._compare: Callable[[Tensor, Tensor], Distance]
        if extractor is None:
            seed = self.sampling.seed
            self._key = f"{name} 1 seed {seed}"
            self._compare = partial(sliced_wasserstein, seed=seed)
        else:
            self._key = f"{name} 1 {canonical_json(extractor.model_dump(mode='json'))}"
            self._compare = kernel_distance if name == KID else frechet_distance
        self._real: dict[tuple[str, PartName, int, torch.device], Tensor] = {}

    def find_settings(self, model: Model) -> SampleProtocol:
        return self.settings

    def require_images(self, prepared: PreparedSet) -> None:
        counts, least, where = prepared.manifest.counts, LEAST_IMAGES[self.name], prepared.manifest
        of_parts = min(counts.test, counts.holdout, counts.train)
        if of_parts < least:
            raise UserError(
                f"{self.name} needs {least} images of each part, and {where.name} has {of_parts}: "
                "take another measure or a larger set"
            )
        if self.sampling.samples < least:
            raise UserError(f"{self.name} needs {least} samples: give --samples {least} or more")
        if self.name == SWD and not has_patches(prepared):
            raise UserError(
                f"the images of {where.name} are smaller than a patch of {SWD}: take a set of "
                "8 pixels or more"
            )

    def take(self, trained: TrainedFlow, on_images: OnImages) -> Sequence[db.Measurement]:
        """Take it on the test and on the holdout part, with overflow and controls."""
        prepared, device = trained.prepared, trained.device
        counts = {p: min(self.sampling.samples, prepared.manifest.counts[p]) for p in EVALUATED}
        drawn, overflowed = draw_images(
            trained.flow, max(counts.values()), self.sampling, seed=trained.seed, device=device
        )
        described = self._describe(drawn)
        found = [
            make_measurement(name_overflow(self.name), float(overflowed), images=len(drawn)),
            *self._measure_controls(prepared, counts["test"], device),
        ]
        for (part, count), prefix in zip(counts.items(), ("", HELD_OUT), strict=True):
            real = self._describe_real(prepared, part, count, device)
            distance = self._compare(described[:count], real)
            found.append(_make(prefix + self.name, distance, count))
        return found

    def _describe_real(
        self, prepared: PreparedSet, part: PartName, count: int, device: torch.device
    ) -> Tensor:
        """Describe real images of a part at even distances, once on a device: trials that were
        trained on another one may be measured by the same process."""
        key = (prepared.manifest.digest, part, count, device)
        if key not in self._real:
            images = torch.from_numpy(choose_images(prepared.part(part).images, count))
            self._real[key] = self._describe(images.to(device))
        return self._real[key]

    def _measure_controls(
        self, prepared: PreparedSet, count: int, device: torch.device
    ) -> list[db.Measurement]:
        """Return controls on the test part that are in the set's folder, or measure and keep them.

        A file that belongs to other images, or has no seal, is replaced. Raises UserError if it is
        not as it was written.
        """
        count = min(count, prepared.manifest.counts["train"])
        digest, key = prepared.manifest.digest, f"{self._key}, {count} images"
        stored = _known.get((digest, key)) or _read(prepared).get(key)
        if stored is None or {*stored} != {*CONTROLS}:
            stored = {}
            real = self._describe_real(prepared, "test", count, device)
            for name, images in make_controls(prepared.part("train").images, count):
                distance = self._compare(self._describe(images.to(device)), real)
                one = _make(name, distance, count)
                stored[name] = (one.value, one.standard_error)
            file = _ControlsFile(digest=digest, controls=_read(prepared) | {key: stored})
            # A folder that cannot be written costs only the time to compute them again.
            with contextlib.suppress(UserError):
                write_sealed(prepared.folder / CONTROLS_FILE, file.model_dump(mode="json"))
        _known[digest, key] = stored
        return [
            db.Measurement(name_control(self.name, control), value, error, count)
            for control, (value, error) in stored.items()
        ]


def _make(name: str, distance: Distance, count: int) -> db.Measurement:
    return make_measurement(name, distance.value, distance.standard_error, count)


_Stored = dict[str, tuple[float, float | None]]
"""Value and standard error of each control."""

_known: dict[tuple[str, str], _Stored] = {}
"""Controls by the set's digest and their key in the file: folders may be read-only."""


class _ControlsFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: Literal[1] = 1
    digest: str
    controls: dict[str, _Stored]


def _read(prepared: PreparedSet) -> dict[str, _Stored]:
    """Return the controls in the set's folder by key; none if they are not this set's."""
    try:
        file = _ControlsFile.model_validate(read_sealed(prepared.folder / CONTROLS_FILE))
    except ValidationError:
        return {}
    return file.controls if file.digest == prepared.manifest.digest else {}
