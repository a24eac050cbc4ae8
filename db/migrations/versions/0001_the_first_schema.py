"""The first schema.

Comments on tables and columns are left out: they document, and are not part of a revision.
"""

import sqlalchemy as sa
from alembic import op

from lcma.sweeps.errors import UserError

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Sorted byte by byte on every engine."""

TABLES = (
    "results",
    "contribution_maps",
    "metrics",
    "attempts",
    "artifacts",
    "sweep_trials",
    "jobs",
    "flow_trials",
    "pretrainings",
    "sweeps",
    "recipes",
    "environments",
    "data_sets",
)

TRIAL_RESULTS = """
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


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "data_sets",
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("variant", TEXT, nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("channels", sa.Integer(), nullable=False),
        sa.Column("train", sa.Integer(), nullable=False),
        sa.Column("holdout", sa.Integer(), nullable=False),
        sa.Column("test", sa.Integer(), nullable=False),
        sa.Column("manifest", TEXT, nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_data_sets")),
    )
    op.create_table(
        "environments",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("code_version", TEXT, nullable=False),
        sa.Column("dirty", TEXT, nullable=True),
        sa.Column("python", TEXT, nullable=False),
        sa.Column("torch", TEXT, nullable=False),
        sa.Column("platform", TEXT, nullable=False),
        sa.Column("device", TEXT, nullable=False),
        sa.Column("cpu_capability", TEXT, nullable=False),
        sa.Column("packages", TEXT, nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_environments")),
    )
    op.create_table(
        "recipes",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("flow", TEXT, nullable=False),
        sa.Column("profile", TEXT, nullable=False),
        sa.Column("splits", sa.Integer(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("steps", sa.Integer(), nullable=False),
        sa.Column("body", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recipes")),
    )
    op.create_table(
        "sweeps",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("spec", TEXT, nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sweeps")),
    )
    op.create_table(
        "pretrainings",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("recipe_id", TEXT, nullable=False),
        sa.Column("flow", TEXT, nullable=False),
        sa.Column("dataset", TEXT, nullable=False),
        sa.Column("variant", TEXT, nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["recipe_id"], ["recipes.id"], name=op.f("fk_pretrainings_recipe_id_recipes")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pretrainings")),
    )
    op.create_table(
        "flow_trials",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("recipe_id", TEXT, nullable=False),
        sa.Column("flow", TEXT, nullable=False),
        sa.Column("profile", TEXT, nullable=False),
        sa.Column("dataset", TEXT, nullable=False),
        sa.Column("variant", TEXT, nullable=False),
        sa.Column("factorization", TEXT, nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("budget", sa.Integer(), nullable=True),
        sa.Column("pretraining_id", TEXT, nullable=True),
        sa.Column("map_options", TEXT, nullable=True),
        sa.CheckConstraint(
            "(budget IS NULL) = (pretraining_id IS NULL)", name=op.f("ck_flow_trials_map_origin")
        ),
        sa.ForeignKeyConstraint(
            ["pretraining_id"],
            ["pretrainings.id"],
            name=op.f("fk_flow_trials_pretraining_id_pretrainings"),
        ),
        sa.ForeignKeyConstraint(
            ["recipe_id"], ["recipes.id"], name=op.f("fk_flow_trials_recipe_id_recipes")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_flow_trials")),
    )
    op.create_index(
        op.f("ix_flow_trials_dataset_flow_factorization"),
        "flow_trials",
        ["dataset", "flow", "factorization"],
    )
    op.create_table(
        "jobs",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("pretraining_id", TEXT, nullable=True),
        sa.Column("trial_id", TEXT, nullable=True),
        sa.Column("budget", sa.Integer(), nullable=True),
        sa.Column("data_digest", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("steps", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.Column("attempt_id", sa.Integer(), nullable=True),
        sa.Column("owner", TEXT, nullable=True),
        sa.Column("host", TEXT, nullable=True),
        sa.Column("pid", sa.Integer(), nullable=True),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.Column("updated", sa.Double(), nullable=False),
        sa.CheckConstraint(
            "(kind = 'pretraining' AND pretraining_id IS NOT NULL AND budget IS NOT NULL"
            " AND trial_id IS NULL) OR "
            "(kind = 'trial' AND trial_id IS NOT NULL AND pretraining_id IS NULL"
            " AND budget IS NULL)",
            name=op.f("ck_jobs_subject"),
        ),
        sa.CheckConstraint(
            "(state = 'running') = (lease_until IS NOT NULL)", name=op.f("ck_jobs_lease")
        ),
        sa.CheckConstraint("kind IN ('pretraining', 'trial')", name=op.f("ck_jobs_kind")),
        sa.CheckConstraint(
            "state IN ('pending', 'running', 'done', 'diverged', 'failed')",
            name=op.f("ck_jobs_state"),
        ),
        sa.ForeignKeyConstraint(
            ["data_digest"], ["data_sets.digest"], name=op.f("fk_jobs_data_digest_data_sets")
        ),
        sa.ForeignKeyConstraint(
            ["pretraining_id"],
            ["pretrainings.id"],
            name=op.f("fk_jobs_pretraining_id_pretrainings"),
        ),
        sa.ForeignKeyConstraint(
            ["trial_id"], ["flow_trials.id"], name=op.f("fk_jobs_trial_id_flow_trials")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sa.UniqueConstraint(
            "pretraining_id",
            "budget",
            "data_digest",
            name=op.f("uq_jobs_pretraining_id_budget_data_digest"),
        ),
        sa.UniqueConstraint("trial_id", "data_digest", name=op.f("uq_jobs_trial_id_data_digest")),
    )
    op.create_index(op.f("ix_jobs_state"), "jobs", ["state"])
    op.create_table(
        "sweep_trials",
        sa.Column("sweep_id", TEXT, nullable=False),
        sa.Column("trial_id", TEXT, nullable=False),
        sa.Column("factorization", TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ["sweep_id"], ["sweeps.id"], name=op.f("fk_sweep_trials_sweep_id_sweeps")
        ),
        sa.ForeignKeyConstraint(
            ["trial_id"], ["flow_trials.id"], name=op.f("fk_sweep_trials_trial_id_flow_trials")
        ),
        sa.PrimaryKeyConstraint(
            "sweep_id", "trial_id", "factorization", name=op.f("pk_sweep_trials")
        ),
    )
    op.create_table(
        "artifacts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("job_id", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("path", TEXT, nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_artifacts_job_id_jobs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_artifacts")),
        sa.UniqueConstraint("job_id", "kind", name=op.f("uq_artifacts_job_id_kind")),
    )
    op.create_table(
        "attempts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("job_id", TEXT, nullable=False),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.Column("owner", TEXT, nullable=False),
        sa.Column("host", TEXT, nullable=False),
        sa.Column("environment_id", TEXT, nullable=False),
        sa.Column("device", TEXT, nullable=False),
        sa.Column("threads", sa.Integer(), nullable=False),
        sa.Column("started", sa.Double(), nullable=False),
        sa.Column("ended", sa.Double(), nullable=True),
        sa.Column("outcome", TEXT, nullable=True),
        sa.Column("message", TEXT, nullable=False),
        sa.Column("first_step", sa.Integer(), nullable=False),
        sa.Column("last_step", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("cpu_seconds", sa.Double(), nullable=True),
        sa.Column("images_per_second", sa.Double(), nullable=True),
        sa.Column("peak_memory", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "outcome IN ('done', 'pruned', 'diverged', 'oom', 'preempted', 'node_lost', 'timeout',"
            " 'code_error', 'cancelled', 'lease_lost')",
            name=op.f("ck_attempts_outcome"),
        ),
        sa.CheckConstraint("(ended IS NULL) = (outcome IS NULL)", name=op.f("ck_attempts_end")),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environments.id"],
            name=op.f("fk_attempts_environment_id_environments"),
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_attempts_job_id_jobs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempts")),
        sa.UniqueConstraint("job_id", "token", name=op.f("uq_attempts_job_id_token")),
    )
    op.create_table(
        "metrics",
        sa.Column("job_id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_metrics_job_id_jobs")),
        sa.PrimaryKeyConstraint("job_id", "name", "step", name=op.f("pk_metrics")),
    )
    op.create_table(
        "contribution_maps",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("pretraining_id", TEXT, nullable=False),
        sa.Column("data_digest", TEXT, nullable=False),
        sa.Column("budget", sa.Integer(), nullable=False),
        sa.Column("split", sa.Integer(), nullable=False),
        sa.Column("score", TEXT, nullable=False),
        sa.Column("channels", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("dtype", TEXT, nullable=False),
        sa.Column("values", sa.LargeBinary(), nullable=False),
        sa.Column("standard_errors", sa.LargeBinary(), nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.Column("mean_log_det", sa.Double(), nullable=False),
        sa.Column("sum_error", sa.Double(), nullable=False),
        sa.Column("clusters", sa.Integer(), nullable=True),
        sa.Column("attempt_id", sa.Integer(), nullable=False),
        sa.CheckConstraint("split >= 1", name=op.f("ck_contribution_maps_split")),
        sa.ForeignKeyConstraint(
            ["attempt_id"], ["attempts.id"], name=op.f("fk_contribution_maps_attempt_id_attempts")
        ),
        sa.ForeignKeyConstraint(
            ["data_digest"],
            ["data_sets.digest"],
            name=op.f("fk_contribution_maps_data_digest_data_sets"),
        ),
        sa.ForeignKeyConstraint(
            ["pretraining_id"],
            ["pretrainings.id"],
            name=op.f("fk_contribution_maps_pretraining_id_pretrainings"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contribution_maps")),
        sa.UniqueConstraint(
            "pretraining_id",
            "data_digest",
            "budget",
            "split",
            "score",
            name=op.f("uq_contribution_maps_key"),
        ),
    )
    op.create_table(
        "results",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("trial_id", TEXT, nullable=False),
        sa.Column("data_digest", TEXT, nullable=False),
        sa.Column("protocol", TEXT, nullable=False),
        sa.Column("protocol_body", TEXT, nullable=False),
        sa.Column("precision", TEXT, nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("bits_per_dim", sa.Double(), nullable=False),
        sa.Column("standard_error", sa.Double(), nullable=True),
        sa.Column("clusters", sa.Integer(), nullable=True),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.Column("holdout_bits_per_dim", sa.Double(), nullable=False),
        sa.Column("holdout_standard_error", sa.Double(), nullable=True),
        sa.Column("train_bits_per_dim", sa.Double(), nullable=True),
        sa.Column("log_det", sa.Double(), nullable=False),
        sa.Column("log_prior", sa.Double(), nullable=False),
        sa.Column("attempt_id", sa.Integer(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["attempt_id"], ["attempts.id"], name=op.f("fk_results_attempt_id_attempts")
        ),
        sa.ForeignKeyConstraint(
            ["data_digest"], ["data_sets.digest"], name=op.f("fk_results_data_digest_data_sets")
        ),
        sa.ForeignKeyConstraint(
            ["trial_id"], ["flow_trials.id"], name=op.f("fk_results_trial_id_flow_trials")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_results")),
        sa.UniqueConstraint(
            "trial_id",
            "data_digest",
            "protocol",
            name=op.f("uq_results_trial_id_data_digest_protocol"),
        ),
    )
    op.execute(TRIAL_RESULTS)


def downgrade() -> None:
    """Take back, unless there is anything to lose."""
    bind = op.get_bind()
    for table in TABLES:
        if bind.execute(sa.select(sa.literal(1)).select_from(sa.table(table)).limit(1)).first():
            raise UserError(f"{table} has rows that a downgrade would lose: delete them first")
    op.execute("DROP VIEW trial_results")
    for table in TABLES:
        op.drop_table(table)
