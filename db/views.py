"""The views, each with its SQL and the meaning of its columns side by side.

They are created anew whenever a database is created or upgraded (`lcma.db.migrate`), so this module
is the only place to change a view. Every row of a view is the same on both engines, to the last
bit: a sum over several rows adds whole numbers (of microseconds, of 1e-12), so its order does not
matter. `render_views` fills in the pieces in braces, in which the engines differ. A CROSS JOIN
fixes the order in which SQLite reads the tables: it would choose a worse one.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

from sqlalchemy import BigInteger, Column, Double, Integer, MetaData, Table, Text

from lcma.db import schema
from lcma.db.schema import optional, required

views = MetaData()
"""Separate from the tables' MetaData, from which the tables are created."""


def view(name: str, sql: str, *columns: Column[Any], comment: str, order: str = "") -> Table:
    """Define a view.

    Args:
        name: Its name.
        sql: Its SELECT, with the pieces of `render_views` in braces.
        columns: Its columns in the order of the SELECT.
        comment: What its rows are.
        order: The columns that order its rows in `Store.view` and tell them apart; all by default.
    """
    names = tuple(order.split()) or tuple(column.name for column in columns)
    return Table(name, views, *columns, comment=comment, info={"sql": sql.strip(), "order": names})


SHARED = Table(
    "shared",
    MetaData(),
    required("flow", Text, "name of the flow"),
    required("dataset", Text, "name of the data set"),
    required("variant", Text, "variant of the data set"),
    required("profile", Text, "profile of the recipe"),
    required("factorization", Text, "canonical name of the factorization, such as 'LLL'"),
    required(
        "rule",
        Text,
        "the factorization as it is asked for: 'low' for a word of L alone, 'high' for one of "
        "H alone, else as `factorization`",
    ),
    optional("budget", Integer, "pretraining steps behind the maps, null where none is used"),
    required("seed", Integer, "seed of the trial"),
    required("protocol", Text, "name of the evaluation protocol"),
    required("precision", Text, "number format of the evaluation"),
    required("measure", Text, "what is measured (measure_kinds.name), such as 'bits_per_dim'"),
    required("step", Integer, "training step of the evaluated weights"),
    required("data_digest", Text, "content hash of the exact data set"),
    required("recipe_id", Text, "the recipe"),
    required("trial_id", Text, "the trial"),
    optional("pretraining_id", Text, "pretraining whose maps are used, null where no map is"),
    required("attempt_id", Text, "the attempt that trained it"),
    required("job_id", Text, "the job"),
)
"""Columns that several views have."""

OF_ANY_JOB = Table(
    "of_any_job",
    MetaData(),
    required("kind", Text, "'pretraining' or 'trial'"),
    optional("rule", Text, "the factorization as it is asked for, null for a pretraining"),
    optional("factorization", Text, "its canonical name, null for a pretraining"),
    optional(
        "budget",
        Integer,
        "pretraining steps behind a trial's maps, null where none is used; or at the end of a "
        "pretraining's segment",
    ),
    required("seed", Integer, "seed of the trial or pretraining"),
    optional("trial_id", Text, "the trial, null for a pretraining"),
    optional("pretraining_id", Text, "the pretraining, null for a trial"),
)
"""Columns of views that have both trials and pretrainings."""


def copy_columns(table: Table, names: str, *, null: bool = False) -> list[Column[Any]]:
    """Return copies of a table's columns; with ``null`` nullable ones, as of an outer join."""
    columns = (table.c[name] for name in names.split())
    return [
        Column(c.name, c.type, nullable=null or bool(c.nullable), comment=c.comment)
        for c in columns
    ]


shared = partial(copy_columns, SHARED)
of_any_job = partial(copy_columns, OF_ANY_JOB)
map_options = partial(copy_columns, schema.trials, "map_options")
sizes = partial(copy_columns, schema.recipes)


CURRENT = """jobs
    JOIN flow_trials ON flow_trials.id = jobs.trial_id
    JOIN recipes ON recipes.id = flow_trials.recipe_id"""
"""Jobs of trials; those with a `done_attempt_id` have a result."""

BOARD_ROW_RESULTS = """flow_trials
        JOIN jobs ON jobs.trial_id = flow_trials.id AND jobs.done_attempt_id IS NOT NULL
            AND jobs.data_digest = board.data_digest AND flow_trials.recipe_id = board.recipe_id
            AND flow_trials.dataset = board.dataset AND flow_trials.variant = board.variant
            AND flow_trials.flow = board.flow AND flow_trials.factorization = board.factorization
            AND flow_trials.budget = board.budget
            AND coalesce(flow_trials.map_options, '') = coalesce(board.map_options, '')"""
"""The results behind a row of `board`."""

ANY_SUBJECT = ", ".join(
    f"coalesce(flow_trials.{name}, pretrainings.{name}) AS {name}"
    for name in ("flow", "dataset", "variant")
)
SUBJECT_JOINS = """LEFT JOIN flow_trials ON flow_trials.id = jobs.trial_id
LEFT JOIN pretrainings ON pretrainings.id = jobs.pretraining_id
JOIN recipes ON recipes.id = coalesce(flow_trials.recipe_id, pretrainings.recipe_id)"""
"""The trial or pretraining of a job."""

