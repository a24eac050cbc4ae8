"""The supported views; a recipe knows the conventional factorization of its flow.

Every row of a view is the same on both engines, to the last bit: a sum over several rows is taken
over whole numbers (of microseconds, of 1e-12), whose order does not matter.
"""

from collections.abc import Iterator, Sequence

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Sorted byte by byte on every engine."""

OLD_INDEX = ("comparable", "recipe_id", "mean")
INDEX = ("recipe_id", "comparable", "mean", "factorization")
"""Of the cells, for their ranks and what is best and conventional among them."""

CONVENTIONAL = """
UPDATE recipes SET conventional = CASE WHEN splits = 0 THEN 'none' ELSE coalesce(
    (SELECT max(flow_trials.factorization) FROM flow_trials
     JOIN sweep_trials ON sweep_trials.trial_id = flow_trials.id
     WHERE flow_trials.recipe_id = recipes.id AND sweep_trials.factorization = 'conventional'),
    CASE flow WHEN 'realnvp' THEN 'checkerboard-even' WHEN 'iresnet' THEN 'rows'
        WHEN 'glow' THEN 'channel' WHEN 'resflow' THEN 'channel' END
) END
"""

OLD_SUMS = {
    "gpu": "",
    "comparable": "",
    "driver": "",
    "cell": "",
    "join_cell": "",
    "seconds": "sum(a.seconds)",
    "cpu_seconds": "sum(a.cpu_seconds)",
    "iou": "avg(other.iou)",
}

TRIAL_RESULTS = """
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
    (SELECT {seconds} FROM attempts AS a WHERE a.job_id = attempts.job_id
        AND a.protocol IS NULL) AS seconds,
    (SELECT {cpu_seconds} FROM attempts AS a WHERE a.job_id = attempts.job_id
        AND a.protocol IS NULL) AS cpu_seconds,
    {gpu}CASE WHEN attempts.protocol IS NOT NULL THEN attempts.seconds END AS evaluation_seconds,
    attempts.peak_memory, attempts.threads, environments.device, environments.cpu_capability,
    {driver}environments.torch, environments.code_version, environments.dirty, results.created,
    flow_trials.map_options, {comparable}results.trial_id, flow_trials.recipe_id,
    flow_trials.pretraining_id, attempts.environment_id, {cell}results.id AS result_id
FROM results
JOIN flow_trials ON flow_trials.id = results.trial_id
JOIN recipes ON recipes.id = flow_trials.recipe_id
JOIN attempts ON attempts.id = results.attempt_id
JOIN environments ON environments.id = attempts.environment_id{join_cell}
"""

TABLE_STATISTICS = """
SELECT
    flow_trials.flow, flow_trials.profile, flow_trials.dataset, flow_trials.variant,
    index_tables.data_digest, flow_trials.factorization, flow_trials.budget,
    flow_trials.map_options, flow_trials.seed, index_tables.split, index_tables.iou_even,
    index_tables.iou_odd, index_tables.purity, index_tables.channel_purity,
    index_tables.mask_share, index_tables.mask_share_by_chance, index_tables.tied,
    index_tables.agreement,
    (SELECT {iou} FROM table_overlaps AS other
     WHERE other.trial_id = index_tables.trial_id
       AND other.data_digest = index_tables.data_digest
       AND other.split = index_tables.split AND other.differs = 'seed') AS iou_other_seeds,
    (SELECT {iou} FROM table_overlaps AS other
     WHERE other.trial_id = index_tables.trial_id
       AND other.data_digest = index_tables.data_digest
       AND other.split = index_tables.split AND other.differs = 'budget') AS iou_other_budgets,
    flow_trials.recipe_id, index_tables.trial_id, index_tables.digest
FROM index_tables
JOIN flow_trials ON flow_trials.id = index_tables.trial_id
"""

SEED_STATISTICS = """
SELECT
    cells.dataset, cells.variant, cells.flow, cells.profile, cells.protocol, cells.precision,
    cells.factorization, cells.budget, cells.map_options, cells.seeds AS n, cells.mean,
    cells.squared_deviations, cells.least, cells.greatest, cells.holdout_mean,
    cells.holdout_squared_deviations, recipes.splits, recipes.size, recipes.steps,
    cells.data_digest, cells.recipe_id, cells.comparable, cells.id AS cell_id
