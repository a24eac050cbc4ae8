"""Alembic's environment: the caller passes an open connection, inside its transaction."""

from typing import Any

from alembic import context

from lcma.db.schema import OPTUNA_TABLES, VERSION_TABLE, metadata


def ours(name: str | None, kind: str, _parents: Any) -> bool:
    """Leave Optuna's tables alone. Any other that the code does not have is drift."""
    return kind != "table" or name not in OPTUNA_TABLES


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