BOARD_ROW_KEYS = """each.dataset, each.flow, each.factorization, each.budget, each.map_options,
        each.conventional, each.variant, each.profile, each.size, each.splits, each.steps,
        each.precision, each.data_digest, each.recipe_id"""
"""The columns that the seeds of a row of `board` have in common."""

CONVENTIONAL_VALUE = "CASE WHEN flow_trials.factorization = recipes.conventional THEN {} END"
"""A value of results by the flow's own rule. A plug-in's rule may have several versions: then a row
that is compared with it has no difference."""

MEASURE_JOIN = """LEFT JOIN measurements AS {alias} ON {alias}.attempt_id = bits.attempt_id
    AND {alias}.protocol = bits.protocol AND {alias}.name = '{name}'"""

JOINED_MEASURES = {
    "holdout": "holdout_bits_per_dim",
    "train": "train_bits_per_dim",
    "log_det": "log_det",
    "log_prior": "log_prior",
    "draws": "bound_draws",
    "bound": "bound_bits_per_dim",
    "gain": "bound_gain",
    "terms": "series_terms",
    "bias": "series_bias",
    "step": "seconds_per_step",
}
"""By alias the measures that `results` has beside bits per dimension."""

OWN_ATTEMPTS = """(SELECT {what} FROM attempts AS a
        WHERE a.job_id = {job} AND a.protocol IS NULL) AS {name}"""
"""An aggregate over all attempts at a job, without evaluations."""

TOTAL_COST = """spent.{kind} + CASE WHEN spent.pretraining_id IS NULL THEN 0.0
        ELSE spent.pretraining_{kind} END AS total_{kind}"""

FIRST_STEP = """(SELECT min(first.first_step) FROM attempts AS first
            WHERE first.job_id = segment.id AND first.protocol IS NULL
              AND first.seconds IS NOT NULL)"""
"""The step from which a segment went on, by attempts that have reported."""

CHAIN = """(WITH RECURSIVE link (job_id, budget, start) AS (
        SELECT segment.id, segment.budget, {start}
        FROM jobs AS segment
        WHERE segment.pretraining_id = {of}.pretraining_id AND segment.budget = {of}.budget
          AND segment.data_digest = {data}.data_digest
        UNION ALL
        SELECT segment.id, segment.budget, {start}
        FROM link JOIN jobs AS segment ON segment.budget = link.start
        WHERE segment.pretraining_id = {of}.pretraining_id
          AND segment.data_digest = {data}.data_digest
          AND link.start > 0 AND link.start < link.budget
    ) SELECT CASE WHEN min(link.start) = 0 THEN {sum} END FROM link
    JOIN attempts AS a ON a.job_id = link.job_id AND a.protocol IS NULL)"""
"""The cost of a pretraining up to a budget: of the segment that ends there, of the one that it went
on from, and so on; null if one is missing. Segments that began anew for a shorter budget do not
count."""

BOARD_ORDER = (
    "dataset variant flow profile recipe_id data_digest precision factorization budget map_options"
)