FROM cells JOIN recipes ON recipes.id = cells.recipe_id
"""

LEADERBOARD = """
SELECT
    cells.dataset, cells.variant, cells.flow, cells.profile, cells.protocol, cells.precision,
    {rank} AS rank, cells.factorization, cells.budget, cells.map_options, cells.seeds AS n,
    cells.mean, cells.squared_deviations, cells.mean - {best} AS from_best, recipes.conventional,
    cells.mean - {usual} AS from_conventional, recipes.splits, recipes.size, recipes.steps,
    cells.data_digest, cells.recipe_id, cells.comparable, cells.id AS cell_id
FROM cells JOIN recipes ON recipes.id = cells.recipe_id
{window}
"""

NEAR = """FROM cells AS near
        WHERE near.recipe_id = cells.recipe_id AND near.comparable = cells.comparable"""

# For each cell on an index: the first fifty of a data set and flow cost no more than fifty.
RANK_BY_COUNTING = {
    "rank": f"(SELECT count(*) + 1 {NEAR} AND near.mean < cells.mean)",
    "best": f"(SELECT min(near.mean) {NEAR})",
    "usual": f"(SELECT min(near.mean) {NEAR} AND near.factorization = recipes.conventional)",
    "window": "",
}

# What can be asked for stands in the partition too, though recipe and `comparable` imply it: a
# WHERE on it then holds for what is ranked, and not only for what comes out.
RANK_BY_WINDOW = {
    "rank": "rank() OVER near",
    "best": "min(cells.mean) OVER near",
    "usual": "min(CASE WHEN cells.factorization = recipes.conventional THEN cells.mean END) "
    "OVER near",
    "window": """WINDOW near AS (
    PARTITION BY cells.recipe_id, cells.comparable, cells.data_digest, cells.flow, cells.dataset,
        cells.variant, cells.protocol, cells.precision
    ORDER BY cells.mean ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
)""",
}

PAIRS = """
SELECT
    one.dataset, one.variant, one.flow, one.profile, one.protocol, one.precision, own.seed,
    one.factorization, one.budget, one.map_options, own.bits_per_dim,
    other.factorization AS other_factorization, other.budget AS other_budget,
    other.map_options AS other_map_options, their.bits_per_dim AS other_bits_per_dim,
    own.bits_per_dim - their.bits_per_dim AS difference, one.data_digest, one.recipe_id,
    one.comparable, one.id AS cell_id, other.id AS other_cell_id, own.trial_id,
    their.trial_id AS other_trial_id, own.id AS result_id, their.id AS other_result_id
FROM cells AS one
JOIN cells AS other
  ON other.comparable = one.comparable AND other.recipe_id = one.recipe_id
 AND other.factorization <> one.factorization
 AND (one.budget IS NULL OR other.budget IS NULL OR (other.budget = one.budget
      AND coalesce(other.map_options, '') = coalesce(one.map_options, '')))
JOIN results AS own ON own.cell_id = one.id
JOIN results AS their ON their.cell_id = other.id AND their.seed = own.seed
"""

COVERAGE = """
SELECT
    each.sweep, each.flow, each.dataset, each.variant, each.profile, each.asked,
    each.factorization, each.budget, each.map_options, count(*) AS planned,
    sum(CASE WHEN each.state = 'done' THEN 1 ELSE 0 END) AS done,
    sum(CASE WHEN each.state = 'running' THEN 1 ELSE 0 END) AS running,
    sum(CASE WHEN each.state = 'pending' AND each.lost_at IS NULL THEN 1 ELSE 0 END) AS pending,
    sum(CASE WHEN each.state = 'pending' AND each.lost_at IS NOT NULL THEN 1 ELSE 0 END) AS blocked,
    sum(CASE WHEN each.state = 'diverged' THEN 1 ELSE 0 END) AS diverged,
    sum(CASE WHEN each.state = 'failed' THEN 1 ELSE 0 END) AS failed,
    substr(min(CASE
        WHEN each.state = 'done' THEN NULL
        WHEN each.state IN ('failed', 'diverged') THEN '1' || {last_ended}
        WHEN each.lost_at IS NOT NULL THEN '2its pretraining ' || lost.state || ' at budget '
            || CAST(each.lost_at AS TEXT) || ': ' || {lost_ended}
        WHEN each.state = 'running' THEN '3running on ' || each.host
        WHEN each.waits = 1 THEN '4waits for its pretraining'
        WHEN last.outcome IS NOT NULL THEN '5to be run again after ' || {last_ended}
        ELSE '6not started'
    END {collate}), 2) AS why,
    each.data_digest, each.recipe_id, each.sweep_id
