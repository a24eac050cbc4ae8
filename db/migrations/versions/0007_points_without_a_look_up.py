"""Points of curves refer to their curve without a constraint.

PostgreSQL would look the curve up for every point, which takes eight times as long as to store it.
Points are only added under the id of a curve that their own transaction has read or made, curves
are never deleted, and `lcma db check` still looks for points without one.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

KEY = "fk_metrics_curve_id_curves"


def upgrade() -> None:
    """Drop the constraint."""
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint(op.f(KEY), "metrics", type_="foreignkey")
    else:
        _remake()


def downgrade() -> None:
    """Make it again."""
    if op.get_bind().dialect.name == "postgresql":
        op.create_foreign_key(op.f(KEY), "metrics", "curves", ["curve_id"], ["id"])
    else:
        _remake(sa.ForeignKeyConstraint(["curve_id"], ["curves.id"], name=op.f(KEY)))


def _remake(*constraints: sa.Constraint) -> None:
    """Move the points into a new table: SQLite changes no constraints, and Alembic would lose that
    it has no rowid."""
    op.rename_table("metrics", "old_metrics")
    columns: Sequence[sa.schema.SchemaItem] = (
        sa.Column("curve_id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("step", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("value", sa.Double(), nullable=True),
        *constraints,
        sa.PrimaryKeyConstraint("curve_id", "step", name=op.f("pk_metrics")),
    )
    op.create_table("metrics", *columns, sqlite_with_rowid=False)
    op.execute(
        "INSERT INTO metrics (curve_id, step, value) "
        "SELECT curve_id, step, value FROM old_metrics ORDER BY curve_id, step"
    )
    op.drop_table("old_metrics")
