"""The interface of a database engine, its errors as UserErrors, and statements for hot paths."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.util import LRUCache

from lcma.db.schema import VERSION_TABLE, only_optuna
from lcma.sweeps.errors import UserError

MOST_BYTES = 64 * 2**20
"""The most that a query with a limit of rows returns, but for its last row."""


class Unavailable(UserError):  # noqa: N818 - what the database is
    """The database is unreachable, or cannot be written, for now: the same may work later.

    Nothing was changed; but where the connection was lost in the middle of a commit, everything
    may have been.
    """


class Damaged(UserError):  # noqa: N818 - what the database is
    """What is stored in the database cannot be read."""


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
    def translate(
        self, error: BaseException | None, *, connecting: bool = False
    ) -> UserError | None:
        """Return what to raise for a failure that the place, its disk, the network or a process
        causes: `Unavailable` where the same may work later, `Damaged` where it will not.

        Args:
            error: What the driver raised.
            connecting: Whether it was raised by opening a connection.

        Returns:
            An error of one line, or None for a failure that the code causes.
        """

    @abstractmethod
    def query(self, sql: str, limit: int | None, timeout: float) -> QueryResult:
        """Run a statement that reads; see `lcma.db.run_sql`."""


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
    """Make an engine raise what `Database.translate` gives; return the same engine."""

    @event.listens_for(engine, "handle_error")
    def _translate(context: sa.engine.ExceptionContext) -> None:
        error = context.original_exception
        problem = database.translate(error, connecting=context.connection is None)
        if problem is not None:
            raise problem from error

    engine.update_execution_options(database=database, compiled_cache=_compiled)
    return engine


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
        problem = database.translate(error)
        if problem is None:
            raise
        raise problem from error


def explain_late(timeout: float) -> str:
    """Return what is said of a query that is stopped."""
    return (
        f"the query took longer than {timeout:g} s and was stopped: narrow it, or give it more time"
    )
