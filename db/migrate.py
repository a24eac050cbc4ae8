"""Upgrades of a database to the current schema, with Alembic, in one transaction under a lock."""

import importlib.resources
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from lcma.db.engine import Database, Found
from lcma.db.reference import write_dictionary, write_references
from lcma.db.schema.base import REVISIONS, VERSION_TABLE
from lcma.sweeps.errors import UserError

if TYPE_CHECKING:
    from alembic.config import Config

_one_at_a_time = threading.Lock()
"""Alembic keeps its running environment in module globals."""


@dataclass(frozen=True, slots=True)
class Upgrade:
    """From which schema a database came, None for a new one; and the copy made before, if any."""

    before: str | None
    after: str
    copy: Path | None


def ensure(database: Database, *, create: bool) -> None:
    """Make a database, upgrade it, or leave it as it is if its schema is current.

    Args:
        database: The database.
        create: Make it where it is missing.

    Raises:
        UserError: It is missing and `create` is False, is not ours, is damaged, or is of a newer
            schema than this code knows. The database is left as it was.
    """
    found = database.identify()
    if found.revision == REVISIONS[-1]:
        return
    if not create:
        require(database, found)
    refuse_newer(database, found)
    upgrade(database)


def require(database: Database, found: Found) -> None:
    """Raise UserError where nothing was found."""
    if not found.exists:
        raise UserError(
            f"there are no results at {database.name}: make some with `lcma launch demo`"
        )


def refuse_newer(database: Database, found: Found) -> None:
    """Raise UserError for a schema that this code does not know."""
    if found.revision is not None and found.revision not in REVISIONS:
        raise UserError(
            f"{database.name} has schema {found.revision}, newer than {REVISIONS[-1]} which this "
            "version knows: upgrade lcma"
        )


def upgrade(database: Database, revision: str = "head") -> Upgrade:
    """Upgrade a database, made when it is missing, to a revision. Safe with processes racing.

    A file of an older schema is copied before; see `Database.keep_copy`.
    """
    from alembic import command

    with _migrating(database) as (connection, config):
        # Another process may have upgraded it while this one waited for the lock.
        before, copy = _revision(connection), None
        if before is not None and before != REVISIONS[-1]:
            copy = database.keep_copy(before)
        command.upgrade(config, revision)
        after = str(_revision(connection))
        if after == REVISIONS[-1]:
            write_dictionary(connection)
            write_references(connection)
        return Upgrade(before, after, copy)


def downgrade(database: Database, revision: str) -> None:
    """Downgrade a database to an older revision, 'base' for none.

    Raises:
        UserError: Rows would be lost.
    """
    from alembic import command

    with _migrating(database) as (_, config):
        command.downgrade(config, revision)


def check(database: Database) -> None:
    """Raise alembic's CommandError where the database's tables differ from those of the code."""
    from alembic import command

    with _migrating(database) as (_, config):
        command.check(config)


@contextmanager
def _migrating(database: Database) -> "Iterator[tuple[sa.Connection, Config]]":
    from alembic.config import Config

    config = Config(stdout=io.StringIO())
    config.set_main_option(
        "script_location",
        str(importlib.resources.files("lcma.db") / "migrations").replace("%", "%%"),
    )
    with _one_at_a_time, database.migrating() as connection:
        config.attributes["connection"] = connection
        yield connection, config


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    table = sa.table(VERSION_TABLE, sa.column("version_num", sa.Text))
    return connection.execute(sa.select(table.c.version_num)).scalar()
