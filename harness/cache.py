"""The folder in which a host keeps what is its own: what it has verified, and spools."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

VARIABLE = "LCMA_CACHE"
"""Names the folder, in place of one in the person's cache."""


def cache_folder(below: str = "") -> Path | None:
    """The folder, or one below it, made if it is missing; None where there is none of one's own
    to write in."""
    for root in _roots():
        there = root / below
        if is_writable(there):
            return there
    return None


def is_writable(folder: Path) -> bool:
    """Whether a folder is one's own and can be written; it is made if it is missing."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mine = folder.stat().st_uid == os.getuid()
    except OSError:
        return False
    return mine and os.access(folder, os.W_OK)


def _roots() -> Iterator[Path]:
    asked, cache = os.environ.get(VARIABLE), os.environ.get("XDG_CACHE_HOME")
    if asked:
        yield Path(asked)
        return
    with contextlib.suppress(RuntimeError):  # no home
        yield (Path(cache) if cache else Path.home() / ".cache") / "lcma"
    yield Path(tempfile.gettempdir()) / f"lcma-{os.getuid()}"
