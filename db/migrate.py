"""Bringing a file to the current schema, with Alembic, in one transaction under the write lock."""

import importlib.resources
import io
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from db.engine import APPLICATION_ID, writer
from db.identify import identify
from db.schema.base import REVISIONS
from sweeps.errors import UserError

if TYPE_CHECKING:
    from alembic.config import Config

_one_at_a_time = threading.Lock()
"""Alembic keeps its running environment in module globals."""


def ensure(path: Path, *, create: bool) -> None:
    """See that a current database is at `path`: make it, upgrade it, or leave it as it is.

    Raises UserError, with the file as it was, when it is missing and `create` is False, is not
    ours, is damaged, or is of a newer schema than this code knows.
    """
    found = identify(path)
    if found.revision == REVISIONS[-1]:
        return
    if not found.exists and not create:
        raise UserError(f"there are no results at {path}: make some with `lcma launch demo`")
    if found.revision is not None and found.revision not in REVISIONS:
        raise UserError(
            f"{path} has schema {found.revision}, newer than {REVISIONS[-1]} which this version "
            "knows: upgrade lcma"
        )
    upgrade(path)


def upgrade(path: Path, revision: str = "head") -> None:
    """Upgrade the file, made when it is missing, to a revision. Safe with processes racing."""
    from alembic import command

    _run(path, lambda config: command.upgrade(config, revision))


def downgrade(path: Path, revision: str) -> None:
    """Downgrade the file to an older revision, 'base' for none.

    Raises UserError where rows would be lost.
    """
    from alembic import command

    _run(path, lambda config: command.downgrade(config, revision))


def check(path: Path) -> None:
    """Raise alembic's CommandError where the file's tables differ from those of the code."""
    from alembic import command

    _run(path, command.check)


def _run(path: Path, action: "Callable[[Config], None]") -> None:
    from alembic.config import Config

    config = Config(stdout=io.StringIO())
    config.set_main_option(
        "script_location", str(importlib.resources.files("db") / "migrations").replace("%", "%%")
    )
    # Off, because to rebuild a table SQLite drops it, and that would delete what refers to it.
    engine = writer(path, create=True, foreign_keys=False)
    with _one_at_a_time, engine.begin() as connection:
        connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")
        config.attributes["connection"] = connection
        action(config)
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
        if broken is not None:
            raise UserError(f"{path} has a row of {broken[0]} that refers to a missing {broken[2]}")
