"""The database that a URL or a path means."""

import re
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from lcma.db.engine import Database
from lcma.db.postgres import DRIVERS, PostgresDatabase
from lcma.db.sqlite import SqliteDatabase
from lcma.sweeps.errors import UserError
from lcma.sweeps.input_files import UNSTORABLE

SUFFIXES = (".db", ".sqlite")

FORMS = "sqlite:///PATH or postgresql://USER@HOST/DATABASE"

_MISTYPED = re.compile(r"(?:^|/)postgres(?:ql)?(?:\+\w+)?[:/].*:.*@")
"""A server's URL with a password that lacks a character and would be taken for a path."""


def locate(url: str) -> Database:
    """Find out which database a URL or a path means. Nothing is opened.

    Args:
        url: `sqlite:///PATH`, a bare path ending in .db or .sqlite, or
            `postgresql://USER@HOST/DATABASE`.

    Raises:
        UserError: It means neither a file of SQLite nor a PostgreSQL server.
    """
    # What cannot be read may hold a password, so it is not repeated.
    unread = UserError(f"cannot read the database URL: give it as {FORMS}")
    if UNSTORABLE.search(url):
        raise unread
    if "://" not in url:
        if _MISTYPED.search(url):
            raise unread
        if url.endswith(SUFFIXES):
            return SqliteDatabase(Path(url).expanduser().absolute())
        if "@" in url or ":" in url:
            raise unread
        raise UserError(
            f"'{url}' is not a database: give {FORMS}, or a path ending in .db or .sqlite"
        )
    try:
        parsed = sa.make_url(url)
    except (ArgumentError, ValueError):
        raise unread from None
    is_path = parsed.drivername in ("sqlite", "sqlite+pysqlite") and not parsed.host
    # Of two, the first could be one of the password, and the rest of that be taken for a host.
    if url.count("@") > 1 and not is_path:
        raise UserError(f"{unread}, and write an @ in user or password as %40")
    # With a slash too many the password would be taken for the name of a database.
    if "@" in url and parsed.username is None and not is_path:
        raise unread
    if parsed.drivername in DRIVERS:
        return PostgresDatabase(parsed)
    name = f"{parsed.drivername}://{parsed.host or ''}/{parsed.database or ''}"
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise UserError(f"the database {name} is not supported: give {FORMS}")
    if parsed.host or parsed.query or parsed.database in (None, "", ":memory:"):
        raise UserError(f"the database {name} does not name a file: give it as sqlite:///PATH")
    return SqliteDatabase(Path(str(parsed.database)).absolute())
