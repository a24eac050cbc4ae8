"""Bars that any density model should clear on a data set: closed-form Gaussians, lossless codecs.

A model above one of them knows less of the images than their first two moments, or than a codec
made for any picture. All are bits/dim of the test part; what is fitted is fitted on the training
part, and how far a covariance is shrunk is chosen on the holdout part. Of large parts images at
even distances stand for all, so that it takes minutes at most.
"""

import contextlib
import io
import json
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np
import numpy.typing as npt
import PIL
from PIL import Image, features
from pydantic import BaseModel, ConfigDict, ValidationError

from lcma.harness.averages import clustered_mean
from lcma.harness.cpus import count_cpus
from lcma.harness.data.manifest import BARS_FILE, PartName, read_sealed, write_sealed
from lcma.harness.data.prepared_set import PreparedSet, images_file, prepare_command
from lcma.harness.data.source import ReportStep
from lcma.sweeps.errors import UserError

BarName = Literal["gaussian", "full-gaussian", "png", "webp"]

_FORMAT: Final = 2
_NAMES: Final[tuple[BarName, ...]] = get_args(BarName)
# A covariance from fewer images than this, or a larger one, says more of chance than of images.
_IMAGES_A_DIMENSION: Final = 5
_MOST_DIMENSIONS: Final = 3072
_SHRINKAGES: Final = (0.0, 1e-6, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
"""Shares of the mean variance that are added to each variance of a full covariance."""
_CHUNK: Final = 4096
_CHUNK_VALUES: Final = 2**24
_CODEC_CHUNK: Final = 256
_MOST_FILES: Final = 2_000
"""Most test images that a codec is given: of 10,000 it would take a core a minute or more."""
_MOST_IMAGES: Final[dict[PartName, int]] = {"train": 50_000, "holdout": 10_000, "test": 10_000}
_CODECS: Final[dict[BarName, tuple[str, dict[str, Any]]]] = {
    "png": ("PNG", {"optimize": True}),
    "webp": ("WebP", {"lossless": True, "quality": 100, "method": 6}),
}

Floats = npt.NDArray[np.float64]
_Measured = tuple[Floats, str]


@dataclass(frozen=True)
class ComputedBar:
    """Bits/dim of the test part by one simple method; None if it is left out.

    standard_error: over test images, clustered by photograph if the set has clusters; None if it
    cannot be known. images: number of test images that were measured. detail: a sentence, what was
    done or why it is left out.
    """

    name: BarName
    bits_per_dim: float | None
    standard_error: float | None
    images: int
    detail: str


def compute_bars(
    prepared: PreparedSet, progress: ReportStep | None = None
) -> tuple[ComputedBar, ...]:
    """Compute the four bars of a set, in the order of `BarName`.

    Gaussians are those of x + u, u ~ U[0, 1): the covariance of the pixels plus I/12. To a full one
    a share of the mean variance is added on the diagonal, that of `_SHRINKAGES` whose bits/dim of
    the holdout part are fewest; by maximum likelihood alone it would be a soft bar. Their bits/dim
    is the expectation over u, the bound that a dequantized flow reports.
    Codecs: 8 times the bytes of one file an image, over the dimensions.

    Raises UserError if a part is damaged or holds values that are not finite.
    """
    meter = _Meter(prepared, progress)
    groups = prepared.part("test").groups
    moments = _moments(prepared, meter)
    bars = []
    for name in _NAMES:
        images = _bar_images(prepared, name)
        try:
            if name == "gaussian" or name == "full-gaussian":
                bits, detail = _gaussian(name, prepared, moments, meter)
            else:
                bits, detail = _codec(name, prepared, meter)
        except _LeftOutError as reason:
            bars.append(ComputedBar(name, None, None, images, f"left out: {reason}"))
            meter.add(name, images)
        else:
            chosen = None if groups is None else groups[_chosen(prepared, "test", images)]
            mean = clustered_mean(bits, chosen)
            sampled = _sampled(prepared, images)
            error = mean.standard_error if math.isfinite(mean.standard_error) else None
            bars.append(ComputedBar(name, mean.value, error, images, detail + sampled))
    return tuple(bars)


def ensure_bars(
    prepared: PreparedSet, progress: ReportStep | None = None
) -> tuple[ComputedBar, ...]:
    """Return the bars in the set's folder, or compute them and, if possible, write them there.

    A file that belongs to other images or another format, or has no seal, is replaced. Raises
    UserError as `compute_bars` does, and if the file is not as it was written.
    """
    path = prepared.folder / BARS_FILE
    bars = _read(path, prepared)
    if bars is None:
        bars = compute_bars(prepared, progress)
        file = _BarsFile(format=_FORMAT, digest=prepared.manifest.digest, bars=bars)
        # A folder that cannot be written costs only the time to compute them again.
        with contextlib.suppress(UserError):
            write_sealed(path, file.model_dump(mode="json"))
    return bars


class _LeftOutError(Exception):
    """Raised if a bar cannot be computed for this set; the message says why."""


class _Meter:
    """Count of images read, over two passes of train and one of test for each bar."""

    def __init__(self, prepared: PreparedSet, progress: ReportStep | None) -> None:
        self._total = 2 * _count(prepared, "train")
        self._total += sum(_bar_images(prepared, name) for name in _NAMES)
        if _can_be_full(_count(prepared, "train"), math.prod(prepared.manifest.shape)):
            self._total += _count(prepared, "holdout")
        self._done = 0
        self._progress = progress

    def add(self, step: str, images: int) -> None:
        self._done += images
        if self._progress is not None:
            self._progress(step, self._done, self._total)


@dataclass(frozen=True, eq=False)
class _Moments:
    """Of n training images: mean (D,), and covariance (D,), its diagonal, or (D, D)."""

    n: int
    mean: Floats
    covariance: Floats

    @property
    def variance(self) -> Floats:
        return self.covariance if self.covariance.ndim == 1 else self.covariance.diagonal()


def _moments(prepared: PreparedSet, meter: _Meter) -> _Moments:
    n, D = _count(prepared, "train"), math.prod(prepared.manifest.shape)
    full = _can_be_full(n, D)
    total = np.zeros(D)
    for rows in _rows(prepared, "train"):
        total += rows.sum(0)
        meter.add("mean", len(rows))
    mean = total / n
    scatter = np.zeros((D, D) if full else D)
    for rows in _rows(prepared, "train"):
        rows -= mean
        scatter += rows.T @ rows if full else np.square(rows).sum(0)
        meter.add("covariance" if full else "variance", len(rows))
    return _Moments(n, mean, scatter / n)


def _can_be_full(n: int, D: int) -> bool:
    return n >= _IMAGES_A_DIMENSION * D and D <= _MOST_DIMENSIONS


def _rows(prepared: PreparedSet, part: PartName) -> Iterator[Floats]:
    """Yield the images of a part as new float64 arrays (up to some thousands, D)."""
    images, chosen = prepared.part(part).images, _chosen(prepared, part)
    D = math.prod(images.shape[1:])
    size = max(1, min(_CHUNK, _CHUNK_VALUES // D))
    for start in range(0, len(chosen), size):
        rows = images[chosen[start : start + size]].reshape(-1, D).astype(np.float64)
        if not np.isfinite(rows).all():
            raise UserError(
                f"{prepared.folder / images_file(part)} holds values that are not finite: remove "
                f"{prepared.folder} and run: "
                f"{prepare_command(prepared.manifest.name, prepared.root)}"
            )
        yield rows


def _count(prepared: PreparedSet, part: PartName) -> int:
    """Return the number of images of a part that are read."""
    return min(prepared.manifest.counts[part], _MOST_IMAGES[part])


def _bar_images(prepared: PreparedSet, name: BarName) -> int:
    """Return the number of test images on which a bar is measured."""
    count = _count(prepared, "test")
    return min(count, _MOST_FILES) if name in _CODECS else count


def _chosen(
    prepared: PreparedSet, part: PartName, count: int | None = None
) -> npt.NDArray[np.int64]:
    """Return the indices of ``count`` images, of all that are read: all, or at even distances."""
    count = _count(prepared, part) if count is None else count
    return np.arange(count, dtype=np.int64) * prepared.manifest.counts[part] // count


def _sampled(prepared: PreparedSet, count: int) -> str:
    total = prepared.manifest.counts.test
    return "" if count == total else f"; {count} of {total} test images, at even distances"


def _gaussian(
    name: Literal["gaussian", "full-gaussian"],
    prepared: PreparedSet,
    moments: _Moments,
    meter: _Meter,
) -> _Measured:
    """Return bits/dim of each test image, in expectation over the noise.

    With S the covariance of x + u and m the mean of x, that of (x + u - m - 1/2)' S^-1 (...) is
    (x - m)' S^-1 (x - m) + trace(S^-1) / 12.
    """
    discrete = prepared.manifest.dtype == "uint8"
    noise = 1 / 12 if discrete else 0.0
    fitted = "variance of each dimension"
    if name == "gaussian":
        variances, axes = _diagonal(moments.variance + noise), None
    else:
        variances, axes = _full(moments, noise)
        count = _count(prepared, "holdout")
        held = _squares(prepared, "holdout", moments, axes, name, meter)
        squares = np.sum([chunk.sum(0) for chunk in held], axis=0) / count
        share = _best_share(_SHRINKAGES, squares, variances, moments.variance.mean(), noise)
        variances = variances + share * moments.variance.mean()
        fitted = (
            f"full covariance with {share:g} of the mean variance more on its diagonal, the best "
            f"of {len(_SHRINKAGES)} shares on {count} holdout images,"
        )
    nats = [
        _score(squares, variances, noise)
        for squares in _squares(prepared, "test", moments, axes, name, meter)
    ]
    how = (
        "plus uniform dequantization noise, the test images scored in expectation over the noise: "
        "the bound that a dequantized flow reports"
        if discrete
        else "as they are, without dequantization noise: the density of continuous data, no bound "
        "for discrete images"
    )
    detail = f"mean and {fitted} fitted to {moments.n} training images {how}"
    return np.concatenate(nats) / (len(variances) * math.log(2)), detail


def _best_share(
    shares: Sequence[float], squares: Floats, variances: Floats, mean: float, noise: float
) -> float:
    """Return the share of the mean variance that makes nats fewest, added to each variance along
    the principal axes, given the mean squared deviations of images along these."""
    return min(shares, key=lambda share: _score(squares, variances + share * mean, noise))


def choose_shrinkage(prepared: PreparedSet, mean: Floats, covariance: Floats) -> float:
    """Return what is added to the diagonal of the pixels' covariance (D, D) before it is inverted.

    It is the variance of the dequantization noise and, as for the bar `full-gaussian`, a share of
    the mean variance, the best on the holdout part. Shares that leave the matrix singular, up to
    rounding, are not tried, so that any number of images will do.

    Raises UserError if the dimensions do not vary.
    """
    from scipy import linalg  # not needed to train

    noise = 1 / 12 if prepared.manifest.dtype == "uint8" else 0.0
    average = float(covariance.diagonal().mean())
    variances, axes = linalg.eigh(covariance + noise * np.eye(len(mean)))
    least = len(mean) * np.finfo(np.float64).eps * variances.max()
    shares = [share for share in _SHRINKAGES if variances.min() + share * average > least]
    if not shares:
        raise UserError(
            f"the training images in {prepared.folder} do not vary, and no precision can be "
            "measured: choose a factorization that reads no data"
        )
    squares = np.zeros(len(mean))
    for rows in _rows(prepared, "holdout"):
        squares += np.square((rows - mean) @ axes).sum(0)
    squares /= _count(prepared, "holdout")
    return noise + average * _best_share(shares, squares, variances, average, noise)


def read_training_rows(prepared: PreparedSet) -> tuple[npt.NDArray[np.int64], Iterator[Floats]]:
    """Return the training images that bars are fitted to: their indices (n,), and an iterator over
    their pixels, some thousands at once, float64 (m, D). It raises UserError for damaged ones."""
    return _chosen(prepared, "train"), _rows(prepared, "train")


def _squares(
    prepared: PreparedSet,
    part: PartName,
    moments: _Moments,
    axes: Floats | None,
    name: str,
    meter: _Meter,
) -> Iterator[Floats]:
    """Yield the squared deviations of the images of a part along the axes, some thousands at once,
    (n, D)."""
    for rows in _rows(prepared, part):
        rows -= moments.mean
        yield np.square(rows if axes is None else rows @ axes)
        meter.add(name, len(rows))


def _score(squares: Floats, variances: Floats, noise: float) -> Floats:
    """Return nats of images, in expectation over the noise, given their squared deviations."""
    precisions = 1 / variances
    constant = np.log(2 * math.pi * variances).sum() + noise * precisions.sum()
    return np.asarray((constant + squares @ precisions) / 2)


def _diagonal(variance: Floats) -> Floats:
    constant = int((variance <= 0).sum())
    if constant:
        raise _LeftOutError(
            f"{constant} of {len(variance)} dimensions are constant over the training images"
        )
    return variance


def _full(moments: _Moments, noise: float) -> tuple[Floats, Floats]:
    """Return the covariance's variances along its principal axes, and these as columns."""
    from scipy import linalg

    D = len(moments.mean)
    if not _can_be_full(moments.n, D):
        raise _LeftOutError(
            f"n = {moments.n} training images of D = {D} dimensions, where the rule asks for "
            f"n >= {_IMAGES_A_DIMENSION} D = {_IMAGES_A_DIMENSION * D} and D <= {_MOST_DIMENSIONS}"
        )
    covariance = moments.covariance + noise * np.eye(D)
    try:
        factor: Floats = linalg.cholesky(covariance, lower=True)
    except linalg.LinAlgError:
        raise _singular() from None
    # What is left of a variance, given the dimensions before it, must be more than the rounding of
    # float32 values: else the density would measure that.
    square = covariance.diagonal() + np.square(moments.mean)
    if (np.square(factor.diagonal()) <= D * np.finfo(np.float32).eps ** 2 * square).any():
        raise _singular()
    variances, axes = linalg.eigh(covariance)
    return variances, axes


def _singular() -> _LeftOutError:
    return _LeftOutError("the covariance of the training images is singular, up to rounding")


def _codec(name: Literal["png", "webp"], prepared: PreparedSet, meter: _Meter) -> _Measured:
    """Return bits/dim of each test image, each in a file of its own."""
    title, options = _CODECS[name]
    manifest = prepared.manifest
    C = manifest.shape[0]
    if manifest.dtype != "uint8":
        raise _LeftOutError(f"the images are {manifest.dtype}, and {title} files here hold 8 bits")
    if C not in (1, 3):
        raise _LeftOutError(f"the images have {C} channels, and {title} is for 1 or 3")
    if name == "webp" and not features.check("webp"):
        raise _LeftOutError(f"Pillow {PIL.__version__} is built without WebP here")
    images = prepared.part("test").images
    chosen = _chosen(prepared, "test", _bar_images(prepared, name))
    sizes = np.zeros(len(chosen))
    with ThreadPoolExecutor(count_cpus()) as threads:  # the codecs run outside of Python's lock
        for start in range(0, len(chosen), _CODEC_CHUNK):
            chunk = images[chosen[start : start + _CODEC_CHUNK]]
            found = threads.map(partial(_file_bytes, codec=name, options=options), chunk)
            sizes[start : start + len(chunk)] = list(found)
            meter.add(name, len(chunk))
    settings = ", ".join(f"{option}={value}" for option, value in options.items())
    detail = (
        f"each test image in a {title} file of its own, by Pillow {PIL.__version__} with "
        f"{settings}, every file's headers counted: {sizes.mean():.1f} bytes a file on average"
    )
    return 8 * sizes / math.prod(manifest.shape), detail


def _file_bytes(image: npt.NDArray[Any], codec: str, options: dict[str, Any]) -> int:
    """Return the size in bytes of the file of one uint8 image C x H x W."""
    pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, codec, **options)
    return file.getbuffer().nbytes


class _BarsFile(BaseModel):
    """Content of `BARS_FILE`, without its seal; digest: the manifest's."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    format: Literal[2]
    digest: str
    bars: tuple[ComputedBar, ...]


def _read(path: Path, prepared: PreparedSet) -> tuple[ComputedBar, ...] | None:
    """Return the bars in a file, or None if they are not those of this set."""
    fields = read_sealed(path)
    try:
        file = _BarsFile.model_validate_json(json.dumps(fields))
    except ValidationError:
        return None
    manifest = prepared.manifest
    fits = (
        file.digest == manifest.digest
        and tuple(bar.name for bar in file.bars) == _NAMES
        and all(bar.images == _bar_images(prepared, bar.name) for bar in file.bars)
    )
    return file.bars if fits else None