FROM (
    SELECT
        sweeps.name AS sweep, sweeps.id AS sweep_id, flow_trials.flow, flow_trials.dataset,
        flow_trials.variant, flow_trials.profile, flow_trials.recipe_id, flow_trials.factorization,
        sweep_trials.factorization AS asked, flow_trials.budget, flow_trials.map_options,
        flow_trials.pretraining_id, jobs.data_digest, jobs.attempt_id, jobs.host,
        coalesce(jobs.state, 'pending') AS state,
        CASE WHEN jobs.state = 'pending' AND flow_trials.budget IS NOT NULL THEN (
            SELECT min(segment.budget) FROM jobs AS segment
            WHERE segment.pretraining_id = flow_trials.pretraining_id
              AND segment.data_digest = jobs.data_digest
              AND segment.budget <= flow_trials.budget
              AND segment.state IN ('diverged', 'failed')
        ) END AS lost_at,
        CASE WHEN flow_trials.budget IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM jobs AS segment
            WHERE segment.pretraining_id = flow_trials.pretraining_id
              AND segment.data_digest = jobs.data_digest
              AND segment.budget = flow_trials.budget AND segment.state = 'done'
        ) THEN 1 ELSE 0 END AS waits
    FROM sweep_trials
    JOIN sweeps ON sweeps.id = sweep_trials.sweep_id
    JOIN flow_trials ON flow_trials.id = sweep_trials.trial_id
    LEFT JOIN jobs ON jobs.trial_id = flow_trials.id
) AS each
LEFT JOIN attempts AS last ON last.id = each.attempt_id
LEFT JOIN jobs AS lost ON lost.pretraining_id = each.pretraining_id
    AND lost.budget = each.lost_at AND lost.data_digest = each.data_digest
LEFT JOIN attempts AS lost_last ON lost_last.id = lost.attempt_id
GROUP BY
    each.sweep, each.flow, each.dataset, each.variant, each.profile, each.asked,
    each.factorization, each.budget, each.map_options, each.data_digest, each.recipe_id,
    each.sweep_id
"""

JOBS = """
SELECT
    jobs.kind, coalesce(flow_trials.flow, pretrainings.flow) AS flow,
    coalesce(flow_trials.dataset, pretrainings.dataset) AS dataset,
    coalesce(flow_trials.variant, pretrainings.variant) AS variant,
    coalesce(flow_trials.profile, recipes.profile) AS profile,
    flow_trials.factorization, coalesce(flow_trials.budget, jobs.budget) AS budget,
    flow_trials.map_options, coalesce(flow_trials.seed, pretrainings.seed) AS seed,
    {own},
    jobs.data_digest, recipes.id AS recipe_id, jobs.trial_id, jobs.pretraining_id, jobs.attempt_id,
    jobs.id AS job_id
