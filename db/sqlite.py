"""Results in one SQLite file: its connections and settings, and its errors in one line."""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal

import sqlalchemy as sa
from filelock import FileLock, Timeout
from sqlalchemy.pool import ConnectionPoolEntry, NullPool, Pool

from lcma.db.engine import Database, Found, QueryResult, beginning, translating
from lcma.db.errors import Unavailable
from lcma.db.pooling import BriefPool, while_alive
from lcma.db.schema.base import OPTUNA_TABLES
from lcma.sweeps.errors import UserError

APPLICATION_ID = 0x6C636D61
"""Written in the file's header ("lcma"), so that another program's file is told apart."""

BUSY_SECONDS = 60.0
"""How long a connection waits for another one's lock."""

CHECKPOINT_PAGES = 8000
"""How long the write-ahead log grows, in pages of 4 KiB, before it is moved into the file: with the
two waits for the disk that this takes."""

PASSING = frozenset(
    {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
)
"""The codes of failures that may be over by themselves."""

Mode = Literal["rwc", "rw", "ro"]


def sqlite_url(path: Path) -> str:
    """The URL under which another process finds the same file."""
    return sa.URL.create("sqlite", database=str(path)).render_as_string()


def explain(path: Path, error: BaseException | None) -> str | None:
    """One line for a failure that the file, the disk or another process causes; else None."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return None
    why = f"{error} ({getattr(error, 'sqlite_errorname', code)})"
    match code & 0xFF:
        case sqlite3.SQLITE_NOTADB:
            return f"{path} is not a SQLite database, or it is damaged: give another path"
        case sqlite3.SQLITE_CORRUPT:
            return f"the database {path} is damaged: {why}; go back to a copy of it"
        case sqlite3.SQLITE_FULL | sqlite3.SQLITE_IOERR:
            return f"the database {path} failed: {why}; nothing was changed: make room on its disk"
        case sqlite3.SQLITE_TOOBIG:
            return f"the database {path} takes no value so long: {why}; nothing was changed"
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return f"the database {path} cannot be written: {why}; copy it to a writable folder"
        case sqlite3.SQLITE_CANTOPEN:
            return f"cannot open the database {path}: {why}; check its folder's permissions"
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return f"the database {path} stayed locked: {why}; another process holds it, try again"
    return None


def passes(error: BaseException | None) -> bool:
    """Whether a failure may be over by itself: a lock, a full disk, a disk that fails."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in PASSING


def open_sqlite(path: Path, mode: Mode, *, immutable: bool = False) -> sqlite3.Connection:
    """A bare connection without implicit transactions, usable from any thread, one at a time."""
    options = f"?mode={mode}" + ("&immutable=1" if immutable else "")
    return sqlite3.connect(
        path.as_uri() + options,
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )


def open_readonly(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, on a read-only medium too.

    Raises sqlite3.Error where the file cannot be read, UserError where its latest changes cannot.
    """
    connection = open_sqlite(path, "ro")
    try:
        connection.execute("PRAGMA query_only=ON")
        connection.execute("PRAGMA schema_version")
    except sqlite3.OperationalError:
        connection.close()
        if os.access(path.parent, os.W_OK):
            raise
        # In WAL mode SQLite wants to make files beside the database; where it cannot, nobody
        # else can either, and the file may be taken as it is.
        log = path.with_name(path.name + "-wal")
        if log.exists() and log.stat().st_size > 0:
            raise UserError(
                f"{path} has changes in {log.name} that cannot be read on a read-only medium: "
                "copy both files to a writable folder"
            ) from None
        connection = open_sqlite(path, "ro", immutable=True)
        connection.execute("PRAGMA query_only=ON")
        connection.execute("PRAGMA schema_version")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that writes nothing but may tidy up SQLite's side files, where it can."""
    try:
        connection = open_sqlite(path, "rw")
    except sqlite3.OperationalError:
        return open_readonly(path)
    try:
        connection.execute("PRAGMA query_only=ON")
        connection.execute("PRAGMA schema_version")
    except sqlite3.OperationalError:
        connection.close()
        return open_readonly(path)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def open_writer(
    path: Path, *, create: bool = False, foreign_keys: bool = True
) -> sqlite3.Connection:
    """A connection that writes, in WAL mode."""
    connection = open_sqlite(path, "rwc" if create else "rw")
    try:
        _enter_wal_mode(connection)
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA foreign_keys={'ON' if foreign_keys else 'OFF'}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _enter_wal_mode(connection: sqlite3.Connection) -> None:
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            # Two that convert a new file at once would wait for each other, so SQLite refuses
            # one of them at once, whatever its timeout.
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


class SqliteDatabase(Database):
    """A file in WAL mode, on a local disk, for the processes of one machine."""

    engine = "SQLite"
    one_host = True

    def __init__(self, path: Path) -> None:
        super().__init__(sqlite_url(path), str(path))
        self.path = path

    def identify(self) -> Found:
        from lcma.db import sqlite_files

        return sqlite_files.identify(self.path)

    def identity(self) -> tuple[object, ...]:
        try:
            found = self.path.stat()
        except OSError:
            return ("sqlite", str(self.path.resolve()))
        return ("sqlite", found.st_dev, found.st_ino)

    def reader(self) -> sa.Engine:
        return self._reader(NullPool)

    def writer(self) -> sa.Engine:
        return self._writer(NullPool)

    def kept(self) -> tuple[sa.Engine, sa.Engine]:
        return self._reader(BriefPool), self._writer(BriefPool)

    @contextmanager
    def migrating(self) -> Iterator[sa.Connection]:
        # Foreign keys are off, because to rebuild a table SQLite drops it, and that would delete
        # what refers to it.
        engine = self._engine(
            "BEGIN IMMEDIATE",
            lambda: open_writer(self.path, create=True, foreign_keys=False),
            NullPool,
        )
        with engine.begin() as connection:
            connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")
            yield connection
            for table, _, missing, _ in connection.exec_driver_sql("PRAGMA foreign_key_check"):
                if table not in OPTUNA_TABLES:
                    raise UserError(
                        f"{self.path} has a row of {table} that refers to a missing {missing}: "
                        "go back to a copy of it"
                    )

    @contextmanager
    def turn(self) -> Iterator[None]:
        # Not a lock of the file itself, since who has the turn writes by several connections.
        beside = self.path.with_name(f"{self.path.name}.turn")
        try:
            with FileLock(beside, timeout=BUSY_SECONDS):
                yield
        except Timeout:
            raise Unavailable(
                f"the database {self.path} stayed locked: another process has {beside.name}"
            ) from None

    def keep_copy(self, revision: str) -> Path:
        from lcma.db import sqlite_files

        return sqlite_files.keep_copy(self.path, revision)

    def backup(self, out: Path | None) -> Path:
        from lcma.db import sqlite_files

        return sqlite_files.backup(self.path, out)

    def faults(self) -> Iterator[str]:
        try:
            with closing(open_reader(self.path)) as connection:
                for (found,) in connection.execute("PRAGMA integrity_check"):
                    if found != "ok":
                        yield " ".join(found.split())
        except sqlite3.Error as error:
            if self.is_damage(error):
                yield str(explain(self.path, error))
                return
            raise UserError(explain(self.path, error) or str(error)) from error

    def is_damage(self, error: BaseException | None) -> bool:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

    def clock(self, connection: sa.Connection) -> float:
        return time.time()  # all who write are on this machine

    def version(self) -> str:
        return f"{self.engine} {sqlite3.sqlite_version}"

    def explain(self, error: BaseException | None, *, connecting: bool = False) -> str | None:
        return explain(self.path, error)

    def passes(self, error: BaseException | None, *, connecting: bool = False) -> bool:
        return passes(error)

    def query(self, sql: str, limit: int | None, timeout: float) -> QueryResult:
        from lcma.db import query_sqlite

        return query_sqlite.run(self.path, sql, limit, timeout)

    def _reader(self, pool: type[Pool]) -> sa.Engine:
        return self._engine("BEGIN", lambda: open_reader(self.path), pool)

    def _writer(self, pool: type[Pool]) -> sa.Engine:
        # A deferred transaction that reads and then writes fails when another wrote in between.
        return self._engine("BEGIN IMMEDIATE", lambda: open_writer(self.path), pool)

    def _engine(
        self, begin: str, opener: Callable[[], sqlite3.Connection], pool: type[Pool]
    ) -> sa.Engine:
        engine = sa.create_engine("sqlite://", creator=opener, poolclass=pool)
        return while_alive(translating(beginning(engine, begin), self), self._is_still_there)

    def _is_still_there(self, _: object, record: ConnectionPoolEntry) -> bool:
        """Whether the path leads to the file that was opened, and not to another in its place."""
        try:
            status = self.path.stat()
        except OSError:
            return "file" not in record.info
        file = (status.st_dev, status.st_ino)
        return bool(record.info.setdefault("file", file) == file)
