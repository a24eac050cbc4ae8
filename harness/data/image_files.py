"""Many image files as one source: hashed once, decoded on all cores, in order."""

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
    changed_error,
    unreadable_error,
)
from lcma.harness.text import printable
from lcma.sweeps.errors import UserError
from lcma.sweeps.input_files import open_regular

S = TypeVar("S")
T = TypeVar("T")

_LARGEST: Final = 2**28
_BLOCK: Final = 32
_STEP_BYTES: Final = 2**25
_STEP_MOST: Final = 4096
_DIGEST: Final = 32
_MOST_THREADS: Final = 16


class FolderFiles:
    """Files below a folder, by their names relative to it, in a fixed order."""

    def __init__(self, folder: Path, names: Sequence[str], skip_bad: bool) -> None:
        """skip_bad: take an unreadable file for an empty one, which is a bad image."""
        self.folder, self.names, self.skip_bad = folder, names, skip_bad

    def read(self, index: int) -> bytes:
        """Return a file's bytes. Raises UserError if it is unreadable."""
        path = self.folder / self.names[index]
        try:
            with open_regular(path) as file:
                size = os.fstat(file.fileno()).st_size
                if size <= _LARGEST:
                    return file.read(size)
        except OSError as error:
            if self.skip_bad:
                return b""
            raise unreadable_error(path, error) from error
        raise UserError(f"{path} has more than {_LARGEST} bytes: leave it out of the folder")

    def where(self, index: int) -> str:
        """Return the name of a file for people."""
        return str(self.folder / self.names[index])


