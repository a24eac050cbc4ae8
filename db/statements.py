"""Statements: compiled for hot paths, inserts, named locks, and conditions on columns."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.selectable import Select

from lcma.db.engine import get_driver, translating_errors
from lcma.sweeps.errors import UserError, suggest
from lcma.sweeps.input_files import UNSTORABLE

Row = Mapping[str, Any]
"""Values by the names of columns or parameters."""


class Statement:
    """SQL compiled once for each dialect and run on the DBAPI connection, bypassing SQLAlchemy.

    SQLAlchemy takes several times as long to look up, execute and unwrap a small statement as
    SQLite takes to run it, so the statements that every trial runs several times are written so.
    They run in the connection's transaction with plain values, and their rows are plain tuples.
    Every call gives all parameters, as the driver takes them.

    Raises UserError as SQLAlchemy's own statements do here, and otherwise the driver's errors.
    """

    def __init__(
        self,
        build: Callable[[sa.Dialect], Select[Any] | UpdateBase],
        columns: Sequence[str] | None = None,
    ) -> None:
        """Define a statement.

        Args:
            build: Builds it for a dialect.
            columns: The columns that an update sets; an insert sets those of its first row.
        """
        self._build, self._columns = build, columns
        # By dialect the text, and its parameters by place, None if they go by name.
        self._compiled: dict[str, tuple[str, Sequence[str] | None]] = {}

    def run(self, connection: sa.Connection, values: Row) -> int:
        """Execute it; return how many rows it changed."""
        return int(self._execute(connection, values).rowcount)

    def run_many(self, connection: sa.Connection, rows: Sequence[Row]) -> None:
        """Execute it with each row."""
        if rows:
            text, names = self._compile(connection.dialect, rows[0])
            values = rows if names is None else [[row[name] for name in names] for row in rows]
            with translating_errors(connection):
                get_driver(connection).cursor().executemany(text, values)

    def first(self, connection: sa.Connection, values: Row) -> tuple[Any, ...] | None:
        """Execute it; return its first row, None for none."""
        return next(iter(self.all(connection, values)), None)

    def all(self, connection: sa.Connection, values: Row) -> list[tuple[Any, ...]]:
        """Execute it; return its rows."""
        rows: list[tuple[Any, ...]] = self._execute(connection, values).fetchall()
        return rows

    def _execute(self, connection: sa.Connection, values: Row) -> Any:
        text, names = self._compile(connection.dialect, values)
        parameters = values if names is None else [values[name] for name in names]
        with translating_errors(connection):
            return get_driver(connection).execute(text, parameters)

    def _compile(self, dialect: sa.Dialect, values: Row) -> tuple[str, Sequence[str] | None]:
        if dialect.name not in self._compiled:
            statement, columns = self._build(dialect), self._columns
            if columns is None and statement.is_insert:
                columns = list(values)
            compiled = statement.compile(dialect=dialect, column_keys=columns)
            self._compiled[dialect.name] = str(compiled), compiled.positiontup
        return self._compiled[dialect.name]


# Inserts and locks


def insert_missing(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Insert the rows whose keys are not there yet; other constraints still raise."""
    if rows:
        connection.execute(insert(connection.dialect, table).on_conflict_do_nothing(), list(rows))


def insert(dialect: sa.Dialect, table: sa.Table) -> "sqlite.Insert | postgresql.Insert":
    """Return an insert that accepts ON CONFLICT."""
    return postgresql.insert(table) if dialect.name == "postgresql" else sqlite.insert(table)


def lock(connection: sa.Connection, *names: str) -> None:
    """Hold a named lock until the transaction ends, and see what its last holder committed."""
    if connection.dialect.name == "postgresql":  # a writer's transaction on SQLite locks the file
        digest = hashlib.sha256(repr(names).encode()).digest()
        key = int.from_bytes(digest[:8], "big", signed=True)
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))


def escape_text(text: str) -> str:
    """Escape the characters of a text that PostgreSQL or UTF-8 cannot hold."""
    return text.encode(errors="backslashreplace").decode().replace("\0", "\\x00")


