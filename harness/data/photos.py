"""The colour photographs that scikit-image ships inside its wheel, cut into crops.

Nothing is downloaded. Three of the nine are JPEG, and decoders differ in the last bit between
builds of libjpeg: the content digest can then differ for the same files. The manifest records the
decoder.
"""

import importlib.metadata
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt
import PIL
from PIL import features

from lcma.harness.data.crops import (
    MAX_HOLDOUT,
    MAX_TRAIN,
    SIZE,
    TRAIN_STRIDE,
    Corners,
    cut_crops,
    grid_corners,
    holdout_corners,
    train_corners,
)
from lcma.harness.data.decoding import BadImageError, decode_image
from lcma.harness.data.manifest import ByPart, PartName, SourceFile, SourceRecord
from lcma.harness.data.source import (
    Chunk,
    OpenedSource,
    ReportStep,
    SourceOptions,
    SourceStep,
    read_bytes,
    require_unchanged,
    sha256,
)
from lcma.sweeps.errors import UserError

# As in scikit-image 0.26.
_KNOWN: Final = {
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
_LIMIT: Final = 16 * 2**20


def _scene(file: str) -> str:
    # Two views of one scene are no independent photographs.
    return "motorcycle" if file.startswith("motorcycle") else file.partition(".")[0]


_TRAIN_SCENES: Final = tuple(dict.fromkeys(map(_scene, _TRAIN)))
_TEST_SCENES: Final = tuple(map(_scene, _TEST))


class Photos:
    """The source of the photos sets: the installed scikit-image."""

    needs_path: ClassVar[bool] = False
    can_skip: ClassVar[bool] = False

    def open(
        self,
        path: Path | None = None,
        options: SourceOptions | None = None,
        progress: ReportStep | None = None,
    ) -> OpenedSource:
        """Find and hash the nine files, in `path` if given. Raises UserError if one is missing."""
        folder = path or _shipped()
        missing = [name for name in _KNOWN if not (folder / name).is_file()]
        if missing:
            raise UserError(
                f"{folder} lacks {', '.join(missing)}: pip install --force-reinstall scikit-image"
            )
        found = {name: sha256(read_bytes(folder / name, _LIMIT)) for name in (*_TRAIN, *_TEST)}
        return OpenedSource(
            record=SourceRecord(
                layout="photographs of scikit-image",
                package=_package(),
                reader=_decoder(),
                files=tuple(SourceFile(name=n, sha256=digest) for n, digest in found.items()),
                verdict=_verdict(found),
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
            n_steps=len(found),
            steps=lambda: _steps(folder, found),
        )


def _steps(folder: Path, digests: dict[str, str]) -> Iterator[SourceStep]:
    for name, digest in digests.items():
        path = folder / name
        photograph = _decode(path, require_unchanged(path, read_bytes(path, _LIMIT), digest))
        size = photograph.shape[:2]
        if name in _TRAIN:
            group = _TRAIN_SCENES.index(_scene(name))
            chunks = (
                _chunk("train", photograph, train_corners(*size), group),
                _chunk("holdout", photograph, holdout_corners(*size), group),
            )
            yield SourceStep(name, chunks)
        else:
            group = _TEST_SCENES.index(_scene(name))
            corners = grid_corners(*size)
            yield SourceStep(name, (_chunk("test", photograph, corners, group),))


def _chunk(
    part: PartName, photograph: npt.NDArray[np.uint8], corners: Corners, group: int
) -> Chunk:
    images = cut_crops(photograph, corners)
    return Chunk(part, images, np.full(len(images), group, np.int32))


def _decode(path: Path, raw: bytes) -> npt.NDArray[np.uint8]:
    """H x W x C."""
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


def _shipped() -> Path:
    # find_spec does not import it: scikit-image takes long, and only its files are wanted.
    spec = importlib.util.find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("scikit-image is not installed: pip install 'lcma[photos]'")
    return Path(spec.submodule_search_locations[0]) / "data"


def _package() -> str | None:
    try:
        return f"scikit-image {importlib.metadata.version('scikit-image')}"
    except importlib.metadata.PackageNotFoundError:
        return None


def _decoder() -> str:
    turbo = features.version_feature("libjpeg_turbo")
    jpeg = f"libjpeg-turbo {turbo}" if turbo else f"libjpeg {features.version_codec('jpg')}"
    return f"Pillow {PIL.__version__}, {jpeg}"


def _verdict(found: dict[str, str]) -> str:
    matching = sum(_KNOWN[name] == digest for name, digest in found.items())
    if matching == len(_KNOWN):
        return "known"
    return f"other ({matching} of {len(_KNOWN)} files match)"
