"""CelebA: the aligned JPEG files, in a folder or as one zip file, and the official partition."""

import hashlib
import re
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from lcma.harness.data.decoding import (
    BadImageError,
    bilinear,
    decode_image,
    describe_decoder,
    shrink,
)
from lcma.harness.data.image_files import (
    Files,
    FolderFiles,
    ImageReader,
    ZipFiles,
    hash_files,
    list_folder,
)
from lcma.harness.data.manifest import PARTS, ByPart, SourceFile, SourceRecord
from lcma.harness.data.source import (
    NO_DOWNLOAD,
    HashedFile,
    OpenedSource,
    ReportStep,
    Source,
    SourceOptions,
    read_bytes,
    sha256,
)
from lcma.harness.text import format_count
from lcma.sweeps.errors import UserError

_IMAGES: Final = "img_align_celeba"
_ZIP: Final = f"{_IMAGES}.zip"
_LIST: Final = "list_eval_partition.txt"
_LIST_LIMIT: Final = 16 * 2**20
# As torchvision knows them.
OFFICIAL_MD5: Final = {
    _ZIP: "00d2c5bc6d35e252742224ab0c1e8fcb",
    _LIST: "d32c9cbf5e040fd4025c592c306e6668",
}
_EXPECTED: Final = ByPart[int](train=162_770, holdout=19_867, test=19_962)
_LINE: Final = re.compile(r"([\w-]+\.jpe?g)\s+([012])")
_SHAPE: Final = (3, 218, 178)
_ROWS, _COLUMNS = slice(40, 188), slice(15, 163)
_SIZE: Final = 64
_HOW: Final = {
    "u8": "with antialiasing, rounded to integers",
    "float": "without antialiasing (pixel i at i times the scale), kept as float32 in 0..255",
}


class CelebA(Source):
    """The source of the CelebA sets, in one of two variants."""

    can_skip = True
    needed = f"the folder of {_IMAGES} or {_ZIP} with {_LIST} beside it; {NO_DOWNLOAD}"

    def __init__(self, variant: Literal["u8", "float"]) -> None:
        self.variant = variant

    def open(self, path: Path, options: SourceOptions, progress: ReportStep) -> OpenedSource:
        """Find and hash images and list. Raises UserError if they do not belong together."""
        images, list_path = _locate(path)
        reader = describe_decoder()
        raw = read_bytes(list_path, _LIST_LIMIT)
        partition = _read_partition(list_path, raw)
        files, archive = _find_files(images, list_path, partition, options.skip_bad)
        hashed, _ = hash_files(files, progress, lambda index, raw: None)
        codes = np.array(list(partition.values()), np.int64)
        reading = ImageReader(
            hashed,
            self._convert,
            lambda _, indices, __: codes[indices],
            options.skip_bad,
            image_bytes=3 * _SIZE**2 * (4 if self.variant == "float" else 1),
        )
        return OpenedSource(
            record=SourceRecord(
                layout=f"{_IMAGES} with {_LIST}",
                package=None,
                reader=reader,
                files=(
                    hashed.record(f"{_IMAGES}/*.jpg"),
                    SourceFile(name=_LIST, sha256=sha256(raw)),
                ),
                verdict=_judge_origin(codes, raw, archive),
            ),
            shape=(3, _SIZE, _SIZE),
            dtype="float32" if self.variant == "float" else "uint8",
            groups=None,
            expected=_EXPECTED,
            preprocessing=(
                f"rows {_ROWS.start} to {_ROWS.stop - 1} and columns {_COLUMNS.start} to "
                f"{_COLUMNS.stop - 1} of the aligned image, resized bilinearly to {_SIZE}x{_SIZE} "
                f"{_HOW[self.variant]}"
            ),
            holdout_rule=f"the validation part (1) of {_LIST}",
            n_steps=reading.n_steps,
            steps=reading.steps,
        )

    def _convert(self, raw: bytes) -> npt.NDArray[Any]:
        pixels = decode_image(raw)
        if pixels.shape != _SHAPE:
            c, h, w = pixels.shape
            raise BadImageError(f"{w}x{h} of {c} channels where CelebA has 178x218 of 3")
        face = pixels[:, _ROWS, _COLUMNS]
        if self.variant == "float":
            return bilinear(face, _SIZE)
        return shrink(face, _SIZE)


