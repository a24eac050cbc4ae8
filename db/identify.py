"""What a file is, found out before anything opens it for writing."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from db.engine import APPLICATION_ID, explain, open_readonly
from db.schema.base import VERSION_TABLE
from sweeps.errors import UserError

MAGIC = b"SQLite format 3\0"


@dataclass(frozen=True, slots=True)
class Found:
    """A place for a database: `exists` says whether tables are there, `revision` which schema."""

    exists: bool
    revision: str | None


def identify(path: Path) -> Found:
    """Look at a path without changing it.

    Raises UserError for a folder, another program's file, a damaged one, or no place for one.
    """
    try:
        if not path.exists():
            if not path.parent.is_dir():
                raise UserError(
                    f"cannot make the database {path}: there is no folder {path.parent}, "
                    "make it first"
                )
            return Found(exists=False, revision=None)
        if not path.is_file():
            raise UserError(f"the database {path} is not a file: give the path of a file")
        if path.stat().st_size == 0:
            return Found(exists=False, revision=None)
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise UserError(f"{path} is not a SQLite database: give another path")
    except OSError as error:
        raise UserError(
            f"cannot read the database {path}: {error.strerror}; check the path and its permissions"
        ) from None
    try:
        with closing(open_readonly(path)) as connection:
            return _examine(connection, path)
    except sqlite3.Error as error:
        problem = explain(path, error)
        if problem is None:
            raise
        raise UserError(problem) from error


def _examine(connection: sqlite3.Connection, path: Path) -> Found:
    connection.execute("BEGIN")
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    names = {
        name
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite!_%' ESCAPE '!'"
        )
    }
    if application not in (0, APPLICATION_ID) or (names and VERSION_TABLE not in names):
        raise UserError(f"{path} is a database of another program: give another path")
    if VERSION_TABLE not in names:
        return Found(exists=False, revision=None)
    row = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()  # noqa: S608 - a constant
    return Found(exists=row is not None, revision=None if row is None else row[0])
