"""Statements of SQLAlchemy that run on the driver's own connection, without what stands between.

To look up, execute and unwrap a small statement takes SQLAlchemy several times as long as it takes
SQLite to do what it says. What every trial does several times is written as a `Statement` instead:
compiled once for each dialect, run with plain values in the connection's transaction, its rows
plain tuples.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.selectable import Select

from lcma.db.engine import raise_explained

Written = Select[Any] | UpdateBase
Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Compiled:
    text: str
    names: tuple[str, ...] | None
    """Its parameters by place, None where they go by name."""


class Statement:
    """A statement, all of whose parameters are given at every call, as the driver takes them.

    Raises UserError as SQLAlchemy's own statements do here, and else the driver's errors.
    """

    def __init__(
        self, make: Callable[[sa.Dialect], Written], columns: Sequence[str] | None = None
    ) -> None:
        """`make` writes it for a dialect; `columns` are those that an insert or update sets."""
        self._make, self._columns = make, columns
        self._compiled: dict[str, _Compiled] = {}

    def run(self, connection: sa.Connection, values: Values) -> int:
        """Execute it; how many rows it changed."""
        return int(self._execute(connection, values).rowcount)

    def run_many(self, connection: sa.Connection, rows: Iterable[tuple[Any, ...]]) -> None:
        """Execute it with each row, whose values stand in the order of its parameters."""
        compiled = self._for(connection.dialect)
        with translated(connection):
            driver(connection).cursor().executemany(compiled.text, rows)

    def first(self, connection: sa.Connection, values: Values) -> tuple[Any, ...] | None:
        """Its first row, None for none."""
        rows = self.all(connection, values)
        return rows[0] if rows else None

    def all(self, connection: sa.Connection, values: Values) -> list[tuple[Any, ...]]:
        """Its rows."""
        rows: list[tuple[Any, ...]] = self._execute(connection, values).fetchall()
        return rows

    def _execute(self, connection: sa.Connection, values: Values) -> Any:
        compiled = self._for(connection.dialect)
        given = values if compiled.names is None else [values[name] for name in compiled.names]
        try:
            return driver(connection).execute(compiled.text, given)
        except connection.dialect.loaded_dbapi.Error as error:
            raise_explained(connection, error)

    def _for(self, dialect: sa.Dialect) -> _Compiled:
        found = self._compiled.get(dialect.name)
        if found is None:
            written = self._make(dialect).compile(dialect=dialect, column_keys=self._columns)
            names = written.positiontup
            found = _Compiled(str(written), None if names is None else tuple(names))
            self._compiled[dialect.name] = found
        return found


def driver(connection: sa.Connection) -> Any:
    """The driver's own connection, in the same transaction."""
    return connection.connection.dbapi_connection


@contextmanager
def translated(connection: sa.Connection) -> Iterator[None]:
    """Raise the driver's failures as a `Statement` does."""
    try:
        yield
    except connection.dialect.loaded_dbapi.Error as error:
        raise_explained(connection, error)
