"""Atomic and durable writes of files, safe file names, and the cache folder of a host."""

import hashlib
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from lcma.sweeps.errors import UserError

KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFDIR: "a folder",
    stat.S_IFSOCK: "a socket",
}
"""Names of what may be at a path in place of a regular file; anything else is a device."""


def require_replaceable(path: Path, option: str = "--out") -> None:
    """Raise UserError if something other than a regular file is at the path of an output file."""
    # A link is refused: replacing it would destroy the link, and writing through it would destroy
    # its target. The folders of the path may be links.
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise _make_unwritable_error(path, error, option) from None
    if not stat.S_ISREG(mode):
        kind = KINDS.get(stat.S_IFMT(mode), "a device")
        raise UserError(
            f"cannot write {path}: it is {kind}, and only regular files are replaced; choose "
            f"another place with {option}"
        )


def find_existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that this user can see."""
    # `Path.exists` raises for what is in a folder that this user may not enter.
    return next(path for path in (folder, *folder.parents) if os.path.exists(path))  # noqa: PTH110


def write_file(path: Path, content: bytes, option: str = "--out") -> Path:
    """Write a file through a temporary sibling, create its folders, and return its path.

    Raises:
        UserError: The file cannot be written; the message names the option. A file that was at
            the path is unchanged.
    """
    require_replaceable(path, option)
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(content)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise _make_unwritable_error(path, error, option) from None
    return path


def _make_unwritable_error(path: Path, error: OSError, option: str) -> UserError:
    reason = error.strerror or type(error).__name__
    return UserError(f"cannot write {path}: {reason}; choose another place with {option}")


def sync_folder(folder: Path) -> None:
    """Wait until the disk has stored which files a folder contains."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


MAX_NAME_LENGTH = 200
"""Most characters of a file name before its ending; file systems take 255 with it."""


def make_file_name(*parts: object) -> str:
    """Return the parts joined by '-', with only the characters that any file system takes.

    A name that would be too long is cut and ends in a hash of all parts.
    """
    name = "-".join(re.sub(r"[^A-Za-z0-9_.-]+", "_", str(part))[:60] for part in parts)
    if len(name) <= MAX_NAME_LENGTH:
        return name
    digest = hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{name[: MAX_NAME_LENGTH - 13]}-{digest}"


CACHE_VARIABLE = "LCMA_CACHE"
"""Environment variable that names the cache folder; the default is `lcma` in the user's cache."""


def find_cache_folder(subfolder: str = "") -> Path | None:
    """Return the cache folder or a folder in it, created if it is missing.

    None if this user owns no such folder that is writable.
    """
    for root in _list_cache_roots():
        folder = root / subfolder
        with suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if folder.stat().st_uid == os.getuid() and os.access(folder, os.W_OK):
                return folder
    return None


def _list_cache_roots() -> Iterator[Path]:
    folder, cache = os.environ.get(CACHE_VARIABLE), os.environ.get("XDG_CACHE_HOME")
    if folder:
        yield Path(folder)
        return
    with suppress(RuntimeError):  # no home
        yield (Path(cache) if cache else Path.home() / ".cache") / "lcma"
    yield Path(tempfile.gettempdir()) / f"lcma-{os.getuid()}"
