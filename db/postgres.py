"""Results on a PostgreSQL server: its connections and settings, and its errors in one line."""

import importlib.util
import re
import shlex
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.pool import NullPool

from lcma.db.engine import (
    Damaged,
    Database,
    DatabaseState,
    QueryResult,
    Unavailable,
    explain_timeout,
    find_revision,
    take_rows,
    translate_errors,
)
from lcma.db.relations import explain_name
from lcma.db.schema import VERSION_TABLE, has_only_optuna
from lcma.db.statements import Statement
from lcma.sweeps.errors import UserError

if TYPE_CHECKING:
    import psycopg

DRIVERS = ("postgresql", "postgresql+psycopg", "postgres")
"""The beginnings of a URL, all for the same driver."""

MIGRATION_LOCK, TURN_LOCK = 0x6C636D61, 0x7475726E
"""Keys of advisory locks ("lcma", "turn")."""

WAIT_SECONDS = 60
"""How long a statement waits for another transaction's lock."""

DEFAULTS: Mapping[str, Any] = {
    "connect_timeout": 10,
    "application_name": "lcma",
    "client_encoding": "utf8",
    # A server that became unreachable silently is noticed within about two minutes.
    "keepalives_idle": 30,
    "keepalives_interval": 15,
    "keepalives_count": 4,
    "tcp_user_timeout": 90_000,
}
"""libpq's settings, unless the URL has its own."""

RELATIONS = """
SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' ELSE 'table' END,
    c.relname,
    (SELECT string_agg(a.attname::text, ' ' ORDER BY a.attnum) FROM pg_catalog.pg_attribute AS a
     WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
FROM pg_catalog.pg_class AS c
WHERE c.relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = current_schema())
AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT EXISTS (
    SELECT 1 FROM pg_catalog.pg_depend AS d
    WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
)
"""
"""Tables and views of the current schema with their columns, except those of extensions."""

CONNECTIONS = """
SELECT current_setting('max_connections')::int
    - current_setting('superuser_reserved_connections')::int,
    (SELECT count(*) FROM pg_catalog.pg_stat_activity
     WHERE datid IS NOT NULL AND usesysid IS NOT NULL AND pid <> pg_backend_pid())
"""

IDENTITY = """
SELECT (SELECT system_identifier FROM pg_catalog.pg_control_system()),
    (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()),
    current_schema()::regnamespace::oid
"""
"""The numbers of the server, the database and the schema, whatever their names are."""

INVALID_RELATIONS = """
SELECT 'the constraint ' || n.conname || ' of ' || c.relname || ' is not validated'
FROM pg_catalog.pg_constraint AS n JOIN pg_catalog.pg_class AS c ON c.oid = n.conrelid
WHERE NOT n.convalidated AND c.relnamespace = current_schema()::regnamespace
UNION ALL
SELECT 'the index ' || i.relname || ' of ' || c.relname || ' is not valid'
FROM pg_catalog.pg_index AS x JOIN pg_catalog.pg_class AS i ON i.oid = x.indexrelid
JOIN pg_catalog.pg_class AS c ON c.oid = x.indrelid
WHERE NOT x.indisvalid AND c.relnamespace = current_schema()::regnamespace
ORDER BY 1
"""
"""Constraints and indices of the current schema that do not hold for all rows."""

POOLER_ADVICE = (
    "let a pooler such as PgBouncer ignore `options`, and set on the server what they hold, as "
    "docs/postgresql.md shows"
)
"""The remedy if a connection's settings do not reach the server."""

SETTING = re.compile(r"(?:^|\s)(?:-c\s*|--)([\w.-]+)=((?:\\.|\S)*)")
"""A setting in libpq's `options`."""

RETRY_ADVICE = (
    "check that it runs there and that host and port are right: it may be back soon, try again"
)

CONNECTION_ERRORS: Sequence[tuple[str, type[UserError], str]] = (
    ("closed the connection unexpectedly|SYSCALL|unexpected eof", Unavailable, RETRY_ADVICE),
    ("unsupported startup parameter", UserError, POOLER_ADVICE),
    (
        "too many clients|remaining connection slots|too many connections|no more connections",
        Unavailable,
        "raise its max_connections (of PgBouncer its max_client_conn), or start fewer workers",
    ),
    (
        "password authentication failed|no password supplied|peer authentication failed|pg_hba|"
        "(role|database) .* does not exist|permission denied|not permitted to log in|SSL|TLS|"
        "certificate|invalid port|invalid connection option|invalid .* value|bad value|"
        "invalid integer|definition of service|unrecognized configuration parameter",
        UserError,
        "check the URL and what follows its ?, the password there, in PGPASSWORD or ~/.pgpass, "
        "that the database was made, as with `createdb`, and that its owner lets this user in",
    ),
    ("", Unavailable, RETRY_ADVICE),
)
"""By pattern of a failed connection's message the class of the error, and the remedy."""