board = view(
    "board",
    """
SELECT
    one.dataset, one.flow, {rule_of_one} AS rule, one.factorization, one.budget,
    CASE WHEN one.factorization = one.conventional THEN one.seeds ELSE one.pairs END AS n,
    one.low + one.span * one.sum / one.seeds AS mean,
    CASE WHEN one.seeds > 1 THEN one.span
        * sqrt((one.squares - one.sum * one.sum / one.seeds) / (one.seeds - 1)) END AS deviation,
    CASE WHEN one.factorization <> one.conventional
        THEN one.less_low + one.less_span * one.less_sum / nullif(one.pairs, 0) END AS difference,
    CASE WHEN one.factorization <> one.conventional AND one.pairs > 1
        THEN t_quantiles.quantile * one.less_span
            * sqrt((one.less_squares - one.less_sum * one.less_sum / one.pairs) / (one.pairs - 1))
            / sqrt(one.pairs) END AS half_width,
    one.conventional, one.variant, one.profile, one.size, one.splits, one.steps, one.map_options,
    one.precision, one.data_digest, one.recipe_id
FROM (
    SELECT
        each.*, row_number() OVER of_row AS place, count(*) OVER of_row AS seeds,
        {sum} AS sum, {squares} AS squares,
        CASE WHEN min(each.own_options) OVER of_row = max(each.own_options) OVER of_row
            THEN count(each.less) OVER of_row ELSE 0 END AS pairs,
        {less_sum} AS less_sum, {less_squares} AS less_squares
    FROM (
        SELECT
            each.*, min(each.value) OVER of_row AS low,
            max(each.value) OVER of_row - min(each.value) OVER of_row AS span,
            min(each.less) OVER of_row AS less_low,
            max(each.less) OVER of_row - min(each.less) OVER of_row AS less_span
        FROM (
            SELECT
                flow_trials.dataset, flow_trials.flow, flow_trials.factorization,
                flow_trials.budget, flow_trials.map_options, recipes.conventional,
                flow_trials.variant, recipes.profile, recipes.size, recipes.splits, recipes.steps,
                protocols.precision, jobs.data_digest, flow_trials.recipe_id, measurements.value,
                min({own_options}) OVER of_seed AS own_options,
                CASE WHEN min({own_options}) OVER of_seed = max({own_options}) OVER of_seed
                    THEN measurements.value - min({own_value}) OVER of_seed END AS less
            FROM {current}
            CROSS JOIN measurements
            CROSS JOIN protocols
            WHERE measurements.attempt_id = jobs.done_attempt_id AND measurements.protocol = 'plain'
              AND measurements.name = 'bits_per_dim' AND protocols.id = measurements.protocol_id
              AND (flow_trials.map_options IS NULL
                OR (flow_trials.map_options LIKE '{{"rule":%'
                  AND flow_trials.map_options NOT LIKE '%,%'))
            WINDOW of_seed AS (PARTITION BY flow_trials.dataset, flow_trials.variant,
                flow_trials.flow, flow_trials.recipe_id, jobs.data_digest, protocols.precision,
                flow_trials.seed)
        ) AS each
        WINDOW of_row AS (PARTITION BY {told_by})
    ) AS each
    WINDOW of_row AS (PARTITION BY {told_by})
) AS one
LEFT JOIN t_quantiles ON t_quantiles.freedom = one.pairs - 1
WHERE one.place = 1
""",
    *shared("dataset flow rule factorization budget"),
    required(
        "n",
        Integer,
        "seeds that the row has in common with the flow's own rule; of the own rule its seeds",
    ),
    required("mean", Double, "bits per dimension on the test part, mean over all seeds of the row"),
    optional("deviation", Double, "sample standard deviation over them, null for one seed"),
    optional(
        "difference",
        Double,
        "bits per dimension minus those of the own rule, mean over the n seeds that both have; "
        "null for the own rule and without such seeds",
    ),
    optional(
        "half_width",
        Double,
        "half of the 95 % t-interval of the difference; null with it, and for one seed",
    ),
    optional("conventional", Text, "the flow's own rule, null where the recipe cannot have it"),
    *shared("variant profile"),
    *sizes("size splits steps"),
    optional("map_options", Text, "version of a plug-in's rule, as JSON; null for all others"),
    *shared("precision data_digest recipe_id"),
    comment="What `lcma board` shows: bits per dimension of each rule and budget, beside the own "
    "rule of the flow on the same recipe, data and seeds; by 'plain', without options of maps.",
    order=BOARD_ORDER,
)

pairs = view(
    "pairs",
    """
SELECT
    flow_trials.dataset, flow_trials.variant, flow_trials.flow, recipes.profile, own.protocol,
    own_protocol.precision, own.name AS measure, flow_trials.seed, {rule} AS rule,
    flow_trials.factorization, flow_trials.budget, flow_trials.map_options, own.value,
    {other_rule} AS other_rule, other.factorization AS other_factorization,
    other.budget AS other_budget, other.map_options AS other_map_options,
    their.value AS other_value, own.value - their.value AS difference, recipes.splits, recipes.size,
    recipes.steps, jobs.data_digest, flow_trials.recipe_id, jobs.trial_id,
    other.id AS other_trial_id, jobs.done_attempt_id AS attempt_id,
    other_job.done_attempt_id AS other_attempt_id
FROM {current}
LEFT JOIN pretrainings ON pretrainings.id = flow_trials.pretraining_id
CROSS JOIN measurements AS own
CROSS JOIN measure_kinds
CROSS JOIN protocols AS own_protocol
CROSS JOIN flow_trials AS other
LEFT JOIN pretrainings AS other_pretraining ON other_pretraining.id = other.pretraining_id
CROSS JOIN jobs AS other_job
CROSS JOIN measurements AS their
CROSS JOIN protocols AS other_protocol
WHERE own.attempt_id = jobs.done_attempt_id
  AND measure_kinds.name = own.name AND measure_kinds.direction IS NOT NULL
  AND own_protocol.id = own.protocol_id
  AND other.recipe_id = flow_trials.recipe_id AND other.seed = flow_trials.seed
  AND other.dataset = flow_trials.dataset AND other.variant = flow_trials.variant
  AND other_job.trial_id = other.id AND other_job.data_digest = jobs.data_digest
  AND their.attempt_id = other_job.done_attempt_id AND their.protocol = own.protocol
  AND their.name = own.name
  AND other_protocol.id = their.protocol_id AND other_protocol.precision = own_protocol.precision
  AND CASE
    WHEN other.factorization = flow_trials.factorization THEN other.budget <> flow_trials.budget
        AND coalesce(other.map_options, '') = coalesce(flow_trials.map_options, '')
    WHEN other.budget IS NULL OR flow_trials.budget IS NULL THEN 1 = 1
    WHEN pretrainings.nms = 'data' OR other_pretraining.nms = 'data' THEN 1 = 1
    ELSE other.budget = flow_trials.budget
        AND coalesce(other.map_options, '') = coalesce(flow_trials.map_options, '')
END
""",
    *shared("dataset variant flow profile protocol precision measure seed rule factorization"),
    *shared("budget"),
    *map_options(),
    required("value", Double, "the measure's value"),
    required("other_rule", Text, "the other factorization as it is asked for"),
    required("other_factorization", Text, "canonical name of the other factorization"),
    optional("other_budget", Integer, "the other trial's budget, null where it uses no map"),
    optional("other_map_options", Text, "the other trial's options of the map"),
    required("other_value", Double, "the other trial's value"),
    required("difference", Double, "value - other_value, negative where the other has more"),
    *sizes("splits size steps"),
    *shared("data_digest recipe_id trial_id"),
    required("other_trial_id", Text, "the other trial"),
    *shared("attempt_id"),
    required("other_attempt_id", Text, "the attempt that trained the other"),
    comment="Numbers that differ only in the factorization, paired by seed: one recipe, data set, "
    "protocol, precision and measure; budget and options of the map too, where both use maps of a "
    "pretraining. Also those of one factorization that differ only in the budget. Each pair is "
    "there both ways round.",
    order="dataset variant flow profile protocol measure factorization budget other_factorization "
    "other_budget seed attempt_id other_attempt_id",
)

