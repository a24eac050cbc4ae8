"""Results in one SQLite file: its connections and settings, and its errors in one line."""

import os
import re
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from itertools import count, takewhile
from pathlib import Path
from threading import TIMEOUT_MAX, Event, Thread
from typing import Literal

import sqlalchemy as sa
from filelock import FileLock, Timeout
from sqlalchemy import event
from sqlalchemy.pool import NullPool

from lcma.db.engine import (
    Damaged,
    Database,
    DatabaseState,
    QueryResult,
    Unavailable,
    explain_timeout,
    find_revision,
    take_rows,
    translate_errors,
    translating_errors,
)
from lcma.db.relations import explain_name
from lcma.db.schema import OPTUNA_TABLES, VERSION_TABLE, has_only_optuna
from lcma.sweeps.errors import UserError

APPLICATION_ID = 0x6C636D61
"""The mark in the file's header ("lcma"), by which another program's file is recognized."""

BUSY_SECONDS = 60.0
"""How long a connection waits for another one's lock."""

CHECKPOINT_PAGES = 8000
"""The size in pages of 4 KiB of the write-ahead log at which it is moved into the file: this waits
for the disk twice."""

MAGIC = b"SQLite format 3\0"

NETWORK_FILE_SYSTEMS = frozenset(
    {
        *("9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "davfs2", "fhgfs", "gcsfuse"),
        *("glusterfs", "goofys", "gpfs", "juicefs", "lustre", "mount_s3", "mountpoint-s3"),
        *("ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "pvfs2", "rclone", "s3fs", "smb"),
        *("smb2", "smb3", "smbfs", "sshfs"),
    }
)
"""The kernel's names of network file systems; with FUSE, the part after `fuse.`."""

MOUNTS = Path("/proc/self/mountinfo")
"""The table of mounts, on Linux; other systems are not checked."""

READ_ACTIONS = frozenset(
    {
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_FUNCTION,
        sqlite3.SQLITE_RECURSIVE,
    }
)
"""All that a query may do. Any other action is denied, whatever later SQLite versions add."""

READ_PRAGMAS = frozenset(
    {"table_info", "table_xinfo", "table_list", "index_list", "index_info", "foreign_key_list"}
)
"""Pragmas that describe the schema and change nothing."""

MAX_VALUE_BYTES = 100 * 2**20
"""Bytes of the longest value that is read, written or made by a query."""

CHECK_INSTRUCTIONS = 10_000
"""SQLite's instructions between two checks whether to stop, well under a millisecond."""

Mode = Literal["rwc", "rw", "ro"]

_DAMAGED = Damaged, "is damaged: {why}; go back to a copy of it"
_LOCKED = Unavailable, "stayed locked: {why}; another process holds it, try again"
_FULL = Unavailable, "failed: {why}; nothing was changed: make room on its disk"
_COPY = (
    UserError,
    "cannot be opened or written here: {why}; check its permissions, or copy it, and {name}-wal or "
    "{name}-journal, both, to a writable folder",
)

ERRORS: Mapping[int, tuple[type[UserError], str]] = {
    sqlite3.SQLITE_NOTADB: (
        Damaged,
        "is not a SQLite database, or is damaged: {why}; give another path",
    ),
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_IOERR: _FULL,
    sqlite3.SQLITE_TOOBIG: (
        UserError,
        f"has, or would get, a value of over {MAX_VALUE_BYTES // 2**20} MiB: {{why}}; nothing was "
        "changed: if it has one, go back to a copy of it",
    ),
    sqlite3.SQLITE_READONLY: _COPY,
    sqlite3.SQLITE_PERM: _COPY,
    sqlite3.SQLITE_CANTOPEN: _COPY,
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
}
"""By SQLite's code the error for a failure that the file, its disk or another process causes."""


def open_sqlite(path: Path, mode: Mode) -> sqlite3.Connection:
    """Open a connection without implicit transactions, for any thread, one at a time."""
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
    return connection


def open_readonly(path: Path, mode: Mode = "ro") -> sqlite3.Connection:
    """Open a connection that cannot write. Raises sqlite3.Error if the file cannot be read."""
    connection = open_sqlite(path, mode)
    try:
        connection.execute("PRAGMA query_only=ON")
        connection.execute("PRAGMA schema_version")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """Open a connection that does not write, but tidies up SQLite's side files if it may."""
    try:
        return open_readonly(path, "rw")
    except sqlite3.OperationalError:
        return open_readonly(path)


def open_writer(
    path: Path, *, create: bool = False, foreign_keys: bool = True, wal: bool = True
) -> sqlite3.Connection:
    """Open a connection that writes, in WAL mode or in the file's present mode.

    Raises:
        sqlite3.Error: The file cannot be read or written.
        UserError: The file is read-only, or it is damaged and was not in WAL mode.
    """
    # Root could write it, and would change the databases that come with the package.
    if path.exists() and not path.stat().st_mode & 0o222:
        raise UserError(
            f"the database {path} cannot be written: its file is read-only; copy it elsewhere"
        )
    connection = open_sqlite(path, "rwc" if create else "rw")
    try:
        if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            # Checked once in a file's life: the mode is stored in the file.
            (result,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if result != "ok":
                why = _join_lines(result)
                raise UserError(f"the database {path} is damaged: {why}; go back to a copy of it")
            if wal:
                _enter_wal_mode(connection)
        connection.execute(f"PRAGMA synchronous={'NORMAL' if wal else 'FULL'}")
        connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA foreign_keys={'ON' if foreign_keys else 'OFF'}")
    except (sqlite3.Error, UserError):
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
            # Two processes that convert a new file would deadlock, so SQLite refuses one of them
            # at once, whatever its timeout.
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


# Identifying a file before anything opens it for writing, and copying it


def _open_to_identify(path: Path) -> sqlite3.Connection:
    # In WAL mode SQLite makes files beside the database. A connection that cannot write leaves them
    # there. A connection that can write removes them, but would also move an existing log into the
    # file.
    beside = (path.with_name(path.name + ending) for ending in ("-wal", "-journal"))
    if not any(map(os.path.lexists, beside)):
        return open_reader(path)
    try:
        return open_readonly(path)
    except sqlite3.OperationalError as error:
        writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
        if error.sqlite_errorcode != sqlite3.SQLITE_READONLY_ROLLBACK or not writable:
            raise
    # A writer was killed in a commit, which a connection that can write rolls back.
    return open_reader(path)


def _read_state(connection: sqlite3.Connection, path: Path) -> DatabaseState:
    connection.execute("BEGIN")
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    names = {
        name
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')"
            " AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"
        )
    }
    new = not names or has_only_optuna(names)
    if application not in (0, APPLICATION_ID) or (VERSION_TABLE not in names and not new):
        raise UserError(f"{path} is a database of another program: give another path")
    if new:
        return DatabaseState(exists=False, revision=None)
    rows = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchmany(2)  # noqa: S608 - a constant
    state = find_revision(str(path), names, [version for (version,) in rows])
    relations = connection.execute(
        "SELECT type || ' ' || name, ifnull(sql, '') FROM sqlite_master"
        " WHERE type IN ('table', 'view', 'trigger')"
    )
    return replace(state, relations=dict(relations.fetchall()))


def _find_network_file_system(folder: Path) -> str | None:
    # The kind of network file system that a folder is on; None for a local disk.
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        real = folder.resolve()
    except (OSError, RuntimeError):
        return None
    above = {str(parent): len(parent.parts) for parent in (real, *real.parents)}
    deepest, kind = -1, ""
    for line in lines:
        # ID parent major:minor root MOUNT-POINT options [tags] - KIND source options
        before, _, after = line.partition(" - ")
        # A space in the path stands as \040.
        point = re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), before.split(" ")[4])
        # Of two mounts at the same point, the later hides the earlier.
        if (depth := above.get(point, -2)) >= deepest:
            deepest, kind = depth, after.split(" ")[0]
    return kind if kind.removeprefix("fuse.") in NETWORK_FILE_SYSTEMS else None


