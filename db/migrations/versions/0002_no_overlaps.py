"""How far index tables agree is computed where it is shown, and stored no more."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Drop the overlaps, which a database that was made later never had."""
    if sa.inspect(op.get_bind()).has_table("table_overlaps"):
        op.drop_table("table_overlaps")