FROM jobs
LEFT JOIN flow_trials ON flow_trials.id = jobs.trial_id
LEFT JOIN pretrainings ON pretrainings.id = jobs.pretraining_id
JOIN recipes ON recipes.id = coalesce(flow_trials.recipe_id, pretrainings.recipe_id)
LEFT JOIN attempts ON attempts.id = jobs.attempt_id
WHERE {which}
"""

FAILURES = JOBS.format(
    own="""jobs.state, jobs.step, jobs.steps, attempts.outcome, attempts.message, attempts.owner,
    attempts.host, attempts.device, attempts.devices, attempts.started, attempts.ended,
    jobs.updated""",
    which="jobs.state IN ('diverged', 'failed')",
)

STALE_LEASES = JOBS.format(
    own="""jobs.step, jobs.steps, jobs.owner, jobs.host, jobs.pid, jobs.token, attempts.started,
    jobs.lease_until, {now} - jobs.lease_until AS overdue""",
    which="jobs.state = 'running' AND jobs.lease_until <= {now}",
)

COSTS = """
SELECT
    spent.*, spent.seconds + coalesce(spent.pretraining_seconds, 0.0) AS total_seconds,
    spent.cpu_seconds + coalesce(spent.pretraining_cpu_seconds, 0.0) AS total_cpu_seconds,
    spent.gpu_seconds + coalesce(spent.pretraining_gpu_seconds, 0.0) AS total_gpu_seconds
FROM (
    SELECT
        flow_trials.flow, flow_trials.dataset, flow_trials.variant, flow_trials.profile,
        flow_trials.factorization, flow_trials.budget, flow_trials.map_options, flow_trials.seed,
        jobs.state,
        (SELECT count(*) FROM attempts AS a WHERE a.job_id = jobs.id
            AND a.protocol IS NULL) AS attempts,
        (SELECT count(*) FROM attempts AS a WHERE a.job_id = jobs.id
            AND a.protocol IS NULL AND a.ended IS NOT NULL AND a.seconds IS NULL) AS unreported,
        {own_sums},
        (SELECT {seconds} FROM attempts AS a WHERE a.job_id = jobs.id
            AND a.protocol IS NOT NULL) AS evaluation_seconds,
        last.images_per_second,
        (SELECT max(a.peak_memory) FROM attempts AS a WHERE a.job_id = jobs.id
            AND a.protocol IS NULL) AS peak_memory,
        (SELECT max(a.data_wait) FROM attempts AS a WHERE a.job_id = jobs.id
            AND a.protocol IS NULL) AS data_wait,
        {pretraining_sums},
        jobs.data_digest, flow_trials.recipe_id, flow_trials.pretraining_id, jobs.trial_id,
        jobs.id AS job_id
    FROM jobs
    JOIN flow_trials ON flow_trials.id = jobs.trial_id
    LEFT JOIN attempts AS last ON last.id = jobs.attempt_id
) AS spent
"""

SNAPSHOTS = """
SELECT
    pretrainings.flow, pretrainings.dataset, pretrainings.variant, pretrainings.seed,
    pretrainings.nms, jobs.budget, jobs.state, jobs.step,
    (SELECT count(*) FROM attempts AS a WHERE a.job_id = jobs.id) AS attempts,
    {own_sums},
    (SELECT {seconds} FROM jobs AS segment JOIN attempts AS a ON a.job_id = segment.id
        WHERE segment.pretraining_id = jobs.pretraining_id
          AND segment.data_digest = jobs.data_digest
          AND segment.budget <= jobs.budget AND a.protocol IS NULL) AS total_seconds,
    (SELECT count(*) FROM contribution_maps AS map
        WHERE map.pretraining_id = jobs.pretraining_id AND map.data_digest = jobs.data_digest
          AND map.budget = jobs.budget) AS maps,
    kept.place, kept.path, kept.bytes, kept.digest, jobs.data_digest, pretrainings.recipe_id,
    jobs.pretraining_id, jobs.id AS job_id
