"""CIFAR-10 in the pickles of its official python version, whole or with fewer records.

They lie in a folder or in the official archive, which is read member by member.
"""

import gzip
import hashlib
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar, Final, Self

import numpy as np
import numpy.typing as npt

from lcma.harness.data.manifest import ByPart, SourceFile, SourceRecord
from lcma.harness.data.safe_pickle import Array, HoldsCodeError, MalformedError, loads
from lcma.harness.data.source import (
    Chunk,
    OpenedSource,
    ReportStep,
    SourceOptions,
    SourceStep,
    changed_error,
    describe_split,
    index_members,
    read_bytes,
    require_unchanged,
    sha256,
    split_training,
)
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
_MOST_UNPACKED: Final = 7 * _LIMIT
_MOST_MEMBERS: Final = 1000
_LONGEST_HEADER: Final = 2**16
_SHAPE: Final = (3, 32, 32)
_HOLDOUT_EVERY: Final = 10


class Cifar10:
    """The source of the CIFAR-10 sets: a folder cifar-10-batches-py, the one above it, or a
    tar.gz file of it."""

    needs_path: ClassVar[bool] = True
    can_skip: ClassVar[bool] = False

    def open(self, path: Path | None, options: SourceOptions, progress: ReportStep) -> OpenedSource:
        """Find and hash the batches. Raises UserError if the path or a batch is missing."""
        if path is None:
            raise UserError(
                f"CIFAR-10 needs its files: add --from PATH, of the folder {_FOLDER} with "
                f"{_TRAIN[0]} to 5 and {_TEST}, or of cifar-10-python.tar.gz; or --download"
            )
        place = _locate(path)
        digests: dict[str, str] = {}
        official = 0
        for name in (*_TRAIN, _TEST, *({_META} & place.names.keys())):
            raw = place.read(name)
            digests[name] = sha256(raw)
            official += hashlib.md5(raw, usedforsecurity=False).hexdigest() == OFFICIAL_MD5[name]
        everything = len(OFFICIAL_MD5)
        return OpenedSource(
            record=SourceRecord(
                layout=f"{_FOLDER} pickles",
                package=None,
                reader="restricted unpickler",
                files=tuple(SourceFile(name=n, sha256=digest) for n, digest in digests.items()),
                verdict=(
                    "official"
                    if official == everything
                    else f"subset or other ({official} of {everything} files match)"
                ),
            ),
            shape=_SHAPE,
            dtype="uint8",
            groups=None,
            expected=ByPart(train=45_000, holdout=5_000, test=10_000),
            preprocessing="pixels as stored",
            holdout_rule=describe_split(_HOLDOUT_EVERY),
            n_steps=len(_TRAIN) + 1,
            steps=lambda: _steps(place, digests),
        )


@dataclass(frozen=True)
class _Batches:
    """The batches in a folder, or in the official archive, which is streamed for every file."""

    path: Path
    names: dict[str, str]
    """Of files that are there, by their official names."""

    def read(self, name: str) -> bytes:
        """Read a whole file. Raises UserError if it is unreadable, empty or too large."""
        if self.path.is_dir():
            return read_bytes(self.path / name, _LIMIT)
        for member, raw in _read_archive(self.path, self.names[name]):
            if member == self.names[name] and raw is not None:
                return raw
        raise changed_error(self.path)


class _Limited(gzip.GzipFile):
    """Archive that is not unpacked without end: a header alone could fill the memory."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() > _MOST_UNPACKED:
            raise tarfile.TarError(f"it unpacks to more than {_MOST_UNPACKED} bytes")
        return super().read(size)


class _ArchiveMember(tarfile.TarInfo):
    """Member of an archive whose headers are short: a long one takes minutes to read."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Return the member of a header. Raises TarError for one that no official archive has."""
        found = super().frombuf(buf, encoding, errors)
        if found.type == tarfile.GNUTYPE_SPARSE or (
            found.type not in tarfile.REGULAR_TYPES and found.size > _LONGEST_HEADER
        ):
            raise tarfile.TarError("it has a header that no official archive has")
        return found


