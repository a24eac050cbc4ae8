"""Many image files as one source: hashed, then decoded on all cores, in order."""

import hashlib
import os
import zipfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from lcma.harness.cpus import count_cpus
from lcma.harness.data.decoding import BadImageError
from lcma.harness.data.manifest import PARTS, SourceFile
from lcma.harness.data.source import (
    ByPartName,
    ReportStep,
    SourceStep,
    make_changed_error,
    make_unreadable_error,
)
from lcma.harness.text import printable
from lcma.sweeps.errors import UserError
from lcma.sweeps.input_files import open_regular

S = TypeVar("S")
T = TypeVar("T")

_MAX_FILE_BYTES: Final = 2**28
_MAX_ZIP_BYTES: Final = 2**32  # the archive of CelebA has 1.4 GB
_MAX_MEMBER_BYTES: Final = 2**20  # its images have some 10 kB
_JPEG: Final = (".jpg", ".jpeg")
_BLOCK: Final = 32
_STEP_BYTES: Final = 2**25
_MAX_STEP_IMAGES: Final = 4096
_DIGEST_BYTES: Final = 32
_MAX_THREADS: Final = 16


class FolderFiles:
    """Files below a folder, by their names relative to it, in a fixed order."""

    def __init__(self, folder: Path, names: Sequence[str], skip_bad: bool) -> None:
        self.folder, self.names, self.skip_bad = folder, names, skip_bad

    def read(self, index: int) -> bytes:
        """Return a file's bytes; b"", a bad image, if it is unreadable and may be left out."""
        path = self.folder / self.names[index]
        try:
            with open_regular(path) as file:
                size = os.fstat(file.fileno()).st_size
                if size <= _MAX_FILE_BYTES:
                    return file.read(size)
                if self.skip_bad:
                    return b""
        except OSError as error:
            if self.skip_bad:
                return b""
            raise make_unreadable_error(path, error) from error
        raise UserError(f"{path} has more than {_MAX_FILE_BYTES} bytes: leave it out of the folder")

    def describe_place(self, index: int) -> str:
        """Return a file's path for messages."""
        return str(self.folder / self.names[index])


class ZipFiles:
    """JPEG files of an archive by their base names. The archive is not unpacked."""

    def __init__(self, path: Path, names: Sequence[str], skip_bad: bool) -> None:
        self.path, self.names, self.skip_bad = path, names, skip_bad
        try:
            with open_regular(path):
                self._archive = zipfile.ZipFile(path)
        except Exception as error:
            raise UserError(
                f"{path} is cut short or no zip file ({error}): fetch the file again"
            ) from error
        self.members: dict[str, zipfile.ZipInfo] = {}
        for member in self._archive.infolist():
            name = PurePosixPath(member.filename).name
            if member.filename.startswith("__MACOSX") or not name.lower().endswith(_JPEG):
                continue
            if name in self.members:
                raise UserError(f"{path} holds {printable(name)} twice: give the original file")
            # Python unpacks a piece of the others to any size at once.
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise UserError(f"{path} is packed in an unusual way: give the original file")
            self.members[name] = member
        size = sum(member.file_size for member in self.members.values())
        if max(size, path.stat().st_size) > _MAX_ZIP_BYTES:
            raise UserError(
                f"{path} has or unpacks to more than {_MAX_ZIP_BYTES} bytes: give the original file"
            )

    def read(self, index: int) -> bytes:
        """Return a member's bytes; b"", a bad image, if it is damaged and may be left out."""
        member = self.members[self.names[index]]
        why = f"more than {_MAX_MEMBER_BYTES} bytes"
        if member.file_size <= _MAX_MEMBER_BYTES:
            try:
                with self._archive.open(member) as stream:
                    # Reading without a size would unpack all that the file holds, whatever it says.
                    return stream.read(_MAX_MEMBER_BYTES)
            except Exception as error:  # noqa: BLE001
                why = " ".join(str(error).split())[:100]
        if self.skip_bad:
            return b""
        raise UserError(f"{self.describe_place(index)} is damaged ({why}): fetch it again")

    def describe_place(self, index: int) -> str:
        return f"{self.path}: {self.names[index]}"


Files = FolderFiles | ZipFiles


@dataclass(frozen=True, eq=False)
class HashedImages:
    """Files and the sha256 of each."""

    files: Files
    digests: bytes  # one after another

    def record(self, name: str) -> SourceFile:
        """Return the manifest's entry for all files together."""
        sha256 = hashlib.sha256()
        for index, file in enumerate(self.files.names):
            sha256.update(file.encode("utf-8", "surrogateescape") + b"\0" + self._digest(index))
        return SourceFile(name=name, sha256=sha256.hexdigest(), files=len(self.files.names))

    def read(self, index: int) -> bytes:
        """Return the bytes that were hashed. Raises UserError if they have changed."""
        raw = self.files.read(index)
        if hashlib.sha256(raw).digest() != self._digest(index):
            raise make_changed_error(self.files.describe_place(index))
        return raw

    def _digest(self, index: int) -> bytes:
        return self.digests[index * _DIGEST_BYTES : (index + 1) * _DIGEST_BYTES]