budgets = view(
    "budgets",
    """
SELECT
    board.dataset, board.flow, board.rule, board.factorization, board.budget, board.n, board.mean,
    board.deviation, board.difference, board.half_width,
    (SELECT CASE WHEN count(each.seconds) = count(*) THEN {mean_seconds} END FROM (
        SELECT {chain_of_result} AS seconds FROM {of_row}) AS each) AS pretraining_seconds,
    (SELECT {mean_mask_share} FROM {of_row_with_tables}) AS mask_share,
    (SELECT {mean_mask_share_by_chance} FROM {of_row_with_tables}) AS mask_share_by_chance,
    board.variant, board.profile, board.size, board.splits, board.steps, board.map_options,
    board.precision, board.data_digest, board.recipe_id
FROM board
WHERE board.budget IS NOT NULL
""",
    *shared("dataset flow rule factorization"),
    required("budget", Integer, "pretraining steps behind the maps"),
    *copy_columns(board, "n mean deviation difference half_width"),
    optional(
        "pretraining_seconds",
        Double,
        "wall-clock seconds of the pretraining up to the budget by itself, mean over seeds; null "
        "when not known",
    ),
    optional(
        "mask_share",
        Double,
        "share of the variance of the maps that the lattice explains, mean over seeds and splits "
        "(index_tables.mask_share); null when not known",
    ),
    *copy_columns(schema.index_tables, "mask_share_by_chance"),
    *copy_columns(board, "variant profile size splits steps map_options precision"),
    *copy_columns(board, "data_digest recipe_id"),
    comment="How much pretraining it takes: the rows of board that use maps, with what these took "
    "and how much of a lattice they are.",
    order=BOARD_ORDER,
)

