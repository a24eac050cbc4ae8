"""Statements: compiled for hot paths, inserts, named locks, and conditions on columns."""

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.selectable import Select

from lcma.db.engine import driver_errors, driver_of
from lcma.sweeps.errors import UserError, suggest

Written = Select[Any] | UpdateBase
Values = Mapping[str, Any]

Compiled = tuple[str, tuple[str, ...] | None]
"""A statement's text, and its parameters by place, None where they go by name."""


class Statement:
    """A statement that runs on the driver's own connection, without what stands between.

    To look up, execute and unwrap a small statement takes SQLAlchemy several times as long as it
    takes SQLite to do what it says. What every trial does several times is written as a `Statement`
    instead: compiled once for each dialect, run with plain values in the connection's transaction,
    its rows plain tuples. All of its parameters are given at every call, as the driver takes them.

    Raises UserError as SQLAlchemy's own statements do here, and else the driver's errors.
    """

    def __init__(
        self, make: Callable[[sa.Dialect], Written], columns: Sequence[str] | None = None
    ) -> None:
        """Define a statement.

        Args:
            make: Writes it for a dialect.
            columns: Those that an update sets; an insert sets all that it is first given.
        """
        self._make, self._columns = make, columns
        self._compiled: dict[str, Compiled] = {}

    def run(self, connection: sa.Connection, values: Values) -> int:
        """Execute it; return how many rows it changed."""
        return int(self._execute(connection, values).rowcount)

    def run_many(self, connection: sa.Connection, rows: Iterable[Values]) -> None:
        """Execute it with each row."""
        given: list[Any] = list(rows)
        if not given:
            return
        text, names = self._for(connection.dialect, given[0])
        if names is not None:
            given = [[row[name] for name in names] for row in given]
        with driver_errors(connection):
            driver_of(connection).cursor().executemany(text, given)

    def run_tuples(self, connection: sa.Connection, rows: Iterable[tuple[Any, ...]]) -> None:
        """Execute it with each row, whose values stand in the order of its parameters."""
        text, _ = self._for(connection.dialect, {})
        with driver_errors(connection):
            driver_of(connection).cursor().executemany(text, rows)

    def first(self, connection: sa.Connection, values: Values) -> tuple[Any, ...] | None:
        """Execute it; return its first row, None for none."""
        rows = self.all(connection, values)
        return rows[0] if rows else None

    def all(self, connection: sa.Connection, values: Values) -> list[tuple[Any, ...]]:
        """Execute it; return its rows."""
        rows: list[tuple[Any, ...]] = self._execute(connection, values).fetchall()
        return rows

    def _execute(self, connection: sa.Connection, values: Values) -> Any:
        text, names = self._for(connection.dialect, values)
        given = values if names is None else [values[name] for name in names]
        with driver_errors(connection):
            return driver_of(connection).execute(text, given)

    def _for(self, dialect: sa.Dialect, values: Values) -> Compiled:
        if dialect.name not in self._compiled:
            made, columns = self._make(dialect), self._columns
            if columns is None and made.is_insert:
                columns = list(values)
            written = made.compile(dialect=dialect, column_keys=columns)
            names = written.positiontup
            self._compiled[dialect.name] = str(written), None if names is None else tuple(names)
        return self._compiled[dialect.name]


# Inserts and locks

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


# Conditions from keywords of callers, and from long lists of ids

Scalar = str | int | float | np.generic | None
Where = Mapping[str, "Scalar | Collection[Scalar]"]
"""Names of columns, each with the value, or the values, that it may have; None is null."""

MOST_VALUES = 30_000
"""Of one column; SQLite takes 32766 values in a statement."""

UNSTORABLE = re.compile("[\0\ud800-\udfff]")
"""Characters that no text of a database can have."""

KINDS: Mapping[type, tuple[tuple[type, ...], str]] = {
    sa.Text: ((str,), "text"),
    sa.Integer: ((int,), "a whole number"),
    sa.BigInteger: ((int,), "a whole number"),
    sa.Double: ((int, float), "a number"),
}
"""What a column of a type may be compared with, and in words."""


class _List(sa.types.TypeDecorator[Any]):
    """Any number of texts as one value: an array of PostgreSQL, for SQLite JSON."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> Any:
        array = postgresql.ARRAY(sa.Text)
        return dialect.type_descriptor(array if dialect.name == "postgresql" else sa.Text())

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> Any:
        return value if dialect.name == "postgresql" else json.dumps(value)


TEXTS = _List()
"""The type of such a parameter."""


class _Among(sa.sql.functions.FunctionElement[bool]):
    type = sa.Boolean()
    inherit_cache = True

    def self_group(self, against: Any = None) -> Any:
        return self  # for SQLite it would be compared with 1, and no index be used


@compiles(_Among)
def _compile_among(element: _Among, compiler: Any, **options: Any) -> str:
    column, values = (compiler.process(one, **options) for one in element.clauses)
    if compiler.dialect.name == "postgresql":
        return f"{column} = ANY ({values})"
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608 - a parameter


def among(
    column: sa.ColumnElement[Any], values: "Collection[str] | sa.BindParameter[Any]"
) -> sa.ColumnElement[bool]:
    """Build whether a column is one of any number of texts, or of those of a parameter."""
    if not isinstance(values, sa.BindParameter):
        values = sa.bindparam(None, sorted(set(values)), type_=TEXTS, unique=True)
    return _Among(column, values)


def build_conditions(
    what: str, columns: Mapping[str, sa.Column[Any]], where: Where
) -> Iterator[sa.ColumnElement[bool]]:
    """Build what rows must satisfy.

    Args:
        what: The view or table, as errors name it.
        columns: Its columns by name.
        where: By name of a column the value, or the values, that it may have; None is null.

    Raises:
        UserError: A column is unknown, or a value is one that it cannot have.
    """
    for name, wanted in where.items():
        if name not in columns:
            hint = suggest(name, columns, "choose among")
            raise UserError(f"{what} has no column '{name}': {hint}")
        column = columns[name]
        if isinstance(wanted, Collection) and not isinstance(wanted, str | bytes):
            values = [_plain(value) for value in wanted]
        else:
            values = [_plain(wanted)]
        if len(values) > MOST_VALUES:
            raise UserError(
                f"{len(values)} values for the column '{name}' of {what} are too many: "
                f"give at most {MOST_VALUES}"
            )
        for value in values:
            _require_fit(what, column, value)
        whole = isinstance(column.type, sa.Integer)
        # A server refuses to compare a column of four bytes with a number that needs eight.
        compared = sa.type_coerce(column, sa.BigInteger) if whole else column
        known = compared.in_([value for value in values if value is not None])
        yield sa.or_(known, column.is_(None)) if None in values else known


def _require_fit(what: str, column: sa.Column[Any], value: Any) -> None:
    kinds, words = KINDS[type(column.type)]
    if value is None:
        return
    fits = isinstance(value, kinds) and not isinstance(value, bool)
    if isinstance(value, str):
        fits &= not UNSTORABLE.search(value)
    elif isinstance(value, int):
        fits &= abs(value) < 2**63
    if not fits:
        raise UserError(f"the column '{column.name}' of {what} is {words}: {value!r} is none")


def _plain(value: Any) -> Any:
    # As Python has it, None for what is missing in NumPy or pandas.
    if value is None or type(value) in (str, int):
        return value
    import pandas as pd

    missing = pd.isna(value)
    if missing is True or missing is np.True_:
        return None
    return value.item() if isinstance(value, np.generic) else value
