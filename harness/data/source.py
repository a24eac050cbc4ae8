"""What a source of images is: the contract that one module per layout fulfils."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy.typing as npt

from harness.data.manifest import ByPart, PartName, SourceRecord
from sweeps.errors import UserError


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
    """One source file read: its label for a progress display, and the images that it gave."""

    label: str
    chunks: tuple[Chunk, ...]


@dataclass(frozen=True, eq=False)
class Opened:
    """A source whose files are found and hashed, but not decoded yet.

    steps() decodes file by file, `n_steps` in all, and raises UserError on a file that is not as
    the layout demands.
    """

    record: SourceRecord
    shape: tuple[int, int, int]
    dtype: Literal["uint8", "float32"]
    groups: ByPart[tuple[str, ...]] | None
    preprocessing: str
    holdout_rule: str
    n_steps: int
    steps: Callable[[], Iterator[Step]]


class Source(Protocol):
    """A layout of files from which a set can be read."""

    @property
    def needs_path(self) -> bool:
        """Whether `open` needs the place of the files."""

    def open(self, path: Path | None) -> Opened:
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
        raise UserError(
            f"{path} cannot be read ({error.strerror}): check the path and the file"
        ) from error
    if not raw:
        raise UserError(f"{path} is empty: fetch or unpack the file again")
    return raw


def sha256(raw: bytes) -> str:
    """sha256 in hex."""
    return hashlib.sha256(raw).hexdigest()


def unchanged(path: Path, raw: bytes, digest: str) -> bytes:
    """`raw`, if it still is what was hashed before. Raises UserError otherwise."""
    if sha256(raw) != digest:
        raise UserError(f"{path} changed while it was read: run the command again")
    return raw
