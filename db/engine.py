"""The interface of a database engine, its errors as UserErrors, and the driver's own connection."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.util import LRUCache

from lcma.db.schema import VERSION_TABLE, has_only_optuna
from lcma.sweeps.errors import UserError

MAX_BYTES = 64 * 2**20
"""The size at which a query with a limit of rows stops, after the row that exceeds it."""


class Unavailable(UserError):  # noqa: N818 - the state of the database
    """The database is unreachable, or cannot be written, for now: the same may work later.

    Nothing was changed, unless the connection was lost in the middle of a commit: then everything
    may have been.
    """


class Damaged(UserError):  # noqa: N818 - the state of the database
    """Something stored in the database cannot be read."""


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """What `Database.identify` learned of a place without changing it."""

    exists: bool  # whether our tables are there
    revision: str | None
    # The SQL of `table NAME`, `view NAME` and `trigger NAME`. A server rewrites SQL and has an
    # owner: there it is the columns of tables and views, and there are no triggers.
    relations: Mapping[str, str] | None = None


def find_revision(place: str, names: Collection[str], versions: Sequence[object]) -> DatabaseState:
    """Return the state of a place from the names of its tables and the rows of the version table.

    Raises:
        UserError: There are tables of ours, but not exactly one version.
    """
    if len(versions) == 1 and isinstance(versions[0], str):
        return DatabaseState(exists=True, revision=versions[0])
    others = set(names) - {VERSION_TABLE}
    if versions or (others and not has_only_optuna(others)):
        raise UserError(
            f"{place} has tables of lcma, but does not say of which schema: go back to a copy of it"
        )
    return DatabaseState(exists=False, revision=None)


@dataclass(frozen=True, slots=True)
class QueryResult:
    """Rows of a query; `truncated` if there were more rows than the limit, or too many bytes."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    truncated: bool


def take_rows(
    rows: Iterable[tuple[Any, ...]], limit: int | None
) -> tuple[list[tuple[Any, ...]], bool]:
    """Return rows up to a limit and `MAX_BYTES`, and whether there are more; all for None."""
    result: list[tuple[Any, ...]] = []
    bytes_left = MAX_BYTES
    for row in rows:
        if limit is not None and (len(result) == limit or bytes_left <= 0):
            return result, True
        result.append(row)
        bytes_left -= sum(len(value) if isinstance(value, str | bytes) else 8 for value in row)
    return result, False


class Database(ABC):
    """A place where results are, on one engine. Opens nothing before a method needs it.

    Its engines keep no connection between transactions: a server admits more workers than it has
    connections, and a process may fork.
    """

    engine: ClassVar[str]  # the name of the engine
    one_host: ClassVar[bool]  # whether only processes of one machine may use it

    def __init__(self, url: str, name: str) -> None:
        self.url = url  # leads another process to the same place; may hold a password
        self.name = name  # the place without a password

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    @property
    def shown_url(self) -> str:
        """The URL without a password."""
        return self.url

    @abstractmethod
    def identify(self) -> DatabaseState:
        """Look at the place without changing it.

        Raises:
            UserError: It belongs to another program, is damaged, or cannot be reached.
        """

    @abstractmethod
    def identity(self) -> tuple[object, ...]:
        """Return a key that all URLs of a place share, whatever paths or names they use."""

    @abstractmethod
    def reader(self) -> sa.Engine:
        """Return an engine whose transactions see one state of the database and write nothing."""

    @abstractmethod
    def writer(self) -> sa.Engine:
        """Return an engine whose transactions write, but never over rows they have not seen."""

    @abstractmethod
    def migrating(self) -> AbstractContextManager[sa.Connection]:
        """Open a transaction that excludes all other migrations."""

    @abstractmethod
    def turn(self) -> AbstractContextManager[None]:
        """Hold an advisory lock, released when the process dies; normal writers do not take it.

        Raises:
            UserError: As the methods of `Store` do.
        """

    @abstractmethod
    def keep_copy(self, revision: str) -> Path | None:
        """Copy a file before a migration; return the copy's path, None for a server."""

    @abstractmethod
    def backup(self, out: Path | None) -> Path:
        """Copy the database as last committed, while others write; return the copy's path.

        Args:
            out: A path where nothing is yet; None for a path beside the database.

        Raises:
            UserError: A copy cannot be made so; the error gives the command that makes one.
        """

    @abstractmethod
    def faults(self) -> Iterator[str]:
        """Yield the faults that the engine's own checks find; they only read."""

    @abstractmethod
    def clock(self, connection: sa.Connection) -> float:
        """Return the time by which leases are kept, Unix seconds: one clock for all writers."""

    def started(self, connection: sa.Connection) -> float | None:
        """Return when the server started, by its clock; None if there is none."""
        return None

    @abstractmethod
    def rewrite(self, connection: sa.Connection) -> None:
        """Write what changes nothing, to see whether it can be written."""

    def may_create(self) -> bool:
        """Return whether this user may make the tables."""
        return True

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
        """Return the error to raise for a failure of the place, its disk, network or processes.

        Args:
            error: The driver's error.
            connecting: Whether opening a connection raised it.

        Returns:
            An error of one line, `Unavailable` if the same may work later and `Damaged` if it will
            not; None for a failure that our code causes.
        """

    @abstractmethod
    def query(self, sql: str, limit: int | None, timeout: float) -> QueryResult:
        """Run a statement that reads; see `lcma.db.run_sql`."""


class _CompiledStatements(LRUCache[Any, Any]):
    """Compiled statements, shared by all engines of a dialect and a version of the server.

    SQLAlchemy keeps a cache for each engine. If a process opens many databases, as a merge and the
    tests do, compiling anew took two fifths of the time.
    """

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(self._share(key), default)

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(self._share(key), value)

    @staticmethod
    def _share(key: Any) -> Any:
        dialect, *rest = key
        # All that the compiler uses of what a dialect learned from the server.
        learned = dialect.server_version_info, getattr(dialect, "_backslash_escapes", None)
        return type(dialect), *learned, *rest


_compiled = _CompiledStatements(2000)


def translate_errors(engine: sa.Engine, database: Database) -> sa.Engine:
    """Make an engine raise the errors that `Database.translate` gives; return the same engine."""

    @event.listens_for(engine, "handle_error")
    def _translate(context: sa.engine.ExceptionContext) -> None:
        error = context.original_exception
        problem = database.translate(error, connecting=context.connection is None)
        if problem is not None:
            raise problem from error

    engine.update_execution_options(database=database, compiled_cache=_compiled)
    return engine


def get_driver(connection: sa.Connection) -> Any:
    """Return the DBAPI connection, in the same transaction."""
    if not connection.in_transaction():  # the driver would begin one of another kind by itself
        connection.begin()
    return connection.connection.dbapi_connection


@contextmanager
def translating_errors(connection: sa.Connection) -> Iterator[None]:
    """Raise the driver's failures as an engine with `translate_errors` does."""
    try:
        yield
    except connection.dialect.loaded_dbapi.Error as error:
        database: Database = connection.get_execution_options()["database"]
        problem = database.translate(error)
        if problem is None:
            raise
        raise problem from error


def explain_timeout(timeout: float) -> str:
    """Return the message for a query that is stopped."""
    return (
        f"the query took longer than {timeout:g} s and was stopped: narrow it, or give it more time"
    )
