"""Writing files whole or not at all, and to last; safe file names; the cache folder of a host."""

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
"""What can be at a path; anything else but a regular file is a device."""


def require_replaceable(path: Path, option: str = "--out") -> None:
    """Raise UserError if anything but a regular file is at the path of a file to be written.

    A link is refused, as is what it leads to: to replace it would destroy the one, to write
    through it the other. Folders on the way may be links.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unwritable(path, error, option) from None
    if not stat.S_ISREG(mode):
        kind = KINDS.get(stat.S_IFMT(mode), "a device")
        raise UserError(
            f"cannot write {path}: it is {kind}, and only regular files are replaced; choose "
            f"another place with {option}"
        )


def write_file(path: Path, content: bytes, option: str = "--out") -> Path:
    """Write a file by way of a temporary sibling, make its folders, and return its path.

    Raises UserError, which names the option, where it cannot be written; what was there before
    stays.
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
        raise _unwritable(path, error, option) from None
    return path


def _unwritable(path: Path, error: OSError, option: str) -> UserError:
    why = error.strerror or type(error).__name__
    return UserError(f"cannot write {path}: {why}; choose another place with {option}")


def sync_folder(folder: Path) -> None:
    """Wait until the disk has what was created, renamed or removed in a folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


LONGEST_NAME = 200
"""Characters of a file name before its ending; systems take 255."""


def file_name(*parts: object) -> str:
    """Return the parts joined by '-', without any character that a file name may not have.

    What would be too long ends in a hash of the whole.
    """
    name = "-".join(re.sub(r"[^A-Za-z0-9_.-]+", "_", str(part))[:60] for part in parts)
    if len(name) <= LONGEST_NAME:
        return name
    digest = hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{name[: LONGEST_NAME - 13]}-{digest}"


CACHE_VARIABLE = "LCMA_CACHE"
"""Environment variable that names the folder, in place of one in the person's cache."""


def cache_folder(below: str = "") -> Path | None:
    """Return the folder, or one below it, created if it is missing.

    None if there is none that this user owns and may write in.
    """
    for root in _roots():
        there = root / below
        with suppress(OSError):
            there.mkdir(mode=0o700, parents=True, exist_ok=True)
            if there.stat().st_uid == os.getuid() and os.access(there, os.W_OK):
                return there
    return None


def _roots() -> Iterator[Path]:
    named, cache = os.environ.get(CACHE_VARIABLE), os.environ.get("XDG_CACHE_HOME")
    if named:
        yield Path(named)
        return
    with suppress(RuntimeError):  # no home
        yield (Path(cache) if cache else Path.home() / ".cache") / "lcma"
    yield Path(tempfile.gettempdir()) / f"lcma-{os.getuid()}"