results = view(
    "results",
    """
SELECT
    flow_trials.flow, recipes.profile, flow_trials.dataset, flow_trials.variant,
    jobs.data_digest, {rule} AS rule, flow_trials.factorization, flow_trials.budget,
    flow_trials.seed, bits.protocol, protocols.precision, bits.value AS bits_per_dim,
    bits.standard_error,
    holdout.value AS holdout_bits_per_dim, holdout.standard_error AS holdout_standard_error,
    train.value AS train_bits_per_dim, log_det.value AS log_det, log_prior.value AS log_prior,
    bits.images, bits.clusters, CAST(draws.value AS BIGINT) AS bound_draws,
    bound.images AS bound_images, bound.value AS bound_bits_per_dim, gain.value AS bound_gain,
    CAST(terms.value AS BIGINT) AS series_terms, bias.value AS series_bias,
    bias.standard_error AS series_bias_standard_error, step.value AS seconds_per_step,
    recipes.splits, recipes.size, trained.evaluated_step AS step, recipes.steps,
    attempts.images_per_second,
    {data_wait_of_result}, {sums_of_result},
    CASE WHEN attempts.protocol IS NOT NULL THEN attempts.seconds END AS evaluation_seconds,
    attempts.peak_memory, attempts.threads, environments.device, environments.cpu_capability,
    environments.driver, environments.torch, environments.code_version, environments.dirty,
    trained.ended AS created, flow_trials.map_options, jobs.trial_id, flow_trials.recipe_id,
    flow_trials.pretraining_id, attempts.environment_id, jobs.done_attempt_id AS attempt_id
FROM {current}
CROSS JOIN measurements AS bits
CROSS JOIN attempts AS trained
CROSS JOIN protocols
CROSS JOIN attempts
CROSS JOIN environments
{beside}
WHERE bits.attempt_id = jobs.done_attempt_id AND trained.id = bits.attempt_id
  AND bits.name = 'bits_per_dim'
  AND protocols.id = bits.protocol_id AND attempts.id = bits.measured_by
  AND environments.id = attempts.environment_id
""",
    *shared("flow profile dataset variant data_digest rule factorization budget seed protocol"),
    *shared("precision"),
    required("bits_per_dim", Double, "bits per dimension on the test part"),
    optional(
        "standard_error",
        Double,
        "standard error of bits_per_dim over images or clusters, null for a single one",
    ),
    optional("holdout_bits_per_dim", Double, "bits per dimension on the holdout part"),
    optional(
        "holdout_standard_error",
        Double,
        "standard error of holdout_bits_per_dim, null for a single image or cluster",
    ),
    optional("train_bits_per_dim", Double, "bits per dimension on train, null when not taken"),
    optional("log_det", Double, "mean log-det on the test part, nats per image"),
    optional("log_prior", Double, "mean log-density of the latents there, nats per image"),
    optional("images", Integer, "number of test images"),
    *copy_columns(schema.measures, "clusters"),
    optional(
        "bound_draws",
        Integer,
        "K, dequantization draws of the importance-weighted bound; null when not taken",
    ),
    optional("bound_images", Integer, "first test images that the bound is over"),
    optional(
        "bound_bits_per_dim",
        Double,
        "bits per dimension of -log of the mean likelihood over K draws, on those images; null "
        "when not taken",
    ),
    optional(
        "bound_gain",
        Double,
        "by how much that is below the bits per dimension of one draw on the same images; null "
        "when not taken",
    ),
    optional(
        "series_terms",
        Integer,
        "exact terms of the power series of residual blocks; null for a flow without them",
    ),
    optional(
        "series_bias",
        Double,
        "bits per dimension minus those at twice as many terms with the same probes, on the first "
        "200 test images; null without a series, and where roulette leaves no bias",
    ),
    optional(
        "series_bias_standard_error",
        Double,
        "standard error of series_bias over images or clusters, null with it or for one image",
    ),
    optional(
        "seconds_per_step", Double, "wall-clock seconds of a training step; null when not measured"
    ),
    *sizes("splits size"),
    *shared("step"),
    *sizes("steps"),
    *copy_columns(schema.attempts, "images_per_second"),
    optional(
        "data_wait",
        Double,
        "share of the time of training steps that attempts at the trial waited for images: the "
        "largest of them, 0 to 1; null when not measured",
    ),
    optional(
        "seconds",
        Double,
        "wall-clock seconds of all attempts at the trial, without pretraining and evaluations",
    ),
    optional("cpu_seconds", Double, "CPU seconds of the same attempts"),
    optional("gpu_seconds", Double, "GPU seconds of the same attempts, null on a CPU"),
    optional(
        "evaluation_seconds",
        Double,
        "wall-clock seconds of the attempt that made the result, null if it trained too",
    ),
    *copy_columns(schema.attempts, "peak_memory threads"),
    *copy_columns(schema.environments, "device cpu_capability driver torch code_version dirty"),
    required("created", Double, "when the training ended, Unix seconds UTC"),
    *map_options(),
    *shared("trial_id recipe_id pretraining_id"),
    *copy_columns(schema.attempts, "environment_id"),
    *shared("attempt_id"),
    comment="One readable row for each current result and protocol, with what the attempt that "
    "made it ran on. See measures for others.",
    order="dataset flow profile factorization budget seed protocol attempt_id",
)

measures = view(
    "measures",
    """
SELECT
    flow_trials.flow, recipes.profile, flow_trials.dataset, flow_trials.variant,
    jobs.data_digest, {rule} AS rule, flow_trials.factorization, flow_trials.budget,
    flow_trials.map_options, flow_trials.seed, measurements.protocol, protocols.precision,
    measurements.name AS measure, measurements.value, measurements.standard_error,
    measurements.images, measurements.clusters, measure_kinds.unit, measure_kinds.direction,
    recipes.splits, recipes.size, trained.evaluated_step AS step, recipes.steps,
    measurements.created, jobs.trial_id, flow_trials.recipe_id, measurements.attempt_id
FROM {current}
CROSS JOIN measurements
CROSS JOIN attempts AS trained
CROSS JOIN measure_kinds
CROSS JOIN protocols
WHERE measurements.attempt_id = jobs.done_attempt_id AND trained.id = measurements.attempt_id
  AND measure_kinds.name = measurements.name
  AND protocols.id = measurements.protocol_id
""",
    *shared("flow profile dataset variant data_digest rule factorization budget"),
    *map_options(),
    *shared("seed protocol precision measure"),
    *copy_columns(schema.measures, "value standard_error images clusters"),
    *copy_columns(schema.measure_kinds, "unit direction"),
    *sizes("splits size"),
    *shared("step"),
    *sizes("steps"),
    required("created", Double, "when the measure was added, Unix seconds UTC"),
    *shared("trial_id recipe_id attempt_id"),
    comment="Every measure of every current result, a row each.",
    order="dataset flow factorization seed attempt_id protocol measure",
)

