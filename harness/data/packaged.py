"""Images that packages ship: crops of the photographs of scikit-image, and the 8x8 grey digits of
scikit-learn. They need no download.

Three of the nine photographs are JPEG, and builds of libjpeg differ in the last bit, so the content
digest can differ for the same files. The manifest records the decoder.
"""

import gzip
import importlib.metadata
import importlib.util
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import PIL
from PIL import features

from lcma.harness.data.decoding import BadImageError, decode_image
from lcma.harness.data.manifest import ByPart, PartName, SourceFile, SourceRecord
from lcma.harness.data.source import (
    OpenedSource,
    ReportStep,
    Source,
    SourceOptions,
    SourceStep,
    make_changed_error,
    read_bytes,
    sha256,
)
from lcma.sweeps.errors import UserError

# As in scikit-image 0.26.
_KNOWN_PHOTOS: Final = {
    "astronaut.png": "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
    "chelsea.png": "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
    "coffee.png": "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
    "hubble_deep_field.jpg": "3a19c5dd8a927a9334bb1229a6d63711b1c0c767fb27e2286e7c84a3e2c2f5f4",
    "ihc.png": "f8dd1aa387ddd1f49d8ad13b50921b237df8e9b262606d258770687b0ef93cef",
    "motorcycle_left.png": "db18e9c4157617403c3537a6ba355dfeafe9a7eabb6b9b94cb33f6525dd49179",
    "motorcycle_right.png": "5fc913ae870e42a4b662314bc904d1786bcad8e2f0b9b67dba5a229406357797",
    "retina.jpg": "38a07f36f27f095e818aea7b96d34202c05176d30253c66733f2e00379e9e0e6",
    "rocket.jpg": "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
}
_TRAIN: Final = (
    "astronaut.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "motorcycle_left.png",
    "motorcycle_right.png",
    "retina.jpg",
)
_TEST: Final = ("chelsea.png", "coffee.png", "rocket.jpg")
_PHOTO_LIMIT: Final = 16 * 2**20


def _name_scene(file: str) -> str:
    # Two views of one scene are not independent.
    return "motorcycle" if file.startswith("motorcycle") else file.partition(".")[0]


_TRAIN_SCENES: Final = tuple(dict.fromkeys(map(_name_scene, _TRAIN)))
_TEST_SCENES: Final = tuple(map(_name_scene, _TEST))

SIZE = 32
TRAIN_STRIDE = 16
MAX_TRAIN = 1024
MAX_HOLDOUT = 128

Corners = npt.NDArray[np.int64]
"""Upper left corners of crops as (row, column), N x 2."""


class Photos(Source):
    """The source of the photos sets: the installed scikit-image, or a folder of its files."""

    needs_path = False

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder

    def open(self, path: Path, options: SourceOptions, progress: ReportStep) -> OpenedSource:
        """Find and hash the nine files. Raises UserError if one is missing."""
        folder = self.folder or _shipped_data("skimage", "scikit-image") / "data"
        missing = [name for name in _KNOWN_PHOTOS if not (folder / name).is_file()]
        if missing:
            raise UserError(
                f"{folder} lacks {', '.join(missing)}: pip install --force-reinstall scikit-image"
            )
        names = (*_TRAIN, *_TEST)
        digests = {name: sha256(read_bytes(folder / name, _PHOTO_LIMIT)) for name in names}
        matching = sum(_KNOWN_PHOTOS[name] == digest for name, digest in digests.items())
        all_match = matching == len(_KNOWN_PHOTOS)
        turbo = features.version_feature("libjpeg_turbo")
        jpeg = f"libjpeg-turbo {turbo}" if turbo else f"libjpeg {features.version_codec('jpg')}"
        return OpenedSource(
            record=SourceRecord(
                layout="photographs of scikit-image",
                package=f"scikit-image {importlib.metadata.version('scikit-image')}",
                reader=f"Pillow {PIL.__version__}, {jpeg}",
                files=tuple(SourceFile(name=n, sha256=digest) for n, digest in digests.items()),
                verdict=(
                    "known"
                    if all_match
                    else f"other ({matching} of {len(_KNOWN_PHOTOS)} files match)"
                ),
            ),
            shape=(3, SIZE, SIZE),
            dtype="uint8",
            groups=ByPart(train=_TRAIN_SCENES, holdout=_TRAIN_SCENES, test=_TEST_SCENES),
            expected=None,
            preprocessing=(
                f"{SIZE}x{SIZE} crops of the native 8-bit RGB pixels; "
                f"train: stride {TRAIN_STRIDE} above the held-out strip, at most "
                f"{MAX_TRAIN} a photograph, evenly spaced; test: stride {SIZE}"
            ),
            holdout_rule=(
                "the lowest rows of each training photograph: the number of crop rows nearest to "
                f"a tenth of its height, at least one; stride {SIZE}, at most "
                f"{MAX_HOLDOUT} a photograph, evenly spaced; no pixel is shared with train"
            ),
            n_steps=len(digests),
            steps=lambda: _cut_photos(folder, digests),
        )


def _cut_photos(folder: Path, digests: dict[str, str]) -> Iterator[SourceStep]:
    for name, digest in digests.items():
        path = folder / name
        raw = read_bytes(path, _PHOTO_LIMIT)
        if sha256(raw) != digest:
            raise make_changed_error(path)
        photograph = _decode(path, raw)
        size = photograph.shape[:2]
        corners: dict[PartName, Corners] = {"test": grid_corners(*size)}
        if name in _TRAIN:
            corners = {"train": train_corners(*size), "holdout": holdout_corners(*size)}
        scenes = _TRAIN_SCENES if name in _TRAIN else _TEST_SCENES
        images = {part: cut_crops(photograph, places) for part, places in corners.items()}
        group = scenes.index(_name_scene(name))
        groups = {part: np.full(len(crops), group, np.int32) for part, crops in images.items()}
        yield SourceStep(name, images, groups)


