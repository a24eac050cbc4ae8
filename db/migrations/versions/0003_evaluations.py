"""Evaluations of kept weights, and what is measured beside the bits/dim of a result.

Comments on tables and columns are left out: they document, and are not part of a revision.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from lcma.sweeps.errors import UserError

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Sorted byte by byte on every engine."""

NEW_COLUMNS: tuple[tuple[str, str, sa.types.TypeEngine[Any]], ...] = (
    ("results", "bound_draws", sa.Integer()),
    ("results", "bound_images", sa.Integer()),
    ("results", "bound_bits_per_dim", sa.Double()),
    ("results", "bound_gain", sa.Double()),
    ("results", "series_terms", sa.Integer()),
    ("results", "series_bias", sa.Double()),
    ("results", "series_bias_standard_error", sa.Double()),
    ("attempts", "protocol", TEXT),
)

OLD_VIEW = """
CREATE VIEW trial_results AS
SELECT
    flow_trials.flow,
    flow_trials.profile,
    flow_trials.dataset,
    flow_trials.variant,
    results.data_digest,
    flow_trials.factorization,
    flow_trials.budget,
    flow_trials.seed,
    results.protocol,
    results.precision,
    results.bits_per_dim,
    results.standard_error,
    results.holdout_bits_per_dim,
    results.holdout_standard_error,
    results.train_bits_per_dim,
    results.log_det,
    results.log_prior,
    results.images,
    results.clusters,
    recipes.splits,
    recipes.size,
    results.step,
    recipes.steps,
    attempts.images_per_second,
    (SELECT sum(a.seconds) FROM attempts AS a WHERE a.job_id = attempts.job_id) AS seconds,
    (SELECT sum(a.cpu_seconds) FROM attempts AS a WHERE a.job_id = attempts.job_id) AS cpu_seconds,
    attempts.peak_memory,
    attempts.threads,
    environments.device,
    environments.cpu_capability,
    environments.torch,
    environments.code_version,
    environments.dirty,
    results.created,
    flow_trials.map_options,
    results.trial_id,
    flow_trials.recipe_id,
    flow_trials.pretraining_id,
    attempts.environment_id,
    results.id AS result_id
FROM results
JOIN flow_trials ON flow_trials.id = results.trial_id
JOIN recipes ON recipes.id = flow_trials.recipe_id
JOIN attempts ON attempts.id = results.attempt_id
JOIN environments ON environments.id = attempts.environment_id
"""

NEW_VIEW = """
CREATE VIEW trial_results AS
SELECT
    flow_trials.flow,
    flow_trials.profile,
    flow_trials.dataset,
    flow_trials.variant,
    results.data_digest,
    flow_trials.factorization,
    flow_trials.budget,
    flow_trials.seed,
    results.protocol,
    results.precision,
    results.bits_per_dim,
    results.standard_error,
    results.holdout_bits_per_dim,
    results.holdout_standard_error,
    results.train_bits_per_dim,
    results.log_det,
    results.log_prior,
    results.images,
    results.clusters,
    results.bound_draws,
    results.bound_images,
    results.bound_bits_per_dim,
    results.bound_gain,
    results.series_terms,
    results.series_bias,
    results.series_bias_standard_error,
    recipes.splits,
    recipes.size,
    results.step,
    recipes.steps,
    attempts.images_per_second,
    (SELECT sum(a.seconds) FROM attempts AS a WHERE a.job_id = attempts.job_id
        AND a.protocol IS NULL) AS seconds,
    (SELECT sum(a.cpu_seconds) FROM attempts AS a WHERE a.job_id = attempts.job_id
        AND a.protocol IS NULL) AS cpu_seconds,
    CASE WHEN attempts.protocol IS NOT NULL THEN attempts.seconds END AS evaluation_seconds,
    attempts.peak_memory,
    attempts.threads,
    environments.device,
    environments.cpu_capability,
    environments.torch,
    environments.code_version,
    environments.dirty,
    results.created,
    flow_trials.map_options,
    results.trial_id,
    flow_trials.recipe_id,
    flow_trials.pretraining_id,
    attempts.environment_id,
    results.id AS result_id
FROM results
JOIN flow_trials ON flow_trials.id = results.trial_id
JOIN recipes ON recipes.id = flow_trials.recipe_id
JOIN attempts ON attempts.id = results.attempt_id
JOIN environments ON environments.id = attempts.environment_id
"""


def upgrade() -> None:
    """Add the columns, and remake the view with them."""
    op.execute("DROP VIEW trial_results")
    for table, name, kind in NEW_COLUMNS:
        op.add_column(table, sa.Column(name, kind, nullable=True))
    op.execute(NEW_VIEW)


def downgrade() -> None:
    """Take back, unless there is anything to lose."""
    bind = op.get_bind()
    for table, name, _ in NEW_COLUMNS:
        _refuse_rows(bind, table, name)
    op.execute("DROP VIEW trial_results")
    for table, name, _ in reversed(NEW_COLUMNS):
        op.drop_column(table, name)
    op.execute(OLD_VIEW)


def _refuse_rows(bind: sa.Connection, table: str, column: str) -> None:
    where = sa.column(column).is_not(None)
    found = sa.select(sa.literal(1)).select_from(sa.table(table)).where(where).limit(1)
    if bind.execute(found).first():
        raise UserError(f"{table} has rows that a downgrade would lose: delete them first")
