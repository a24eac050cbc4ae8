"""A folder of any place that fsspec knows: an object store, or a server's files.

A file is first written on this host, into a temporary file without a name that vanishes with its
process, and then uploaded under its final name. In an object store it appears complete or not at
all. Elsewhere an incomplete file may stay: it does not match its digest in the name or database.
"""

import posixpath
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, NoReturn

from fsspec.core import url_to_fs

from lcma.harness.kill_points import kill_point
from lcma.harness.storage.folder import (
    File,
    Folder,
    MissingFileError,
    StorageError,
    StoredFile,
    UnreachableError,
    fill_file,
    sha256_of,
)
from lcma.harness.urls import HIDDEN, hide_secrets, list_secrets

PERMANENT_ERRORS = ("Credential", "Forbidden", "Unauthorized", "NotImplemented", "ParamValid")
"""Parts of the names of exceptions that do not pass by themselves."""


def open_remote(url: str) -> "RemoteFolder":
    """Open the folder at a URL. Raises StorageError if fsspec cannot."""
    name = hide_secrets(url)
    hidden = list_secrets(url)
    try:
        files, path = url_to_fs(url)
    except ImportError as error:
        raise StorageError(
            f"cannot open {name}: a package is missing here ({_describe(error, hidden)}); install "
            "it with pip, on every host"
        ) from None
    except Exception as error:  # noqa: BLE001 - each package has its own
        may_pass = isinstance(error, OSError) and not _is_permanent(error)
        kind = UnreachableError if may_pass else StorageError
        raise kind(f"cannot open {name} ({_describe(error, hidden)}): check the URL") from None
    return RemoteFolder(files, path.rstrip("/"), name.rstrip("/"), hidden)


class RemoteFolder(Folder):
    """A folder on a file system of fsspec. The ``hidden`` texts are removed from messages."""

    def __init__(self, files: Any, path: str, name: str, hidden: tuple[str, ...] = ()) -> None:
        self.path, self.name = path, name
        self._files, self._hidden = files, hidden

    @property
    def place(self) -> str:
        return self.name

    def subfolder(self, part: str) -> "RemoteFolder":
        path, name = f"{self.path}/{part}", f"{self.name}/{part}"
        return RemoteFolder(self._files, path, name, self._hidden)

    def folders(self) -> list[str]:
        return sorted(posixpath.basename(e["name"].rstrip("/")) for e in self._list("directory"))

    def files(self) -> list[File]:
        files = (
            File(posixpath.basename(e["name"]), int(e["size"] or 0)) for e in self._list("file")
        )
        return sorted(files, key=lambda file: file.name)

    def put(
        self,
        write: Callable[[BinaryIO], object],
        name: Callable[[str], str],
        *,
        moment: str = "file",
    ) -> StoredFile:
        with self._open_temporary() as file:
            try:
                fill_file(file, write)
                file.flush()
                length = file.tell()
                file.seek(0)
            except OSError as error:
                self._fail_temporary(error)
            digest = sha256_of(file)
            file.seek(0)
            stored = StoredFile(name(digest), length, digest)
            try:
                with kill_point(moment):
                    self._upload(file, f"{self.path}/{stored.name}")
            except Exception as error:  # noqa: BLE001 - each package has its own
                self._fail("write", stored.name, error)
        return stored

    @contextmanager
    def open_file(self, name: str) -> Iterator[BinaryIO]:
        with self._open_temporary() as file:
            try:
                self._files.invalidate_cache()
                self._files.get_file(f"{self.path}/{name}", _get_path(file))
            except Exception as error:  # noqa: BLE001 - each package has its own
                self._fail("read", name, error)
            file.seek(0)
            yield file

    def remove(self, name: str) -> None:
        try:
            self._files.rm_file(f"{self.path}/{name}")
        except FileNotFoundError:
            pass
        except Exception as error:  # noqa: BLE001 - each package has its own
            self._fail("remove", name, error)

    def remove_if_empty(self) -> None:
        with suppress(Exception):  # an object store has no folders
            self._files.rmdir(self.path)

    def _list(self, kind: str) -> list[Mapping[str, Any]]:
        try:
            self._files.invalidate_cache()  # other processes write there too
            entries = self._files.ls(self.path, detail=True)
        except FileNotFoundError:
            return []
        except Exception as error:  # noqa: BLE001 - each package has its own
            self._fail("read", "", error)
        itself = self.path.strip("/")  # some file systems list a folder in itself
        return [e for e in entries if e["type"] == kind and e["name"].strip("/") != itself]

    def _upload(self, file: BinaryIO, path: str) -> None:
        try:
            self._files.put_file(_get_path(file), path)
        except FileNotFoundError:
            # A server needs the folder first. A bucket is not created: its name may be mistyped.
            if not self.path.startswith("/") and not self._files.exists(self.path.split("/", 1)[0]):
                raise
            self._files.makedirs(self.path, exist_ok=True)
            file.seek(0)
            self._files.put_file(_get_path(file), path)

    @contextmanager
    def _open_temporary(self) -> Iterator[BinaryIO]:
        try:
            file = tempfile.TemporaryFile(prefix="lcma-")  # noqa: SIM115 - closed below
        except OSError as error:
            self._fail_temporary(error)
        with file:
            yield file

    def _fail_temporary(self, error: OSError) -> NoReturn:
        raise UnreachableError(
            f"cannot write in {tempfile.gettempdir()} ({error.strerror or error}), which files of "
            f"{self.name} pass through: make room there, or name another folder in TMPDIR"
        ) from error

    def _fail(self, action: str, name: str, error: Exception) -> NoReturn:
        """Raise error as a StorageError, with passwords removed from its text."""
        where = f"{self.name}/{name}" if name else self.name
        text = _describe(error, self._hidden)
        if isinstance(error, FileNotFoundError):
            if action == "read":
                raise MissingFileError(f"cannot read {where} ({text})") from None
            raise StorageError(
                f"cannot {action} {where} ({text}): make that bucket or folder first"
            ) from None
        if _is_permanent(error):
            raise StorageError(
                f"cannot {action} {where} ({text}): check the keys and rights of this host"
            ) from None
        raise UnreachableError(
            f"cannot {action} {where} ({text}): look after it and the network"
        ) from None


def _is_permanent(error: Exception) -> bool:
    kind = type(error).__name__
    return isinstance(error, PermissionError) or any(part in kind for part in PERMANENT_ERRORS)


def _get_path(file: BinaryIO) -> str:
    # The file has no name. fsspec wants a path, and opens the descriptor by this path.
    return f"/dev/fd/{file.fileno()}"


def _describe(error: Exception, hidden: tuple[str, ...]) -> str:
    """Return the text of an exception in one line, without secrets."""
    text = " ".join(str(error).split()) or type(error).__name__
    for secret in hidden:
        text = text.replace(secret, HIDDEN)
    return text[:200].rstrip(" .")
