"""CIFAR-10 from the pickles of its official Python version, in a folder or the official archive.

They may have fewer records.
"""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
import numpy.typing as npt

from lcma.harness.data.manifest import ByPart, SourceFile, SourceRecord
from lcma.harness.data.plain_pickle import HoldsCodeError, NotPlainError, read_plain_pickle
from lcma.harness.data.source import (
    OpenedSource,
    ReportStep,
    Source,
    SourceOptions,
    SourceStep,
    describe_split,
    read_bytes,
    require_other_images,
    sha256,
    split_training,
)
from lcma.harness.text import printable
from lcma.sweeps.errors import UserError
from lcma.sweeps.input_files import open_regular

_FOLDER: Final = "cifar-10-batches-py"
_TRAIN: Final = tuple(f"data_batch_{k}" for k in range(1, 6))
_TEST: Final = "test_batch"
_META: Final = "batches.meta"
OFFICIAL_MD5: Final = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
    "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
}
# Twice the size of an official batch.
_LIMIT: Final = 62 * 10**6
_ARCHIVE_LIMIT: Final = len(OFFICIAL_MD5) * _LIMIT
_SHAPE: Final = (3, 32, 32)
_HOLDOUT_EVERY: Final = 10


class Cifar10(Source):
    """The source of the CIFAR-10 sets: a folder cifar-10-batches-py, the one above it, or a
    tar.gz file of it."""

    needed = (
        f"the folder {_FOLDER} with {_TRAIN[0]} to 5 and {_TEST}, or of cifar-10-python.tar.gz; "
        "or --download"
    )

    def open(self, path: Path, options: SourceOptions, progress: ReportStep) -> OpenedSource:
        """Read and hash the batches. Raises UserError if the path or a batch is missing."""
        place, files = _read_files(path)
        matching = sum(
            hashlib.md5(raw, usedforsecurity=False).hexdigest() == OFFICIAL_MD5[name]
            for name, raw in files.items()
        )
        total = len(OFFICIAL_MD5)
        return OpenedSource(
            record=SourceRecord(
                layout=f"{_FOLDER} pickles",
                package=None,
                reader="restricted unpickler",
                files=tuple(SourceFile(name=n, sha256=sha256(raw)) for n, raw in files.items()),
                verdict=(
                    "official"
                    if matching == total
                    else f"subset or other ({matching} of {total} files match)"
                ),
            ),
            shape=_SHAPE,
            dtype="uint8",
            groups=None,
            expected=ByPart(train=45_000, holdout=5_000, test=10_000),
            preprocessing="pixels as stored",
            holdout_rule=describe_split(_HOLDOUT_EVERY),
            n_steps=len(_TRAIN) + 1,
            steps=lambda: _read_steps(place, files),
        )


def fetch_cifar10(root: Path) -> Path:
    """Fetch the official archive with torchvision into a folder below the data root, and return
    that folder. Raises UserError if it fails."""
    from torchvision.datasets import CIFAR10

    folder = root / ".downloads"
    try:
        CIFAR10(folder, download=True)
    except (OSError, RuntimeError) as error:
        with suppress(OSError):
            folder.rmdir()
        why = " ".join(str(error).split())[:120]
        raise UserError(
            f"CIFAR-10 could not be fetched ({why}): fetch it elsewhere and give --from PATH"
        ) from error
    return folder


def _read_files(path: Path) -> tuple[Path, dict[str, bytes]]:
    """Return the folder or archive of the batches, and the bytes of each by its official name."""
    if not path.exists():
        raise UserError(f"{path} does not exist: give the folder {_FOLDER} with --from PATH")
    if path.is_dir():
        place = path / _FOLDER if (path / _FOLDER).is_dir() else path
        names = [name for name in OFFICIAL_MD5 if (place / name).is_file()]
        files = {name: read_bytes(place / name, _LIMIT) for name in names}
    elif path.name.endswith((".tar.gz", ".tgz")):
        place, files = path, _read_archive(path)
    else:
        raise UserError(
            f"{path} is a file: give the folder {_FOLDER} or its tar.gz file with --from PATH"
        )
    missing = [name for name in (*_TRAIN, _TEST) if name not in files]
    if missing:
        raise UserError(
            f"{place} lacks {', '.join(missing)}: give the folder {_FOLDER}, or the official "
            "archive, with --from PATH"
        )
    return place, {name: files[name] for name in (*_TRAIN, _TEST, _META) if name in files}


class _BoundedReader(io.RawIOBase):
    """Reads a stream, and raises once it has given more bytes than any official file unpacks to."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self.stream, self.left = stream, _ARCHIVE_LIMIT

    def read(self, size: int = -1) -> bytes:
        block = self.stream.read(size)
        self.left -= len(block)
        if self.left < 0:
            raise tarfile.TarError(f"unpacks to more than {_ARCHIVE_LIMIT} bytes")
        return block


def _read_archive(path: Path) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    try:
        with (
            open_regular(path) as file,
            gzip.open(file) as unpacked,
            tarfile.open(fileobj=_BoundedReader(unpacked), mode="r|") as archive,
        ):
            for member in archive:
                name = PurePosixPath(member.name).name
                if name not in OFFICIAL_MD5 or not member.isfile():
                    continue
                if name in files:
                    raise tarfile.TarError(f"{name} stands twice")
                if not 0 < member.size <= _LIMIT:
                    raise tarfile.TarError(f"{name} has {member.size} bytes")
                if (content := archive.extractfile(member)) is not None:
                    files[name] = content.read()
    except Exception as error:
        why = " ".join(str(error).split())[:100]
        raise UserError(
            f"{path} is cut short or no official tar.gz file ({why}): fetch the file again"
        ) from error
    return files


def _read_steps(place: Path, files: dict[str, bytes]) -> Iterator[SourceStep]:
    before = 0
    seen: dict[str, Path] = {}
    for name in (*_TRAIN, _TEST):
        images = _read_batch(place / name, files[name])
        require_other_images(seen, place / name, sha256(images.data))
        if name == _TEST:
            yield SourceStep(name, {"test": images})
        else:
            yield SourceStep(name, split_training(images, before, _HOLDOUT_EVERY))
            before += len(images)


def _read_batch(path: Path, raw: bytes) -> npt.NDArray[np.uint8]:
    """Return the images of one batch, N x 3 x 32 x 32."""
    try:
        fields = read_plain_pickle(raw)
    except HoldsCodeError as error:
        raise UserError(
            f"{path} holds code ({printable(str(error))}) and was not run: give the original files"
        ) from error
    except NotPlainError as error:
        raise UserError(
            f"{path} is cut short or no CIFAR-10 batch ({printable(str(error))[:100]}): fetch or "
            "unpack it again"
        ) from error
    data, labels = fields.get("data"), fields.get("labels")
    remedy = "give the original files"
    if not isinstance(data, np.ndarray):
        raise UserError(f"{path} has no array under 'data': {remedy}")
    width = int(np.prod(_SHAPE))
    if data.ndim != 2 or data.shape[1] != width or not len(data):
        raise UserError(f"{path}: 'data' has the shape {data.shape}, not (N, {width}): {remedy}")
    if not isinstance(labels, list) or len(labels) != len(data):
        raise UserError(f"{path} has no list of {len(data)} numbers under 'labels': {remedy}")
    if not all(type(label) is int and 0 <= label <= 9 for label in labels):
        raise UserError(f"{path}: 'labels' holds something other than integers 0..9: {remedy}")
    return np.ascontiguousarray(data).reshape(-1, *_SHAPE)
