"""The interface of a database engine, its errors as UserErrors, and statements for hot paths."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.selectable import Select
from sqlalchemy.util import LRUCache

from lcma.db.errors import Unavailable
from lcma.db.schema import VERSION_TABLE, only_optuna
from lcma.sweeps.errors import UserError

MOST_BYTES = 64 * 2**20
"""The most that a query with a limit of rows returns, but for its last row."""

Written = Select[Any] | UpdateBase
Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """A place for a database: `exists` says whether tables are there, `revision` which schema.

    ``relations`` are the SQL of `table NAME`, `view NAME` and `trigger NAME`. Of a server, which
    has an owner and writes SQL in its own way, they are the columns of tables and views, and no
    triggers.
    """

    exists: bool
    revision: str | None
    relations: Mapping[str, str] | None = None


def find_revision(place: str, names: Collection[str], versions: Sequence[object]) -> Found:
    """Return what there is by the names of a place's tables and the rows of the version table.

    Raises:
        UserError: There are tables of ours, and not one version.
    """
    if len(versions) == 1 and isinstance(versions[0], str):
        return Found(exists=True, revision=versions[0])
    others = set(names) - {VERSION_TABLE}
    if versions or (others and not only_optuna(others)):
        raise UserError(
            f"{place} has tables of lcma, and does not say of which schema: go back to a copy of it"
        )
    return Found(exists=False, revision=None)


@dataclass(frozen=True, slots=True)
class QueryResult:
    """Rows of a query; `truncated` says that there were more than the limit, or many bytes."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    truncated: bool


def take_rows(
    rows: Iterable[tuple[Any, ...]], limit: int | None
) -> tuple[list[tuple[Any, ...]], bool]:
    """Return rows up to a limit and `MOST_BYTES`, and whether there are more; all for None."""
    taken: list[tuple[Any, ...]] = []
    left = MOST_BYTES
    for row in rows:
        if limit is not None and (len(taken) == limit or left <= 0):
            return taken, True
        taken.append(row)
        left -= sum(len(value) if isinstance(value, str | bytes) else 8 for value in row)
    return taken, False


class Database(ABC):
    """A place where results are, on one engine. Opens nothing before a method needs it.

    Its engines keep no connection between transactions: a server admits more workers than it has
    connections, and a process may fork.

    Attributes:
        engine: The engine's name.
        one_host: Whether only processes of one machine may use it.
        url: Leads another process to the same place, and may hold a password.
        name: The same as it may be shown.
    """

    engine: ClassVar[str]
    one_host: ClassVar[bool]

    def __init__(self, url: str, name: str) -> None:
        self.url = url
        self.name = name

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    @property
    def shown_url(self) -> str:
        """The URL without a password."""
        return self.url

    @property
    def place(self) -> str:
        """A text that no other place has, without a password."""
        return self.name

    @abstractmethod
    def identify(self) -> Found:
        """Look at the place without changing it.

        Raises:
            UserError: It belongs to another program, is damaged, or cannot be reached.
        """

    @abstractmethod
    def identity(self) -> tuple[object, ...]:
        """Return what is equal for two that are one place, whatever paths or names they have."""

    @abstractmethod
    def reader(self) -> sa.Engine:
        """Return an engine whose transactions see one state of the database and write nothing."""

    @abstractmethod
    def writer(self) -> sa.Engine:
        """Return an engine whose transactions write, but never over what they have not seen."""

    @abstractmethod
    def migrating(self) -> AbstractContextManager[sa.Connection]:
        """Open a transaction that nobody else who migrates is in."""

    @abstractmethod
    def turn(self) -> AbstractContextManager[None]:
        """Hold a turn that one process has at a time, among all that use the database.

        Nobody else waits for it; a process that dies gives it back.

        Raises:
            UserError: As the methods of `Store` do.
        """

    def has_studies(self) -> bool:
        """Return whether Optuna has made its tables in it."""
        with self.reader().connect() as connection:
            return sa.inspect(connection).has_table("studies")

    @abstractmethod
    def keep_copy(self, revision: str) -> Path | None:
        """Copy the database as it is before a migration, where it is a file.

        Returns:
            The copy's path, or None for a server.
        """

    @abstractmethod
    def backup(self, out: Path | None) -> Path:
        """Copy the database as it was last committed, while others write.

        Args:
            out: A path where nothing is yet; None for one beside the database.

        Returns:
            The copy's path.

        Raises:
            UserError: A copy cannot be made so; the error gives the command that makes one.
        """

    @abstractmethod
    def faults(self) -> Iterator[str]:
        """Yield what the engine's own checks find; they only read."""

    @abstractmethod
    def is_damage(self, error: BaseException | None) -> bool:
        """Return whether a failure means that what is stored cannot be read."""

    @abstractmethod
    def clock(self, connection: sa.Connection) -> float:
        """Return the time by which leases are kept, Unix seconds: one clock for all writers."""

    def started(self, connection: sa.Connection) -> float | None:
        """Return since when the database has been there, by its clock; None if not known."""
        return None

    def rewrite(self, connection: sa.Connection) -> None:
        """Write what is there already, where that can fail as other writes do."""
        return

    @abstractmethod
    def version(self) -> str:
        """Return the engine's name and version."""

    def connections(self) -> tuple[int, int] | None:
        """Return how many connections may be open at once, and are; None without a limit."""
        return None

    @abstractmethod
    def explain(self, error: BaseException | None, *, connecting: bool = False) -> str | None:
        """Return one line for a failure that the place, its disk, the network or a process causes.

        Args:
            error: What the driver raised.
            connecting: Whether it was raised by opening a connection.

        Returns:
            The line, or None for a failure that the code causes.
        """

    @abstractmethod
    def passes(self, error: BaseException | None, *, connecting: bool = False) -> bool:
        """Return whether a failure that `explain` explains may be over when it is tried again."""

    @abstractmethod
    def query(self, sql: str, limit: int | None, timeout: float) -> QueryResult:
        """Run a statement that reads; see `lcma.db.query.run_sql`."""


