"""Summaries over seeds, events, printed numbers, a dictionary; curves with a narrow key.

An attempt whose worker was silent for a whole lease ends as 'node_lost'; 'lease_lost' is no more.

Comments on tables and columns are left out: they document, and are not part of a revision.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from alembic import op

from lcma.sweeps.errors import UserError

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Sorted byte by byte on every engine."""

OLD_OUTCOMES = (
    *("done", "pruned", "diverged", "oom", "preempted", "node_lost", "timeout", "code_error"),
    *("cancelled", "lease_lost"),
)
OUTCOMES = OLD_OUTCOMES[:-1]
EVENTS = (*OUTCOMES, "claim", "retry", "register", "evaluate", "merge")

NEW_COLUMNS: tuple[tuple[str, str, sa.types.TypeEngine[Any]], ...] = (
    ("attempts", "devices", TEXT),
    ("attempts", "gpu_seconds", sa.Double()),
    ("attempts", "lease_seconds", sa.Double()),
    ("attempts", "log", TEXT),
    ("environments", "driver", TEXT),
    ("environments", "flags", TEXT),
    ("artifacts", "place", TEXT),
)

TRIAL_RESULTS = """
CREATE VIEW trial_results AS
SELECT
    flow_trials.flow, flow_trials.profile, flow_trials.dataset, flow_trials.variant,
    results.data_digest, flow_trials.factorization, flow_trials.budget, flow_trials.seed,
    results.protocol, results.precision, results.bits_per_dim, results.standard_error,
    results.holdout_bits_per_dim, results.holdout_standard_error, results.train_bits_per_dim,
    results.log_det, results.log_prior, results.images, results.clusters, results.bound_draws,
    results.bound_images, results.bound_bits_per_dim, results.bound_gain, results.series_terms,
    results.series_bias, results.series_bias_standard_error, recipes.splits, recipes.size,
    results.step, recipes.steps, attempts.images_per_second,
    (SELECT max(a.data_wait) FROM attempts AS a WHERE a.job_id = attempts.job_id
        AND a.protocol IS NULL) AS data_wait,
    (SELECT sum(a.seconds) FROM attempts AS a WHERE a.job_id = attempts.job_id
        AND a.protocol IS NULL) AS seconds,
    (SELECT sum(a.cpu_seconds) FROM attempts AS a WHERE a.job_id = attempts.job_id
        AND a.protocol IS NULL) AS cpu_seconds,
    CASE WHEN attempts.protocol IS NOT NULL THEN attempts.seconds END AS evaluation_seconds,
    attempts.peak_memory, attempts.threads, environments.device, environments.cpu_capability,
    environments.torch, environments.code_version, environments.dirty, results.created,
    flow_trials.map_options, results.trial_id, flow_trials.recipe_id,
    flow_trials.pretraining_id, attempts.environment_id, results.id AS result_id
FROM results
JOIN flow_trials ON flow_trials.id = results.trial_id
JOIN recipes ON recipes.id = flow_trials.recipe_id
JOIN attempts ON attempts.id = results.attempt_id
JOIN environments ON environments.id = attempts.environment_id
"""

RESULTS_BY_CELL = """
SELECT results.id, results.trial_id, results.data_digest, results.protocol, results.precision,
    results.bits_per_dim, results.holdout_bits_per_dim, flow_trials.flow, flow_trials.profile,
    flow_trials.dataset, flow_trials.variant, flow_trials.recipe_id, flow_trials.factorization,
    flow_trials.budget, flow_trials.map_options, flow_trials.seed
FROM results JOIN flow_trials ON flow_trials.id = results.trial_id
"""

SHARED = (
    *("flow", "dataset", "variant", "data_digest", "recipe_id", "factorization", "budget"),
    *("map_options", "protocol", "precision"),
)
COMPARABLE = ("dataset", "variant", "data_digest", "protocol", "precision")


def upgrade() -> None:
    """Make the new tables and columns, and move what is there into them."""
    op.execute("DROP VIEW trial_results")
    for table, name, kind in NEW_COLUMNS:
        if table != "attempts":
            op.add_column(table, sa.Column(name, kind, nullable=True))
    _remake_attempts(OLD_OUTCOMES, OUTCOMES)
    _make_tables()
    _narrow_metrics()
    _sum_up()
    op.execute(TRIAL_RESULTS)


def downgrade() -> None:
    """Take back, unless there is anything to lose."""
    bind = op.get_bind()
    _refuse_rows(bind, "events", sa.true())
    for table, name, _ in NEW_COLUMNS:
        _refuse_rows(bind, table, sa.column(name).is_not(None))
    op.execute("DROP VIEW trial_results")
    with op.batch_alter_table("results") as batch:
        batch.drop_index(op.f("ix_results_cell_id_seed_bits_per_dim"))
        batch.drop_constraint(op.f("fk_results_cell_id_cells"), type_="foreignkey")
        batch.drop_column("cell_id")
        batch.drop_column("seed")
    _widen_metrics()
    for table in ("events", "dictionary", "reference_results", "cells"):
        op.drop_table(table)
    _remake_attempts(OUTCOMES, OLD_OUTCOMES)
    for table, name, _ in reversed(NEW_COLUMNS):
        if table != "attempts":
            op.drop_column(table, name)
    op.execute(TRIAL_RESULTS)


