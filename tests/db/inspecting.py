"""What is in a database, seen past the store: schema objects and rows, on either engine."""

from typing import Any

import sqlalchemy as sa

from lcma import db
from lcma.db import migrate
from lcma.db.schema import OPTUNA_TABLES, VERSION_TABLE, metadata

PARTS = {
    *("name", "type", "nullable", "default", "sqltext", "column_names", "constrained_columns"),
    *("referred_table", "referred_columns", "unique"),
}
"""What of a column or constraint must agree; two columns' types are equal where they read alike."""

KINDS = ("columns", "check_constraints", "unique_constraints", "foreign_keys", "indexes")

Row = dict[str, Any]


def objects(url: str) -> dict[str, Any]:
    """All tables with their columns and constraints, and all views with their SQL, however laid
    out."""
    # On one connection: a server's has to read the catalogs first, and an engine opens many.
    with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
        inspector = sa.inspect(connection)
        found: dict[str, Any] = {
            name: " ".join(inspector.get_view_definition(name).split())
            for name in inspector.get_view_names()
        }
        for kind in KINDS:
            for (_, name), listed in getattr(inspector, f"get_multi_{kind}")().items():
                if name != VERSION_TABLE:
                    lines = [str({k: v for k, v in one.items() if k in PARTS}) for one in listed]
                    found.setdefault(name, []).append(sorted(lines))
    return found


def execute(url: str, *statements: str) -> list[Any]:
    """Run statements behind the store's back; the last one's rows, or how many it changed."""
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
        for statement in statements:
            found = connection.execute(sa.text(statement))
        return [tuple(row) for row in found] if found.returns_rows else [found.rowcount]


def make_older(url: str) -> str:
    """Give a database views of an older version, of which it lacks one; the version."""
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
    """In what the tables differ from those of the code, as Alembic sees it, but for comments."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    options = {
        "version_table": VERSION_TABLE,
        "compare_type": True,
        "include_name": lambda name, kind, _: kind != "table" or name not in OPTUNA_TABLES,
    }
    with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        found = compare_metadata(context, metadata)
    each = (part for one in found for part in (one if isinstance(one, list) else [one]))
    return [part for part in each if "comment" not in part[0]]


def is_current(url: str) -> bool:
    """Whether tables and version are those of the code."""
    return db.locate(url).identify().revision == migrate.current_version() and not drift(url)


def contents(url: str) -> dict[str, list[Row]]:
    """All rows of all tables, but for our revision."""
    with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
        names = sa.inspect(connection).get_table_names()
        found = {
            name: connection.execute(sa.text(f'SELECT * FROM "{name}"')).mappings().all()
            for name in names
            if name != VERSION_TABLE
        }
    return {name: sorted(map(dict, rows), key=repr) for name, rows in found.items()}