def hash_files(
    files: Files, progress: ReportStep, inspect: Callable[[int, bytes], T]
) -> tuple[HashedImages, list[T]]:
    """Read and hash every file on all cores.

    Returns:
        The hashed files, and what ``inspect`` returned for the index and bytes of each.
    """
    n = len(files.names)
    digests = bytearray()
    results: list[T] = []

    def hash_block(indices: range) -> list[tuple[bytes, T]]:
        contents = ((index, files.read(index)) for index in indices)
        return [(hashlib.sha256(raw).digest(), inspect(index, raw)) for index, raw in contents]

    for block in _map_in_order(hash_block, _make_blocks(n)):
        for digest, result in block:
            digests += digest
            results.append(result)
        progress("checking files", len(results), n)
    return HashedImages(files, bytes(digests)), results


@dataclass(frozen=True, eq=False)
class ImageReader:
    """Conversion of files into images of the parts."""

    hashed: HashedImages
    # A file's bytes to an image (C, H, W). Raises BadImageError.
    convert: Callable[[bytes], npt.NDArray[Any]]
    # Images (N, C, H, W), the indices of their files, and the number of earlier images of train
    # and holdout, to an index into `PARTS` for each image.
    assign: Callable[[npt.NDArray[Any], npt.NDArray[np.int64], int], npt.NDArray[np.int64]]
    skip_bad: bool
    image_bytes: int  # of a converted image

    @property
    def _images_a_step(self) -> int:
        limit = min(_MAX_STEP_IMAGES, max(_BLOCK, _STEP_BYTES // self.image_bytes))
        return limit - limit % _BLOCK

    @property
    def n_steps(self) -> int:
        return -(-len(self.hashed.files.names) // self._images_a_step)

    def steps(self) -> Iterator[SourceStep]:
        """Yield all images, as `OpenedSource.steps` does."""
        n, size = len(self.hashed.files.names), self._images_a_step
        before = done = 0
        images: list[npt.NDArray[Any]] = []
        indices: list[int] = []
        skipped: list[str] = []
        for block in _map_in_order(self._convert_block, _make_blocks(n)):
            for index, image in block:
                if image is None:
                    # A name may not be UTF-8, and the manifest is JSON.
                    skipped.append(printable(self.hashed.files.names[index]))
                else:
                    images.append(image)
                    indices.append(index)
            done += len(block)
            if done % size and done < n:
                continue
            by_part: ByPartName = {}
            if images:
                stack = np.stack(images)
                parts = self.assign(stack, np.array(indices, np.int64), before)
                by_part = {part: stack[parts == code] for code, part in enumerate(PARTS)}
                before += int((parts < 2).sum())
            yield SourceStep("images", by_part, skipped=tuple(skipped))
            images, indices, skipped = [], [], []

    def _convert_block(self, indices: range) -> list[tuple[int, npt.NDArray[Any] | None]]:
        images: list[tuple[int, npt.NDArray[Any] | None]] = []
        for index in indices:
            raw = self.hashed.read(index)
            try:
                images.append((index, self.convert(raw)))
            except BadImageError as error:
                if not self.skip_bad:
                    place = self.hashed.files.describe_place(index)
                    raise make_bad_image_error(place, error) from error
                images.append((index, None))
        return images


def make_bad_image_error(place: str, error: BadImageError) -> UserError:
    """Return the error for an image that is refused."""
    return UserError(
        f"{place} is not taken ({error}): mend or remove it, or leave all such images out with "
        "--skip-bad"
    )


def list_folder(folder: Path, suffixes: Sequence[str]) -> list[str]:
    """Return the sorted names of a folder's files with some suffixes, in upper or lower case.

    Raises UserError if the folder cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(e.name for e in entries if e.name.lower().endswith(tuple(suffixes)))
    except OSError as error:
        raise make_unreadable_error(folder, error) from error


def _make_blocks(n: int) -> Iterator[range]:
    return (range(start, min(start + _BLOCK, n)) for start in range(0, n, _BLOCK))


def _map_in_order(function: Callable[[S], T], items: Iterable[S]) -> Iterator[T]:
    """Yield the function of every item in order, computed by threads that are at most two items a
    core ahead. An exception is raised at its item's turn."""
    # `ThreadPoolExecutor.map` would submit all items at once, and hold all results.
    threads = min(_MAX_THREADS, count_cpus())
    futures: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for item in items:
            futures.append(pool.submit(function, item))
            if len(futures) >= 2 * threads:
                yield futures.popleft().result()
        while futures:
            yield futures.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
