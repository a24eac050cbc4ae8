"""Places of results, checkpoints and prepared data."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from lcma.harness.urls import is_url, local_path
from lcma.sweeps.errors import UserError, suggest
from lcma.sweeps.input_files import require_text

REFERENCE = "reference"
"""Name of the reference database wherever a database is named; a file is `./reference`."""

SHARD_ENDING = ".sqlite.xz"
"""Ending of a compressed published database, which can be read wherever a database is named."""

DB_VARIABLE, RUNS_VARIABLE, DATA_VARIABLE = "LCMA_DB", "LCMA_RUNS", "LCMA_DATA"

_MISTYPED_URL = re.compile(r"[\w+.-]+:/?(?!/)[^/].*@")  # it lacks a /, and looks like a path


@dataclass(frozen=True)
class Place:
    """Places of results, checkpoints and data. Workers get the same record: paths are absolute."""

    # `repr` leaves out what may be a URL with a password.
    db: str = field(repr=False)  # URL or path of the database
    runs: Path | str = field(repr=False)  # folder of checkpoints and weights, or its URL as a str
    data: Path  # folder of data sets


def name_database(db: str | None) -> str:
    """Return the given name of a database, else the one of the environment, else lcma.db."""
    return db or os.environ.get(DB_VARIABLE) or "lcma.db"


def is_published_database(name: str) -> bool:
    """Return whether a name is that of a published database, which is never written."""
    return name == REFERENCE or (name.endswith(SHARD_ENDING) and "://" not in name)


def find_place(
    db: str | None,
    runs: Path | str | None,
    data: Path | None,
    *,
    write: bool = False,
    needs_weights: bool = False,
) -> Place:
    """Return the given places, else LCMA_DB, LCMA_RUNS and LCMA_DATA of the environment.

    The defaults are lcma.db, lcma-runs and lcma-data in the current folder.

    Args:
        db: File or URL of the database, or the name of a published one.
        runs: Folder or URL of checkpoints and weights.
        data: Folder of data sets.
        write: Whether the database will be written.
        needs_weights: Whether a command that writes also needs the kept weights.

    Raises:
        UserError: A path cannot be made absolute, or a published database is unreadable or would
            be written.
    """

    def absolute(path: str | Path) -> Path:
        require_text(str(path), "a path")
        try:
            return Path(path).expanduser().absolute()
        except (OSError, RuntimeError) as error:  # no such user, or no current folder
            raise UserError(f"{path} leads nowhere: {error}; give an absolute path") from None

    url = name_database(db)
    if is_published_database(url):
        if write:
            name = "the reference database" if url == REFERENCE else f"{url}, a published database,"
            remedy = (
                " and has no weights: `lcma launch` with your own --db trains and keeps them"
                if needs_weights
                else f": name your own with --db; `lcma db merge {url}` copies its results there"
            )
            raise UserError(f"{name} is never written{remedy}")
        from lcma.harness.shards import open_reference, open_shards  # SQLAlchemy takes a while

        url = str(open_reference() if url == REFERENCE else open_shards([absolute(url)]))
    elif "://" not in url:
        hint = suggest(url, (REFERENCE,), "")  # ends in "?" if the word is close to `reference`
        if url.isalpha() and hint.endswith("?") and not write:
            raise UserError(f"{url!r} is not a database: {hint}")
        url = str(absolute(url))
    weights = str(runs or os.environ.get(RUNS_VARIABLE) or "lcma-runs")
    if _MISTYPED_URL.match(weights):  # it may hold a password, so it is not repeated
        raise UserError(f"cannot read the URL of --runs ({RUNS_VARIABLE}): give SCHEME://PLACE")
    return Place(
        db=url,
        runs=(local_path(weights) or weights) if is_url(weights) else absolute(weights),
        data=absolute(data or os.environ.get(DATA_VARIABLE) or "lcma-data"),
    )
