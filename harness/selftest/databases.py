"""Fresh databases for a self-test, which it can make unreachable for a while."""

import sqlite3
import time
from abc import ABC, abstractmethod
from contextlib import closing, suppress
from pathlib import Path

import sqlalchemy as sa

from lcma import db
from lcma.db.sqlite import SqliteDatabase
from lcma.sweeps.errors import UserError

PREFIX = "lcma_selftest_"
"""Beginning of the names of schemas on a server."""

OBJECTS = """
SELECT n.nspname || '.' || c.relname FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' AND NOT EXISTS (
    SELECT 1 FROM pg_catalog.pg_depend AS d
    WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
)
ORDER BY 1 LIMIT 1
"""
"""The first object in the database that no extension brought."""

OTHERS = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


class Databases(ABC):
    """A place for empty databases, by name."""

    @abstractmethod
    def make(self, name: str) -> str:
        """Create an empty place for a database; return its URL."""

    @abstractmethod
    def drop(self, name: str) -> None:
        """Remove a database with all that is in it."""

    @abstractmethod
    def take_away(self, name: str, seconds: float) -> None:
        """Keep everybody from writing to a database for so many seconds."""


def make_databases(url: str | None, folder: Path) -> Databases:
    """Return a place for databases at the URL, or in a folder without one.

    Raises UserError where anything is there already.
    """
    if url is None:
        return SqliteFiles(folder / "selftest.db")
    database = db.locate(url)
    return SqliteFiles(database.path) if isinstance(database, SqliteDatabase) else Schemas(url)


class SqliteFiles(Databases):
    """SQLite files beside a path."""

    def __init__(self, path: Path) -> None:
        self._path = path
        if path.exists():
            raise UserError(f"{path} is there already: give --db a path where nothing is")
        if not path.parent.is_dir():
            raise UserError(f"{path.parent} is not a folder: give --db a path in one that is")

    def make(self, name: str) -> str:
        path = self._path_of(name)
        if path.exists():
            raise UserError(f"{path} is there already: remove it, or give another --db")
        return f"sqlite:///{path}"

    def drop(self, name: str) -> None:
        path = self._path_of(name)
        for file in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))):
            file.unlink(missing_ok=True)

    def take_away(self, name: str, seconds: float) -> None:
        """Hold the lock that writers wait for."""
        uri = f"{self._path_of(name).as_uri()}?mode=rw"
        with (
            suppress(sqlite3.OperationalError),  # not made yet, or locked by a writer for long
            closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection,
        ):
            connection.execute("BEGIN EXCLUSIVE")
            time.sleep(seconds)

    def _path_of(self, name: str) -> Path:
        return self._path.with_name(f"{self._path.stem}-{name}{self._path.suffix}")


class Schemas(Databases):
    """Schemas of an empty PostgreSQL database."""

    def __init__(self, url: str) -> None:
        self._url = sa.make_url(url)
        if "options" in self._url.query:
            raise UserError("--db: leave `options` out of the URL, schemas are made as needed")
        self._database = db.locate(url)
        with self._database.reader().connect() as connection:
            found = connection.exec_driver_sql(OBJECTS.replace("%", "%%")).scalar()
        if found is not None:
            raise UserError(
                f"the database {self._database.name} is not empty, it has {found}: give --db one "
                "that was just created"
            )

    def make(self, name: str) -> str:
        self._run(f'CREATE SCHEMA "{PREFIX}{name}"')
        options = {"options": f"-csearch_path={PREFIX}{name}"}
        return self._url.update_query_dict(options).render_as_string(hide_password=False)

    def drop(self, name: str) -> None:
        self._run(f'DROP SCHEMA IF EXISTS "{PREFIX}{name}" CASCADE')

    def take_away(self, name: str, seconds: float) -> None:
        """End every session, again and again."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            with self._database.reader().connect() as connection:  # which sees one moment alone
                connection.exec_driver_sql(OTHERS).scalar()
            time.sleep(0.1)

    def _run(self, statement: str) -> None:
        with self._database.writer().begin() as connection:
            connection.exec_driver_sql(statement)