def _remake_attempts(before: Sequence[str], after: Sequence[str]) -> None:
    """With another list of outcomes, and with or without the new columns."""
    new = [column for column in NEW_COLUMNS if column[0] == "attempts"]
    with op.batch_alter_table("attempts", copy_from=_attempts(before)) as batch:
        batch.drop_constraint(op.f("ck_attempts_outcome"), type_="check")
        for _, name, kind in new:
            if "lease_lost" in before:
                batch.add_column(sa.Column(name, kind, nullable=True))
            else:
                batch.drop_column(name)
    if "lease_lost" in before:
        op.execute("UPDATE attempts SET outcome = 'node_lost' WHERE outcome = 'lease_lost'")
    with op.batch_alter_table("attempts", copy_from=_attempts(after, without="outcome")) as batch:
        batch.create_check_constraint(op.f("ck_attempts_outcome"), _one_of("outcome", after))


def _attempts(outcomes: Sequence[str], without: str = "") -> sa.Table:
    """The table as it is, since on SQLite checks cannot be read back."""
    new = [] if "lease_lost" in outcomes else [c for c in NEW_COLUMNS if c[0] == "attempts"]
    checks = [
        sa.CheckConstraint(_one_of("outcome", outcomes), name=op.f("ck_attempts_outcome")),
        sa.CheckConstraint("(ended IS NULL) = (outcome IS NULL)", name=op.f("ck_attempts_end")),
    ]
    return sa.Table(
        "attempts",
        sa.MetaData(),
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
        sa.Column("protocol", TEXT, nullable=True),
        sa.Column("data_wait", sa.Double(), nullable=True),
        *(sa.Column(name, kind, nullable=True) for _, name, kind in new),
        *(check for check in checks if check.name != f"ck_attempts_{without}"),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environments.id"],
            name=op.f("fk_attempts_environment_id_environments"),
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_attempts_job_id_jobs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempts")),
        sa.UniqueConstraint("job_id", "token", name=op.f("uq_attempts_job_id_token")),
    )


