"""Inserts that leave or replace what is there, bulk inserts, and named locks."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from lcma.db.engine import driver_errors, driver_of

Row = Mapping[str, Any]


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


def append_rows(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Insert many rows that are known to be new and have the same columns, by name."""
    if not rows:
        return
    quote = connection.dialect.identifier_preparer.quote
    columns = tuple(rows[0])
    values = [tuple(row[name] for name in columns) for row in rows]
    into = f"{quote(table.name)} ({', '.join(map(quote, columns))})"
    if connection.dialect.name != "postgresql":
        insert = f"INSERT INTO {into} VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 - names of the schema
        connection.exec_driver_sql(insert, values)
        return
    with (
        driver_errors(connection),
        driver_of(connection).cursor() as cursor,
        cursor.copy(f"COPY {into} FROM STDIN") as copy,
    ):
        for row in values:
            copy.write_row(row)
