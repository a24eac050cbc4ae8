"""Alembic's environment: the caller passes an open connection, inside its transaction."""

from typing import Any

import sqlalchemy as sa
from alembic import context

from db.schema import VERSION_TABLE, metadata


def without_comments(original: sa.MetaData) -> sa.MetaData:
    """Comments document the code's tables, and are not part of a revision."""
    copy = sa.MetaData(naming_convention=original.naming_convention)
    for table in original.tables.values():
        made = table.to_metadata(copy)
        made.comment = None
        for column in made.columns:
            column.comment = None
    return copy


def ours(name: str | None, kind: str, _parents: Any) -> bool:
    """Leave tables of other tools in the same database alone."""
    return kind != "table" or name in metadata.tables


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=without_comments(metadata),
    version_table=VERSION_TABLE,
    render_as_batch=True,
    compare_type=True,
    include_name=ours,
)
with context.begin_transaction():
    context.run_migrations()
