"""Results in one SQLite file: its connections and settings, and its errors in one line."""

import errno
import os
import secrets
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
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
from sqlalchemy.pool import NullPool

from lcma.db.engine import (
    Database,
    Found,
    QueryResult,
    begin_with,
    find_revision,
    share_compiled,
    take_rows,
    translate_errors,
)
from lcma.db.errors import Unavailable
from lcma.db.relations import explain_name
from lcma.db.schema.base import OPTUNA_TABLES, VERSION_TABLE, only_optuna
from lcma.sweeps.errors import UserError

APPLICATION_ID = 0x6C636D61
"""Written in the file's header ("lcma"), so that another program's file is known as such."""

BUSY_SECONDS = 60.0
"""How long a connection waits for another one's lock."""

CHECKPOINT_PAGES = 8000
"""How long the write-ahead log grows, in pages of 4 KiB, before it is moved into the file: with the
two waits for the disk that this takes."""

PASSING = frozenset(
    {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
)
"""The codes of failures that may be over by themselves."""

MAGIC = b"SQLite format 3\0"

NETWORK = frozenset(
    {
        *("9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "fhgfs", "glusterfs", "gpfs"),
        *("lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "pvfs2"),
        *("smb", "smb2", "smb3", "smbfs"),
    }
)
"""File systems over a network, by the kernel's names; with FUSE, by what follows `fuse.`."""

NETWORK_FUSE = frozenset(
    {
        *("davfs2", "gcsfuse", "goofys", "juicefs", "mount_s3", "mountpoint-s3", "rclone"),
        *("s3fs", "sshfs"),
    }
)
"""Those that are there with FUSE alone."""

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

LONGEST_MIB = 100
"""Length of the longest row that a query may make; each of its columns has an equal share."""

CHECK_EVERY = 10_000
"""SQLite instructions between two looks at whether to stop, well under a millisecond."""

Mode = Literal["rwc", "rw", "ro"]


def sqlite_url(path: Path) -> str:
    """Return the URL under which another process finds the same file."""
    return sa.URL.create("sqlite", database=str(path)).render_as_string()


def explain(path: Path, error: BaseException | None) -> str | None:
    """Return one line for a failure that the file, disk or another process causes; else None."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        if not _is_no_text(error):
            return None
        return f"the database {path} is damaged: {_one_line(error)}; go back to a copy of it"
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
        case sqlite3.SQLITE_READONLY if code == sqlite3.SQLITE_READONLY_ROLLBACK:
            return (
                f"the database {path} has changes that were never committed and cannot be undone "
                f"here: copy it and {path.name}-journal, both, to a writable folder"
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return f"the database {path} cannot be written: {why}; copy it to a writable folder"
        case sqlite3.SQLITE_CANTOPEN:
            if _is_gone(path):
                return f"the database {path} is gone: put the file back, or launch into a new one"
            if not os.access(path.parent, os.W_OK):
                return (
                    f"cannot open the database {path}: SQLite writes beside it, and cannot in this "
                    f"folder; copy it, with {path.name}-wal if that is there, to a writable folder"
                )
            return f"cannot open the database {path}: {why}; check its folder's permissions"
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return f"the database {path} stayed locked: {why}; another process holds it, try again"
    return None


def _is_no_text(error: object) -> bool:
    # The module's own errors, without a code, for text that is stored and is not in UTF-8, and for
    # a message of SQLite that has such text of the schema.
    if isinstance(error, UnicodeDecodeError):
        return True
    return isinstance(error, sqlite3.OperationalError) and "decode to UTF-8" in str(error)


def _is_gone(path: Path) -> bool:
    try:
        path.stat()
    except FileNotFoundError:
        return True
    except OSError:
        pass
    return False


def passes(error: BaseException | None) -> bool:
    """Return whether a failure may be over by itself: a lock, a full disk, a disk that fails."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in PASSING


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


def _is_other_than_file(path: Path) -> bool:
    # Looked at once: whoever closes a database may remove its log meanwhile.
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    return not (stat.S_ISREG(mode) or (stat.S_ISLNK(mode) and path.is_file()))


def identify(path: Path) -> Found:
    """Look at a path without changing it.

    Raises:
        UserError: It is a folder, another program's file, a damaged one, a place on a network file
            system, or no place for one.
    """
    kind = network_file_system(path.parent)
    if kind is not None:
        raise UserError(
            f"{path} is on a network file system ({kind}), where SQLite's write-ahead log gets "
            "corrupted: give a path on a local disk, or postgresql://USER@HOST/DATABASE"
        )
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
        for ending in ("-wal", "-shm", "-journal"):
            beside = path.with_name(path.name + ending)
            if _is_other_than_file(beside):  # SQLite would wait for a FIFO
                raise UserError(f"{beside} is not a file: remove it to use {path}")
        if path.stat().st_size == 0:
            return Found(exists=False, revision=None)
        if not os.access(path, os.R_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise UserError(
            f"cannot read the database {path}: {error.strerror}; check the path and its permissions"
        ) from None
    try:
        with closing(_open_to_identify(path)) as connection:
            return replace(_examine(connection, path), relations=_read_relations(connection))
    except (sqlite3.Error, UnicodeDecodeError) as error:
        code = getattr(error, "sqlite_errorcode", None)  # the module's own errors have none
        if code == sqlite3.SQLITE_NOTADB and not _has_magic(path):
            raise UserError(f"{path} is not a SQLite database: give another path") from None
        problem = explain(path, error) or (
            f"cannot read the database {path}: {_one_line(error)}; give another path, or a copy"
        )
        raise (Unavailable if passes(error) else UserError)(problem) from error


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
        if not (_has_to_roll_back(error) and writable):
            raise
    # Who wrote was killed in a commit. A connection that can write undoes it, whatever it is for.
    return open_reader(path)


def _has_to_roll_back(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_READONLY_ROLLBACK


def _has_magic(path: Path) -> bool:
    # Whether a file that SQLite has refused begins like one of its own. Never called for one that
    # SQLite opens: to close a file drops the locks that this process has on it, also those of
    # SQLite's connections, and others would then remove its log under them.
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def _read_relations(connection: sqlite3.Connection) -> dict[str, str]:
    rows = connection.execute(
        "SELECT type || ' ' || name, ifnull(sql, '') FROM sqlite_master"
        " WHERE type IN ('table', 'view', 'trigger')"
    )
    return dict(rows.fetchall())


def _examine(connection: sqlite3.Connection, path: Path) -> Found:
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
        return Found(exists=False, revision=None)
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
        words = line.split(" ")
        if "-" not in words[5:-1]:
            continue
        point = words[4].encode("latin-1", "replace").decode("unicode_escape")
        # Of two at one place, the later one covers the other.
        if (depth := above.get(point, -2)) >= deepest:
            deepest, kind = depth, words[words.index("-", 5) + 1]
    base = kind.removeprefix("fuse.")
    return kind if base in NETWORK or (base != kind and base in NETWORK_FUSE) else None


def _keep_copy(path: Path, revision: str) -> Path:
    # `results.db` of schema 0003 gives `results.schema-0003.db`; a copy that is there already is
    # left alone. Raises UserError, with nothing left behind, where there is no room.
    numbers = ("" if n == 1 else f"-{n}" for n in count(1))
    copy = next(
        name
        for name in (f"{path.stem}.schema-{revision}{n}{path.suffix}" for n in numbers)
        if not path.with_name(name).exists()
    )
    return _copy(path, path.with_name(copy), "before its upgrade")


def _backup(path: Path, out: Path | None) -> Path:
    # Without `out`, `results.db` gives `results.backup-20260131T120000Z.db` beside itself. Raises
    # UserError, with nothing left behind, where something is at `out`, or there is no room.
    if out is None:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        out = path.with_name(f"{path.stem}.backup-{stamp}{path.suffix}")
    if not out.parent.is_dir():
        raise UserError(
            f"cannot copy {path} to {out}: there is no folder {out.parent}, make it first"
        )
    return _copy(path, out, "")


def _copy(path: Path, target: Path, when: str) -> Path:
    aside = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
    taken = UserError(f"{target} is there already: give another name")
    try:
        if os.path.lexists(target):
            raise taken
        # SQLite would write through a link that somebody else has put there.
        os.close(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
        # In one step, so that it is of one state, and those who write need not wait.
        with closing(open_readonly(path)) as source, closing(sqlite3.connect(aside)) as to:
            source.backup(to)
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        _rename_to_new(aside, target)
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except FileExistsError:
        raise taken from None
    except (sqlite3.Error, OSError) as error:
        raise UserError(
            f"cannot copy {path} to {target}{when and ' ' + when}: {error}; make room on its disk, "
            "or copy it elsewhere"
        ) from None
    finally:
        aside.unlink(missing_ok=True)
    return target


def _rename_to_new(aside: Path, target: Path) -> None:
    # Never over what is there: FileExistsError.
    try:
        os.link(aside, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(target):
            raise FileExistsError(target) from None
        aside.rename(target)


# Read-only queries of users


def _query(path: Path, sql: str, limit: int | None, timeout: float) -> QueryResult:
    # In a thread of its own, which is left to itself when the time is over: SQLite looks at nothing
    # while one call of a function lasts, such as a search of a long text in another one.
    over = Event()
    answer: Future[QueryResult] = Future()

    def run() -> None:
        try:
            with closing(open_readonly(path)) as connection:
                found = _run_query(connection, path, sql, limit, over)
        except (sqlite3.Error, UserError, ValueError, OSError, MemoryError) as error:
            answer.set_exception(error)
        else:
            answer.set_result(found)

    Thread(target=run, daemon=True).start()
    try:
        return answer.result(min(timeout, TIMEOUT_MAX))
    except FutureTimeout:
        raise UserError(
            f"the query took longer than {timeout:g} s and was stopped: narrow it, or give it "
            "more time"
        ) from None
    except sqlite3.Error as error:
        problem = explain(path, error)
        raise UserError(problem or f"the query failed: {_one_line(error)}") from None
    finally:
        over.set()


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
    longest = LONGEST_MIB * 2**20 // _count_columns(connection, sql)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, longest)
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
                f"the query failed: {_one_line(error)}; it may make none of more than "
                f"{longest / 2**20:.3g} MiB, as a row may have {LONGEST_MIB} MiB: select less"
            ) from None
        if isinstance(error, sqlite3.ProgrammingError | sqlite3.Warning) and "one statement" in str(
            error
        ):
            raise UserError(
                "the query failed: there is more than one statement; give one statement"
            ) from None
        problem = explain(path, error)
        hint = explain_name(_one_line(error))
        raise UserError(problem or f"the query failed: {_one_line(error)}; {hint}") from None
    if cursor.description is None:
        raise UserError("there is no SQL statement to run: give one, such as 'SELECT 1'")
    columns = tuple(column[0] for column in cursor.description)
    return QueryResult(columns, tuple(rows), truncated)


def _count_columns(connection: sqlite3.Connection, sql: str) -> int:
    # Without a look at a row: `execute` would make the first one. 1 for SQL that is wrong, which
    # then fails, and for an EXPLAIN, whose rows are short.
    try:
        program = connection.execute(f"EXPLAIN {sql}").fetchall()
    except (sqlite3.Error, sqlite3.Warning, UnicodeEncodeError):
        return 1
    return max((row[3] for row in program if row[1] == "ResultRow"), default=1)


def _one_line(error: object) -> str:
    return " ".join(str(error).split())


@contextmanager
def _leaving_nothing(path: Path) -> Iterator[None]:
    # Where the block makes the file and fails, as on a full disk, the empty file is removed.
    new = not path.exists()
    try:
        yield
    except BaseException:  # an interruption too
        with suppress(OSError):
            if new and path.stat().st_size == 0:
                path.unlink()
        raise


class SqliteDatabase(Database):
    """A file in WAL mode, on a local disk, for the processes of one machine."""

    engine = "SQLite"
    one_host = True

    def __init__(self, path: Path) -> None:
        super().__init__(sqlite_url(path), str(path))
        self.path = path

    def identify(self) -> Found:
        return identify(self.path)

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
        with _leaving_nothing(self.path), engine.begin() as connection:
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
        return _keep_copy(self.path, revision)

    def backup(self, out: Path | None) -> Path:
        return _backup(self.path, out)

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
            if self.is_damage(error):
                yield str(explain(self.path, error))
                return
            raise UserError(explain(self.path, error) or str(error)) from error

    def is_damage(self, error: BaseException | None) -> bool:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or _is_no_text(error)

    def clock(self, connection: sa.Connection) -> float:
        return time.time()  # all who write are on this machine

    def last_change(self, connection: sa.Connection) -> object:
        # Every transaction writes to the log, and from there now and then to the file. A log that
        # is empty is made and removed by who only reads.
        log = self.path.with_name(self.path.name + "-wal")
        with suppress(FileNotFoundError):
            found = log.stat()
            if found.st_size:
                return _stamp(self.path.stat()), _stamp(found)
        return _stamp(self.path.stat())

    def rewrite(self, connection: sa.Connection) -> None:
        # Of what makes no difference, the only thing that SQLite writes though it is the same.
        (number,) = connection.exec_driver_sql("PRAGMA user_version").one()
        connection.exec_driver_sql(f"PRAGMA user_version={number}")

    def version(self) -> str:
        return f"{self.engine} {sqlite3.sqlite_version}"

    def explain(self, error: BaseException | None, *, connecting: bool = False) -> str | None:
        return explain(self.path, error)

    def passes(self, error: BaseException | None, *, connecting: bool = False) -> bool:
        return passes(error)

    def query(self, sql: str, limit: int | None, timeout: float) -> QueryResult:
        return _query(self.path, sql, limit, timeout)

    def _engine(self, begin: str, opener: Callable[[], sqlite3.Connection]) -> sa.Engine:
        engine = share_compiled(sa.create_engine("sqlite://", creator=opener, poolclass=NullPool))
        return translate_errors(begin_with(engine, begin), self)


def _stamp(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_ino, found.st_mtime_ns, found.st_size