def _decode(path: Path, raw: bytes) -> npt.NDArray[np.uint8]:
    """Return the pixels of a photograph, H x W x C."""
    try:
        pixels = decode_image(raw)
    except BadImageError as error:
        raise UserError(f"{path} is not a readable image: install scikit-image again") from error
    c, h, w = pixels.shape
    if c != 3 or min(h, w) < 2 * SIZE:
        raise UserError(
            f"{path} has {c} channels of {w}x{h} where an RGB photograph of at least "
            f"{2 * SIZE}x{2 * SIZE} is expected: install scikit-image again"
        )
    return np.ascontiguousarray(pixels.transpose(1, 2, 0))


# Crops of photographs. The held-out strip shares no pixel with training. All arithmetic is on
# integers, so a photograph gives the same crops everywhere.


def strip_top(height: int) -> int:
    """Return the first row of the held-out strip, whose height is the number of crops nearest to a
    tenth of the photograph's, at least one."""
    rows = max(1, (height + 5 * SIZE) // (10 * SIZE))
    return height - rows * SIZE


def train_corners(height: int, width: int) -> Corners:
    """Return the crops above the held-out strip: a grid of stride 16, thinned evenly to 1024."""
    return _thin(_make_grid(0, strip_top(height), width, TRAIN_STRIDE), MAX_TRAIN)


def holdout_corners(height: int, width: int) -> Corners:
    """Return the crops of the held-out strip: a grid without overlap, thinned evenly to 128."""
    return _thin(_make_grid(strip_top(height), height, width, SIZE), MAX_HOLDOUT)


def grid_corners(height: int, width: int) -> Corners:
    """Return all crops of a grid without overlap, which a test photograph is cut into."""
    return _make_grid(0, height, width, SIZE)


def cut_crops(photograph: npt.NDArray[np.uint8], corners: Corners) -> npt.NDArray[np.uint8]:
    """Cut crops (N, C, 32, 32) out of a photograph (H, W, C)."""
    windows = np.lib.stride_tricks.sliding_window_view(photograph, (SIZE, SIZE), axis=(0, 1))
    return np.ascontiguousarray(windows[corners[:, 0], corners[:, 1]])


def _make_grid(top: int, bottom: int, width: int, stride: int) -> Corners:
    rows = np.arange(top, bottom - SIZE + 1, stride, dtype=np.int64)
    columns = np.arange(0, width - SIZE + 1, stride, dtype=np.int64)
    return np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)


def _thin(corners: Corners, limit: int) -> Corners:
    if len(corners) <= limit:
        return corners
    return corners[np.arange(limit) * len(corners) // limit]


def _shipped_data(module: str, package: str, extra: str | None = None) -> Path:
    # find_spec does not import it: that takes long, and only its files are wanted.
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        install = package if extra is None else f"'lcma[{extra}]'"
        raise UserError(f"{package} is not installed: pip install {install}")
    return Path(spec.submodule_search_locations[0])


# Digits


_DIGITS_FILE: Final = "digits.csv.gz"
# As in scikit-learn 1.9.
_KNOWN_DIGITS: Final = "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"
_DIGITS_LIMIT: Final = 2**20
_REMEDY: Final = "pip install --force-reinstall scikit-learn"
_COUNT: Final = 1797
# Parts are blocks of the file, since neighbours in it are often by the same writer.
_DIGITS_PARTS: Final[dict[PartName, slice]] = {
    "train": slice(0, 1437),
    "holdout": slice(1437, 1617),
    "test": slice(1617, None),
}


class Digits(Source):
    """The source of digits: the installed scikit-learn."""

    needs_path = False

    def open(self, path: Path, options: SourceOptions, progress: ReportStep) -> OpenedSource:
        """Find and hash the file. Raises UserError if it is missing."""
        file = (
            _shipped_data("sklearn", "scikit-learn", "digits") / "datasets" / "data" / _DIGITS_FILE
        )
        raw = read_bytes(file, _DIGITS_LIMIT)
        digest = sha256(raw)
        return OpenedSource(
            record=SourceRecord(
                layout="digits of scikit-learn",
                package=f"scikit-learn {importlib.metadata.version('scikit-learn')}",
                reader="comma-separated values",
                files=(SourceFile(name=_DIGITS_FILE, sha256=digest),),
                verdict="known" if digest == _KNOWN_DIGITS else "other (the file does not match)",
            ),
            shape=(1, 8, 8),
            dtype="uint8",
            groups=None,
            expected=ByPart(train=1437, holdout=180, test=180),
            preprocessing="levels 0..16 times 15",
            holdout_rule="images 1437 to 1616, counted from 0; test: those after them",
            n_steps=1,
            steps=lambda: _read_digits(file, raw),
        )


def _read_digits(file: Path, raw: bytes) -> Iterator[SourceStep]:
    try:
        with gzip.open(io.BytesIO(raw)) as lines:
            table = np.loadtxt(lines, delimiter=",", dtype=np.int64, ndmin=2)
    except (OSError, EOFError, ValueError) as error:
        raise UserError(f"{file} is damaged: {_REMEDY}") from error
    levels = table[:, :-1]
    if levels.shape != (_COUNT, 64) or levels.min() < 0 or levels.max() > 16:
        raise UserError(f"{file} is not a table of {_COUNT} digits: {_REMEDY}")
    images = (15 * levels).astype(np.uint8).reshape(-1, 1, 8, 8)
    yield SourceStep(file.name, {part: images[rows] for part, rows in _DIGITS_PARTS.items()})
