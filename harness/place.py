"""Where results, checkpoints and prepared data lie."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sweeps.errors import UserError

DB_VARIABLE, RUNS_VARIABLE, DATA_VARIABLE = "LCMA_DB", "LCMA_RUNS", "LCMA_DATA"

CACHE_VARIABLE = "LCMA_CACHE"
"""Names the folder for what a host remembers, and may forget."""


@dataclass(frozen=True)
class Place:
    """The database's URL or path, the folder of checkpoints and weights, and that of data sets.

    Workers get it as it stands, so its paths are absolute. A URL may hold a password, and is not
    shown with the rest.
    """

    db: str = field(repr=False)
    runs: Path
    data: Path


def find(db: str | None, runs: Path | None, data: Path | None) -> Place:
    """What was asked for, else the environment's LCMA_DB, LCMA_RUNS and LCMA_DATA, else
    lcma.db, lcma-runs and lcma-data in the current folder."""

    def absolute(path: str | Path) -> Path:
        try:
            return Path(path).expanduser().absolute()
        except (OSError, RuntimeError) as error:
            raise UserError(f"{path} leads nowhere: {error}") from None

    url = db or os.environ.get(DB_VARIABLE) or "lcma.db"
    if "://" not in url:
        url = str(absolute(url))
    return Place(
        db=url,
        runs=absolute(runs or os.environ.get(RUNS_VARIABLE) or "lcma-runs"),
        data=absolute(data or os.environ.get(DATA_VARIABLE) or "lcma-data"),
    )


def cache() -> Path | None:
    """The folder LCMA_CACHE, else one in the person's cache, else one in the system's temporary
    folder, made where it is missing; None where none of them is the person's own and writable."""
    for folder in _caches():
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            mine = folder.stat().st_uid == os.getuid()
        except OSError:
            continue
        if mine and os.access(folder, os.W_OK):
            return folder
    return None


def _caches() -> Iterator[Path]:
    asked, general = os.environ.get(CACHE_VARIABLE), os.environ.get("XDG_CACHE_HOME")
    if asked:
        yield Path(asked)
        return
    with contextlib.suppress(RuntimeError):  # no home
        yield (Path(general) if general else Path.home() / ".cache") / "lcma"
    yield Path(tempfile.gettempdir()) / f"lcma-{os.getuid()}"
