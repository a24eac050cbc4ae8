"""The interface of sources of images, which one module per layout implements."""

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from lcma.harness.data.manifest import ByPart, PartName, SourceRecord
from lcma.sweeps.errors import UserError
from lcma.sweeps.input_files import open_regular

ReportStep = Callable[[str, int, int], None]
"""Called with what is done, how many steps or images of it are done, and how many there are."""

ByPartName = Mapping[PartName, npt.NDArray[Any]]


@dataclass(frozen=True, eq=False)
class SourceStep:
    """A piece of the source that was read.

    label: for a progress display. images: N x C x H x W of some parts, in the source's shape and
    dtype; those of a part are appended in the order in which they come. groups: the cluster of
    each image, int32, N, where the set has clusters. skipped: names of those left out.
    """

    label: str
    images: ByPartName
    groups: ByPartName | None = None
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class OpenedSource:
    """A source whose files are found and hashed, but not decoded yet.

    expected: the counts of the published set, or None. steps() decodes it in `n_steps` pieces, and
    raises UserError on a file that is not as the layout demands or not as it was hashed.
    """

    record: SourceRecord
    shape: tuple[int, int, int]
    dtype: Literal["uint8", "float32"]
    groups: ByPart[tuple[str, ...]] | None
    expected: ByPart[int] | None
    preprocessing: str
    holdout_rule: str
    n_steps: int
    steps: Callable[[], Iterator[SourceStep]]


@dataclass(frozen=True)
class SourceOptions:
    """Options of reading a source.

    skip_bad: leave unreadable images out. size (pixels), grey_to_rgb: for a person's own images
    alone.
    """

    skip_bad: bool = False
    size: int | None = None
    grey_to_rgb: bool = False


class Source(ABC):
    """A layout of files from which a set can be read."""

    needs_path: ClassVar[bool] = True
    """True if `open` needs the place of the files: no package ships them."""
    can_skip: ClassVar[bool] = False
    """True if `SourceOptions.skip_bad` applies: the source has a file for each image."""
    needed: str = ""
    """The files whose place is needed, and whether they can be fetched, in words."""

    @abstractmethod
    def open(self, path: Path, options: SourceOptions, progress: ReportStep) -> OpenedSource:
        """Find and hash the files. Raises UserError if one is missing or unreadable.

        A source that a package ships pays no heed to the path.
        """


NO_DOWNLOAD = "they cannot be fetched with --download"


def read_bytes(path: Path, limit: int) -> bytes:
    """Read a whole file. Raises UserError if it is unreadable, empty or above `limit` bytes."""
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > limit:
                raise UserError(
                    f"{path} has {size} bytes where at most {limit} are expected: "
                    "give the folder of the original files"
                )
            raw = file.read()
    except OSError as error:
        raise unreadable_error(path, error) from error
    if not raw:
        raise UserError(f"{path} is empty: fetch or unpack the file again")
    return raw


def unreadable_error(path: Path, error: OSError) -> UserError:
    """Return the error for a file that the system does not let us read."""
    return UserError(
        f"{path} cannot be read ({error.strerror or error}): check the path and the file"
    )


def sha256(raw: bytes) -> str:
    """Return the sha256 in hex."""
    return hashlib.sha256(raw).hexdigest()


def changed_error(path: Path | str) -> UserError:
    """Return the error for a file that changed after it was hashed."""
    return UserError(f"{path} changed while it was read: run the command again")


@dataclass(frozen=True)
class HashedFile:
    """A large file when it was hashed: sha256 and md5 in hex, size, time of change and inode."""

    path: Path
    sha256: str
    md5: str
    facts: tuple[int, int, int]

    @staticmethod
    def of(path: Path) -> "HashedFile":
        """Hash a file. Raises UserError if it is unreadable or changes meanwhile."""
        sha, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        try:
            with open_regular(path) as file:
                facts = _facts(os.fstat(file.fileno()))
                while block := file.read(2**22):
                    sha.update(block)
                    md5.update(block)
        except OSError as error:
            raise unreadable_error(path, error) from error
        found = HashedFile(path, sha.hexdigest(), md5.hexdigest(), facts)
        found.check()
        return found

    def check(self) -> None:
        """Raise UserError if the file changed by size, time of change or inode."""
        try:
            facts = _facts(self.path.stat())
        except OSError as error:
            raise unreadable_error(self.path, error) from error
        if facts != self.facts:
            raise changed_error(self.path)


def _facts(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ino


def describe_split(k: int) -> str:
    """Return the rule of `split_training` in words."""
    return (
        f"training image i, counted from 0 in the order of the source, is held out where "
        f"i mod {k} = {k - 1}"
    )


def split_training(images: npt.NDArray[Any], before: int, k: int) -> ByPartName:
    """Split training images that follow `before` others: every k-th is held out."""
    held_out = (before + np.arange(len(images))) % k == k - 1
    return {"train": images[~held_out], "holdout": images[held_out]}


def split_count(n: int, k: int) -> tuple[int, int]:
    """Return how many of n training images `split_training` keeps and holds out."""
    return n - n // k, n // k
