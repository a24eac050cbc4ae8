"""Alembic's environment: the caller passes an open connection, inside its transaction."""

from alembic import context

from lcma.db.schema import VERSION_TABLE

context.configure(connection=context.config.attributes["connection"], version_table=VERSION_TABLE)
with context.begin_transaction():
    context.run_migrations()