def append_rows(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Insert many rows that are known to be new and have the same columns."""
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
        translating_errors(connection),
        get_driver(connection).cursor() as cursor,
        cursor.copy(f"COPY {into} FROM STDIN") as copy,
    ):
        for row in values:
            copy.write_row(row)


# Conditions from callers' keywords, and from long lists of ids

Scalar = str | int | float | np.generic | None
Where = Mapping[str, "Scalar | Collection[Scalar]"]
"""By name of a column the value, or the values, that it may have; None is null."""

MAX_VALUES = 30_000
"""The values that a condition on one column takes; SQLite takes 32766 in a statement."""

COMPARABLE: Mapping[type, tuple[tuple[type, ...], str]] = {
    sa.Text: ((str,), "text"),
    sa.Integer: ((int,), "a whole number"),
    sa.BigInteger: ((int,), "a whole number"),
    sa.Double: ((int, float), "a number"),
}
"""By type of a column the types of values that it is compared with, and their name."""


class _List(sa.types.TypeDecorator[Any]):
    """Any number of texts as one parameter: an array for PostgreSQL, JSON for SQLite."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> Any:
        array = postgresql.ARRAY(sa.Text)
        return dialect.type_descriptor(array if dialect.name == "postgresql" else sa.Text())

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> Any:
        return value if dialect.name == "postgresql" else json.dumps(value)


TEXTS = _List()


class _Among(sa.sql.functions.FunctionElement[bool]):
    type = sa.Boolean()
    inherit_cache = True

    def self_group(self, against: Any = None) -> Any:
        return self  # SQLite would compare it with 1, and use no index


@compiles(_Among)
def _compile_among(element: _Among, compiler: Any, **options: Any) -> str:
    column, values = (compiler.process(clause, **options) for clause in element.clauses)
    if compiler.dialect.name == "postgresql":
        return f"{column} = ANY ({values})"
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608 - a parameter


def among(
    column: sa.ColumnElement[Any], values: "Collection[str] | sa.BindParameter[Any]"
) -> sa.ColumnElement[bool]:
    """Build the condition that a column is one of any number of texts, or of a parameter's."""
    if not isinstance(values, sa.BindParameter):
        values = sa.bindparam(None, sorted(set(values)), type_=TEXTS, unique=True)
    return _Among(column, values)


def build_conditions(
    relation: str, columns: Mapping[str, sa.Column[Any]], where: Where
) -> Iterator[sa.ColumnElement[bool]]:
    """Build the conditions that rows of a view or table must satisfy.

    Args:
        relation: The view or table, as errors name it.
        columns: Its columns by name.
        where: By name of a column the value, or the values, that it may have; None is null.

    Raises:
        UserError: A column is unknown, or a value is of another type than the column's.
    """
    for name, choice in where.items():
        if name not in columns:
            hint = suggest(name, columns, "choose among")
            raise UserError(f"{relation} has no column '{name}': {hint}")
        column = columns[name]
        if isinstance(choice, Collection) and not isinstance(choice, str | bytes):
            values = [_as_python(value) for value in choice]
        else:
            values = [_as_python(choice)]
        if len(values) > MAX_VALUES:
            raise UserError(
                f"{len(values)} values for the column '{name}' of {relation} are too many: "
                f"give at most {MAX_VALUES}"
            )
        for value in values:
            _require_comparable(relation, column, value)
        is_integer = isinstance(column.type, sa.Integer)
        # A server refuses to compare a column of four bytes with a number that needs eight.
        compared = sa.type_coerce(column, sa.BigInteger) if is_integer else column
        condition = compared.in_([value for value in values if value is not None])
        yield sa.or_(condition, column.is_(None)) if None in values else condition


def _require_comparable(relation: str, column: sa.Column[Any], value: Any) -> None:
    kinds, words = COMPARABLE[type(column.type)]
    fits = value is None or (isinstance(value, kinds) and not isinstance(value, bool))
    if isinstance(value, str):
        fits &= not UNSTORABLE.search(value)
    elif isinstance(value, int):
        fits &= abs(value) < 2**63
    if not fits:
        raise UserError(f"the column '{column.name}' of {relation} is {words}: {value!r} is none")


def _as_python(value: Any) -> Any:
    # The value as a Python object; None for the missing values of NumPy and pandas.
    if value is None or type(value) in (str, int):
        return value
    import pandas as pd

    missing = pd.isna(value)
    if missing is True or missing is np.True_:
        return None
    return value.item() if isinstance(value, np.generic) else value
