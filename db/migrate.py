"""Making and upgrading databases, with Alembic, in one transaction under a lock.

The version of a database is its revision, a digest of its tables and a digest of its views, such as
`0001-3f2a9c12-77e0b1aa`. So a database that was made before a revision was released differs from
one of today. Alembic sees only the revision. Every upgrade makes the views anew.
"""

import hashlib
import importlib.resources
import io
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from lcma.db import leases
from lcma.db.engine import Database, DatabaseState
from lcma.db.results import write_measure_kinds
from lcma.db.schema import REVISION, VERSION_TABLE, jobs, metadata, t_quantiles
from lcma.db.statements import append_rows
from lcma.db.views import render_views, views
from lcma.sweeps.errors import UserError
from lcma.sweeps.measures import SHIPPED

if TYPE_CHECKING:
    from alembic.config import Config

LAST_READER = "d355483c"
"""The last commit that brings files of a schema before 0003 to this one."""

MAX_FREEDOM = 1000
"""The degrees of freedom up to which `t_quantiles` goes."""

_lock = threading.Lock()
"""Alembic keeps its running environment in module globals."""

_version = sa.table(VERSION_TABLE, sa.column("version_num", sa.Text))


@dataclass(frozen=True, slots=True)
class Upgrade:
    """From which version a database came, None for a new one; and the copy made before, if any."""

    before: str | None
    after: str
    copy: Path | None


@cache
def current_version() -> str:
    """Return the version that this code makes and reads."""
    return f"{_tables_version()}-{_digest(sql for _, sql in render_views('sqlite'))}"


@cache
def _tables_version() -> str:
    dialect = sqlite.dialect()
    statements = [str(CreateTable(table).compile(dialect=dialect)) for table in _tables()]
    statements += [
        str(CreateIndex(index).compile(dialect=dialect))
        for table in _tables()
        for index in sorted(table.indexes, key=lambda index: str(index.name))
    ]
    return f"{REVISION}-{_digest(statements)}"


def _tables() -> list[sa.Table]:
    return sorted(metadata.tables.values(), key=lambda table: table.name)


def _digest(texts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:8]


def ensure(database: Database) -> None:
    """Make a database, or upgrade it where nobody is at work in it; leave a current one alone.

    Raises:
        UserError: It is not ours, is damaged, has a version that this code does not know, or has an
            older one and jobs that run. The database is left as it was.
    """
    state = database.identify()
    require_known(database, state)
    if state.revision != current_version():
        upgrade(database)


def require_existing(database: Database, state: DatabaseState) -> None:
    """Raise UserError where nothing was found."""
    if not state.exists:
        raise UserError(
            f"there are no results at {database.name}: give another --db, or make some with "
            "`lcma launch demo`"
        )


def require_current(database: Database, state: DatabaseState) -> None:
    """Raise UserError where nothing was found, or another version than the current one."""
    require_existing(database, state)
    require_known(database, state)
    if state.revision != current_version():
        raise UserError(
            f"{database.name} has schema {state.revision}, and this version of lcma reads "
            f"{current_version()}: run `lcma db upgrade` on it, or on a copy of it"
        )


def require_known(database: Database, state: DatabaseState, *, check_views: bool = True) -> None:
    """Raise UserError for a version that this code can neither read nor upgrade, and for tables,
    or views if they are checked, that differ from those of the version."""
    if state.revision is not None:
        tables_version = state.revision.rpartition("-")[0]
        if tables_version != _tables_version():
            raise UserError(
                f"{database.name} has schema {state.revision}, which this version of lcma does not "
                f"know (it has {current_version()}): use the version that made it, or upgrade a "
                f"file from before 0003 with commit {LAST_READER}"
            )
        _require_tables(database, state.relations or {})
    for name in find_other_views(database, state) if check_views else ():
        raise UserError(
            f"{database.name} has another view {name} than its schema {state.revision}, or none: "
            "`lcma db upgrade` makes its views anew"
        )


def _require_tables(database: Database, relations: Mapping[str, str]) -> None:
    # A file's own statement of its schema proves nothing, and a trigger may run anything.
    remedy = "go back to a copy of it"
    for name, definition in _table_definitions(database.engine).items():
        if _squeeze(relations.get(f"table {name}", "")) != definition:
            raise UserError(
                f"{database.name} has another table {name} than its schema "
                f"{current_version()}: {remedy}"
            )
    kinds = ("table", "materialized view")
    forbidden = {f"{kind} {view}" for kind in kinds for view in views.tables}
    for name in relations:
        if name.startswith("trigger ") or name in forbidden:
            raise UserError(f"{database.name} has a {name}, which lcma did not make: {remedy}")


