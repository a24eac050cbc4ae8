"""Bars: bits/dim of simple methods that any density model should beat on a data set.

They are closed-form Gaussians and lossless codecs, all measured on the test part. A model above one
of them knows less about the images than their first two moments, or than a codec for any picture.
Gaussians are fitted on the training part, and their shrinkage is chosen on the holdout part. Large
parts are represented by evenly spaced images, so that it takes minutes at most.
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
# With fewer images a covariance would be mostly noise, and with more dimensions slow.
_IMAGES_A_DIMENSION: Final = 5
_MAX_DIMENSIONS: Final = 3072
_SHRINKAGES: Final = (0.0, 1e-6, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
"""Shares of the mean variance that may be added to each variance of a full covariance."""
_CHUNK: Final = 4096
_CHUNK_VALUES: Final = 2**24
_CODEC_CHUNK: Final = 256
_MAX_FILES: Final = 2_000
"""Most test images that a codec compresses: 10,000 would take a core a minute or more."""
_MAX_IMAGES: Final[dict[PartName, int]] = {"train": 50_000, "holdout": 10_000, "test": 10_000}
_CODECS: Final[dict[BarName, tuple[str, dict[str, Any]]]] = {
    "png": ("PNG", {"optimize": True}),
    "webp": ("WebP", {"lossless": True, "quality": 100, "method": 6}),
}

Floats = npt.NDArray[np.float64]
_BitsAndDetail = tuple[Floats, str]
"""Bits/dim of each test image, and how they were computed."""


@dataclass(frozen=True)
class ComputedBar:
    """Bits/dim of the test part by one simple method."""

    name: BarName
    bits_per_dim: float | None
    """None if the bar is left out for this set."""
    standard_error: float | None
    """Over test images, clustered if the set has clusters; None if unknown."""
    images: int
    """Number of test images that were measured."""
    detail: str
    """How it was computed, or why it is left out."""


def compute_bars(
    prepared: PreparedSet, progress: ReportStep | None = None
) -> tuple[ComputedBar, ...]:
    """Compute the four bars of a set, in the order of `BarName`.

    - Gaussians are fitted to x + u, u ~ U[0, 1), so their covariance is that of the pixels plus
      I/12. Their bits/dim is the expectation over u, the bound that a dequantized flow reports.
    - The full Gaussian has a share of the mean variance added on its diagonal: the one of
      `_SHRINKAGES` with the fewest bits/dim on the holdout part. Fitted by maximum likelihood
      only, it would be too easy to beat.
    - Codecs have 8 times the bytes of a file for each image, divided by the dimensions.

    Raises UserError if a part is damaged or holds values that are not finite.
    """
    groups = prepared.part("test").groups
    moments = _compute_moments(prepared)
    bars = []
    for done, name in enumerate(_NAMES):
        if progress is not None:
            progress(name, done, len(_NAMES))
        images = _count_bar_images(prepared, name)
        try:
            if name == "gaussian" or name == "full-gaussian":
                bits, detail = _score_gaussian(name, prepared, moments)
            else:
                bits, detail = _score_codec(name, prepared)
        except _LeftOutError as reason:
            bars.append(ComputedBar(name, None, None, images, f"left out: {reason}"))
        else:
            indices = _choose_indices(prepared, "test", images)
            mean = clustered_mean(bits, None if groups is None else groups[indices])
            total = prepared.manifest.counts.test
            if images < total:
                detail += f"; {images} of {total} test images, at even distances"
            error = mean.standard_error if math.isfinite(mean.standard_error) else None
            bars.append(ComputedBar(name, mean.value, error, images, detail))
    return tuple(bars)


def ensure_bars(
    prepared: PreparedSet, progress: ReportStep | None = None
) -> tuple[ComputedBar, ...]:
    """Return the bars in the set's folder, or compute them and, if possible, write them there.

    A file that belongs to other images or another format, or has no seal, is replaced. Raises
    UserError as `compute_bars` does, and if the file was changed.
    """
    path = prepared.folder / BARS_FILE
    bars = _read_bars(path, prepared)
    if bars is None:
        bars = compute_bars(prepared, progress)
        file = _BarsFile(format=_FORMAT, digest=prepared.manifest.digest, bars=bars)
        # If the folder cannot be written, they are computed again the next time.
        with contextlib.suppress(UserError):
            write_sealed(path, file.model_dump(mode="json"))
    return bars


class _LeftOutError(Exception):
    """Raised if a bar cannot be computed for this set; the message says why."""


@dataclass(frozen=True, eq=False)
class _Moments:
    """Moments of n training images."""

    n: int
    mean: Floats  # (D,)
    covariance: Floats  # (D, D), or (D,) for its diagonal only

    @property
    def variance(self) -> Floats:
        return self.covariance if self.covariance.ndim == 1 else self.covariance.diagonal()


def _compute_moments(prepared: PreparedSet) -> _Moments:
    n, D = _count(prepared, "train"), math.prod(prepared.manifest.shape)
    is_full = _can_be_full(n, D)
    total = np.zeros(D)
    for rows in _read_rows(prepared, "train"):
        total += rows.sum(0)
    mean = total / n
    scatter = np.zeros((D, D) if is_full else D)
    for rows in _read_rows(prepared, "train"):
        rows -= mean
        scatter += rows.T @ rows if is_full else np.square(rows).sum(0)
    return _Moments(n, mean, scatter / n)


def _can_be_full(n: int, D: int) -> bool:
    return n >= _IMAGES_A_DIMENSION * D and D <= _MAX_DIMENSIONS


def _read_rows(prepared: PreparedSet, part: PartName) -> Iterator[Floats]:
    """Yield the images of a part as new float64 arrays (at most `_CHUNK`, D)."""
    images, indices = prepared.part(part).images, _choose_indices(prepared, part)
    D = math.prod(images.shape[1:])
    size = max(1, min(_CHUNK, _CHUNK_VALUES // D))
    for start in range(0, len(indices), size):
        rows = images[indices[start : start + size]].reshape(-1, D).astype(np.float64)
        if not np.isfinite(rows).all():
            raise UserError(
                f"{prepared.folder / images_file(part)} holds values that are not finite: remove "
                f"{prepared.folder} and run: "
                f"{prepare_command(prepared.manifest.name, prepared.root)}"
            )
        yield rows


def _count(prepared: PreparedSet, part: PartName) -> int:
    """Return the number of images of a part that are read."""
    return min(prepared.manifest.counts[part], _MAX_IMAGES[part])


def _count_bar_images(prepared: PreparedSet, name: BarName) -> int:
    """Return the number of test images on which a bar is measured."""
    count = _count(prepared, "test")
    return min(count, _MAX_FILES) if name in _CODECS else count


def _choose_indices(
    prepared: PreparedSet, part: PartName, count: int | None = None
) -> npt.NDArray[np.int64]:
    """Return evenly spaced indices of ``count`` images of a part, or of all that are read."""
    count = _count(prepared, part) if count is None else count
    return np.arange(count, dtype=np.int64) * prepared.manifest.counts[part] // count


def _score_gaussian(
    name: Literal["gaussian", "full-gaussian"],
    prepared: PreparedSet,
    moments: _Moments,
) -> _BitsAndDetail:
    discrete = prepared.manifest.dtype == "uint8"
    noise = 1 / 12 if discrete else 0.0
    fitted = "variance of each dimension"
    if name == "gaussian":
        variances, axes = _require_variance(moments.variance + noise), None
    else:
        variances, axes = _decompose_covariance(moments, noise)
        count = _count(prepared, "holdout")
        chunks = _square_deviations(prepared, "holdout", moments, axes)
        squares = np.sum([chunk.sum(0) for chunk in chunks], axis=0) / count
        share = _best_share(_SHRINKAGES, squares, variances, moments.variance.mean(), noise)
        variances = variances + share * moments.variance.mean()
        fitted = (
            f"full covariance with {share:g} of the mean variance more on its diagonal, the best "
            f"of {len(_SHRINKAGES)} shares on {count} holdout images,"
        )
    nats = [
        _compute_nats(squares, variances, noise)
        for squares in _square_deviations(prepared, "test", moments, axes)
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
    """Return the share of the mean variance that gives images the fewest nats when it is added to
    the variances. ``squares`` are their mean squared deviations along the principal axes."""
    return min(shares, key=lambda share: _compute_nats(squares, variances + share * mean, noise))


def choose_shrinkage(prepared: PreparedSet, mean: Floats, covariance: Floats) -> float:
    """Return what is added to the diagonal of the pixels' covariance (D, D) before it is inverted.

    It is the variance of the dequantization noise plus, as for the bar `full-gaussian`, the share
    of the mean variance that is best on the holdout part. Shares that leave the matrix singular, up
    to rounding, are not tried, so that any number of images is enough.

    Raises UserError if the dimensions do not vary.
    """
    from scipy import linalg  # not needed to train

    noise = 1 / 12 if prepared.manifest.dtype == "uint8" else 0.0
    average = float(covariance.diagonal().mean())
    variances, axes = linalg.eigh(covariance + noise * np.eye(len(mean)))
    limit = len(mean) * np.finfo(np.float64).eps * variances.max()
    shares = [share for share in _SHRINKAGES if variances.min() + share * average > limit]
    if not shares:
        raise UserError(
            f"the training images in {prepared.folder} do not vary, and no precision can be "
            "measured: choose a factorization that reads no data"
        )
    squares = np.zeros(len(mean))
    for rows in _read_rows(prepared, "holdout"):
        squares += np.square((rows - mean) @ axes).sum(0)
    squares /= _count(prepared, "holdout")
    return noise + average * _best_share(shares, squares, variances, average, noise)


def read_training_rows(prepared: PreparedSet) -> tuple[npt.NDArray[np.int64], Iterator[Floats]]:
    """Return the training images that bars are fitted to: their indices (n,), and an iterator over
    chunks of their pixels, float64 (m, D), which raises UserError for damaged images."""
    return _choose_indices(prepared, "train"), _read_rows(prepared, "train")


def _square_deviations(
    prepared: PreparedSet,
    part: PartName,
    moments: _Moments,
    axes: Floats | None,
) -> Iterator[Floats]:
    """Yield chunks of the squared deviations of a part's images along the axes, (n, D)."""
    for rows in _read_rows(prepared, part):
        rows -= moments.mean
        yield np.square(rows if axes is None else rows @ axes)