def _read_archive(path: Path, wanted: str = "") -> Iterator[tuple[str, bytes | None]]:
    """Yield the names of an archive's files, and the content of the one that is wanted.

    Raises UserError where it is damaged or no official one.
    """
    try:
        with (
            open_regular(path) as file,
            _Limited(fileobj=file) as content,
            tarfile.open(fileobj=content, mode="r|", tarinfo=_ArchiveMember) as archive,
        ):
            for number, member in enumerate(archive):
                if number >= _MOST_MEMBERS:
                    raise tarfile.TarError(f"it has more than {_MOST_MEMBERS} members")
                if member.name == wanted and not 0 < member.size <= _LIMIT:
                    raise tarfile.TarError(f"{wanted} has {member.size} bytes")
                stream = archive.extractfile(member) if member.name == wanted else None
                if member.isfile():
                    yield member.name, None if stream is None else stream.read()
    except Exception as error:
        why = " ".join(str(error).split())[:100]
        raise UserError(
            f"{path} is cut short or no official tar.gz file ({why}): fetch the file again"
        ) from error


def _locate(path: Path) -> _Batches:
    if not path.exists():
        raise UserError(f"{path} does not exist: give the folder {_FOLDER} with --from PATH")
    if not path.is_dir():
        if not path.name.endswith((".tar.gz", ".tgz")):
            raise UserError(
                f"{path} is a file: give the folder {_FOLDER} or its tar.gz file with --from PATH"
            )
        members = [name for name, _ in _read_archive(path)]
        names = index_members(path, (m for m in members if PurePosixPath(m).name in OFFICIAL_MD5))
        missing = [name for name in (*_TRAIN, _TEST) if name not in names]
        if missing:
            raise UserError(f"{path} lacks {', '.join(missing)}: give the official archive")
        return _Batches(path, names)
    inner = path / _FOLDER
    folder = inner if inner.is_dir() else path
    names = {name: name for name in OFFICIAL_MD5 if (folder / name).is_file()}
    missing = [name for name in (*_TRAIN, _TEST) if name not in names]
    if missing:
        raise UserError(
            f"{folder} lacks {', '.join(missing)}: give the folder {_FOLDER} with --from PATH"
        )
    return _Batches(folder, names)


def _steps(place: _Batches, digests: dict[str, str]) -> Iterator[SourceStep]:
    before = 0
    for name in (*_TRAIN, _TEST):
        images = _batch(place, name, digests[name])
        if name == _TEST:
            yield SourceStep(name, (Chunk("test", images),))
        else:
            yield SourceStep(name, split_training(images, before, _HOLDOUT_EVERY))
            before += len(images)


def _batch(place: _Batches, name: str, digest: str) -> npt.NDArray[np.uint8]:
    """Read the images of one batch, N x 3 x 32 x 32."""
    path = place.path / name
    fields = _fields(path, require_unchanged(path, place.read(name), digest))
    data, labels = fields.get("data"), fields.get("labels")
    remedy = "give the original files"
    if not isinstance(data, Array):
        raise UserError(f"{path} has no array under 'data': {remedy}")
    if data.dtype != "u1":
        raise UserError(f"{path}: 'data' has dtype {data.dtype}, not u1 (uint8): {remedy}")
    width = int(np.prod(_SHAPE))
    if len(data.shape) != 2 or data.shape[1] != width or data.shape[0] == 0:
        raise UserError(f"{path}: 'data' has shape {data.shape}, not (N, {width}): {remedy}")
    if not isinstance(labels, list):
        raise UserError(f"{path} has no list under 'labels': {remedy}")
    if len(labels) != data.shape[0]:
        raise UserError(f"{path} has {len(labels)} labels for {data.shape[0]} images: {remedy}")
    if not all(type(label) is int and 0 <= label <= 9 for label in labels):
        raise UserError(f"{path}: 'labels' holds something other than integers 0..9: {remedy}")
    try:
        return data.uint8().reshape(-1, *_SHAPE)
    except ValueError as error:
        raise UserError(
            f"{path}: 'data' has fewer or more bytes than its shape says: {remedy}"
        ) from error


def _fields(path: Path, raw: bytes) -> dict[str, object]:
    try:
        value = loads(raw)
    except HoldsCodeError as error:
        raise UserError(
            f"{path} holds code ({error}) and was not run: give the original files"
        ) from error
    except MalformedError as error:
        raise UserError(
            f"{path} is cut short or no CIFAR-10 batch: fetch or unpack it again"
        ) from error
    if not isinstance(value, dict):
        raise UserError(f"{path} is no CIFAR-10 batch (not a dict): give the original files")
    return {
        key.decode("latin-1") if isinstance(key, bytes) else str(key): item
        for key, item in value.items()
    }
