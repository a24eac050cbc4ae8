"""Rows that are known to be new, many at once: with COPY on PostgreSQL."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import sqlalchemy as sa

ROWS = 5000
"""Rows that SQLite is given at once."""


def append(
    connection: sa.Connection,
    table: sa.Table,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
) -> None:
    """Add rows, each with its values in the order of the columns, none of which is there yet.

    A failure on PostgreSQL is the driver's own exception.
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
    """The same for rows that all have the same columns by name."""
    if rows:
        columns = tuple(rows[0])
        append(connection, table, columns, ([row[name] for name in columns] for row in rows))
