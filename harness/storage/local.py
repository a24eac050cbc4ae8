"""A folder of a local disk or of a network file system that is mounted."""

import errno
import os
import re
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NoReturn

from lcma.harness.files import sync_folder
from lcma.harness.kill_points import kill_point
from lcma.harness.storage.errors import MissingFileError, StorageError, UnreachableError
from lcma.harness.storage.folder import File, Folder, Stored, fill_file, sha256_of
from lcma.sweeps.input_files import open_regular

PASSING = frozenset(
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
"""Errors of the system that may pass by themselves."""

REMEDIES = {
    errno.ENOSPC: "make room there",
    errno.EDQUOT: "make room there, or ask for a larger quota",
    errno.EACCES: "let this user write there",
    errno.EROFS: "mount it for writing",
}


_TEMPORARY = re.compile(r"\..+\.tmp")


def is_temporary(name: str) -> bool:
    """Return whether a name is that of a file still being written, or whose writer was killed."""
    return _TEMPORARY.fullmatch(name) is not None


class LocalFolder(Folder):
    """A folder by its path. Files are written beside their name, synced to the disk and renamed."""

    of_one_process = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)

    def __repr__(self) -> str:
        return f"LocalFolder({self.name!r})"

    @property
    def place(self) -> str:
        return f"{socket.gethostname()}:{self.path}"

    def below(self, part: str) -> "LocalFolder":
        return LocalFolder(self.path / part)

    def folders(self) -> list[str]:
        # Those behind links are none of this place's.
        return sorted(e.name for e in self._entries() if e.is_dir(follow_symlinks=False))

    def files(self) -> list[File]:
        found = []
        for entry in self._entries():
            with suppress(FileNotFoundError):  # removed meanwhile
                if entry.is_file():
                    status = entry.stat()
                    found.append(File(entry.name, status.st_size, status.st_mtime))
        return sorted(found, key=lambda file: file.name)

    def put(
        self,
        write: Callable[[BinaryIO], object],
        name: Callable[[str], str],
        *,
        moment: str = "file",
    ) -> Stored:
        aside = self.path / f".{os.getpid()}-{secrets.token_hex(4)}.tmp"
        try:
            try:
                with self._create(aside) as file:
                    fill_file(file, write)
                    file.flush()
                    os.fsync(file.fileno())
                with aside.open("rb") as file:
                    digest = sha256_of(file)
                path = self.path / name(digest)
                stored = Stored(path.name, aside.stat().st_size, digest)
                with kill_point(moment):
                    aside.rename(path)
            finally:
                aside.unlink(missing_ok=True)
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

    def _fail(self, what: str, path: Path, error: OSError) -> NoReturn:
        kind = UnreachableError if error.errno in PASSING else StorageError
        remedy = REMEDIES.get(error.errno or 0, "look after that disk")
        raise kind(f"cannot {what} {path} ({error.strerror or error}): {remedy}") from error
