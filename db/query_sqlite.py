"""Reading SQL on a SQLite file: one statement, held to reading by SQLite itself."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from lcma.db.engine import QueryResult
from lcma.db.sqlite import explain, open_readonly
from lcma.sweeps.errors import UserError

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
"""Length of the longest text or blob that a query may make."""

CHECK_EVERY = 10_000
"""SQLite instructions between two looks at the clock, well under a millisecond."""


def run(path: Path, sql: str, limit: int | None, timeout: float) -> QueryResult:
    """See `lcma.db.query.run`."""
    try:
        with closing(open_readonly(path)) as connection:
            return _run(connection, path, sql, limit, timeout)
    except sqlite3.Error as error:
        problem = explain(path, error)
        raise UserError(problem or f"the query failed: {_one_line(error)}") from None


def _run(
    connection: sqlite3.Connection, path: Path, sql: str, limit: int | None, timeout: float
) -> QueryResult:
    deadline = time.monotonic() + timeout
    late = False
    denied = False

    def over_time() -> int:
        nonlocal late
        late = late or time.monotonic() > deadline
        return int(late)

    def authorize(action: int, first: str | None, second: str | None, *_: str | None) -> int:
        nonlocal denied
        function = (second or "").lower()
        allowed = (action in READING and function != "load_extension") or (
            action == sqlite3.SQLITE_PRAGMA and (first or "").lower() in LOOKING
        )
        denied = denied or not allowed
        return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY

    connection.text_factory = lambda raw: raw.decode("utf-8", errors="replace")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_MIB * 2**20)
    connection.set_progress_handler(over_time, CHECK_EVERY)
    connection.set_authorizer(authorize)
    try:
        cursor = connection.execute(sql)
        rows = cursor.fetchall() if limit is None else cursor.fetchmany(limit + 1)
    except (sqlite3.Error, sqlite3.Warning, UnicodeEncodeError) as error:
        if late:
            raise UserError(
                f"the query took longer than {timeout:g} s and was stopped: narrow it, or give it "
                "more time"
            ) from None
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
            # Ctrl-C came while `over_time` ran, from where SQLite lets no exception through.
            raise KeyboardInterrupt from None
        if denied:
            raise UserError(
                f"the query does more than read {path.name} ({_one_line(error)}): "
                "only SELECT is allowed here"
            ) from None
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_TOOBIG:
            raise UserError(
                f"the query failed: {_one_line(error)}; it may make none of more than "
                f"{LONGEST_MIB} MiB"
            ) from None
        problem = explain(path, error)
        raise UserError(problem or f"the query failed: {_one_line(error)}; check its SQL") from None
    if cursor.description is None:
        raise UserError("there is no SQL statement to run: give one, such as 'SELECT 1'")
    columns = tuple(column[0] for column in cursor.description)
    truncated = limit is not None and len(rows) > limit
    return QueryResult(columns, tuple(rows[:limit]), truncated)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