def _copy(path: Path, target: Path) -> Path:
    # The copy is one transaction, for which writers need not wait. If it fails, it leaves nothing.
    # If it is killed, SQLite takes the target for an empty file.
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
    except FileExistsError:
        raise UserError(f"{target} is there already: give another name") from None
    except FileNotFoundError:
        raise UserError(
            f"cannot copy {path} to {target}: there is no folder {target.parent}, make it first"
        ) from None
    except OSError as error:
        raise UserError(f"cannot copy {path} to {target}: {error.strerror}") from None
    try:
        with closing(open_readonly(path)) as source, closing(sqlite3.connect(target)) as to:
            source.backup(to)
    except BaseException as error:  # an interruption too
        target.unlink()
        if not isinstance(error, sqlite3.Error):
            raise
        raise UserError(
            f"cannot copy {path} to {target}: {error}; make room on its disk, or copy it elsewhere"
        ) from None
    return target


def _join_lines(error: object) -> str:
    return " ".join(str(error).split())


class SqliteDatabase(Database):
    """A file in WAL mode, on a local disk, for the processes of one machine."""

    engine = "SQLite"
    one_host = True

    def __init__(self, path: Path) -> None:
        url = sa.URL.create("sqlite", database=str(path)).render_as_string()
        super().__init__(url, str(path))
        # SQLite puts its files beside the file that a link leads to.
        self.path = Path(os.path.realpath(path))

    def identify(self) -> DatabaseState:
        path = self.path
        kind = _find_network_file_system(path.parent)
        if kind is not None:
            raise UserError(
                f"{path} is on a network file system ({kind}), where SQLite's write-ahead log gets "
                "corrupted: give a path on a local disk, or postgresql://USER@HOST/DATABASE"
            )
        try:
            status = path.stat()
        except FileNotFoundError:
            if not path.parent.is_dir():
                raise UserError(
                    f"there is no database {path}, nor a folder {path.parent} for it: give "
                    "another path, or make the folder first"
                ) from None
            return DatabaseState(exists=False, revision=None)
        except OSError as error:
            raise UserError(f"cannot read the database {path}: {error.strerror}") from None
        if not stat.S_ISREG(status.st_mode):
            raise UserError(f"the database {path} is not a file: give the path of a file")
        if status.st_size == 0:
            return DatabaseState(exists=False, revision=None)
        try:
            with closing(_open_to_identify(path)) as connection:
                return _read_state(connection, path)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            why = _join_lines(error)
            raise self.translate(error) or UserError(
                f"cannot read the database {path}: {why}; give another path, or a copy"
            ) from error

    def identity(self) -> tuple[object, ...]:
        try:
            status = self.path.stat()
        except OSError:
            return ("sqlite", str(self.path.resolve()))
        return ("sqlite", status.st_dev, status.st_ino)

    def reader(self) -> sa.Engine:
        return self._engine("BEGIN", lambda: open_reader(self.path))

    def writer(self) -> sa.Engine:
        # A deferred transaction that reads and then writes fails when another wrote in between.
        return self._engine("BEGIN IMMEDIATE", lambda: open_writer(self.path))

    @contextmanager
    def migrating(self) -> Iterator[sa.Connection]:
        # Foreign keys are off: SQLite rebuilds a table by dropping it, which would delete the rows
        # that refer to it. WAL mode comes last, so that a file that is refused stays as it is; if
        # that fails, the next writer sets it.
        engine = self._engine(
            "BEGIN IMMEDIATE",
            lambda: open_writer(self.path, create=True, foreign_keys=False, wal=False),
        )
        with engine.begin() as connection:
            if connection.exec_driver_sql("PRAGMA application_id").scalar() != APPLICATION_ID:
                connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")
            yield connection
            for table, _, missing, _ in connection.exec_driver_sql("PRAGMA foreign_key_check"):
                if table not in OPTUNA_TABLES:
                    raise UserError(
                        f"{self.path} has a row of {table} that refers to a missing {missing}: "
                        "go back to a copy of it"
                    )
        with suppress(UserError), self.writer().connect():
            pass

    @contextmanager
    def turn(self) -> Iterator[None]:
        # Not a lock of the database: the holder writes to it through several connections.
        beside = self.path.with_name(f"{self.path.name}.turn")
        try:
            with FileLock(beside, timeout=BUSY_SECONDS):
                yield
        except Timeout:
            raise Unavailable(
                f"the database {self.path} stayed locked: another process has {beside.name}"
            ) from None

    def keep_copy(self, revision: str) -> Path:
        # `results.db` of schema 0003 gives `results.schema-0003.db`, beside earlier ones.
        numbers = ("" if n == 1 else f"-{n}" for n in count(1))
        names = (f"{self.path.stem}.schema-{revision}{n}{self.path.suffix}" for n in numbers)
        copies = map(self.path.with_name, names)
        return _copy(self.path, next(copy for copy in copies if not copy.exists()))

    def backup(self, out: Path | None) -> Path:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        beside = self.path.with_name(f"{self.path.stem}.backup-{stamp}{self.path.suffix}")
        return _copy(self.path, out or beside)

    def faults(self) -> Iterator[str]:
        try:
            with closing(open_reader(self.path)) as connection:
                for (fault,) in connection.execute("PRAGMA integrity_check"):
                    if fault != "ok":
                        yield _join_lines(fault)
                for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check"):
                    if table not in OPTUNA_TABLES:
                        where = "a row" if row is None else f"row {row}"
                        yield f"{where} of {table} refers to a missing row of {parent}"
        except sqlite3.Error as error:
            problem = self.translate(error)
            if not isinstance(problem, Damaged):
                raise problem or UserError(str(error)) from error
            yield str(problem)

    def clock(self, connection: sa.Connection) -> float:
        return time.time()  # all writers are on this machine

    def rewrite(self, connection: sa.Connection) -> None:
        # SQLite writes this value even if it is unchanged.
        (number,) = connection.exec_driver_sql("PRAGMA user_version").one()
        connection.exec_driver_sql(f"PRAGMA user_version={number}")

    def version(self) -> str:
        return f"{self.engine} {sqlite3.sqlite_version}"

    def translate(
        self, error: BaseException | None, *, connecting: bool = False
    ) -> UserError | None:
        explained = ERRORS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
        # The module raises its own error without a code for stored text that is not UTF-8, and for
        # a message of SQLite that quotes such text.
        if isinstance(error, UnicodeDecodeError) or "decode to UTF-8" in str(error):
            explained = _DAMAGED
        if explained is None:
            return None
        if explained is _COPY and not os.path.exists(self.path):  # noqa: PTH110 - Path.exists raises if it may not look
            parent = self.path.parent
            if os.access(parent, os.F_OK) and not os.access(parent, os.W_OK):
                return UserError(
                    f"the folder of the database {self.path} may not be written: name another"
                )
            return UserError(
                f"the database {self.path} is gone: put the file back, or launch into a new one"
            )
        kind, message = explained
        why = f"{_join_lines(error)} ({getattr(error, 'sqlite_errorname', type(error).__name__)})"
        return kind(f"the database {self.path} {message.format(why=why, name=self.path.name)}")

    def query(self, sql: str, limit: int | None, timeout: float) -> QueryResult:
        # In a thread of its own, which is abandoned at the timeout: SQLite cannot be stopped during
        # a call of a function, such as a search in a long text.
        over = Event()
        answer: Future[QueryResult] = Future()

        def run() -> None:
            try:
                with closing(open_readonly(self.path)) as connection:
                    result = self._query(connection, sql, limit, over)
            except (sqlite3.Error, UserError, ValueError, OSError, MemoryError) as error:
                answer.set_exception(error)
            else:
                answer.set_result(result)

        Thread(target=run, daemon=True).start()
        try:
            return answer.result(min(timeout, TIMEOUT_MAX))
        except FutureTimeout:
            raise UserError(explain_timeout(timeout)) from None
        except sqlite3.Error as error:
            why = _join_lines(error)
            raise self.translate(error) or UserError(f"the query failed: {why}") from None
        finally:
            over.set()

    def _query(
        self, connection: sqlite3.Connection, sql: str, limit: int | None, over: Event
    ) -> QueryResult:
        denied = False

        def authorize(action: int, first: str | None, second: str | None, *_: str | None) -> int:
            nonlocal denied
            function = (second or "").lower()
            allowed = (action in READ_ACTIONS and function != "load_extension") or (
                action == sqlite3.SQLITE_PRAGMA and (first or "").lower() in READ_PRAGMAS
            )
            denied = denied or not allowed
            return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY

        connection.text_factory = lambda raw: raw.decode("utf-8", errors="replace")
        connection.set_progress_handler(over.is_set, CHECK_INSTRUCTIONS)
        connection.set_authorizer(authorize)
        try:
            cursor = connection.execute(sql)
            rows, truncated = take_rows(takewhile(lambda _: not over.is_set(), cursor), limit)
        except (sqlite3.Error, sqlite3.Warning, UnicodeEncodeError) as error:
            why = _join_lines(error)
            if denied or "because it is a view" in why:
                problem: UserError | None = UserError(
                    f"the query does more than read {self.path.name} ({why}): "
                    "only SELECT is allowed here"
                )
            elif getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_TOOBIG:
                most = MAX_VALUE_BYTES // 2**20
                problem = UserError(
                    f"the query failed: {why}; a value may have {most} MiB: select less"
                )
            elif "one statement" in why and not hasattr(error, "sqlite_errorcode"):
                problem = UserError(
                    "the query failed: there is more than one statement; give one statement"
                )
            else:
                problem = self.translate(error)
            raise problem or UserError(f"the query failed: {why}; {explain_name(why)}") from None
        if cursor.description is None:
            raise UserError("there is no SQL statement to run: give one, such as 'SELECT 1'")
        columns = tuple(column[0] for column in cursor.description)
        return QueryResult(columns, tuple(rows), truncated)

    def _engine(self, begin: str, opener: Callable[[], sqlite3.Connection]) -> sa.Engine:
        engine = sa.create_engine("sqlite://", creator=opener, poolclass=NullPool)

        @event.listens_for(engine, "begin")
        def _begin(connection: sa.Connection) -> None:
            # On the driver's own connection: SQLAlchemy would take longer than SQLite.
            with translating_errors(connection):
                connection.connection.cursor().execute(begin)

        return translate_errors(engine, self)
