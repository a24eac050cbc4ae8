"""What a folder of files can do, wherever it lies."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, BinaryIO


@dataclass(frozen=True)
class File:
    """A file; ``modified`` is by the place's clock, Unix seconds, None where it does not say."""

    name: str
    bytes: int
    modified: float | None


@dataclass(frozen=True)
class Stored:
    """A file that was put; ``digest`` is the sha256 of its bytes."""

    name: str
    bytes: int
    digest: str


def sha256_of(file: BinaryIO) -> str:
    """Of all that follows in a file, hexadecimal."""
    readable: Any = file
    return hashlib.file_digest(readable, "sha256").hexdigest()


def fill_file(file: BinaryIO, write: Callable[[BinaryIO], object]) -> None:
    """Have a file written; an OSError where that is what went wrong."""
    watched: Any = _Watched(file)
    try:
        write(watched)
    except RuntimeError:
        if watched.error is None:
            raise
        raise watched.error from None


class _Watched:
    """A file that remembers what went wrong with it: PyTorch tells only that something did."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, content: Any) -> int:
        try:
            return self._file.write(content)
        except OSError as error:
            self.error = error
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class Folder(ABC):
    """Files side by side, and folders below. ``name`` is for people and holds no password.

    Every method raises `Away` where the same may work later, and another StorageError where it
    will not.
    """

    name: str

    @property
    @abstractmethod
    def place(self) -> str:
        """Where it is, for the database: HOST:FOLDER, or the URL without passwords."""

    @property
    @abstractmethod
    def of_one_process(self) -> bool:
        """Whether other processes see nothing of it."""

    @abstractmethod
    def below(self, part: str) -> "Folder":
        """The folder of that name in it, which need not be there."""

    @abstractmethod
    def folders(self) -> list[str]:
        """Names of the folders in it, sorted; empty if it is not there."""

    @abstractmethod
    def files(self) -> list[File]:
        """The files in it by name, as they are now; empty if it is not there."""

    @abstractmethod
    def put(
        self,
        write: Callable[[BinaryIO], object],
        name: Callable[[str], str],
        *,
        moment: str = "file",
    ) -> Stored:
        """Write a file, which is seen when it is whole, under the name made of its sha256.

        The folder is made if it is missing. A file of that name is replaced. ``moment`` is what
        `kill_points` calls the one at which the file gets its name. Errors of ``write``
        that are not of the place are raised as they are.
        """

    @abstractmethod
    def opened(self, name: str) -> AbstractContextManager[BinaryIO]:
        """A file to read, at any position, for the time of a block. Raises Missing."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file; it may be gone already."""

    @abstractmethod
    def vanish(self) -> None:
        """Remove the folder if there is one without anything in it; never raises."""

    def read(self, name: str) -> bytes:
        """All of a file. Raises Missing."""
        with self.opened(name) as file:
            return file.read()