def _locate(path: Path) -> tuple[Path, Path]:
    """Return the path of the images, a folder or zip file, and of the list."""
    if not path.exists():
        raise UserError(f"{path} does not exist: give the folder of {_IMAGES} with --from PATH")
    choices = (path / _IMAGES, path / _ZIP) if path.is_dir() and path.name != _IMAGES else (path,)
    images = next((p for p in choices if p.exists()), None)
    if images is None or not (images.is_dir() or images.suffix == ".zip"):
        raise UserError(
            f"{path} has neither {_IMAGES} nor {_ZIP}: give the folder of one with --from PATH"
        )
    list_path = images.parent / _LIST
    if not list_path.is_file():
        raise UserError(
            f"{list_path} is missing, which says which image is in which part: put it beside "
            f"{images.name}"
        )
    return images, list_path


def _read_partition(path: Path, raw: bytes) -> dict[str, int]:
    """Return the part (0 train, 1 validation, 2 test) of every image, in the order of names."""
    partition: dict[str, int] = {}
    for number, line in enumerate(raw.decode("latin-1").splitlines(), start=1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise UserError(
                f"{path}: line {number} is not the name of an image and 0, 1 or 2: give the "
                "original file"
            )
        name, part = match[1], int(match[2])
        if name in partition:
            raise UserError(f"{path}: line {number} names {name} again: give the original file")
        partition[name] = part
    missing = [
        word
        for k, word in enumerate(("train", "validation", "test"))
        if k not in set(partition.values())
    ]
    if missing:
        raise UserError(f"{path} names no images for {', '.join(missing)}: give the original file")
    return dict(sorted(partition.items()))


def _find_files(
    images: Path, list_path: Path, partition: dict[str, int], skip_bad: bool
) -> tuple[Files, HashedFile | None]:
    """Return the image files, and the archive if they are in one."""
    names = list(partition)
    if images.is_dir():
        available = set(list_folder(images, (".jpg", ".jpeg")))
        _require_same_names(images, available, list_path, partition)
        return FolderFiles(images, names, skip_bad), None
    files = ZipFiles(images, names, skip_bad)
    _require_same_names(images, set(files.members), list_path, partition)
    return files, HashedFile.of(images)


def _require_same_names(
    images: Path, available: set[str], list_path: Path, partition: dict[str, int]
) -> None:
    missing, unlisted = sorted(set(partition) - available), sorted(available - set(partition))
    if missing:
        raise UserError(
            f"{images} lacks {format_count(len(missing), 'image')} that {list_path.name} names, "
            f"the first {missing[0]}: unpack the images again, or shorten the list to the images "
            "that exist"
        )
    if unlisted:
        raise UserError(
            f"{list_path} has no line for {format_count(len(unlisted), 'image')} of "
            f"{images.name}, the first {unlisted[0]}: give the list that belongs to them"
        )


def _judge_origin(codes: npt.NDArray[np.int64], raw_list: bytes, archive: HashedFile | None) -> str:
    counts = ByPart[int](**{part: int((codes == k).sum()) for k, part in enumerate(PARTS)})
    if counts != _EXPECTED:
        return f"subset or other ({len(codes)} of {sum(n for _, n in _EXPECTED.items())} images)"
    if hashlib.md5(raw_list, usedforsecurity=False).hexdigest() != OFFICIAL_MD5[_LIST]:
        return "other (the list is not the official one)"
    official = archive is not None and archive.md5 == OFFICIAL_MD5[_ZIP]
    return "official" if official else "published counts, official list"