def _make_tables() -> None:
    op.create_table(
        "cells",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("comparable", TEXT, nullable=False),
        sa.Column("flow", TEXT, nullable=False),
        sa.Column("profile", TEXT, nullable=False),
        sa.Column("dataset", TEXT, nullable=False),
        sa.Column("variant", TEXT, nullable=False),
        sa.Column("data_digest", TEXT, nullable=False),
        sa.Column("recipe_id", TEXT, nullable=False),
        sa.Column("factorization", TEXT, nullable=False),
        sa.Column("budget", sa.Integer(), nullable=True),
        sa.Column("map_options", TEXT, nullable=True),
        sa.Column("protocol", TEXT, nullable=False),
        sa.Column("precision", TEXT, nullable=False),
        sa.Column("seeds", sa.Integer(), nullable=False),
        sa.Column("mean", sa.Double(), nullable=False),
        sa.Column("squared_deviations", sa.Double(), nullable=False),
        sa.Column("least", sa.Double(), nullable=False),
        sa.Column("greatest", sa.Double(), nullable=False),
        sa.Column("holdout_mean", sa.Double(), nullable=False),
        sa.Column("holdout_squared_deviations", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["data_digest"], ["data_sets.digest"], name=op.f("fk_cells_data_digest_data_sets")
        ),
        sa.ForeignKeyConstraint(
            ["recipe_id"], ["recipes.id"], name=op.f("fk_cells_recipe_id_recipes")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cells")),
    )
    for columns in (
        ["dataset", "flow", "protocol", "mean"],
        ["comparable", "recipe_id", "mean"],
    ):
        op.create_index(op.f(f"ix_cells_{'_'.join(columns)}"), "cells", columns)
    op.create_table(
        "reference_results",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("source_table", TEXT, nullable=False),
        sa.Column("flow", TEXT, nullable=False),
        sa.Column("dataset", TEXT, nullable=False),
        sa.Column("factorization", TEXT, nullable=False),
        sa.Column("bits_per_dim", sa.Double(), nullable=False),
        sa.Column("part", TEXT, nullable=False),
        sa.Column("note", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reference_results")),
    )
    op.create_table(
        "dictionary",
        sa.Column("relation", TEXT, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("column", TEXT, nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("meaning", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("relation", "position", name=op.f("pk_dictionary")),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("time", sa.Double(), nullable=False),
        sa.Column("event", TEXT, nullable=False),
        sa.Column("job_id", TEXT, nullable=True),
        sa.Column("attempt_id", sa.Integer(), nullable=True),
        sa.Column("owner", TEXT, nullable=True),
        sa.Column("detail", TEXT, nullable=False),
        sa.CheckConstraint(_one_of("event", EVENTS), name=op.f("ck_events_event")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_events_job_id_jobs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
    )
    op.create_index(op.f("ix_events_job_id"), "events", ["job_id"])


def _narrow_metrics() -> None:
    op.execute("CREATE TABLE old_metrics AS SELECT job_id, name, step, value FROM metrics")
    op.drop_table("metrics")
    op.create_table(
        "curves",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("job_id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_curves_job_id_jobs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_curves")),
        sa.UniqueConstraint("job_id", "name", name=op.f("uq_curves_job_id_name")),
    )
    op.create_table(
        "metrics",
        sa.Column("curve_id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("step", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(
            ["curve_id"], ["curves.id"], name=op.f("fk_metrics_curve_id_curves")
        ),
        sa.PrimaryKeyConstraint("curve_id", "step", name=op.f("pk_metrics")),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO curves (job_id, name) "
        "SELECT DISTINCT job_id, name FROM old_metrics ORDER BY job_id, name"
    )
    op.execute(
        "INSERT INTO metrics (curve_id, step, value) SELECT curves.id, old_metrics.step, "
        "old_metrics.value FROM old_metrics JOIN curves ON curves.job_id = old_metrics.job_id "
        "AND curves.name = old_metrics.name"
    )
    op.execute("DROP TABLE old_metrics")


def _widen_metrics() -> None:
    op.execute(
        "CREATE TABLE new_metrics AS SELECT curves.job_id, curves.name, metrics.step, "
        "metrics.value FROM metrics JOIN curves ON curves.id = metrics.curve_id"
    )
    op.drop_table("metrics")
    op.drop_table("curves")
    op.create_table(
        "metrics",
        sa.Column("job_id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_metrics_job_id_jobs")),
        sa.PrimaryKeyConstraint("job_id", "name", "step", name=op.f("pk_metrics")),
    )
    op.execute(
        "INSERT INTO metrics (job_id, name, step, value) "
        "SELECT job_id, name, step, value FROM new_metrics ORDER BY job_id, name, step"
    )
    op.execute("DROP TABLE new_metrics")


def _sum_up() -> None:
    """Say of each result which cell it is in, and sum the cells up."""
    bind = op.get_bind()
    rows = [dict(row._mapping) for row in bind.execute(sa.text(RESULTS_BY_CELL))]
    for row in rows:
        row["cell_id"] = _hash("cell", [row[name] for name in SHARED])
    rows.sort(key=lambda row: (row["cell_id"], row["id"]))
    cells = [
        _cell(cell_id, list(members))
        for cell_id, members in groupby(rows, lambda row: row["cell_id"])
    ]
    op.add_column("results", sa.Column("seed", sa.Integer(), nullable=True))
    op.add_column("results", sa.Column("cell_id", TEXT, nullable=True))
    if rows:
        table = sa.table("cells", *map(sa.column, cells[0]))
        bind.execute(sa.insert(table), cells)
        bind.execute(
            sa.text("UPDATE results SET seed = :seed, cell_id = :cell_id WHERE id = :id"),
            [{name: row[name] for name in ("id", "seed", "cell_id")} for row in rows],
        )
    with op.batch_alter_table("results") as batch:
        batch.alter_column("seed", existing_type=sa.Integer(), nullable=False)
        batch.alter_column("cell_id", existing_type=TEXT, nullable=False)
        batch.create_foreign_key(op.f("fk_results_cell_id_cells"), "cells", ["cell_id"], ["id"])
    indexed = ["cell_id", "seed", "bits_per_dim"]
    op.create_index(op.f("ix_results_cell_id_seed_bits_per_dim"), "results", indexed)


def _cell(cell_id: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    first = rows[0]
    test = [row["bits_per_dim"] for row in rows]
    holdout = [row["holdout_bits_per_dim"] for row in rows]
    mean, deviations = _moments(test)
    holdout_mean, holdout_deviations = _moments(holdout)
    return {
        "id": cell_id,
        "comparable": _hash("comparable", [first[name] for name in COMPARABLE])[:16],
        "profile": min(row["profile"] for row in rows),
        **{name: first[name] for name in SHARED},
        "seeds": len(rows),
        "mean": mean,
        "squared_deviations": deviations,
        "least": min(test),
        "greatest": max(test),
        "holdout_mean": holdout_mean,
        "holdout_squared_deviations": holdout_deviations,
    }


def _moments(values: Sequence[float]) -> tuple[float, float]:
    mean = math.fsum(values) / len(values)
    return mean, math.fsum((value - mean) ** 2 for value in values)


def _hash(what: str, content: Any) -> str:
    text = json.dumps([what, content], sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _one_of(column: str, words: Sequence[str]) -> str:
    return f"{column} IN ({', '.join(repr(word) for word in words)})"


def _refuse_rows(bind: sa.Connection, table: str, where: sa.ColumnElement[bool]) -> None:
    found = sa.select(sa.literal(1)).select_from(sa.table(table)).where(where).limit(1)
    if bind.execute(found).first():
        raise UserError(f"{table} has rows that a downgrade would lose: delete them first")