def _compute_nats(squares: Floats, variances: Floats, noise: float) -> Floats:
    """Return nats of images, in expectation over the noise, given their squared deviations."""
    precisions = 1 / variances
    # With S the covariance of x + u and m the mean of x, the mean over u of
    # (x + u - m - 1/2)' S^-1 (x + u - m - 1/2) is (x - m)' S^-1 (x - m) + trace(S^-1) / 12.
    constant = np.log(2 * math.pi * variances).sum() + noise * precisions.sum()
    return np.asarray((constant + squares @ precisions) / 2)


def _require_variance(variance: Floats) -> Floats:
    constant = int((variance <= 0).sum())
    if constant:
        raise _LeftOutError(
            f"{constant} of {len(variance)} dimensions are constant over the training images"
        )
    return variance


def _decompose_covariance(moments: _Moments, noise: float) -> tuple[Floats, Floats]:
    """Return the covariance's variances along its principal axes, and the axes as columns."""
    from scipy import linalg

    D = len(moments.mean)
    if not _can_be_full(moments.n, D):
        raise _LeftOutError(
            f"n = {moments.n} training images of D = {D} dimensions, where the rule asks for "
            f"n >= {_IMAGES_A_DIMENSION} D = {_IMAGES_A_DIMENSION * D} and D <= {_MAX_DIMENSIONS}"
        )
    covariance = moments.covariance + noise * np.eye(D)
    try:
        factor: Floats = linalg.cholesky(covariance, lower=True)
    except linalg.LinAlgError:
        raise _make_singular_error() from None
    # The variance of a dimension given those before it must exceed the rounding errors of float32
    # values: else the density would measure these.
    square = covariance.diagonal() + np.square(moments.mean)
    if (np.square(factor.diagonal()) <= D * np.finfo(np.float32).eps ** 2 * square).any():
        raise _make_singular_error()
    variances, axes = linalg.eigh(covariance)
    return variances, axes


