"""Measures of a trained flow's samples beside real images, with controls."""

import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Literal

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from lcma.db import Measurement
from lcma.harness.data import Prepared
from lcma.harness.data.manifest import CONTROLS_FILE, PartName, read_sealed, write_sealed
from lcma.harness.train.controls import choose_images, make_controls
from lcma.harness.train.features import frechet_distance, kernel_distance
from lcma.harness.train.samples import SampleProtocol, Sampling, draw_images
from lcma.harness.train.wasserstein import Distance, count_levels, sliced_wasserstein
from lcma.models import Flow
from lcma.sweeps.errors import UserError
from lcma.sweeps.identity import canonical_json
from lcma.sweeps.measures import (
    CONTROLS,
    FID,
    HELD_OUT,
    KID,
    SWD,
    name_control,
    name_overflow,
)

FID_IMAGES: Final = 2049
"""Fewest images of a Fréchet distance: of no more than features, covariances would say nothing."""


@dataclass(frozen=True)
class Judge:
    """A measure of samples: ``compare`` returns the distance of what ``describe`` makes of both.

    ``key`` says what its values depend on, besides the images. Both take sets of the same size on
    one device. ``least`` is the fewest images that it can be taken of.
    """

    name: str
    key: str
    compare: Callable[[Tensor, Tensor], Distance]
    describe: Callable[[Tensor], Tensor] = lambda images: images
    least: int = 2
    _real: dict[tuple[str, PartName, int, torch.device], Tensor] = field(
        default_factory=dict, repr=False
    )

    def require_images(self, prepared: Prepared, sampling: Sampling) -> None:
        """Raise UserError where a set's images are too few or too small for it."""
        manifest = prepared.manifest
        counts = manifest.counts
        of_parts = min(counts.test, counts.holdout, counts.train)
        if of_parts < self.least:
            raise UserError(
                f"{self.name} needs {self.least} images of each part, and {manifest.name} has "
                f"{of_parts}: take another measure or a larger set"
            )
        if sampling.samples < self.least:
            raise UserError(
                f"{self.name} needs {self.least} samples: give --samples {self.least} or more"
            )
        if self.name == SWD and not has_patches(prepared):
            raise UserError(
                f"the images of {manifest.name} are smaller than a patch of {SWD}: take a set of "
                "8 pixels or more"
            )

    def describe_real(
        self, prepared: Prepared, part: PartName, count: int, device: torch.device
    ) -> Tensor:
        """Return the description of real images of a part at even distances, made once on a device:
        trials that were trained on another one may be measured by the same process."""
        key = (prepared.manifest.digest, part, count, device)
        if key not in self._real:
            images = torch.from_numpy(choose_images(prepared.part(part).images, count))
            self._real[key] = self.describe(images.to(device))
        return self._real[key]


def make_judge(
    name: str, protocol: SampleProtocol, features: Callable[[Tensor], Tensor] | None = None
) -> Judge:
    """Return a measure of `OF_SAMPLES`; ``features`` are those of the protocol's extractor.

    The directions of `swd` follow from the protocol's seed.
    """
    if name == SWD:
        seed = protocol.sampling.seed
        return Judge(SWD, f"swd 1 seed {seed}", partial(sliced_wasserstein, seed=seed))
    assert features is not None
    assert protocol.extractor is not None
    key = f"{name} 1 {canonical_json(protocol.extractor.model_dump(mode='json'))}"
    if name == KID:
        return Judge(KID, key, kernel_distance, features, least=20)
    return Judge(FID, key, frechet_distance, features, least=FID_IMAGES)


def has_patches(prepared: Prepared) -> bool:
    """Return whether images are large enough for a patch of `swd`."""
    return count_levels(min(prepared.manifest.shape[1:])) > 0


def measure_swd(
    flow: Flow, prepared: Prepared, *, seed: int, device: torch.device
) -> tuple[Measurement, ...]:
    """Return the sliced Wasserstein distance as `measure_samples`; nothing of smaller images than
    a patch."""
    if not has_patches(prepared):
        return ()
    protocol = SampleProtocol()
    judge = make_judge(SWD, protocol)
    return measure_samples(flow, prepared, judge, protocol.sampling, seed=seed, device=device)


def measure_samples(
    flow: Flow,
    prepared: Prepared,
    judge: Judge,
    sampling: Sampling,
    *,
    seed: int,
    device: torch.device,
) -> tuple[Measurement, ...]:
    """Return a measure of samples on the test and the holdout part, overflow and controls.

    As many samples are taken as a part has images, at most those of ``sampling``. The flow is left
    as it was.

    Args:
        flow: A trained flow.
        prepared: The set that it was trained on.
        judge: The measure.
        sampling: How samples are drawn.
        seed: The trial's seed.
        device: The flow's device.
    """
    parts: tuple[tuple[PartName, str], ...] = (("test", ""), ("holdout", HELD_OUT))
    counts = {part: min(sampling.samples, prepared.manifest.counts[part]) for part, _ in parts}
    drawn = draw_images(flow, max(counts.values()), sampling, seed=seed, device=device)
    described = judge.describe(drawn.images)
    found = [
        Measurement(name_overflow(judge.name), float(drawn.overflowed), images=len(drawn.images)),
        *_measure_controls(prepared, judge, counts["test"], device),
    ]
    for part, prefix in parts:
        count = counts[part]
        real = judge.describe_real(prepared, part, count, device)
        found.append(_make(prefix + judge.name, judge.compare(described[:count], real), count))
    return tuple(found)


def _make(name: str, found: Distance, count: int) -> Measurement:
    error = found.standard_error
    return Measurement(name, found.value, None if math.isnan(error) else error, count)


# Controls, measured once for each set, measure and number of images

_Stored = dict[str, tuple[float, float | None]]
"""Value and standard error of each control."""

_known: dict[tuple[str, str], _Stored] = {}
"""Controls by the set's digest and their key in the file: folders may be read-only."""


def _measure_controls(
    prepared: Prepared, judge: Judge, count: int, device: torch.device
) -> list[Measurement]:
    """Return controls on the test part that are in the set's folder, or measure and keep them.

    A file that belongs to other images, or has no seal, is replaced. Raises UserError if it is not
    as it was written.
    """
    count = min(count, prepared.manifest.counts["train"])
    digest, key = prepared.manifest.digest, f"{judge.key}, {count} images"
    stored = _known.get((digest, key)) or _read(prepared).get(key)
    if stored is None or {*stored} != {*CONTROLS}:
        stored = {}
        real = judge.describe_real(prepared, "test", count, device)
        for name, images in make_controls(prepared.part("train").images, count):
            made = _make(name, judge.compare(judge.describe(images.to(device)), real), count)
            stored[name] = (made.value, made.standard_error)
        file = _ControlsFile(digest=digest, controls=_read(prepared) | {key: stored})
        # A folder that cannot be written costs only the time to compute them again.
        with contextlib.suppress(UserError):
            write_sealed(prepared.folder / CONTROLS_FILE, file.model_dump(mode="json"))
    _known[digest, key] = stored
    return [
        Measurement(name_control(judge.name, control), value, error, count)
        for control, (value, error) in stored.items()
    ]


class _ControlsFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: Literal[1] = 1
    digest: str
    controls: dict[str, _Stored]


def _read(prepared: Prepared) -> dict[str, _Stored]:
    """Return the controls in the set's folder by key; none if they are not this set's."""
    try:
        file = _ControlsFile.model_validate(read_sealed(prepared.folder / CONTROLS_FILE))
    except ValidationError:
        return {}
    return file.controls if file.digest == prepared.manifest.digest else {}
