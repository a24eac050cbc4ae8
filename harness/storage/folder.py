"""The interface of folders of files, wherever they lie."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, BinaryIO


@dataclass(frozen=True)
class File:
    """A file; ``modified`` is by the place's clock, Unix seconds, None where it is not known."""

    name: str
    bytes: int
    modified: float | None


@dataclass(frozen=True)
class Stored:
    """A file that was written; ``digest`` is the sha256 of its bytes."""

    name: str
    bytes: int
    digest: str


def sha256_of(file: BinaryIO) -> str:
    """Return the sha256 of the rest of a file, hexadecimal."""
    readable: Any = file
    return hashlib.file_digest(readable, "sha256").hexdigest()


def fill_file(file: BinaryIO, write: Callable[[BinaryIO], object]) -> None:
    """Call write(file). If it raises RuntimeError because of an I/O error, raise the OSError.

    torch.save says only that something went wrong.
    """
    watched: Any = _Watched(file)
    try:
        write(watched)
    except RuntimeError:
        if watched.error is None:
            raise
        raise watched.error from None


class _Watched:
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
    """A folder of files, with folders below. ``name`` is for people and holds no password.

    Every method raises `UnreachableError` if the same may work later, and another StorageError if
    it will not.
    """

    name: str

    @property
    @abstractmethod
    def place(self) -> str:
        """Its place, for the database: HOST:FOLDER, or the URL without passwords."""

    @property
    @abstractmethod
    def of_one_process(self) -> bool:
        """True if other processes see nothing of it."""

    @abstractmethod
    def below(self, part: str) -> "Folder":
        """Return the folder of a name in it, which need not exist."""

    @abstractmethod
    def folders(self) -> list[str]:
        """Return the names of the folders in it, sorted; none if it does not exist."""

    @abstractmethod
    def files(self) -> list[File]:
        """Return the files in it by name, as they are now; none if it does not exist."""

    @abstractmethod
    def put(
        self,
        write: Callable[[BinaryIO], object],
        name: Callable[[str], str],
        *,
        moment: str = "file",
    ) -> Stored:
        """Write a file, visible once it is whole, under a name made of its sha256.

        The folder is created if it is missing, and a file of that name is replaced.

        Args:
            write: Writes the content to a file. Its errors that have nothing to do with the place
                are raised as they are.
            name: Returns the file's name for the sha256 of its bytes, hexadecimal.
            moment: Name of the kill point at which the file gets its name.
        """

    @abstractmethod
    def open_file(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Open a file to read, at any position, for the time of a block.

        Raises MissingFileError.
        """

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file, which may be gone already."""

    @abstractmethod
    def remove_if_empty(self) -> None:
        """Remove the folder if it exists and is empty; never raises."""

    def read(self, name: str) -> bytes:
        """Return the bytes of a file. Raises MissingFileError."""
        with self.open_file(name) as file:
            return file.read()
