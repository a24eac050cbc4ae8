"""The interface of a folder in any place, and the folders of mounted file systems."""

import errno
import hashlib
import os
import re
import secrets
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from lcma.harness.files import sync_folder
from lcma.harness.kill_points import kill_point
from lcma.sweeps.errors import UserError
from lcma.sweeps.input_files import open_regular


class StorageError(UserError):
    """A place could not be read or written."""


class UnreachableError(StorageError):
    """A place could not be used, and may work later: no network, a full disk, a restarting
    server."""


class MissingFileError(StorageError):
    """A file that does not exist."""


@dataclass(frozen=True)
class File:
    """A file in a folder."""

    name: str
    bytes: int


@dataclass(frozen=True)
class StoredFile:
    """A file that was written."""

    name: str
    bytes: int
    digest: str  # sha256 of its bytes, hexadecimal


def sha256_of(file: BinaryIO) -> str:
    """Return the sha256 of the rest of a file, hexadecimal."""
    readable: Any = file
    return hashlib.file_digest(readable, "sha256").hexdigest()


def fill_file(file: BinaryIO, write: Callable[[BinaryIO], object]) -> None:
    """Call write(file). If an OSError makes it raise a RuntimeError, raise the OSError instead.

    `torch.save` reports only that something went wrong.
    """
    recorder: Any = _ErrorRecorder(file)
    try:
        write(recorder)
    except RuntimeError:
        if recorder.error is None:
            raise
        raise recorder.error from None


class _ErrorRecorder:
    """A file that remembers the error of its writes."""

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
    """A folder of files and subfolders.

    Every method raises `UnreachableError` if the same call may work later, and another
    StorageError if it will not.
    """

    name: str
    """The path or URL as it is shown, without passwords."""

    @property
    @abstractmethod
    def place(self) -> str:
        """The place as the database stores it: HOST:FOLDER, or the URL without passwords."""

    @abstractmethod
    def subfolder(self, part: str) -> "Folder":
        """Return the subfolder of a name, which need not exist."""

    @abstractmethod
    def folders(self) -> list[str]:
        """Return the sorted names of its subfolders; none if it does not exist."""

    @abstractmethod
    def files(self) -> list[File]:
        """Return its current files, sorted by name; none if it does not exist."""

    @abstractmethod
    def put(
        self,
        write: Callable[[BinaryIO], object],
        name: Callable[[str], str],
        *,
        moment: str = "file",
    ) -> StoredFile:
        """Write a file, which appears when it is complete. Create the folder if it is missing, and
        replace a file of that name.

        Args:
            write: Writes the content to a file. Errors of its own are raised unchanged.
            name: Returns the file's name for the sha256 of its bytes, hexadecimal.
            moment: Name of the kill point at which the file appears.

        Returns:
            The file's name, size and sha256.
        """

    @abstractmethod
    def open_file(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Open a seekable file for reading during a block. Raises MissingFileError."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file if it exists."""

    @abstractmethod
    def remove_if_empty(self) -> None:
        """Remove the folder if it exists and is empty; never raises."""

    def read(self, name: str) -> bytes:
        """Return the bytes of a file. Raises MissingFileError."""
        with self.open_file(name) as file:
            return file.read()


TRANSIENT_ERRORS = frozenset(
    {
        errno.EAGAIN,
        errno.EBUSY,
        errno.ECONNABORTED,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EDQUOT,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.EMFILE,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ENFILE,
        errno.ENOMEM,
        errno.ENOSPC,
        errno.ENOTCONN,
        errno.ESTALE,
        errno.ETIMEDOUT,
    }
)
"""Error numbers of the system for conditions that may pass by themselves."""

REMEDIES = {
    errno.ENOSPC: "make room there",
    errno.EDQUOT: "make room there, or ask for a larger quota",
    errno.EACCES: "let this user write there",
    errno.EROFS: "mount it for writing",
}


_TEMPORARY = re.compile(r"\..+\.tmp")


def is_temporary(name: str) -> bool:
    """Return whether a name is that of a file that is being written, or whose writer was killed."""
    return _TEMPORARY.fullmatch(name) is not None


class LocalFolder(Folder):
    """A folder by its path. Files are written under a temporary name, synced and renamed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)

    @property
    def place(self) -> str:
        return f"{socket.gethostname()}:{self.path}"

    def subfolder(self, part: str) -> "LocalFolder":
        return LocalFolder(self.path / part)

    def folders(self) -> list[str]:
        # A link leads to a folder of another place.
        return sorted(e.name for e in self._entries() if e.is_dir(follow_symlinks=False))

    def files(self) -> list[File]:
        files = []
        for entry in self._entries():
            with suppress(FileNotFoundError):  # removed meanwhile
                if entry.is_file():
                    files.append(File(entry.name, entry.stat().st_size))
        return sorted(files, key=lambda file: file.name)

    def put(
        self,
        write: Callable[[BinaryIO], object],
        name: Callable[[str], str],
        *,
        moment: str = "file",
    ) -> StoredFile:
        temporary = self.path / f".{os.getpid()}-{secrets.token_hex(4)}.tmp"
        try:
            try:
                with self._create(temporary) as file:
                    fill_file(file, write)
                    file.flush()
                    os.fsync(file.fileno())
                with temporary.open("rb") as file:
                    digest = sha256_of(file)
                path = self.path / name(digest)
                stored = StoredFile(path.name, temporary.stat().st_size, digest)
                with kill_point(moment):
                    temporary.rename(path)
            finally:
                temporary.unlink(missing_ok=True)
            sync_folder(self.path)
        except OSError as error:
            self._fail("write in", self.path, error)
        return stored

    @contextmanager
    def open_file(self, name: str) -> Iterator[BinaryIO]:
        path = self.path / name
        try:
            file = open_regular(path)
        except FileNotFoundError as error:
            raise MissingFileError(f"cannot read {path} ({error.strerror})") from error
        except OSError as error:
            self._fail("read", path, error)
        with file:
            try:
                yield file
            except OSError as error:
                self._fail("read", path, error)

    def remove(self, name: str) -> None:
        try:
            (self.path / name).unlink(missing_ok=True)
        except OSError as error:
            self._fail("remove", self.path / name, error)

    def remove_if_empty(self) -> None:
        with suppress(OSError):
            self.path.rmdir()

    def _create(self, path: Path) -> BinaryIO:
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            return path.open("wb")
        except FileNotFoundError:  # another process found the folder empty and removed it
            self.path.mkdir(parents=True, exist_ok=True)
            return path.open("wb")

    def _entries(self) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self.path) as entries:
                return list(entries)
        except FileNotFoundError:
            return []
        except OSError as error:
            self._fail("read", self.path, error)

    def _fail(self, action: str, path: Path, error: OSError) -> NoReturn:
        kind = UnreachableError if error.errno in TRANSIENT_ERRORS else StorageError
        remedy = REMEDIES.get(error.errno or 0, "look after that disk")
        raise kind(f"cannot {action} {path} ({error.strerror or error}): {remedy}") from error
