"""The contents of a database without the store: schema objects and rows, on either engine."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from lcma import db
from lcma.db import migrate
from lcma.db.schema import OPTUNA_TABLES, VERSION_TABLE, metadata
from tests.refusals import catch_refusal

PARTS = {
    *("name", "type", "nullable", "default", "sqltext", "column_names", "constrained_columns"),
    *("referred_table", "referred_columns", "unique"),
}
"""The parts of a column or constraint that must agree; types are equal if their text is."""

KINDS = ("columns", "check_constraints", "unique_constraints", "foreign_keys", "indexes")

Row = dict[str, Any]


def objects(url: str) -> dict[str, Any]:
    """Return all tables with their columns and constraints, and all views with their SQL."""
    # On one connection: each new one to a server reads the catalogs first.
    with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
        inspector = sa.inspect(connection)
        parts: dict[str, Any] = {
            name: " ".join(inspector.get_view_definition(name).split())
            for name in inspector.get_view_names()
        }
        for kind in KINDS:
            for (_, name), items in getattr(inspector, f"get_multi_{kind}")().items():
                if name != VERSION_TABLE:
                    lines = [str({k: v for k, v in item.items() if k in PARTS}) for item in items]
                    parts.setdefault(name, []).append(sorted(lines))
    return parts


def execute(url: str, *statements: str) -> list[Any]:
    """Run statements without the store; return the last one's rows, or how many it changed."""
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
        for statement in statements:
            result = connection.execute(sa.text(statement))
        return [tuple(row) for row in result] if result.returns_rows else [result.rowcount]


def make_older(url: str) -> str:
    """Give a database the views of an older version, and remove one; return the version."""
    version = migrate.current_version()[:-8] + "0" * 8
    execute(
        url,
        "DROP VIEW maps",
        "DROP VIEW failures",
        "CREATE VIEW maps AS SELECT 1 AS one",
        f"UPDATE {VERSION_TABLE} SET version_num = '{version}'",
    )
    return version


def drift(url: str) -> list[Any]:
    """Return how the tables differ from those of the code by Alembic, without comments."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    options = {
        "version_table": VERSION_TABLE,
        "compare_type": True,
        "include_name": lambda name, kind, _: kind != "table" or name not in OPTUNA_TABLES,
    }
    with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        entries = compare_metadata(context, metadata)
    changes = (c for entry in entries for c in (entry if isinstance(entry, list) else [entry]))
    return [change for change in changes if "comment" not in change[0]]


def is_current(url: str) -> bool:
    """Return whether tables and version are those of the code."""
    return db.locate(url).identify().revision == migrate.current_version() and not drift(url)


def contents(url: str) -> dict[str, list[Row]]:
    """Return all rows of all tables, except our revision."""
    with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
        tables = {
            name: connection.execute(sa.text(f'SELECT * FROM "{name}"')).mappings().all()
            for name in sa.inspect(connection).get_table_names()
            if name != VERSION_TABLE
        }
    return {name: sorted(map(dict, rows), key=repr) for name, rows in tables.items()}


def refuse_all(url: str, *parts: str, unavailable: bool = False) -> None:
    """Check that a URL is refused however it is opened, and whether this may pass."""
    actions: list[Callable[[], object]] = [
        lambda: db.connect(url),
        lambda: db.exists(url),
        lambda: db.run_sql(url, "SELECT 1"),
    ]
    for action in actions:
        assert isinstance(catch_refusal(action, *parts), db.Unavailable) == unavailable
