"""Results in one SQLite file: its connections and settings, and its errors in one line."""

import os
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
    driver_errors,
    explain_timeout,
    find_revision,
    take_rows,
    translate_errors,
)
from lcma.db.relations import explain_name
from lcma.db.schema import OPTUNA_TABLES, VERSION_TABLE, only_optuna
from lcma.sweeps.errors import UserError

APPLICATION_ID = 0x6C636D61
"""Written in the file's header ("lcma"), so that another program's file is known as such."""

BUSY_SECONDS = 60.0
"""How long a connection waits for another one's lock."""

CHECKPOINT_PAGES = 8000
"""How long the write-ahead log grows, in pages of 4 KiB, before it is moved into the file: with the
two waits for the disk that this takes."""

MAGIC = b"SQLite format 3\0"

NETWORK = frozenset(
    {
        *("9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "davfs2", "fhgfs", "gcsfuse"),
        *("glusterfs", "goofys", "gpfs", "juicefs", "lustre", "mount_s3", "mountpoint-s3"),
        *("ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "pvfs2", "rclone", "s3fs", "smb"),
        *("smb2", "smb3", "smbfs", "sshfs"),
    }
)
"""File systems over a network, by the kernel's names; with FUSE, by what follows `fuse.`."""

MOUNTS = Path("/proc/self/mountinfo")
"""What is mounted where, on Linux; elsewhere nothing is known."""

READING = frozenset(
    {
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_FUNCTION,
        sqlite3.SQLITE_RECURSIVE,
    }
)
"""All that a query may do. What is not here is denied, whatever later SQLite versions add."""

LOOKING = frozenset(
    {"table_info", "table_xinfo", "table_list", "index_list", "index_info", "foreign_key_list"}
)
"""Pragmas that describe the schema and change nothing."""

LONGEST = 100 * 2**20
"""Bytes of the longest value that a query may make."""

CHECK_EVERY = 10_000
"""SQLite instructions between two looks at whether to stop, well under a millisecond."""

Mode = Literal["rwc", "rw", "ro"]


def sqlite_url(path: Path) -> str:
    """Return the URL under which another process finds the same file."""
    return sa.URL.create("sqlite", database=str(path)).render_as_string()


_DAMAGED = Damaged, "is damaged: {why}; go back to a copy of it"
_LOCKED = Unavailable, "stayed locked: {why}; another process holds it, try again"
_FULL = Unavailable, "failed: {why}; nothing was changed: make room on its disk"
_COPY = (
    UserError,
    "cannot be opened or written here: {why}; check its permissions, or copy it, and {name}-wal or "
    "{name}-journal, both, to a writable folder",
)

EXPLAINED: Mapping[int, tuple[type[UserError], str]] = {
    sqlite3.SQLITE_NOTADB: (
        Damaged,
        "is not a SQLite database, or is damaged: {why}; give another path",
    ),
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_IOERR: _FULL,
    sqlite3.SQLITE_TOOBIG: (UserError, "takes no value so long: {why}; nothing was changed"),
    sqlite3.SQLITE_READONLY: _COPY,
    sqlite3.SQLITE_PERM: _COPY,
    sqlite3.SQLITE_CANTOPEN: _COPY,
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
}
"""What is said of a failure that the file, its disk or another process causes, by its code."""


def translate(path: Path, error: BaseException | None) -> UserError | None:
    """Return what to raise for a failure that the file, its disk or another process causes."""
    found = EXPLAINED.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
    # The module's own errors, without a code, for text that is stored and is not in UTF-8, and for
    # a message of SQLite that has such text of the schema.
    if isinstance(error, UnicodeDecodeError) or "decode to UTF-8" in str(error):
        found = _DAMAGED
    if found is None:
        return None
    if found is _COPY and not os.path.exists(path):  # noqa: PTH110 - Path.exists raises if it may not look
        return UserError(
            f"the database {path} is gone: put the file back, or launch into a new one"
        )
    kind, said = found
    why = f"{_one_line(error)} ({getattr(error, 'sqlite_errorname', type(error).__name__)})"
    return kind(f"the database {path} {said.format(why=why, name=path.name)}")


def open_sqlite(path: Path, mode: Mode) -> sqlite3.Connection:
    """Open a bare connection without implicit transactions, for any thread, one at a time."""
    return sqlite3.connect(
        f"{path.as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )


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
    """Open a connection that writes nothing but may tidy up SQLite's side files, where it can."""
    try:
        return open_readonly(path, "rw")
    except sqlite3.OperationalError:
        return open_readonly(path)


def open_writer(
    path: Path, *, create: bool = False, foreign_keys: bool = True, wal: bool = True
) -> sqlite3.Connection:
    """Open a connection that writes, in WAL mode or in the mode that the file is in.

    Raises:
        sqlite3.Error: The file cannot be read or written.
        UserError: It is damaged, and was not in WAL mode; or nobody may write it.
    """
    # Root could, and what comes with the package would be changed.
    if path.exists() and not path.stat().st_mode & 0o222:
        raise UserError(
            f"the database {path} cannot be written: its file is read-only; copy it elsewhere"
        )
    connection = open_sqlite(path, "rwc" if create else "rw")
    try:
        if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            _require_intact(connection, path)
            if wal:
                _enter_wal_mode(connection)
        connection.execute(f"PRAGMA synchronous={'NORMAL' if wal else 'FULL'}")
        connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA foreign_keys={'ON' if foreign_keys else 'OFF'}")
    except (sqlite3.Error, UserError):
        connection.close()
        raise
    return connection


def _require_intact(connection: sqlite3.Connection, path: Path) -> None:
    # Once in a file's life: the mode is in the file, which is left as it is where it is damaged.
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        why = _one_line(found)
        raise UserError(f"the database {path} is damaged: {why}; go back to a copy of it")


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


# What a file is, before anything opens it for writing; and copies of it


def _open_to_identify(path: Path) -> sqlite3.Connection:
    # A connection that cannot write leaves the files that SQLite makes beside a database in WAL
    # mode; one that can removes them, but would also move a log that is there into the file.
    beside = (path.with_name(path.name + ending) for ending in ("-wal", "-journal"))
    if not any(map(os.path.lexists, beside)):
        return open_reader(path)
    try:
        return open_readonly(path)
    except sqlite3.OperationalError as error:
        writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
        if error.sqlite_errorcode != sqlite3.SQLITE_READONLY_ROLLBACK or not writable:
            raise
    # Who wrote was killed in a commit. A connection that can write undoes it, whatever it is for.
    return open_reader(path)


def _read_relations(connection: sqlite3.Connection) -> dict[str, str]:
    rows = connection.execute(
        "SELECT type || ' ' || name, ifnull(sql, '') FROM sqlite_master"
        " WHERE type IN ('table', 'view', 'trigger')"
    )
    return dict(rows.fetchall())


def _examine(connection: sqlite3.Connection, path: Path) -> DatabaseState:
    connection.execute("BEGIN")
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    names = {
        name
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')"
            " AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"
        )
    }
    new = not names or only_optuna(names)
    if application not in (0, APPLICATION_ID) or (VERSION_TABLE not in names and not new):
        raise UserError(f"{path} is a database of another program: give another path")
    if new:
        return DatabaseState(exists=False, revision=None)
    rows = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchmany(2)  # noqa: S608 - a constant
    return find_revision(str(path), names, [version for (version,) in rows])


def network_file_system(folder: Path) -> str | None:
    """Return the kind of network file system that a folder is on; None for a local disk."""
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        real = folder.resolve()
    except (OSError, RuntimeError):
        return None
    above = {str(one): len(one.parts) for one in (real, *real.parents)}
    deepest, kind = -1, ""
    for line in lines:
        # ID parent major:minor root MOUNT-POINT options [tags] - KIND source options
        before, _, after = line.partition(" - ")
        point = before.split(" ")[4].encode("latin-1", "replace").decode("unicode_escape")
        # Of two at one place, the later one covers the other.
        if (depth := above.get(point, -2)) >= deepest:
            deepest, kind = depth, after.split(" ")[0]
    return kind if kind.removeprefix("fuse.") in NETWORK else None


def _copy(path: Path, target: Path) -> Path:
    # Leaves nothing where it fails. One that is killed leaves what SQLite takes for an empty file:
    # the copy is one transaction, of one state, for which those who write need not wait.
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


# Read-only queries of users


def _run_query(
    connection: sqlite3.Connection, path: Path, sql: str, limit: int | None, over: Event
) -> QueryResult:
    denied = False

    def authorize(action: int, first: str | None, second: str | None, *_: str | None) -> int:
        nonlocal denied
        function = (second or "").lower()
        allowed = (action in READING and function != "load_extension") or (
            action == sqlite3.SQLITE_PRAGMA and (first or "").lower() in LOOKING
        )
        denied = denied or not allowed
        return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY

    connection.text_factory = lambda raw: raw.decode("utf-8", errors="replace")
    connection.set_progress_handler(over.is_set, CHECK_EVERY)
    connection.set_authorizer(authorize)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)
    try:
        cursor = connection.execute(sql)
        rows, truncated = take_rows(takewhile(lambda _: not over.is_set(), cursor), limit)
    except (sqlite3.Error, sqlite3.Warning, UnicodeEncodeError) as error:
        if denied or "because it is a view" in str(error):
            raise UserError(
                f"the query does more than read {path.name} ({_one_line(error)}): "
                "only SELECT is allowed here"
            ) from None
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_TOOBIG:
            raise UserError(
                f"the query failed: {error}; a value may have {LONGEST // 2**20} MiB: select less"
            ) from None
        if isinstance(error, sqlite3.ProgrammingError | sqlite3.Warning) and "one statement" in str(
            error
        ):
            raise UserError(
                "the query failed: there is more than one statement; give one statement"
            ) from None
        raise translate(path, error) or UserError(
            f"the query failed: {_one_line(error)}; {explain_name(_one_line(error))}"
        ) from None
    if cursor.description is None:
        raise UserError("there is no SQL statement to run: give one, such as 'SELECT 1'")
    columns = tuple(column[0] for column in cursor.description)
    return QueryResult(columns, tuple(rows), truncated)


def _one_line(error: object) -> str:
    return " ".join(str(error).split())


class SqliteDatabase(Database):
    """A file in WAL mode, on a local disk, for the processes of one machine."""

    engine = "SQLite"
    one_host = True

    def __init__(self, path: Path) -> None:
        super().__init__(sqlite_url(path), str(path))
        self.path = path

    def identify(self) -> DatabaseState:
        path = self.path
        kind = network_file_system(path.parent)
        if kind is not None:
            raise UserError(
                f"{path} is on a network file system ({kind}), where SQLite's write-ahead log gets "
                "corrupted: give a path on a local disk, or postgresql://USER@HOST/DATABASE"
            )
        try:
            found = path.stat()
        except FileNotFoundError:
            if not path.parent.is_dir():
                raise UserError(
                    f"cannot make the database {path}: there is no folder {path.parent}, "
                    "make it first"
                ) from None
            return DatabaseState(exists=False, revision=None)
        except OSError as error:
            raise UserError(f"cannot read the database {path}: {error.strerror}") from None
        if not stat.S_ISREG(found.st_mode):
            raise UserError(f"the database {path} is not a file: give the path of a file")
        if found.st_size == 0:
            return DatabaseState(exists=False, revision=None)
        try:
            with closing(_open_to_identify(path)) as connection:
                return replace(_examine(connection, path), relations=_read_relations(connection))
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise translate(path, error) or UserError(
                f"cannot read the database {path}: {_one_line(error)}; give another path, or a copy"
            ) from error

    def identity(self) -> tuple[object, ...]:
        try:
            found = self.path.stat()
        except OSError:
            return ("sqlite", str(self.path.resolve()))
        return ("sqlite", found.st_dev, found.st_ino)

    def reader(self) -> sa.Engine:
        return self._engine("BEGIN", lambda: open_reader(self.path))

    def writer(self) -> sa.Engine:
        # A deferred transaction that reads and then writes fails when another wrote in between.
        return self._engine("BEGIN IMMEDIATE", lambda: open_writer(self.path))

    @contextmanager
    def migrating(self) -> Iterator[sa.Connection]:
        # Foreign keys are off, because to rebuild a table SQLite drops it, and that would delete
        # what refers to it.
        # WAL mode comes last, so that a file that is refused stays as it is; where that fails,
        # whoever writes next has it.
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
                for (found,) in connection.execute("PRAGMA integrity_check"):
                    if found != "ok":
                        yield " ".join(found.split())
                for table, row, other, _ in connection.execute("PRAGMA foreign_key_check"):
                    if table not in OPTUNA_TABLES:
                        where = "a row" if row is None else f"row {row}"
                        yield f"{where} of {table} refers to a missing row of {other}"
        except sqlite3.Error as error:
            problem = translate(self.path, error)
            if not isinstance(problem, Damaged):
                raise problem or UserError(str(error)) from error
            yield str(problem)

    def clock(self, connection: sa.Connection) -> float:
        return time.time()  # all who write are on this machine

    def rewrite(self, connection: sa.Connection) -> None:
        # Of what makes no difference, the only thing that SQLite writes though it is the same.
        (number,) = connection.exec_driver_sql("PRAGMA user_version").one()
        connection.exec_driver_sql(f"PRAGMA user_version={number}")

    def version(self) -> str:
        return f"{self.engine} {sqlite3.sqlite_version}"

    def translate(
        self, error: BaseException | None, *, connecting: bool = False
    ) -> UserError | None:
        return translate(self.path, error)

    def query(self, sql: str, limit: int | None, timeout: float) -> QueryResult:
        # In a thread of its own, which is left to itself when the time is over: SQLite looks at
        # nothing while one call of a function lasts, such as a search of a long text in another.
        over = Event()
        answer: Future[QueryResult] = Future()

        def run() -> None:
            try:
                with closing(open_readonly(self.path)) as connection:
                    found = _run_query(connection, self.path, sql, limit, over)
            except (sqlite3.Error, UserError, ValueError, OSError, MemoryError) as error:
                answer.set_exception(error)
            else:
                answer.set_result(found)

        Thread(target=run, daemon=True).start()
        try:
            return answer.result(min(timeout, TIMEOUT_MAX))
        except FutureTimeout:
            raise UserError(explain_timeout(timeout)) from None
        except sqlite3.Error as error:
            raise translate(self.path, error) or UserError(
                f"the query failed: {_one_line(error)}"
            ) from None
        finally:
            over.set()

    def _engine(self, begin: str, opener: Callable[[], sqlite3.Connection]) -> sa.Engine:
        engine = sa.create_engine("sqlite://", creator=opener, poolclass=NullPool)

        @event.listens_for(engine, "begin")
        def _begin(connection: sa.Connection) -> None:
            # On the driver's own connection: SQLAlchemy would take longer than SQLite.
            with driver_errors(connection):
                connection.connection.cursor().execute(begin)

        return translate_errors(engine, self)