CLOCK = Statement(
    lambda _: sa.select(sa.cast(sa.extract("epoch", sa.func.clock_timestamp()), sa.Double))
)

SCHEMA_ADVICE = "the schema of its search_path does not exist: make it first"

ERRORS: Mapping[str | None, tuple[type[UserError], str]] = {
    "53100": (Unavailable, "its disk is full; nothing was changed: make room there"),
    "53200": (Unavailable, "it is out of memory; nothing was changed: try again"),
    "53300": (
        Unavailable,
        "it has no connection left: raise its max_connections, or start fewer workers",
    ),
    "57014": (UserError, "its owner or a limit stopped it; nothing was changed: try again"),
    "57P01": (Unavailable, "it is shutting down; nothing was changed: try again"),
    "57P02": (Unavailable, "it crashed; nothing was changed: try again"),
    "57P03": (Unavailable, "it is not ready: wait for it"),
    "25006": (Unavailable, "it cannot be written: connect to the primary server"),
    "42501": (UserError, "this user may not do that: let its owner grant it"),
    "55P03": (Unavailable, "it stayed locked: another process holds it, try again"),
    "40P01": (Unavailable, "two processes waited for each other; nothing was changed: try again"),
    "40001": (Unavailable, "another process was first; nothing was changed: try again"),
    "58030": (Unavailable, "it failed to read or write; nothing was changed: look after its disk"),
    "58P01": (Damaged, "a file of it is missing: go back to a copy of it"),
    "XX001": (Damaged, "it is damaged: go back to a copy of it"),
    "XX002": (Damaged, "an index of it is damaged: REINDEX it, or go back to a copy of it"),
    "3F000": (UserError, SCHEMA_ADVICE),
}
"""By code of the server the error for a failure of its state or by its owner, and the remedy."""

LOST_CODES = (None, "08000", "08003", "08006")
"""The codes of a broken connection, which often leaves none."""

SECRET_OPTIONS = ("password", "sslpassword")
"""A URL's options that are never shown."""

WRITE_CODES = frozenset({"25006", "0A000", "42P11"})
"""The codes for a statement that writes, or that a cursor does not take."""

TIMEOUT_CODE, SYNTAX_CODE = "57014", "42601"

MAX_MILLISECONDS = 2**31 - 1
"""The longest time limit that the server takes."""