FROM jobs
JOIN pretrainings ON pretrainings.id = jobs.pretraining_id
LEFT JOIN artifacts AS kept ON kept.job_id = jobs.id AND kept.kind = 'checkpoint'
"""

BUDGET_CURVE = """
SELECT
    cells.dataset, cells.variant, cells.flow, cells.profile, cells.protocol, cells.precision,
    cells.factorization, cells.map_options, cells.budget, cells.seeds AS n, cells.mean,
    cells.squared_deviations,
    (SELECT {seconds} / count(DISTINCT results.id) FROM results
        JOIN flow_trials ON flow_trials.id = results.trial_id
        JOIN jobs AS segment ON segment.pretraining_id = flow_trials.pretraining_id
            AND segment.data_digest = results.data_digest AND segment.budget <= flow_trials.budget
        JOIN attempts AS a ON a.job_id = segment.id AND a.seconds IS NOT NULL
        WHERE results.cell_id = cells.id) AS pretraining_seconds,
    (SELECT {mean_mask_share} FROM results
        JOIN index_tables AS seen ON seen.trial_id = results.trial_id
            AND seen.data_digest = results.data_digest
        WHERE results.cell_id = cells.id) AS mask_share,
    (SELECT {mean_mask_share_by_chance} FROM results
        JOIN index_tables AS seen ON seen.trial_id = results.trial_id
            AND seen.data_digest = results.data_digest
        WHERE results.cell_id = cells.id) AS mask_share_by_chance,
    recipes.conventional, usual.seeds AS conventional_n, usual.mean AS conventional_mean,
    usual.squared_deviations AS conventional_squared_deviations,
    cells.mean - usual.mean AS from_conventional, cells.data_digest, cells.recipe_id,
    cells.comparable, cells.id AS cell_id
FROM cells
JOIN recipes ON recipes.id = cells.recipe_id
LEFT JOIN cells AS usual ON usual.id = (
    SELECT near.id FROM cells AS near
    WHERE near.comparable = cells.comparable AND near.recipe_id = cells.recipe_id
      AND near.factorization = recipes.conventional
    ORDER BY near.mean, near.id LIMIT 1
)
WHERE cells.budget IS NOT NULL
"""

AGAINST_PAPER = """
SELECT
    cells.dataset, cells.variant, cells.flow, cells.profile,
    CASE WHEN cells.profile = 'paper' THEN 1 ELSE 0 END AS paper_profile, cells.protocol,
    cells.precision, cells.factorization, cells.budget, cells.map_options, cells.seeds AS n,
    cells.mean, cells.squared_deviations, printed.factorization AS printed_as,
    printed.bits_per_dim AS printed, cells.mean - printed.bits_per_dim AS difference,
    printed.source, printed.source_table, printed.part, printed.note, cells.data_digest,
    cells.recipe_id, cells.comparable, cells.id AS cell_id, printed.id AS reference_id
FROM cells
JOIN recipes ON recipes.id = cells.recipe_id
JOIN reference_results AS printed
  ON printed.flow = cells.flow
 AND printed.dataset = CASE WHEN cells.variant IN ('u8', 'npz') THEN cells.dataset
        ELSE cells.dataset || '-' || cells.variant END
 AND (printed.factorization = cells.factorization
      OR (printed.factorization = 'low' AND replace(cells.factorization, 'L', '') = '')
      OR (printed.factorization = 'high' AND replace(cells.factorization, 'H', '') = '')
      OR (printed.factorization = 'checkerboard' AND cells.factorization = 'checkerboard-even')
      OR (printed.factorization = 'conventional' AND cells.factorization = recipes.conventional))
"""


OWN = """(SELECT {sum} FROM attempts AS a
        WHERE a.job_id = {job} AND a.protocol IS NULL) AS {kind}"""

BEFORE = """(SELECT {sum} FROM jobs AS segment JOIN attempts AS a ON a.job_id = segment.id
        WHERE segment.pretraining_id = flow_trials.pretraining_id
          AND segment.data_digest = jobs.data_digest
          AND segment.budget <= flow_trials.budget
          AND a.protocol IS NULL) AS pretraining_{kind}"""


def upgrade() -> None:
    """Say of each recipe what its flow's conventional factorization is, and make the views."""
    for name in ("trial_results", "table_statistics"):
        op.execute(f"DROP VIEW {name}")
    op.add_column("recipes", sa.Column("conventional", TEXT, nullable=True))
    op.execute(CONVENTIONAL)
    _index_cells(OLD_INDEX, INDEX)
    for name, select in _views(op.get_bind().dialect.name == "postgresql"):
        op.execute(f"CREATE VIEW {name} AS {select}")