class ZipFiles:
    """JPEG files of an archive by their base names, read one by one and never unpacked."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self.path, self.names = path, names
        try:
            with open_regular(path):
                self._archive = zipfile.ZipFile(path)
        except Exception as error:
            raise UserError(
                f"{path} is cut short or no zip file ({error}): fetch the file again"
            ) from error
        self.members = {
            PurePosixPath(member).name: member
            for member in self._archive.namelist()
            if member.lower().endswith((".jpg", ".jpeg")) and not member.startswith("__MACOSX")
        }

    def read(self, index: int) -> bytes:
        try:
            with self._archive.open(self.members[self.names[index]]) as member:
                raw = member.read(_LARGEST + 1)
        except Exception as error:
            why = " ".join(str(error).split())[:100]
            raise UserError(f"{self.where(index)} is damaged ({why}): fetch it again") from error
        if len(raw) > _LARGEST:
            raise UserError(f"{self.where(index)} has more than {_LARGEST} bytes")
        return raw

    def where(self, index: int) -> str:
        return f"{self.path}: {self.names[index]}"


Files = FolderFiles | ZipFiles


@dataclass(frozen=True, eq=False)
class HashedImages:
    """Files and the sha256 of each, as they were when they were first read."""

    files: Files
    digests: bytes

    def record(self, name: str) -> SourceFile:
        """Return one entry for all of them; see `SourceFile`."""
        whole = hashlib.sha256()
        for index, file in enumerate(self.files.names):
            whole.update(file.encode("utf-8", "surrogateescape") + b"\0" + self._digest(index))
        return SourceFile(name=name, sha256=whole.hexdigest(), files=len(self.files.names))

    def read(self, index: int) -> bytes:
        """Return the bytes that were hashed. Raises UserError if they have changed."""
        raw = self.files.read(index)
        if hashlib.sha256(raw).digest() != self._digest(index):
            raise changed_error(self.files.where(index))
        return raw

    def _digest(self, index: int) -> bytes:
        return self.digests[index * _DIGEST : (index + 1) * _DIGEST]


def hash_files(
    files: Files, progress: ReportStep, look: Callable[[int, bytes], T] | None = None
) -> tuple[HashedImages, list[T]]:
    """Read and hash every file once, on all cores; call `look` with each index and its bytes."""
    n = len(files.names)
    digests = bytearray()
    found: list[T] = []

    def block(indices: range) -> list[tuple[bytes, T | None]]:
        results = []
        for index in indices:
            raw = files.read(index)
            seen = None if look is None else look(index, raw)
            results.append((hashlib.sha256(raw).digest(), seen))
        return results

    for results in _work_in_order(block, _blocks(n)):
        for digest, seen in results:
            digests += digest
            if look is not None:
                found.append(seen)  # type: ignore[arg-type]
        progress("checking files", len(digests) // _DIGEST, n)
    return HashedImages(files, bytes(digests)), found


@dataclass(frozen=True, eq=False)
class ImageReader:
    """Conversion of files into images of the parts.

    convert: a file's bytes to C x H x W; raises BadImageError where it cannot. assign: images
    N x C x H x W, their indices among the files, and how many training images (train and holdout)
    came before, to an index into `PARTS` for each.
    """

    hashed: HashedImages
    convert: Callable[[bytes], npt.NDArray[Any]]
    assign: Callable[[npt.NDArray[Any], npt.NDArray[np.int64], int], npt.NDArray[np.int64]]
    skip_bad: bool
    image_bytes: int

    @property
    def _per_step(self) -> int:
        most = min(_STEP_MOST, max(_BLOCK, _STEP_BYTES // self.image_bytes))
        return most - most % _BLOCK

    @property
    def n_steps(self) -> int:
        return -(-len(self.hashed.files.names) // self._per_step)

    def steps(self) -> Iterator[SourceStep]:
        """Yield all images; see `OpenedSource.steps`."""
        n, size = len(self.hashed.files.names), self._per_step
        before = seen = 0
        images: list[npt.NDArray[Any]] = []
        indices: list[int] = []
        skipped: list[str] = []
        for block in _work_in_order(self._block, _blocks(n)):
            for index, image in block:
                if image is None:
                    # JSON holds no name that is not UTF-8.
                    skipped.append(printable(self.hashed.files.names[index]))
                else:
                    images.append(image)
                    indices.append(index)
            seen += len(block)
            if seen % size and seen < n:
                continue
            by_part: ByPartName = {}
            if images:
                stack = np.stack(images)
                parts = self.assign(stack, np.array(indices, np.int64), before)
                by_part = {part: stack[parts == code] for code, part in enumerate(PARTS)}
                before += int((parts < 2).sum())
            yield SourceStep("images", by_part, skipped=tuple(skipped))
            images, indices, skipped = [], [], []

    def _block(self, block: range) -> list[tuple[int, npt.NDArray[Any] | None]]:
        found: list[tuple[int, npt.NDArray[Any] | None]] = []
        for index in block:
            raw = self.hashed.read(index)
            try:
                found.append((index, self.convert(raw)))
            except BadImageError as error:
                if not self.skip_bad:
                    raise bad_image(self.hashed.files.where(index), error) from error
                found.append((index, None))
        return found


def bad_image(where: str, error: BadImageError) -> UserError:
    """Return the error for an image that is refused."""
    return UserError(
        f"{where} is not taken ({error}): mend or remove it, or leave all such images out with "
        "--skip-bad"
    )


def list_folder(folder: Path, suffixes: Sequence[str]) -> list[str]:
    """Return the sorted names of files right in a folder that end so, in small letters or large.

    Raises UserError where it cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(e.name for e in entries if e.name.lower().endswith(tuple(suffixes)))
    except OSError as error:
        raise unreadable_error(folder, error) from error


def _blocks(n: int) -> Iterator[range]:
    return (range(at, min(at + _BLOCK, n)) for at in range(0, n, _BLOCK))


def _work_in_order(work: Callable[[S], T], items: Iterable[S]) -> Iterator[T]:
    """Yield `work` of every item in order, by threads that are at most two items per core ahead.

    An exception is raised when its item's turn comes.
    """
    threads = min(_MOST_THREADS, count_cpus())
    waiting: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
