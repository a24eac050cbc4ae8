"""The tables as `lcma.db.schema` defines them.

This stays so until the first release, which writes them out here; from then on a change of the
schema is a revision of its own.
"""

from alembic import op

from lcma.db.schema import REVISION, metadata

revision = REVISION
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make all tables."""
    metadata.create_all(op.get_bind(), checkfirst=False)
