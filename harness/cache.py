"""The per-host cache folder: verification stamps."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

VARIABLE = "LCMA_CACHE"
"""Environment variable that names the folder, in place of one in the person's cache."""


def cache_folder(below: str = "") -> Path | None:
    """Return the folder, or one below it, created if it is missing.

    None if there is none that this user owns and may write in.
    """
    for root in _roots():
        there = root / below
        if is_writable(there):
            return there
    return None


def is_writable(folder: Path) -> bool:
    """Return whether this user owns a folder and may write in it; it is created if missing."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mine = folder.stat().st_uid == os.getuid()
    except OSError:
        return False
    return mine and os.access(folder, os.W_OK)


def _roots() -> Iterator[Path]:
    named, cache = os.environ.get(VARIABLE), os.environ.get("XDG_CACHE_HOME")
    if named:
        yield Path(named)
        return
    with contextlib.suppress(RuntimeError):  # no home
        yield (Path(cache) if cache else Path.home() / ".cache") / "lcma"
    yield Path(tempfile.gettempdir()) / f"lcma-{os.getuid()}"
