"""Places of results, checkpoints and prepared data."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from lcma.harness.urls import is_url, local_path
from lcma.sweeps.errors import UserError, suggest
from lcma.sweeps.input_files import require_text

REFERENCE = "reference"
"""What stands for the reference database wherever a database is named; a file is `./reference`."""

SHARD = ".sqlite.xz"
"""How a published database ends that is compressed; it can be read wherever one can be named."""

DB_VARIABLE, RUNS_VARIABLE, DATA_VARIABLE = "LCMA_DB", "LCMA_RUNS", "LCMA_DATA"


_MISTYPED = re.compile(r"[\w+.-]+:/?(?!/)[^/].*@")
"""A URL that lacks a / and would be taken for a path."""


@dataclass(frozen=True)
class Place:
    """Places of a launch: the database's URL or path, the folder of checkpoints and weights or its
    URL (a str), and the folder of data sets.

    Workers get it as it is, so its paths are absolute. A URL may hold a password, and is not shown
    with the rest.
    """

    db: str = field(repr=False)
    runs: Path | str = field(repr=False)
    data: Path


def name_database(db: str | None) -> str:
    """Return the name of the database that is given, else that of the environment, else lcma.db."""
    return db or os.environ.get(DB_VARIABLE) or "lcma.db"


def is_published_database(name: str) -> bool:
    """Return whether the name of a database stands for a published one, which is never written."""
    return name == REFERENCE or (name.endswith(SHARD) and "://" not in name)


def find_place(
    db: str | None,
    runs: Path | str | None,
    data: Path | None,
    *,
    write: bool = False,
    of_weights: bool = False,
) -> Place:
    """Return the places given, else those of the environment's LCMA_DB, LCMA_RUNS and LCMA_DATA,
    else lcma.db, lcma-runs and lcma-data in the current folder.

    Raises UserError for a path that cannot be made absolute, and where the database is a published
    one, if it cannot be read, or with ``write``, that the database is to be written, with
    ``of_weights`` what is measured of kept weights.
    """

    def absolute(path: str | Path) -> Path:
        require_text(str(path), "a path")
        try:
            return Path(path).expanduser().absolute()
        except (OSError, RuntimeError) as error:
            raise UserError(f"{path} leads nowhere: {error}") from None

    url = name_database(db)
    if is_published_database(url):
        if write:
            what = "the reference database" if url == REFERENCE else f"{url}, a published database,"
            why = (
                " and has no weights: `lcma launch` with your own --db trains and keeps them"
                if of_weights
                else f": name your own with --db, and `lcma db merge {url}` brings its results "
                "there"
            )
            raise UserError(f"{what} is never written{why}")
        from lcma.harness.shards import open_reference, open_shards  # SQLAlchemy takes a while

        url = str(open_reference() if url == REFERENCE else open_shards([absolute(url)]))
    elif "://" not in url:
        hint = suggest(url, (REFERENCE,), "")
        if url.isalpha() and hint.endswith("?") and not write:
            raise UserError(f"{url!r} is not a database: {hint}")
        url = str(absolute(url))
    files = str(runs or os.environ.get(RUNS_VARIABLE) or "lcma-runs")
    if _MISTYPED.match(files):  # it may hold a password, so it is not repeated
        raise UserError(f"cannot read the URL of --runs ({RUNS_VARIABLE}): give SCHEME://PLACE")
    if not is_url(files):
        where: Path | str = absolute(files)
    else:
        where = local_path(files) or files
    return Place(
        db=url,
        runs=where,
        data=absolute(data or os.environ.get(DATA_VARIABLE) or "lcma-data"),
    )