def downgrade() -> None:
    """Take the views back; what a recipe's flow has as conventional is found again."""
    for name, _ in _views(op.get_bind().dialect.name == "postgresql"):
        op.execute(f"DROP VIEW {name}")
    _index_cells(INDEX, OLD_INDEX)
    op.drop_column("recipes", "conventional")
    for name, select in (
        ("trial_results", TRIAL_RESULTS),
        ("table_statistics", TABLE_STATISTICS),
    ):
        op.execute(f"CREATE VIEW {name} AS {select.format(**OLD_SUMS)}")


def _index_cells(before: Sequence[str], after: Sequence[str]) -> None:
    op.drop_index(op.f(f"ix_cells_{'_'.join(before)}"), "cells")
    op.create_index(op.f(f"ix_cells_{'_'.join(after)}"), "cells", list(after))


def _views(postgresql: bool) -> Iterator[tuple[str, str]]:
    """Name and SQL of each view, as the engine wants it."""
    now = "(julianday('now') - 2440587.5) * 86400.0"
    if postgresql:
        now = "CAST(extract(epoch FROM clock_timestamp()) AS double precision)"

    def whole(value: str, parts: str) -> str:
        """Sum of the values in whole parts of one, as a float of that many parts."""
        if postgresql:
            return f"CAST(sum(CAST(trunc({value} * {parts} + 0.5) AS bigint)) AS double precision)"
        return f"CAST(sum(CAST({value} * {parts} + 0.5 AS INTEGER)) AS REAL)"

    def total(value: str) -> str:
        return f"{whole(value, '1e6')} / 1e6"

    def mean(value: str) -> str:
        return f"{whole(value, '1e12')} / 1e12 / count({value})"

    def ended(attempt: str) -> str:
        """Its outcome, and the last line of its message: of a traceback, what it was."""
        newline = "chr(10)" if postgresql else "char(10)"
        said = f"rtrim({attempt}.message, ' ' || {newline})"
        before = f"rtrim({said}, replace({said}, {newline}, ''))"
        return (
            f"coalesce({attempt}.outcome || CASE WHEN {said} <> '' THEN ': ' || "
            f"substr({said}, length({before}) + 1) ELSE '' END, 'no attempt')"
        )

    kinds = ("seconds", "cpu_seconds", "gpu_seconds")
    sums = {kind: total(f"a.{kind}") for kind in kinds}
    own = [OWN.format(sum=sums[kind], kind=kind, job="jobs.id") for kind in kinds]
    before = [BEFORE.format(sum=sums[kind], kind=kind) for kind in kinds]
    gpu = OWN.format(sum=sums["gpu_seconds"], kind="gpu_seconds", job="attempts.job_id")
    pieces = {
        **sums,
        # A window has to see all cells of a data set and flow, which SQLite does more slowly.
        **(RANK_BY_WINDOW if postgresql else RANK_BY_COUNTING),
        "gpu": gpu + ",\n    ",
        "comparable": "cells.comparable, ",
        "driver": "environments.driver, ",
        "cell": "results.cell_id, ",
        "join_cell": "\nJOIN cells ON cells.id = results.cell_id",
        "iou": mean("other.iou"),
        "now": now,
        "own_sums": ", ".join(own),
        "pretraining_sums": ", ".join(before),
        "last_ended": ended("last"),
        "lost_ended": ended("lost_last"),
        "collate": 'COLLATE "C"' if postgresql else "COLLATE BINARY",
        "mean_mask_share": mean("seen.mask_share"),
        "mean_mask_share_by_chance": mean("seen.mask_share_by_chance"),
    }
    for name, select in (
        ("trial_results", TRIAL_RESULTS),
        ("seed_statistics", SEED_STATISTICS),
        ("leaderboard", LEADERBOARD),
        ("pairs", PAIRS),
        ("coverage", COVERAGE),
        ("failures", FAILURES),
        ("stale_leases", STALE_LEASES),
        ("costs", COSTS),
        ("snapshots", SNAPSHOTS),
        ("budget_curve", BUDGET_CURVE),
        ("against_paper", AGAINST_PAPER),
        ("table_statistics", TABLE_STATISTICS),
    ):
        yield name, select.format(**pieces)
