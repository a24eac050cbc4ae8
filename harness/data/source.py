"""The interface of sources of images. Each layout of files has a module that implements it."""

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
"""Called with a label, the number of steps or images done, and the number of all."""

ByPartName = Mapping[PartName, npt.NDArray[Any]]


@dataclass(frozen=True, eq=False)
class SourceStep:
    """A piece of a source that was read."""

    label: str
    """For a progress display."""
    images: ByPartName
    """Images N x C x H x W of some parts; they are appended to the earlier images of a part."""
    groups: ByPartName | None = None
    """The cluster of each image, int32, N, if the set has clusters."""
    skipped: tuple[str, ...] = ()
    """Names of images that were left out."""


@dataclass(frozen=True, eq=False)
class OpenedSource:
    """A source whose files are found and hashed, but not decoded yet."""

    record: SourceRecord
    shape: tuple[int, int, int]
    """(C, H, W)."""
    dtype: Literal["uint8", "float32"]
    groups: ByPart[tuple[str, ...]] | None
    """Names of the clusters, if the set has any."""
    expected: ByPart[int] | None
    """Counts of the published set, if there is one."""
    preprocessing: str
    holdout_rule: str
    n_steps: int
    steps: Callable[[], Iterator[SourceStep]]
    """Decodes the source in ``n_steps`` pieces. Raises UserError if a file does not have the layout
    or has changed since it was hashed."""


@dataclass(frozen=True)
class SourceOptions:
    """Options of reading a source."""

    skip_bad: bool = False
    """Leave unreadable images out."""
    size: int | None = None
    """Side in pixels to which the user's own images are shrunk."""
    grey_to_rgb: bool = False
    """Take grey images among the user's own as RGB."""


class Source(ABC):
    """A layout of files from which a set can be read."""

    needs_path: ClassVar[bool] = True
    """True if `open` needs the path of the files. False if a package ships them."""
    can_skip: ClassVar[bool] = False
    """True if `SourceOptions.skip_bad` applies: the source has a file for each image."""
    needed: str = ""
    """In words, the files whose path is needed, and whether they can be fetched."""

    @abstractmethod
    def open(self, path: Path, options: SourceOptions, progress: ReportStep) -> OpenedSource:
        """Find and hash the files.

        Args:
            path: Folder or archive of the files; ignored if ``needs_path`` is False.
            options: Options of reading.
            progress: Called after each file.

        Raises:
            UserError: A file is missing or unreadable.
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
        raise make_unreadable_error(path, error) from error
    if not raw:
        raise UserError(f"{path} is empty: fetch or unpack the file again")
    return raw


def make_unreadable_error(path: Path, error: OSError) -> UserError:
    """Return the error for a file that the system cannot read."""
    return UserError(
        f"{path} cannot be read ({error.strerror or error}): check the path and the file"
    )


def sha256(raw: bytes | memoryview) -> str:
    """Return the sha256 in hex."""
    return hashlib.sha256(raw).hexdigest()


def require_other_images(seen: dict[str, Path], path: Path, digest: str) -> None:
    """Raise UserError if a file has the images of one that was ``seen`` before, by their digest.

    Otherwise a training file under the name of a test file would test on training images.
    """
    other = seen.setdefault(digest, path)
    if other != path:
        raise UserError(f"{path} holds the same images as {other.name}: give the original files")


def make_changed_error(path: Path | str) -> UserError:
    """Return the error for a file that changed after it was hashed."""
    return UserError(f"{path} changed while it was read: run the command again")


@dataclass(frozen=True)
class HashedFile:
    """A large file that was hashed."""

    path: Path
    sha256: str
    md5: str
    state: tuple[int, int, int]  # size, time of change and inode

    @staticmethod
    def of(path: Path) -> "HashedFile":
        """Hash a file. Raises UserError if it is unreadable or changes meanwhile."""
        sha, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        try:
            with open_regular(path) as file:
                state = _read_state(os.fstat(file.fileno()))
                while block := file.read(2**22):
                    sha.update(block)
                    md5.update(block)
        except OSError as error:
            raise make_unreadable_error(path, error) from error
        hashed = HashedFile(path, sha.hexdigest(), md5.hexdigest(), state)
        hashed.check()
        return hashed

    def check(self) -> None:
        """Raise UserError if the file has changed since it was hashed."""
        try:
            state = _read_state(self.path.stat())
        except OSError as error:
            raise make_unreadable_error(self.path, error) from error
        if state != self.state:
            raise make_changed_error(self.path)


def _read_state(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ino


def describe_split(k: int) -> str:
    """Return the rule of `split_training` in words."""
    return (
        f"training image i, counted from 0 in the order of the source, is held out where "
        f"i mod {k} = {k - 1}"
    )


def split_training(images: npt.NDArray[Any], before: int, k: int) -> ByPartName:
    """Split training images that follow ``before`` others: every k-th is held out."""
    held_out = (before + np.arange(len(images))) % k == k - 1
    return {"train": images[~held_out], "holdout": images[held_out]}