coverage = view(
    "coverage",
    """
SELECT
    each.sweep, each.flow, each.dataset, each.variant, each.profile, each.asked,
    {rule_of_each} AS rule, each.factorization, each.budget, each.map_options, count(*) AS planned,
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
              AND (EXISTS (
                SELECT 1 FROM flow_trials AS reader
                JOIN sweep_trials AS own ON own.trial_id = reader.id
                WHERE reader.pretraining_id = segment.pretraining_id
                  AND reader.budget = segment.budget AND own.sweep_id = sweeps.id
              ) OR NOT EXISTS (
                SELECT 1 FROM flow_trials AS reader
                WHERE reader.pretraining_id = segment.pretraining_id
                  AND reader.budget = segment.budget))
              AND NOT EXISTS (
                SELECT 1 FROM jobs AS done
                WHERE done.pretraining_id = segment.pretraining_id
                  AND done.data_digest = segment.data_digest AND done.state = 'done'
                  AND done.budget BETWEEN segment.budget AND flow_trials.budget)
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
""",
    required("sweep", Text, "name of the sweep"),
    *shared("flow dataset variant profile"),
    required("asked", Text, "the factorization's name as the sweep asked for it"),
    *shared("rule factorization budget"),
    *map_options(),
    required("planned", Integer, "trials of the cell"),
    required("done", Integer, "those that are done"),
    required("running", Integer, "those that somebody has claimed"),
    required("pending", Integer, "those that may start, now or when their pretraining is done"),
    required(
        "blocked", Integer, "those whose pretraining diverged or failed on the way to their budget"
    ),
    required("diverged", Integer, "those that diverged"),
    required("failed", Integer, "those that failed"),
    optional(
        "why",
        Text,
        "why the first of the missing is missing, the gravest first: how it ended with the last "
        "line of the message, how its pretraining did, where it runs, that it waits for its "
        "pretraining, after which outcome it is to be run again, or that it was not started; null "
        "when nothing is missing",
    ),
    optional("data_digest", Text, "content hash of the exact data set, null without a job"),
    *shared("recipe_id"),
    required("sweep_id", Text, "the sweep"),
    comment="What each cell of a sweep has and lacks. The counts from done to failed add up to "
    "planned.",
)

failures = view(
    "failures",
    """
SELECT
    jobs.kind, {any_subject},
    coalesce(flow_trials.profile, recipes.profile) AS profile,
    {rule} AS rule, flow_trials.factorization,
    coalesce(flow_trials.budget, jobs.budget) AS budget,
    flow_trials.map_options, coalesce(flow_trials.seed, pretrainings.seed) AS seed,
    jobs.state, jobs.step, jobs.steps, attempts.outcome, attempts.message,
    attempts.owner, attempts.host, attempts.device, attempts.devices, attempts.stack_id,
    attempts.started, attempts.ended, jobs.updated,
    (SELECT CASE WHEN events.detail <> '' THEN events.detail END FROM events
     WHERE events.id = (SELECT max(e.id) FROM events AS e WHERE e.job_id = jobs.id)) AS decision,
    jobs.data_digest, recipes.id AS recipe_id, jobs.trial_id, jobs.pretraining_id, jobs.attempt_id,
    jobs.id AS job_id
FROM jobs
{with_any_subject}
LEFT JOIN attempts ON attempts.id = jobs.attempt_id
WHERE jobs.state IN ('diverged', 'failed')
""",
    *of_any_job("kind"),
    *shared("flow dataset variant profile"),
    *of_any_job("rule factorization budget"),
    *map_options(),
    *of_any_job("seed"),
    *copy_columns(schema.jobs, "state step steps"),
    *copy_columns(schema.attempts, "outcome message owner host device devices stack_id", null=True),
    *copy_columns(schema.attempts, "started ended", null=True),
    *copy_columns(schema.jobs, "updated"),
    optional(
        "decision",
        Text,
        "why it is not run again by itself, such as 'given up: policy oom: 1 used'; null where "
        "nobody said",
    ),
    *shared("data_digest recipe_id"),
    *of_any_job("trial_id pretraining_id"),
    optional("attempt_id", Text, "the last attempt"),
    *shared("job_id"),
    comment="Jobs that diverged or failed, with their last attempt.",
)

costs = view(
    "costs",
    """
SELECT
    spent.*, {both_totals}
FROM (
    SELECT
        flow_trials.flow, flow_trials.dataset, flow_trials.variant, flow_trials.profile,
        {rule} AS rule, flow_trials.factorization, flow_trials.budget, flow_trials.map_options,
        flow_trials.seed, jobs.state,
        {attempts},
        (SELECT count(*) FROM attempts AS a WHERE a.job_id = jobs.id
            AND a.protocol IS NULL AND a.ended IS NOT NULL AND a.cpu_seconds IS NULL) AS unreported,
        {own_sums},
        (SELECT {seconds} FROM attempts AS a WHERE a.job_id = jobs.id
            AND a.protocol IS NOT NULL) AS evaluation_seconds,
        last.images_per_second,
        {peak_memory}, {data_wait},
        {pretraining_sums},
        jobs.data_digest, flow_trials.recipe_id, flow_trials.pretraining_id, jobs.trial_id,
        jobs.id AS job_id
    FROM jobs
    JOIN flow_trials ON flow_trials.id = jobs.trial_id
    LEFT JOIN attempts AS last ON last.id = jobs.attempt_id
) AS spent
""",
    *shared("flow dataset variant profile rule factorization budget"),
    *map_options(),
    *shared("seed"),
    *copy_columns(schema.jobs, "state"),
    required("attempts", Integer, "attempts at the trial, without evaluations"),
    required(
        "unreported",
        Integer,
        "those that ended without a report, whose time counts up to their last heartbeat",
    ),
    optional("seconds", Double, "wall-clock seconds of the attempts, lost ones too"),
    optional("cpu_seconds", Double, "CPU seconds of the attempts"),
    optional("gpu_seconds", Double, "GPU seconds of the attempts, null on a CPU"),
    optional("evaluation_seconds", Double, "wall-clock seconds of evaluations of kept weights"),
    optional("images_per_second", Double, "training images per second of the last attempt"),
    optional("peak_memory", BigInteger, "largest peak memory of the attempts in bytes"),
    optional("data_wait", Double, "largest share of steps' time that went on images, 0 to 1"),
    optional(
        "pretraining_seconds",
        Double,
        "wall-clock seconds of the whole pretraining up to the budget, as if no other trial used "
        "it; null without one, and where a segment of it is missing",
    ),
    optional("pretraining_cpu_seconds", Double, "CPU seconds of the same"),
    optional("pretraining_gpu_seconds", Double, "GPU seconds of the same, null on a CPU"),
    *shared("data_digest recipe_id pretraining_id trial_id job_id"),
    optional("total_seconds", Double, "seconds + pretraining_seconds"),
    optional("total_cpu_seconds", Double, "cpu_seconds + pretraining_cpu_seconds"),
    optional("total_gpu_seconds", Double, "gpu_seconds + pretraining_gpu_seconds"),
    comment="What each trial cost on each exact data set, by itself. Sums over trials count a "
    "shared pretraining once for each; sum attempts for what was spent.",
    order="dataset variant flow profile factorization budget seed job_id",
)