def find_other_views(database: Database, state: DatabaseState) -> tuple[str, ...]:
    """Return the views that are missing or are others in a database of the current version."""
    if state.revision != current_version():
        return ()
    relations, definitions = state.relations or {}, _view_definitions(database.engine)
    return tuple(
        name
        for name, definition in definitions.items()
        if _squeeze(relations.get(f"view {name}", "")) != definition
    )


@cache
def _table_definitions(engine: str) -> dict[str, str]:
    if engine != "SQLite":
        return {table.name: " ".join(table.columns.keys()) for table in _tables()}
    dialect = sqlite.dialect()
    return {
        table.name: _squeeze(str(CreateTable(table).compile(dialect=dialect)))
        for table in _tables()
    }


@cache
def _view_definitions(engine: str) -> dict[str, str]:
    if engine != "SQLite":
        return {name: " ".join(view.columns.keys()) for name, view in views.tables.items()}
    rendered = render_views("sqlite")
    return {name: _squeeze(f"CREATE VIEW {name} AS {select}") for name, select in rendered}


def _squeeze(definition: str) -> str:
    return " ".join(definition.split())


def upgrade(database: Database, *, force: bool = False, anew: bool = False) -> Upgrade:
    """Bring a database, made where it is missing, to the current version. Safe with racing.

    A file that is there and is changed is copied before; see `Database.keep_copy`.

    Args:
        database: The database.
        force: Do it although jobs run, whose workers may be of the older version.
        anew: Make the views anew where the version is the current one too.

    Raises:
        UserError: Jobs run, and it is not forced.
    """
    from alembic import command

    copy: Path | None = None
    try:
        with _migrating(database) as (connection, config):
            # Another process may have upgraded it while this one waited for the lock.
            before = _read_version(connection)
            if before == current_version() and not anew:
                return Upgrade(before, before, None)
            if before is not None:
                _require_idle(database, connection, force=force or before == current_version())
                copy = database.keep_copy(before)
                _write_version(connection, before.partition("-")[0])
                _drop_views(connection)
            command.upgrade(config, "head")
            for name, select in render_views(connection.dialect.name):
                # Without parameters a % stands for itself.
                connection.exec_driver_sql(
                    f"CREATE VIEW {name} AS {select}", execution_options={"no_parameters": True}
                )
            write_measure_kinds(connection, SHIPPED)
            _write_quantiles(connection)
            _write_version(connection, current_version())
            return Upgrade(before, current_version(), copy)
    except BaseException:  # an interruption too
        if copy is not None:
            copy.unlink(missing_ok=True)
        raise


def _write_quantiles(connection: sa.Connection) -> None:
    # Where there are none.
    from scipy.special import stdtrit

    if connection.execute(sa.select(t_quantiles.c.freedom).limit(1)).first() is None:
        values = stdtrit(range(1, MAX_FREEDOM + 1), 0.975).tolist()
        rows = [{"freedom": n, "quantile": value} for n, value in enumerate(values, start=1)]
        append_rows(connection, t_quantiles, rows)


def _drop_views(connection: sa.Connection) -> None:
    present = set(sa.inspect(connection).get_view_names())
    for name in reversed(views.tables):  # later ones refer to earlier ones
        if name in present:
            connection.exec_driver_sql(f"DROP VIEW {name}")


def _require_idle(database: Database, connection: sa.Connection, *, force: bool) -> None:
    held = sa.select(sa.func.count()).where(
        jobs.c.state == "running", leases.is_held(jobs.c.lease_until, database.clock(connection))
    )
    running = connection.execute(held).scalar_one()
    if running and not force:
        raise UserError(
            f"{database.name} has an older schema, and jobs run in it ({running} now), whose "
            "workers may be of the older version: upgrade it when they are done or after "
            "`lcma stop`, or at once with `lcma db upgrade --force`"
        )


@contextmanager
def _migrating(database: Database) -> "Iterator[tuple[sa.Connection, Config]]":
    from alembic.config import Config

    config = Config(stdout=io.StringIO())
    config.set_main_option(
        "script_location",
        str(importlib.resources.files("lcma.db") / "migrations").replace("%", "%%"),
    )
    with _lock, database.migrating() as connection:
        config.attributes["connection"] = connection
        yield connection, config


def _read_version(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(sa.select(_version.c.version_num)).scalar()


def _write_version(connection: sa.Connection, version: str) -> None:
    connection.execute(sa.update(_version).values(version_num=version))
