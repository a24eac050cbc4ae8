"""Alembic's environment: the caller passes an open connection, inside its transaction."""

from typing import Any

from alembic import context

from db.schema import VERSION_TABLE, metadata


def ours(name: str | None, kind: str, _parents: Any) -> bool:
    """Leave tables of other tools in the same database alone."""
    return kind != "table" or name in metadata.tables


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
    compare_type=True,
    include_name=ours,
)
with context.begin_transaction():
    context.run_migrations()
