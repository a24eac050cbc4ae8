"""Reading SQL on a PostgreSQL server: the query of a cursor in a read-only transaction."""

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from lcma.db.engine import QueryResult
from lcma.sweeps.errors import UserError

if TYPE_CHECKING:
    from lcma.db.postgres import PostgresDatabase

READING = frozenset({"select", "with", "values", "table", "explain", "("})
"""How a statement that reads may begin. What a cursor takes is decided by the server."""

NOT_READING = frozenset({"25006", "0A000", "42P11"})
"""The server's words for a statement that writes, or that a cursor does not take."""

LEADING = re.compile(r"(?:\s|;|--[^\n]*(?:\n|$)|/\*.*?\*/)*(\w+|\()?", re.S)
"""White space and comments, and the first word behind them."""

LONGEST = 2**31 - 1
"""Milliseconds of the longest time limit that the server knows."""

TOO_LATE = "57014"
SYNTAX = "42601"


def run(database: "PostgresDatabase", sql: str, limit: int | None, timeout: float) -> QueryResult:
    """See `lcma.db.query.run`."""
    found = LEADING.match(sql)
    first = (found[1] or "").lower() if found else ""
    if not first and (found is None or found.end() == len(sql)):
        raise UserError("there is no SQL statement to run: give one, such as 'SELECT 1'")
    try:
        sql.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"the query failed: {error}; check its SQL") from None
    import psycopg

    with database.reader().connect() as connection:
        milliseconds = min(max(1, timeout * 1000), LONGEST)
        limited = sa.func.set_config("statement_timeout", f"{milliseconds:.0f}", True)
        connection.execute(sa.select(limited))
        raw: Any = connection.connection.driver_connection
        try:
            # Both ways use the protocol that takes one statement only: after a COMMIT, a second
            # one could write. EXPLAIN is none of the statements that a cursor takes.
            with raw.cursor() if first == "explain" else raw.cursor("query") as cursor:
                if first == "explain":
                    rows = list(cursor.stream(sql))
                else:
                    cursor.execute(sql)
                    rows = cursor.fetchall() if limit is None else cursor.fetchmany(limit + 1)
                columns = tuple(column.name for column in cursor.description or ())
        except psycopg.Error as error:
            raise UserError(_explain(database, error, first, timeout)) from None
    truncated = limit is not None and len(rows) > limit
    shown = tuple(tuple(_plain(value) for value in row) for row in rows[:limit])
    return QueryResult(columns, shown, truncated)


def _explain(database: "PostgresDatabase", error: Any, first: str, timeout: float) -> str:
    why = database.hide(" ".join(str(error).split("\n")[0].split()))
    if error.sqlstate == TOO_LATE:
        return (
            f"the query took longer than {timeout:g} s and was stopped: narrow it, or give it "
            "more time"
        )
    if error.sqlstate == SYNTAX and "multiple commands" in why:
        return f"the query failed: there is more than one statement ({why}); give one statement"
    foreign = error.sqlstate == SYNTAX and first not in READING
    if foreign or error.sqlstate in NOT_READING:
        return f"the query does more than read {database.name} ({why}): only SELECT is allowed here"
    return database.explain(error) or f"the query failed: {why}; check its SQL"


def _plain(value: Any) -> Any:
    """As SQLite would give it: int, float, text, bytes or None."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, Decimal):
        whole = value.is_finite() and int(value.as_tuple().exponent) >= 0
        return int(value) if whole else float(value)
    if isinstance(value, memoryview | bytearray):
        return bytes(value)
    if value is None or isinstance(value, int | float | str | bytes):
        return value
    return str(value)
