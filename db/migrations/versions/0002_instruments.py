"""Instruments: statistics of maps, index tables with their overlaps, bars, the form of NMS.

Comments on tables and columns are left out: they document, and are not part of a revision.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from lcma.sweeps.errors import UserError

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Sorted byte by byte on every engine."""

NEW_COLUMNS: tuple[tuple[str, sa.types.TypeEngine[Any]], ...] = (
    ("halves", sa.LargeBinary()),
    ("mask_share", sa.Double()),
    ("mask_share_by_chance", sa.Double()),
    ("standard_error", sa.Double()),
    ("rank_gap", sa.Double()),
    ("error_to_gap", sa.Double()),
    ("unresolved", sa.Double()),
    ("tied", sa.Double()),
)

TABLES = ("table_overlaps", "index_tables", "bars")

VIEWS = {
    "map_statistics": """
SELECT
    pretrainings.flow, pretrainings.dataset, pretrainings.variant, contribution_maps.data_digest,
    pretrainings.seed, pretrainings.nms, contribution_maps.budget, contribution_maps.score,
    contribution_maps.split, contribution_maps.mask_share, contribution_maps.mask_share_by_chance,
    contribution_maps.standard_error, contribution_maps.rank_gap, contribution_maps.error_to_gap,
    contribution_maps.unresolved, contribution_maps.tied, contribution_maps.mean_log_det,
    contribution_maps.sum_error, contribution_maps.images, contribution_maps.clusters,
    pretrainings.recipe_id, contribution_maps.pretraining_id, contribution_maps.digest
FROM contribution_maps
JOIN pretrainings ON pretrainings.id = contribution_maps.pretraining_id
""",
    "table_statistics": """
SELECT
    flow_trials.flow, flow_trials.profile, flow_trials.dataset, flow_trials.variant,
    index_tables.data_digest, flow_trials.factorization, flow_trials.budget,
    flow_trials.map_options, flow_trials.seed, index_tables.split, index_tables.iou_even,
    index_tables.iou_odd, index_tables.purity, index_tables.channel_purity,
    index_tables.mask_share, index_tables.mask_share_by_chance, index_tables.tied,
    index_tables.agreement,
    (SELECT avg(other.iou) FROM table_overlaps AS other
     WHERE other.trial_id = index_tables.trial_id
       AND other.data_digest = index_tables.data_digest
       AND other.split = index_tables.split AND other.differs = 'seed') AS iou_other_seeds,
    (SELECT avg(other.iou) FROM table_overlaps AS other
     WHERE other.trial_id = index_tables.trial_id
       AND other.data_digest = index_tables.data_digest
       AND other.split = index_tables.split AND other.differs = 'budget') AS iou_other_budgets,
    flow_trials.recipe_id, index_tables.trial_id, index_tables.digest
FROM index_tables
JOIN flow_trials ON flow_trials.id = index_tables.trial_id
""",
}


def upgrade() -> None:
    """Make the new tables, columns and views."""
    op.add_column("pretrainings", sa.Column("nms", TEXT, nullable=False, server_default="squeezed"))
    for name, kind in NEW_COLUMNS:
        op.add_column("contribution_maps", sa.Column(name, kind, nullable=True))
    op.create_table(
        "bars",
        sa.Column("data_digest", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("bits_per_dim", sa.Double(), nullable=True),
        sa.Column("standard_error", sa.Double(), nullable=True),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.Column("detail", TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ["data_digest"], ["data_sets.digest"], name=op.f("fk_bars_data_digest_data_sets")
        ),
        sa.PrimaryKeyConstraint("data_digest", "name", name=op.f("pk_bars")),
    )
    op.create_table(
        "index_tables",
        sa.Column("trial_id", TEXT, nullable=False),
        sa.Column("data_digest", TEXT, nullable=False),
        sa.Column("split", sa.Integer(), nullable=False),
        sa.Column("channels", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("kept", sa.LargeBinary(), nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("iou_even", sa.Double(), nullable=False),
        sa.Column("iou_odd", sa.Double(), nullable=False),
        sa.Column("purity", sa.Double(), nullable=False),
        sa.Column("channel_purity", sa.Double(), nullable=False),
        sa.Column("mask_share", sa.Double(), nullable=True),
        sa.Column("mask_share_by_chance", sa.Double(), nullable=True),
        sa.Column("tied", sa.Double(), nullable=True),
        sa.Column("agreement", sa.Double(), nullable=True),
        sa.Column("attempt_id", sa.Integer(), nullable=False),
        sa.CheckConstraint("split >= 1", name=op.f("ck_index_tables_split")),
        sa.ForeignKeyConstraint(
            ["trial_id"], ["flow_trials.id"], name=op.f("fk_index_tables_trial_id_flow_trials")
        ),
        sa.ForeignKeyConstraint(
            ["data_digest"],
            ["data_sets.digest"],
            name=op.f("fk_index_tables_data_digest_data_sets"),
        ),
        sa.ForeignKeyConstraint(
            ["attempt_id"], ["attempts.id"], name=op.f("fk_index_tables_attempt_id_attempts")
        ),
        sa.PrimaryKeyConstraint("trial_id", "data_digest", "split", name=op.f("pk_index_tables")),
    )
    op.create_table(
        "table_overlaps",
        sa.Column("trial_id", TEXT, nullable=False),
        sa.Column("other_trial_id", TEXT, nullable=False),
        sa.Column("data_digest", TEXT, nullable=False),
        sa.Column("split", sa.Integer(), nullable=False),
        sa.Column("differs", TEXT, nullable=False),
        sa.Column("iou", sa.Double(), nullable=False),
        sa.CheckConstraint("differs IN ('seed', 'budget')", name=op.f("ck_table_overlaps_differs")),
        sa.ForeignKeyConstraint(
            ["trial_id"], ["flow_trials.id"], name=op.f("fk_table_overlaps_trial_id_flow_trials")
        ),
        sa.ForeignKeyConstraint(
            ["other_trial_id"],
            ["flow_trials.id"],
            name=op.f("fk_table_overlaps_other_trial_id_flow_trials"),
        ),
        sa.ForeignKeyConstraint(
            ["data_digest"],
            ["data_sets.digest"],
            name=op.f("fk_table_overlaps_data_digest_data_sets"),
        ),
        sa.PrimaryKeyConstraint(
            "trial_id", "other_trial_id", "data_digest", "split", name=op.f("pk_table_overlaps")
        ),
    )
    for name, body in VIEWS.items():
        op.execute(f"CREATE VIEW {name} AS {body}")


def downgrade() -> None:
    """Take back, unless there is anything to lose."""
    bind = op.get_bind()
    for table in TABLES:
        _refuse_rows(bind, table, sa.true())
    _refuse_rows(bind, "contribution_maps", sa.column("halves").is_not(None))
    _refuse_rows(bind, "contribution_maps", sa.column("score") != "cumulative")
    _refuse_rows(bind, "pretrainings", sa.column("nms") != "squeezed")
    for name in VIEWS:
        op.execute(f"DROP VIEW {name}")
    for table in TABLES:
        op.drop_table(table)
    for name, _ in reversed(NEW_COLUMNS):
        op.drop_column("contribution_maps", name)
    op.drop_column("pretrainings", "nms")


def _refuse_rows(bind: sa.Connection, table: str, where: sa.ColumnElement[bool]) -> None:
    found = sa.select(sa.literal(1)).select_from(sa.table(table)).where(where).limit(1)
    if bind.execute(found).first():
        raise UserError(f"{table} has rows that a downgrade would lose: delete them first")