class _CompiledStatements(LRUCache[Any, Any]):
    """Statements as compiled for any engine of a dialect and a version of the server.

    SQLAlchemy keeps them by engine: where a process opens many databases, as in a merge or in
    tests, to compile them anew was two fifths of the time.
    """

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(self._share(key), default)

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(self._share(key), value)

    @staticmethod
    def _share(key: Any) -> Any:
        dialect, *rest = key
        # All that a dialect takes from the server and its compiler looks at.
        learned = dialect.server_version_info, getattr(dialect, "_backslash_escapes", None)
        return type(dialect), *learned, *rest


_compiled = _CompiledStatements(2000)


def translate_errors(engine: sa.Engine, database: Database) -> sa.Engine:
    """Make an engine raise UserError for failures that the code does not cause.

    Those that may pass are Unavailable.

    Returns:
        The same engine.
    """

    @event.listens_for(engine, "handle_error")
    def _translate(context: sa.engine.ExceptionContext) -> None:
        error, connecting = context.original_exception, context.connection is None
        problem = database.explain(error, connecting=connecting)
        if problem is not None:
            passing = database.passes(error, connecting=connecting)
            raise (Unavailable if passing else UserError)(problem) from error

    engine.update_execution_options(database=database, compiled_cache=_compiled)
    return engine


def explain_late(timeout: float) -> str:
    """Return what is said of a query that is stopped."""
    return (
        f"the query took longer than {timeout:g} s and was stopped: narrow it, or give it more time"
    )


def begin_with(engine: sa.Engine, statement: str) -> sa.Engine:
    """Make the transactions of an engine start with a statement; return the same engine."""

    @event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        # On the driver's own connection: SQLAlchemy would take longer than the database.
        with driver_errors(connection):
            connection.connection.cursor().execute(statement)

    return engine


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


def driver_of(connection: sa.Connection) -> Any:
    """Return the driver's own connection, in the same transaction."""
    if not connection.in_transaction():  # the driver would begin one of another kind by itself
        connection.begin()
    return connection.connection.dbapi_connection


@contextmanager
def driver_errors(connection: sa.Connection) -> Iterator[None]:
    """Raise the driver's failures as an engine with `translate_errors` does."""
    try:
        yield
    except connection.dialect.loaded_dbapi.Error as error:
        database: Database = connection.get_execution_options()["database"]
        problem = database.explain(error)
        if problem is None:
            raise
        raise (Unavailable if database.passes(error) else UserError)(problem) from error