curves = view(
    "curves",
    """
SELECT
    jobs.kind, {any_subject}, recipes.profile,
    {rule} AS rule, flow_trials.factorization, coalesce(flow_trials.budget, jobs.budget) AS budget,
    flow_trials.map_options, coalesce(flow_trials.seed, pretrainings.seed) AS seed,
    metrics.name AS curve, metrics.step, metrics.value, recipes.splits, recipes.size, recipes.steps,
    jobs.data_digest, recipes.id AS recipe_id, jobs.trial_id, jobs.pretraining_id,
    jobs.id AS job_id
FROM jobs
JOIN metrics ON metrics.attempt_id = coalesce(jobs.done_attempt_id, jobs.attempt_id)
{with_any_subject}
""",
    *of_any_job("kind"),
    *shared("flow dataset variant profile"),
    *of_any_job("rule factorization budget"),
    *map_options(),
    *of_any_job("seed"),
    required("curve", Text, "what was measured, such as 'train_bits_per_dim'"),
    *copy_columns(schema.metrics, "step value"),
    *sizes("splits size steps"),
    *shared("data_digest recipe_id"),
    *of_any_job("trial_id pretraining_id"),
    *shared("job_id"),
    comment="Curves over training, a row for each point: of the current result of a trial, or of "
    "its last attempt where it has none.",
    order="dataset variant flow profile factorization budget seed job_id curve step",
)

maps = view(
    "maps",
    """
SELECT
    flow_trials.flow, recipes.profile, flow_trials.dataset, flow_trials.variant,
    index_tables.data_digest, {rule} AS rule, flow_trials.factorization, flow_trials.budget,
    flow_trials.map_options, flow_trials.seed, index_tables.split, index_tables.iou_even,
    index_tables.iou_odd, index_tables.purity, index_tables.channel_purity,
    index_tables.mask_share, index_tables.mask_share_by_chance, index_tables.tied,
    index_tables.agreement, map.standard_error, map.rank_gap, map.error_to_gap, map.unresolved,
    map.mean_log_det, map.sum_error, map.images, recipes.splits, recipes.size, recipes.steps,
    flow_trials.recipe_id, flow_trials.pretraining_id, index_tables.trial_id, index_tables.digest,
    map.digest AS map_digest
FROM index_tables
JOIN jobs ON jobs.done_attempt_id = index_tables.attempt_id
JOIN flow_trials ON flow_trials.id = index_tables.trial_id
JOIN recipes ON recipes.id = flow_trials.recipe_id
LEFT JOIN pretrainings ON pretrainings.id = flow_trials.pretraining_id
LEFT JOIN jobs AS segment
  ON segment.pretraining_id = flow_trials.pretraining_id AND segment.budget = flow_trials.budget
 AND segment.data_digest = index_tables.data_digest
LEFT JOIN contribution_maps AS map
  ON map.attempt_id = segment.done_attempt_id AND map.split = index_tables.split
 AND map.score = CASE WHEN pretrainings.nms = 'data' THEN flow_trials.factorization
        ELSE coalesce({options} ->> 'score', 'cumulative')
            || coalesce('/' || nullif({options} ->> 'conv1x1', 'output'), '') END
""",
    *shared("flow profile dataset variant data_digest rule factorization budget"),
    *map_options(),
    *shared("seed"),
    *copy_columns(schema.index_tables, "split iou_even iou_odd purity channel_purity"),
    *copy_columns(schema.index_tables, "mask_share mask_share_by_chance tied agreement"),
    *copy_columns(
        schema.contribution_maps,
        "standard_error rank_gap error_to_gap unresolved mean_log_det sum_error images",
        null=True,
    ),
    *sizes("splits size steps"),
    *shared("recipe_id pretraining_id trial_id"),
    *copy_columns(schema.index_tables, "digest"),
    optional("map_digest", Text, "sha256 of the map's values (contribution_maps.digest)"),
    comment="What each split of a trained trial lets leave, in numbers, and the map that decided "
    "it; null where none did. See index_tables and contribution_maps.",
    order="dataset variant flow profile factorization budget map_options seed trial_id data_digest "
    "split",
)


