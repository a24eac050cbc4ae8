"""Writing files whole or not at all, and safe file names."""

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lcma.sweeps.errors import UserError


def write_file(path: Path, content: bytes) -> Path:
    """Write a file by way of a temporary sibling, make its folders, and return its path.

    Raises UserError where it cannot be written; what was there before stays.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file, locked(file.fileno()):
                file.write(content)
                file.flush()
                temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        remove_abandoned(path)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise UserError(f"cannot write {path}: {why}; choose another place with --out") from None
    return path


@contextmanager
def locked(handle: int) -> Iterator[None]:
    """Lock what a writer has not ended, so that `remove_abandoned` leaves it alone."""
    with suppress(OSError):  # a file system without locks
        fcntl.flock(handle, fcntl.LOCK_EX)
    yield


def remove_abandoned(path: Path) -> None:
    """Remove what killed writers of a path left beside it: NAME in `.NAME.*.tmp`, not locked."""
    left = re.compile(rf"\.{re.escape(path.name)}\.\w+(\.old)?\.tmp")
    try:
        beside = [found for found in path.parent.iterdir() if left.fullmatch(found.name)]
    except OSError:  # a folder that may be written and not read
        return
    for found in beside:
        with suppress(OSError):
            handle = os.open(found, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(found) if found.is_dir() else found.unlink()
            finally:
                os.close(handle)


def file_name(*parts: object) -> str:
    """Return the parts joined by '-', without any character that a file name may not have."""
    return "-".join(re.sub(r"[^A-Za-z0-9_.-]+", "_", str(part))[:60] for part in parts)
