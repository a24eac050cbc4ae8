"""What a source of images is: the contract that one module per layout fulfils."""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import numpy as np
import numpy.typing as npt

from lcma.harness.data.manifest import ByPart, PartName, SourceRecord
from lcma.sweeps.errors import UserError

Progress = Callable[[str, int, int], None]
"""Called with what was just done, how much is done, and how much there is."""


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some consecutive images of one part.

    images: N x C x H x W in the source's shape and dtype. groups: int32, N, or None. Chunks of a
    part are appended in the order in which they come.
    """

    part: PartName
    images: npt.NDArray[Any]
    groups: npt.NDArray[Any] | None = None


@dataclass(frozen=True, eq=False)
class Step:
    """A piece of the source read: its label for a progress display, the images that it gave, and
    the names of those that were left out. A preparation can be interrupted between two steps."""

    label: str
    chunks: tuple[Chunk, ...]
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Done:
    """How far a preparation is: steps, and the images that they gave."""

    steps: int
    counts: ByPart[int]


START: Final = Done(0, ByPart[int](train=0, holdout=0, test=0))
"""Nothing done yet."""


@dataclass(frozen=True, eq=False)
class Opened:
    """A source whose files are found and hashed, but not decoded yet.

    expected: the counts of the published set, or None. steps(done) decodes what is left after the
    first `done.steps` of `n_steps` pieces, and raises UserError on a file that is not as the layout
    demands or not as it was hashed. The same pieces come whatever was done before.
    """

    record: SourceRecord
    shape: tuple[int, int, int]
    dtype: Literal["uint8", "float32"]
    groups: ByPart[tuple[str, ...]] | None
    expected: ByPart[int] | None
    preprocessing: str
    holdout_rule: str
    n_steps: int
    steps: Callable[[Done], Iterator[Step]]


@dataclass(frozen=True)
class Options:
    """What a person may ask of a source.

    skip_bad: leave unreadable images out. size, grey_to_rgb: of images of one's own alone.
    """

    skip_bad: bool = False
    size: int | None = None
    grey_to_rgb: bool = False


class Source(Protocol):
    """A layout of files from which a set can be read."""

    @property
    def needs_path(self) -> bool:
        """Whether `open` needs the place of the files."""

    @property
    def can_skip(self) -> bool:
        """Whether `Options.skip_bad` means something: the source is a file for each image."""

    def open(self, path: Path | None, options: Options, progress: Progress) -> Opened:
        """Find and hash the files. Raises UserError where one is missing or unreadable."""


def read_bytes(path: Path, limit: int) -> bytes:
    """A whole file. Raises UserError where it is unreadable, empty or above `limit` bytes."""
    try:
        size = path.stat().st_size
        if size > limit:
            raise UserError(
                f"{path} has {size} bytes where at most {limit} are expected: "
                "give the folder of the original files"
            )
        raw = path.read_bytes()
    except OSError as error:
        raise unreadable_error(path, error) from error
    if not raw:
        raise UserError(f"{path} is empty: fetch or unpack the file again")
    return raw


def unreadable_error(path: Path, error: OSError) -> UserError:
    """The error for a file that the system does not let us read."""
    return UserError(
        f"{path} cannot be read ({error.strerror or error}): check the path and the file"
    )


def sha256(raw: bytes) -> str:
    """sha256 in hex."""
    return hashlib.sha256(raw).hexdigest()


def require_unchanged(path: Path, raw: bytes, digest: str) -> bytes:
    """`raw`, if it still is what was hashed before. Raises UserError otherwise."""
    if sha256(raw) != digest:
        raise changed_error(path)
    return raw


def changed_error(path: Path | str) -> UserError:
    """The error for a file that is not what it was when it was hashed."""
    return UserError(f"{path} changed while it was read: run the command again")


@dataclass(frozen=True)
class Hashed:
    """A large file as it was when it was hashed: sha256 and md5 in hex, and the system's facts."""

    path: Path
    sha256: str
    md5: str
    facts: tuple[int, int, int]

    @staticmethod
    def of(path: Path) -> "Hashed":
        """Hash a file. Raises UserError where it is unreadable or changes meanwhile."""
        sha, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        try:
            with path.open("rb") as file:
                before = _facts(os.fstat(file.fileno()))
                while block := file.read(2**22):
                    sha.update(block)
                    md5.update(block)
                after = _facts(os.fstat(file.fileno()))
        except OSError as error:
            raise unreadable_error(path, error) from error
        if before != after:
            raise changed_error(path)
        return Hashed(path, sha.hexdigest(), md5.hexdigest(), after)

    def check(self) -> None:
        """UserError where the file is another one by size, time of change or place on the disk."""
        try:
            facts = _facts(self.path.stat())
        except OSError as error:
            raise unreadable_error(self.path, error) from error
        if facts != self.facts:
            raise changed_error(self.path)


def _facts(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ino


def describe_split(k: int) -> str:
    """The rule of `split_training` in words."""
    return (
        f"training image i, counted from 0 in the order of the source, is held out where "
        f"i mod {k} = {k - 1}"
    )


def split_training(images: npt.NDArray[Any], before: int, k: int) -> tuple[Chunk, Chunk]:
    """Training images that follow `before` others: what is trained on, and every k-th, held out."""
    held_out = (before + np.arange(len(images))) % k == k - 1
    return Chunk("train", images[~held_out]), Chunk("holdout", images[held_out])


def split_count(n: int, k: int) -> tuple[int, int]:
    """How many of n training images `split_training` keeps and holds out."""
    return n - n // k, n // k
