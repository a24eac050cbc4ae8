"""The tables as `lcma.db.schema` defines them.

This stays so until the first release, which writes them out here; from then on a change of the
schema is a revision of its own.
"""

from alembic import op
from sqlalchemy.schema import CreateIndex, CreateTable

from lcma.db.schema import REVISION, metadata

revision = REVISION
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make all tables, without comments: with those of views they are written in one round trip."""
    for table in metadata.sorted_tables:
        op.execute(CreateTable(table))
        for index in sorted(table.indexes, key=lambda one: str(one.name)):
            op.execute(CreateIndex(index))
