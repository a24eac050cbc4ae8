"""The tables as `lcma.db.schema` defines them today.

Later revisions change those of an older database to these, and find nothing to do in a new one.
"""

from alembic import op
from sqlalchemy.schema import CreateIndex, CreateTable

from lcma.db.schema import metadata

revision = "0003"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make all tables."""
    for table in metadata.sorted_tables:
        op.execute(CreateTable(table))
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            op.execute(CreateIndex(index))