class PostgresDatabase(Database):
    """A schema of a database on a server, for any number of machines."""

    engine = "PostgreSQL"
    one_host = False

    def __init__(self, url: sa.URL) -> None:
        parsed = url.set(drivername="postgresql+psycopg")
        hosts = parsed.query.get("host", parsed.host or "")
        host = hosts if isinstance(hosts, str) else ",".join(hosts)
        port = "" if parsed.port is None else f":{parsed.port}"
        user = f"{parsed.username}@" if parsed.username else ""
        name = f"postgresql://{user}{host}{port}/{parsed.database or ''}"
        if not parsed.database and not {"dbname", "service"} & set(parsed.query):
            raise UserError(
                f"the database {name} has no name: give it as postgresql://USER@HOST/DATABASE"
            )
        if importlib.util.find_spec("psycopg") is None:
            raise UserError(
                f"the database {name} needs psycopg: install it with pip install 'lcma[postgres]'"
            )
        super().__init__(parsed.render_as_string(hide_password=False), name)
        self._url = parsed
        secrets = {str(parsed.password or ""), *_list_texts(parsed.query.get("password"))}
        self._secrets = tuple(sorted(secrets - {""}, key=len, reverse=True))

    @property
    def shown_url(self) -> str:
        # `URL.set` would keep a password that is set to None.
        shown = sa.URL.create(
            "postgresql",
            username=self._url.username,
            host=self._url.host,
            port=self._url.port,
            database=self._url.database,
            query=self._url.difference_update_query(SECRET_OPTIONS).query,
        ).render_as_string()
        place, mark, query = shown.partition("?")
        return place + mark + query.replace("+", "%20")  # libpq does not read + as a space

    def identify(self) -> DatabaseState:
        with self.reader().connect() as connection:
            encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
            if encoding != "UTF8":
                raise UserError(
                    f"the database {self.name} is in {encoding}, which does not hold all text: "
                    "make one with `createdb --encoding=UTF8 --template=template0`"
                )
            self._require_settings(connection)
            schema = connection.exec_driver_sql("SELECT current_schema()").scalar_one()
            if schema is None:
                raise UserError(f"the database {self.name}: {SCHEMA_ADVICE}")
            rows = connection.exec_driver_sql(RELATIONS).all()
            names = {name for _, name, _ in rows}
            if VERSION_TABLE in names:
                version = sa.table(VERSION_TABLE, sa.column("version_num"))
                versions = connection.execute(sa.select(version.c.version_num).limit(2)).scalars()
                state = find_revision(self.name, names, versions.all())
                relations = {f"{kind} {name}": columns or "" for kind, name, columns in rows}
                return replace(state, relations=relations)
        if names and not has_only_optuna(names):
            raise UserError(
                f"the schema {schema} of {self.name} holds tables of another program: give "
                "another database, or a schema of its own with ?options=-csearch_path=SCHEMA"
            )
        return DatabaseState(exists=False, revision=None)

    def identity(self) -> tuple[object, ...]:
        with self.reader().connect() as connection:
            return ("postgresql", *connection.exec_driver_sql(IDENTITY).one())

    def reader(self) -> sa.Engine:
        from psycopg import IsolationLevel

        return _copy_engine(self._engine, IsolationLevel.REPEATABLE_READ, True)

    def writer(self) -> sa.Engine:
        from psycopg import IsolationLevel

        # A statement must see the rows that it waited for, so each has a snapshot of its own.
        return _copy_engine(self._engine, IsolationLevel.READ_COMMITTED, None)

    @contextmanager
    def migrating(self) -> Iterator[sa.Connection]:
        with self.writer().begin() as connection:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
            yield connection

    @contextmanager
    def turn(self) -> Iterator[None]:
        with self.writer().begin() as connection:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(TURN_LOCK)))
            yield

    def keep_copy(self, revision: str) -> None:
        """Do nothing: backups of a server are its owner's."""

    def backup(self, out: Path | None) -> Path:
        file = out or Path(f"{self._url.database or 'lcma'}.dump")
        command = ("pg_dump", "--format=custom", f"--file={file}", self.shown_url)
        raise UserError(
            f"the database {self.name} is on a server, which is copied by its own tool: "
            f"{shlex.join(command)}"
        )

    def faults(self) -> Iterator[str]:
        with self.reader().connect() as connection:
            yield from connection.exec_driver_sql(INVALID_RELATIONS).scalars().all()

    def clock(self, connection: sa.Connection) -> float:
        ((now,),) = CLOCK.all(connection, {})
        return float(now)

    def started(self, connection: sa.Connection) -> float:
        since = sa.text(
            "SELECT CAST(extract(epoch FROM pg_postmaster_start_time()) AS double precision)"
        )
        return float(connection.execute(since).scalar_one())

    def version(self) -> str:
        with self.reader().connect() as connection:
            shown = connection.exec_driver_sql("SHOW server_version").scalar_one()
        return f"{self.engine} {shown.split()[0]}"

    def rewrite(self, connection: sa.Connection) -> None:
        # Refused to a reader, and by a standby, although it changes no row.
        table = sa.table(VERSION_TABLE, sa.column("version_num"))
        same = {"version_num": table.c.version_num}
        connection.execute(sa.update(table).values(same).where(sa.false()))

    def may_create(self) -> bool:
        right = "SELECT has_schema_privilege(current_schema(), 'CREATE')"
        with self.reader().connect() as connection:
            return bool(connection.exec_driver_sql(right).scalar_one())

    def connections(self) -> tuple[int, int]:
        with self.reader().connect() as connection:
            most, used = connection.exec_driver_sql(CONNECTIONS).one()
        return most, used

    def translate(
        self, error: BaseException | None, *, connecting: bool = False
    ) -> UserError | None:
        import psycopg

        if not isinstance(error, psycopg.Error):
            return None
        why = self._hide(_shorten(error))
        if (
            error.sqlstate == TIMEOUT_CODE
            and (limit := self._settings()["statement_timeout"]) != "0"
        ):
            return UserError(
                f"the database {self.name} failed: {why}; its URL sets statement_timeout={limit}: "
                "give it more time there"
            )
        if connecting:
            kind, remedy = next(
                (k, r) for pattern, k, r in CONNECTION_ERRORS if re.search(pattern, why)
            )
            return kind(f"cannot open the database {self.name}: {why}; {remedy}")
        if error.sqlstate in ERRORS:
            kind, remedy = ERRORS[error.sqlstate]
            return kind(f"the database {self.name} failed: {why}; {remedy}")
        if error.sqlstate in LOST_CODES and isinstance(error, psycopg.OperationalError):
            return Unavailable(
                f"lost the database {self.name}: {why}; it may be back soon, try again"
            )
        return None

    def query(self, sql: str, limit: int | None, timeout: float) -> QueryResult:
        try:
            sql.encode()
        except UnicodeEncodeError as error:
            raise UserError(f"the query failed: {error}; check its SQL") from None
        import psycopg

        with self.reader().connect() as connection:
            milliseconds = min(max(1, timeout * 1000), MAX_MILLISECONDS)
            limited = sa.func.set_config("statement_timeout", f"{milliseconds:.0f}", True)
            connection.execute(sa.select(limited))
            raw: Any = connection.connection.driver_connection
            try:
                # Both ways use the protocol that takes only one statement: after a COMMIT, a second
                # statement could write. A cursor on the server takes no EXPLAIN.
                explained = sql.lower().startswith("explain")
                with raw.cursor() if explained else raw.cursor("query") as cursor:
                    if explained:
                        answer = cursor.stream(sql)
                    else:
                        cursor.execute(sql)
                        answer = _limit_time(time.monotonic() + timeout, cursor)
                    rows, truncated = take_rows(answer, limit)
                    columns = tuple(column.name for column in cursor.description or ())
            except psycopg.Error as error:
                raise UserError(self._explain_query(error, timeout)) from None
            except TimeoutError:
                raise UserError(explain_timeout(timeout)) from None
        values = tuple(tuple(map(_as_sqlite, row)) for row in rows)
        return QueryResult(columns, values, truncated)

    def _explain_query(self, error: Any, timeout: float) -> str:
        why = self._hide(" ".join(str(error).split("\n")[0].split()))
        if error.sqlstate == TIMEOUT_CODE:
            return explain_timeout(timeout)
        if error.sqlstate == SYNTAX_CODE and "multiple commands" in why:
            return f"the query failed: there is more than one statement ({why}); give one statement"
        if error.sqlstate == SYNTAX_CODE:
            return f"the query failed: {why}; only SELECT is allowed here: check its SQL"
        if error.sqlstate in WRITE_CODES:
            return f"the query does more than read {self.name} ({why}): only SELECT is allowed here"
        problem = self.translate(error)
        return str(problem or f"the query failed: {why}; {explain_name(why)}")

    def _hide(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def _options(self) -> str:
        # A role's time limit is meant for people's queries, so it is lifted; one in the URL holds.
        options = _list_texts(self._url.query.get("options", ""))
        return " ".join(("-c statement_timeout=0", *options, f"-c lock_timeout={WAIT_SECONDS}s"))

    def _settings(self) -> dict[str, str]:
        return {name.replace("-", "_"): value for name, value in SETTING.findall(self._options())}

    def _require_settings(self, connection: sa.Connection) -> None:
        """Raise UserError for settings that did not reach the server: a pooler drops them."""
        lost = []
        for name, escaped in self._settings().items():
            value = re.sub(r"\\(.)", r"\1", escaped)
            actual = connection.execute(sa.select(sa.func.current_setting(name, True))).scalar()
            # Set for this transaction, to learn how the server writes it.
            intended = connection.execute(sa.select(sa.func.set_config(name, value, True))).scalar()
            if actual != intended:
                lost.append(f"{name} is {actual or 'not set'} and not {intended}")
        if lost:
            raise UserError(f"the database {self.name}: {', '.join(lost)}; {POOLER_ADVICE}")

    @cached_property
    def _engine(self) -> sa.Engine:
        settings = {name: value for name, value in DEFAULTS.items() if name not in self._url.query}
        settings["options"] = self._options()
        # A pooler may lose prepared statements, so none is prepared.
        engine = sa.create_engine(
            self._url.difference_update_query(["options"]),
            poolclass=NullPool,
            connect_args={**settings, "prepare_threshold": None},
            use_native_hstore=False,
        )
        return translate_errors(engine, self)


def _copy_engine(
    engine: sa.Engine, isolation: "psycopg.IsolationLevel", read_only: bool | None
) -> sa.Engine:
    copy = engine.execution_options()

    @event.listens_for(copy, "begin")
    def _begin(connection: sa.Connection) -> None:
        driver: Any = connection.connection.dbapi_connection
        driver.isolation_level, driver.read_only = isolation, read_only

    return copy


def _list_texts(value: str | Sequence[str] | None) -> tuple[str, ...]:
    return tuple(filter(None, (value,) if isinstance(value, str) else value or ()))


def _shorten(error: BaseException) -> str:
    # The first line of a message, of which libpq may write one for each address.
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    return text.removeprefix("connection failed: ").removeprefix("connection is bad: ").rstrip(".")


def _limit_time(deadline: float, rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    # The server's own limit holds for each batch of rows.
    for row in rows:
        yield row
        if time.monotonic() > deadline:
            raise TimeoutError


def _as_sqlite(value: Any) -> Any:
    # The value as SQLite would return it: int, float, text, bytes or None.
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, Decimal):
        is_whole = value.is_finite() and int(value.as_tuple().exponent) >= 0
        return int(value) if is_whole else float(value)
    if isinstance(value, memoryview | bytearray):
        return bytes(value)
    if value is None or isinstance(value, int | float | str | bytes):
        return value
    return str(value)
