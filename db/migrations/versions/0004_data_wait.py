"""How much of its steps a training waited for images.

Comments on tables and columns are left out: they document, and are not part of a revision.
"""

import sqlalchemy as sa
from alembic import op

from lcma.sweeps.errors import UserError

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

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
    (SELECT max(a.data_wait) FROM attempts AS a WHERE a.job_id = attempts.job_id
        AND a.protocol IS NULL) AS data_wait,
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
    """Add the column, and remake the view with it."""
    op.execute("DROP VIEW trial_results")
    op.add_column("attempts", sa.Column("data_wait", sa.Double(), nullable=True))
    op.execute(NEW_VIEW)


def downgrade() -> None:
    """Take back, unless there is anything to lose."""
    found = sa.text("SELECT 1 FROM attempts WHERE data_wait IS NOT NULL LIMIT 1")
    if op.get_bind().execute(found).first():
        raise UserError("attempts has rows that a downgrade would lose: delete them first")
    op.execute("DROP VIEW trial_results")
    op.drop_column("attempts", "data_wait")
    op.execute(OLD_VIEW)
