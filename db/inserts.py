"""Inserts that leave or replace what is there, bulk inserts, and named locks."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

Row = Mapping[str, Any]

ROWS = 5000
"""Rows that SQLite is given at once."""


def insert_missing(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Insert the rows whose keys are not there yet; other constraints hold as ever."""
    if rows:
        connection.execute(insert(connection.dialect, table).on_conflict_do_nothing(), list(rows))


def insert_or_replace(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Insert rows, or set the other columns of those whose unique key is there."""
    if not rows:
        return
    statement = insert(connection.dialect, table)
    unique = next(
        (c for c in table.constraints if isinstance(c, sa.UniqueConstraint)), table.primary_key
    )
    keys = list(unique.columns)
    others = {name: statement.excluded[name] for name in rows[0] if name not in unique.columns}
    connection.execute(
        statement.on_conflict_do_update(index_elements=keys, set_=others), list(rows)
    )


def insert(dialect: sa.Dialect, table: sa.Table) -> "sqlite.Insert | postgresql.Insert":
    """Return an insert that can say what becomes of a row whose key is there."""
    return postgresql.insert(table) if dialect.name == "postgresql" else sqlite.insert(table)


def lock(connection: sa.Connection, *what: object) -> None:
    """Hold what is named until the transaction ends, and see what its last holder committed.

    A writer's transaction on SQLite holds everything already.
    """
    if connection.dialect.name == "postgresql":
        digest = hashlib.sha256(repr(what).encode()).digest()
        key = int.from_bytes(digest[:8], "big", signed=True)
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))


def escape_text(text: str) -> str:
    """Return the text with what PostgreSQL or UTF-8 cannot hold as escapes."""
    return text.encode(errors="backslashreplace").decode().replace("\0", "\\x00")


def append_rows(
    connection: sa.Connection,
    table: sa.Table,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
) -> None:
    """Insert many rows that are known to be new: with COPY on PostgreSQL.

    Args:
        columns: The columns, in whose order each row has its values.

    Raises:
        psycopg.Error: The server refused; the driver's own exception, not a UserError.
    """
    quote = connection.dialect.identifier_preparer.quote
    into = f"{quote(table.name)} ({', '.join(map(quote, columns))})"
    if connection.dialect.name == "postgresql":
        driver: Any = connection.connection
        with driver.cursor() as cursor, cursor.copy(f"COPY {into} FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        return
    insert = f"INSERT INTO {into} VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 - names of the schema
    waiting = iter(rows)
    while some := [tuple(row) for row in islice(waiting, ROWS)]:
        connection.exec_driver_sql(insert, some)


def append_mappings(
    connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Insert many rows that are known to be new and have the same columns, by name."""
    if rows:
        columns = tuple(rows[0])
        append_rows(connection, table, columns, ([row[name] for name in columns] for row in rows))