def render_views(engine: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the SELECT of each view for an engine, 'sqlite' or 'postgresql'."""
    pieces = _pieces(postgresql=engine == "postgresql")
    for name, table in views.tables.items():
        yield name, table.info["sql"].format(**pieces)


def _pieces(*, postgresql: bool) -> dict[str, str]:
    def whole(number: str) -> str:
        # Truncated to a whole number, since engines round halves differently.
        return f"CAST({f'trunc({number})' if postgresql else number} AS BIGINT)"

    def summed(number: str, over: str = "") -> str:
        real = "double precision" if postgresql else "REAL"
        return f"CAST(sum({whole(number)}){over} AS {real})"

    def total(value: str) -> str:
        return f"{summed(f'{value} * 1e6 + 0.5')} / 1e6"

    def mean(value: str) -> str:
        return f"{summed(f'{value} * 1e12 + 0.5')} / 1e12 / count({value})"

    def shares(of: str, value: str = "value", *, squared: bool = False) -> str:
        # The sum of the places of values between the least and the greatest, 0 to 1, or of their
        # squares.
        place = f"((each.{value} - each.{of}low) / each.{of}span)"
        place = f"{place} * {place}" if squared else place
        known = f"CASE WHEN each.{of}span > 0 THEN {place} WHEN each.{of}span = 0 THEN 0.0 END"
        return f"{summed(f'{known} * 1e15 + 0.5', ' OVER of_row')} / 1e15"

    def rule(name: str) -> str:
        return (
            f"CASE WHEN replace({name}, 'L', '') = '' THEN 'low' "
            f"WHEN replace({name}, 'H', '') = '' THEN 'high' ELSE {name} END"
        )

    def ended(attempt: str) -> str:
        # The outcome, and the last line of the message: of a traceback, the error.
        newline = "'\n'"  # every engine takes a quoted newline
        message = f"rtrim({attempt}.message, ' ' || {newline})"
        before = f"rtrim({message}, replace({message}, {newline}, ''))"
        return (
            f"coalesce({attempt}.outcome || CASE WHEN {message} <> '' THEN ': ' || "
            f"substr({message}, length({before}) + 1) ELSE '' END, 'no attempt')"
        )

    def own(values: dict[str, str], job: str = "jobs.id") -> str:
        columns = (OWN_ATTEMPTS.format(what=value, job=job, name=n) for n, value in values.items())
        return ", ".join(columns)

    options = "flow_trials.map_options"
    kinds = ("seconds", "cpu_seconds", "gpu_seconds")
    sums = {kind: total(f"a.{kind}") for kind in kinds}
    chain = partial(CHAIN.format, start=FIRST_STEP)
    before = [
        f"{chain(sum=sums[k], of='flow_trials', data='jobs')} AS pretraining_{k}" for k in kinds
    ]

    return {
        **sums,
        "current": CURRENT,
        "any_subject": ANY_SUBJECT,
        "with_any_subject": SUBJECT_JOINS,
        "rule": rule("flow_trials.factorization"),
        "rule_of_each": rule("each.factorization"),
        "rule_of_one": rule("one.factorization"),
        "other_rule": rule("other.factorization"),
        "told_by": BOARD_ROW_KEYS,
        "own_value": CONVENTIONAL_VALUE.format("measurements.value"),
        "own_options": CONVENTIONAL_VALUE.format("coalesce(flow_trials.map_options, '')"),
        "sum": shares(""),
        "squares": shares("", squared=True),
        "less_sum": shares("less_", "less"),
        "less_squares": shares("less_", "less", squared=True),
        "of_row": BOARD_ROW_RESULTS,
        "of_row_with_tables": f"""{BOARD_ROW_RESULTS}
        JOIN index_tables AS seen ON seen.attempt_id = jobs.done_attempt_id""",
        "options": f"CAST({options} AS json)" if postgresql else options,
        "sums_of_result": own(sums, "attempts.job_id"),
        "data_wait_of_result": own({"data_wait": "max(a.data_wait)"}, "attempts.job_id"),
        "attempts": own({"attempts": "count(*)"}),
        "own_sums": own(sums),
        "peak_memory": own({"peak_memory": "max(a.peak_memory)"}),
        "data_wait": own({"data_wait": "max(a.data_wait)"}),
        "beside": "\n".join(
            MEASURE_JOIN.format(alias=alias, name=name) for alias, name in JOINED_MEASURES.items()
        ),
        "mean_seconds": f"{total('each.seconds')} / count(*)",
        "chain_of_result": chain(sum=sums["seconds"], of="flow_trials", data="jobs"),
        "both_totals": ", ".join(TOTAL_COST.format(kind=kind) for kind in kinds),
        "pretraining_sums": ", ".join(before),
        "last_ended": ended("last"),
        "lost_ended": ended("lost_last"),
        "collate": 'COLLATE "C"' if postgresql else "",
        "mean_mask_share": mean("seen.mask_share"),
        "mean_mask_share_by_chance": mean("seen.mask_share_by_chance"),
    }