def _make_singular_error() -> _LeftOutError:
    return _LeftOutError("the covariance of the training images is singular, up to rounding")


def _score_codec(name: Literal["png", "webp"], prepared: PreparedSet) -> _BitsAndDetail:
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
    indices = _choose_indices(prepared, "test", _count_bar_images(prepared, name))
    sizes = np.zeros(len(indices))
    with ThreadPoolExecutor(count_cpus()) as threads:  # the codecs release Python's lock
        for start in range(0, len(indices), _CODEC_CHUNK):
            chunk = images[indices[start : start + _CODEC_CHUNK]]
            compress = partial(_compress, codec=name, options=options)
            sizes[start : start + len(chunk)] = list(threads.map(compress, chunk))
    settings = ", ".join(f"{option}={value}" for option, value in options.items())
    detail = (
        f"each test image in a {title} file of its own, by Pillow {PIL.__version__} with "
        f"{settings}, every file's headers counted: {sizes.mean():.1f} bytes a file on average"
    )
    return 8 * sizes / math.prod(manifest.shape), detail


def _compress(image: npt.NDArray[Any], codec: str, options: dict[str, Any]) -> int:
    """Compress one uint8 image C x H x W; return the bytes of its file."""
    pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, codec, **options)
    return file.getbuffer().nbytes


class _BarsFile(BaseModel):
    """Content of `BARS_FILE`, without its seal."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    format: Literal[2]
    digest: str  # of the manifest
    bars: tuple[ComputedBar, ...]


def _read_bars(path: Path, prepared: PreparedSet) -> tuple[ComputedBar, ...] | None:
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
        and all(bar.images == _count_bar_images(prepared, bar.name) for bar in file.bars)
    )
    return file.bars if fits else None
