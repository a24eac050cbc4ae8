"""The views, each with its SQL and the meaning of its columns side by side.

They are made anew whenever a database is made or upgraded (`lcma.db.migrate`), so this module is
the one place to change a view. Every row of a view is the same on both engines, to the last bit: a
sum over several rows is taken over whole numbers (of microseconds, of 1e-12), whose order does not
matter. What engines write differently stands in braces, see `render_views`. SQLite goes through the
tables on either side of a CROSS JOIN in this order, where it would choose a worse one.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

from sqlalchemy import BigInteger, Column, Double, Integer, MetaData, Table, Text

from lcma.db.schema.base import optional, required

views = MetaData()
"""Kept apart from the tables' MetaData, of which the tables are made."""


def view(
    name: str,
    sql: str,
    *columns: Column[Any],
    comment: str,
    order: tuple[str, ...] | None = None,
) -> Table:
    """Define a view.

    Args:
        name: Its name.
        sql: Its SELECT, with the pieces of `render_views` in braces.
        columns: Its columns in the order of the SELECT.
        comment: What its rows are.
        order: Columns by which its rows are ordered where a program reads them, and which tell them
            apart; all in turn by default.
    """
    order = order or tuple(column.name for column in columns)
    return Table(name, views, *columns, comment=comment, info={"sql": sql.strip(), "order": order})


SUBJECT = {
    "flow": "name of the flow",
    "dataset": "name of the data set",
    "variant": "variant of the data set",
    "profile": "profile of the recipe",
    "factorization": "canonical name of the factorization, such as 'LLL'",
    "rule": "the factorization as it is asked for: 'low' for a word of L alone, 'high' for one of "
    "H alone, else as `factorization`",
    "protocol": "name of the evaluation protocol",
    "precision": "number format of the evaluation",
    "measure": "what is measured (measure_kinds.name), such as 'bits_per_dim'",
    "nms": "the flow without splits: 'squeezed' or 'flat'; or 'self' or 'data', see pretrainings",
    "data_digest": "content hash of the exact data set",
    "recipe_id": "the recipe",
}
"""What columns that several views have mean."""


def said(*names: str) -> list[Column[Any]]:
    """Return columns of `SUBJECT`, none of which is null."""
    return [required(name, Text, SUBJECT[name]) for name in names]


def budget() -> Column[Any]:
    """Return the column of a trial's budget."""
    return optional("budget", Integer, "pretraining steps behind the maps, null where none is used")


def map_options() -> Column[Any]:
    """Return the column of a trial's options."""
    return optional(
        "map_options",
        Text,
        "options of the map as JSON, null for the default or no map; of a plug-in's rule its "
        'version too, as `{"rule": "sha256:..."}`',
    )


def sizes() -> list[Column[Any]]:
    """Return the columns of how large a recipe is."""
    return [
        required("splits", Integer, "number of splits of the flow"),
        required("size", Integer, "height and width of the images in pixels"),
        required("steps", Integer, "length of the training in optimizer steps"),
    ]


CURRENT = """jobs
    JOIN flow_trials ON flow_trials.id = jobs.trial_id
    JOIN recipes ON recipes.id = flow_trials.recipe_id"""
"""Jobs of trials, which have a result where they have a `done_attempt_id`."""

OF_ROW = """flow_trials
        JOIN jobs ON jobs.trial_id = flow_trials.id AND jobs.done_attempt_id IS NOT NULL
            AND jobs.data_digest = board.data_digest AND flow_trials.recipe_id = board.recipe_id
            AND flow_trials.dataset = board.dataset AND flow_trials.variant = board.variant
            AND flow_trials.flow = board.flow AND flow_trials.factorization = board.factorization
            AND flow_trials.budget = board.budget
            AND coalesce(flow_trials.map_options, '') = coalesce(board.map_options, '')"""
"""The results behind a row of `board`."""

TOLD_BY = """each.dataset, each.flow, each.factorization, each.budget, each.map_options,
        each.conventional, each.variant, each.profile, each.size, each.splits, each.steps,
        each.precision, each.data_digest, each.recipe_id"""
"""What the seeds of a row of `board` have in common."""

BESIDE = """LEFT JOIN measurements AS {alias} ON {alias}.attempt_id = bits.attempt_id
    AND {alias}.protocol = bits.protocol AND {alias}.name = '{name}'"""

BESIDES = {
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
"""The measures that stand beside bits per dimension in `results`."""

OWN = """(SELECT {sum} FROM attempts AS a
        WHERE a.job_id = {job} AND a.protocol IS NULL) AS {kind}"""

BOTH = """spent.{kind} + CASE WHEN spent.pretraining_id IS NULL THEN 0.0
        ELSE spent.pretraining_{kind} END AS total_{kind}"""

START = """(SELECT min(first.first_step) FROM attempts AS first
            WHERE first.job_id = segment.id AND first.protocol IS NULL
              AND first.seconds IS NOT NULL)"""
"""The step that a segment went on from, by attempts that have reported."""

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
"""What a pretraining took up to a budget: the segment that ends there, the one that this went on
from, and so on; null where one is missing. Other segments of it, which began anew for a shorter
budget, are none of its."""


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
        THEN one.less_low + one.less_span * one.less_sum / one.pairs END AS difference,
    CASE WHEN one.factorization <> one.conventional AND one.pairs > 1
        THEN t_quantiles.quantile * one.less_span
            * sqrt((one.less_squares - one.less_sum * one.less_sum / one.pairs) / (one.pairs - 1))
            / sqrt(one.pairs) END AS half_width,
    one.conventional, one.variant, one.profile, one.size, one.splits, one.steps, one.map_options,
    one.precision, one.data_digest, one.recipe_id
FROM (
    SELECT
        each.*, row_number() OVER of_row AS place, count(*) OVER of_row AS seeds,
        {sum} AS sum, {squares} AS squares, count(each.less) OVER of_row AS pairs,
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
                CASE WHEN usual_protocol.id IS NOT NULL THEN measurements.value - their.value END
                    AS less
            FROM {current}
            CROSS JOIN measurements
            CROSS JOIN protocols
            LEFT JOIN flow_trials AS usual
              ON usual.recipe_id = flow_trials.recipe_id AND usual.seed = flow_trials.seed
             AND usual.factorization = recipes.conventional AND usual.budget IS NULL
             AND usual.map_options IS NULL
             AND usual.dataset = flow_trials.dataset AND usual.variant = flow_trials.variant
            LEFT JOIN jobs AS usual_job
              ON usual_job.trial_id = usual.id AND usual_job.data_digest = jobs.data_digest
            LEFT JOIN measurements AS their ON their.attempt_id = usual_job.done_attempt_id
                AND their.protocol = 'plain' AND their.name = 'bits_per_dim'
            LEFT JOIN protocols AS usual_protocol
              ON usual_protocol.id = their.protocol_id
             AND usual_protocol.precision = protocols.precision
            WHERE measurements.attempt_id = jobs.done_attempt_id AND measurements.protocol = 'plain'
              AND measurements.name = 'bits_per_dim' AND protocols.id = measurements.protocol_id
              AND (flow_trials.map_options IS NULL
                OR (flow_trials.map_options LIKE '{{"rule":%'
                  AND flow_trials.map_options NOT LIKE '%,%'))
        ) AS each
        WINDOW of_row AS (PARTITION BY {told_by})
    ) AS each
    WINDOW of_row AS (PARTITION BY {told_by})
) AS one
LEFT JOIN t_quantiles ON t_quantiles.freedom = one.pairs - 1
WHERE one.place = 1
""",
    *said("dataset", "flow", "rule", "factorization"),
    budget(),
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
    optional("conventional", Text, "the flow's own rule, null for a flow that was not known"),
    *said("variant", "profile"),
    *(sizes()[place] for place in (1, 0, 2)),
    optional("map_options", Text, "version of a plug-in's rule, as JSON; null for all others"),
    *said("precision", "data_digest", "recipe_id"),
    comment="What `lcma board` shows: bits per dimension of each rule and budget, beside the own "
    "rule of the flow on the same recipe, data and seeds; by 'plain', without options of maps.",
    order=(
        *("dataset", "variant", "flow", "profile", "recipe_id", "data_digest", "precision"),
        *("factorization", "budget", "map_options"),
    ),
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
    *said("dataset", "variant", "flow", "profile", "protocol", "precision", "measure"),
    required("seed", Integer, "seed of both trials"),
    *said("rule", "factorization"),
    budget(),
    map_options(),
    required("value", Double, "the measure's value"),
    required("other_rule", Text, "the other factorization as it is asked for"),
    required("other_factorization", Text, "canonical name of the other factorization"),
    optional("other_budget", Integer, "the other trial's budget, null where it uses no map"),
    optional("other_map_options", Text, "the other trial's options of the map"),
    required("other_value", Double, "the other trial's value"),
    required("difference", Double, "value - other_value, negative where the other has more"),
    *sizes(),
    *said("data_digest", "recipe_id"),
    required("trial_id", Text, "the trial"),
    required("other_trial_id", Text, "the other trial"),
    required("attempt_id", Text, "the attempt that trained it"),
    required("other_attempt_id", Text, "the attempt that trained the other"),
    comment="Numbers that differ in the factorization alone, paired by seed: one recipe, data set, "
    "protocol, precision and measure; budget and options of the map too, where both use maps of a "
    "pretraining. Also those of one factorization that differ in the budget alone. Each pair is "
    "there both ways round.",
    order=(
        *("dataset", "variant", "flow", "profile", "protocol", "measure", "factorization"),
        *(
            "budget",
            "other_factorization",
            "other_budget",
            "seed",
            "attempt_id",
            "other_attempt_id",
        ),
    ),
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
    *said("dataset", "flow", "rule", "factorization"),
    required("budget", Integer, "pretraining steps behind the maps"),
    required("n", Integer, "as in board"),
    required("mean", Double, "as in board"),
    optional("deviation", Double, "as in board"),
    optional("difference", Double, "as in board"),
    optional("half_width", Double, "as in board"),
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
    optional("mask_share_by_chance", Double, "what that is on average for a map with none"),
    *said("variant", "profile"),
    *(sizes()[place] for place in (1, 0, 2)),
    optional("map_options", Text, "as in board"),
    *said("precision", "data_digest", "recipe_id"),
    comment="How much pretraining it takes: the rows of board that use maps, with what these took "
    "and how much of a lattice they are.",
    order=(
        *("dataset", "variant", "flow", "profile", "recipe_id", "data_digest", "precision"),
        *("factorization", "budget", "map_options"),
    ),
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
    (SELECT max(a.data_wait) FROM attempts AS a WHERE a.job_id = attempts.job_id
        AND a.protocol IS NULL) AS data_wait,
    (SELECT {seconds} FROM attempts AS a WHERE a.job_id = attempts.job_id
        AND a.protocol IS NULL) AS seconds,
    (SELECT {cpu_seconds} FROM attempts AS a WHERE a.job_id = attempts.job_id
        AND a.protocol IS NULL) AS cpu_seconds,
    {gpu},
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
    *said("flow", "profile", "dataset", "variant", "data_digest", "rule", "factorization"),
    budget(),
    required("seed", Integer, "seed of the trial"),
    *said("protocol", "precision"),
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
    optional("clusters", Integer, "clusters behind the standard errors, null for none"),
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
    *sizes()[:2],
    required("step", Integer, "training step of the evaluated weights"),
    *sizes()[2:],
    optional(
        "images_per_second",
        Double,
        "training images per second of the attempt that made the result, null if it only evaluated",
    ),
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
    optional("peak_memory", Integer, "peak memory in bytes of that attempt"),
    required("threads", Integer, "number of CPU threads of that attempt"),
    required(
        "device",
        Text,
        "model of the GPU of that attempt, or the architecture of the processor, as 'x86_64'",
    ),
    required("cpu_capability", Text, "instruction set that PyTorch used"),
    optional("driver", Text, "version of the GPU's driver, null on a CPU"),
    required("torch", Text, "version of PyTorch"),
    required("code_version", Text, "version of the package"),
    optional("dirty", Text, "digest of uncommitted changes, null when there were none"),
    required("created", Double, "when the result was added, Unix seconds UTC"),
    map_options(),
    required("trial_id", Text, "the trial"),
    *said("recipe_id"),
    optional("pretraining_id", Text, "pretraining whose maps are used, null where no map is"),
    required("environment_id", Text, "versions and hardware of that attempt"),
    required("attempt_id", Text, "the attempt that trained it"),
    comment="One readable row for each current result and protocol. See measures for others.",
    order=(
        *("dataset", "flow", "profile", "factorization", "budget", "seed", "protocol"),
        "attempt_id",
    ),
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
    *said("flow", "profile", "dataset", "variant", "data_digest", "rule", "factorization"),
    budget(),
    map_options(),
    required("seed", Integer, "seed of the trial"),
    *said("protocol", "precision", "measure"),
    required("value", Double, "the value, in the unit"),
    optional("standard_error", Double, "its standard error, null where there is none"),
    optional("images", Integer, "images that it is over, null where it is over none"),
    optional("clusters", Integer, "clusters behind the standard error, null for none"),
    required("unit", Text, "the unit of the value"),
    optional("direction", Text, "'lower' or 'higher' is better; null for one that is not ranked"),
    *sizes()[:2],
    required("step", Integer, "training step of the evaluated weights"),
    *sizes()[2:],
    required("created", Double, "when the measure was added, Unix seconds UTC"),
    required("trial_id", Text, "the trial"),
    *said("recipe_id"),
    required("attempt_id", Text, "the attempt that trained it"),
    comment="Every measure of every current result, a row each.",
    order=("dataset", "flow", "factorization", "seed", "attempt_id", "protocol", "measure"),
)


def _counts() -> list[Column[Any]]:
    told = {
        "planned": "trials of the cell",
        "done": "those with a result",
        "running": "those that somebody has claimed",
        "pending": "those that may start, now or when their pretraining is done",
        "blocked": "those whose pretraining diverged or failed on the way to their budget",
        "diverged": "those that diverged",
        "failed": "those that failed",
    }
    return [required(name, Integer, meaning) for name, meaning in told.items()]


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
    *said("flow", "dataset", "variant", "profile"),
    required("asked", Text, "the factorization's name as the sweep asked for it"),
    *said("rule", "factorization"),
    budget(),
    map_options(),
    *_counts(),
    optional(
        "why",
        Text,
        "why the first of the missing is missing, the gravest first: how it ended with the last "
        "line of the message, how its pretraining did, where it runs, that it waits for its "
        "pretraining, after which outcome it is to be run again, or that it was not started; null "
        "when nothing is missing",
    ),
    optional("data_digest", Text, "content hash of the exact data set, null without a job"),
    *said("recipe_id"),
    required("sweep_id", Text, "the sweep"),
    comment="What each cell of a sweep has and lacks. The counts from done to failed add up to "
    "planned.",
)

failures = view(
    "failures",
    """
SELECT
    jobs.kind, coalesce(flow_trials.flow, pretrainings.flow) AS flow,
    coalesce(flow_trials.dataset, pretrainings.dataset) AS dataset,
    coalesce(flow_trials.variant, pretrainings.variant) AS variant,
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
LEFT JOIN flow_trials ON flow_trials.id = jobs.trial_id
LEFT JOIN pretrainings ON pretrainings.id = jobs.pretraining_id
JOIN recipes ON recipes.id = coalesce(flow_trials.recipe_id, pretrainings.recipe_id)
LEFT JOIN attempts ON attempts.id = jobs.attempt_id
WHERE jobs.state IN ('diverged', 'failed')
""",
    required("kind", Text, "'pretraining' or 'trial'"),
    *said("flow", "dataset", "variant", "profile"),
    optional("rule", Text, "the factorization as it is asked for, null for a pretraining"),
    optional("factorization", Text, "its canonical name, null for a pretraining"),
    optional(
        "budget",
        Integer,
        "pretraining steps behind a trial's maps, null where none is used; or at the end of a "
        "pretraining's segment",
    ),
    map_options(),
    required("seed", Integer, "seed of the trial or pretraining"),
    required("state", Text, "'diverged' or 'failed'"),
    required("step", Integer, "training step last reported"),
    required("steps", Integer, "training step at which the job would be done"),
    optional("outcome", Text, "how the last attempt ended"),
    optional("message", Text, "what went wrong, in a line or more"),
    optional("owner", Text, "launch that ran it"),
    optional("host", Text, "machine it ran on"),
    optional("device", Text, "device it ran on, such as 'cpu' or 'cuda:0'"),
    optional("devices", Text, "devices granted to it, null on a CPU"),
    optional("stack_id", Text, "stack that ran it with others, null for an attempt alone"),
    optional("started", Double, "when it started, Unix seconds UTC"),
    optional("ended", Double, "when it ended, Unix seconds UTC"),
    required("updated", Double, "when the job last changed, Unix seconds UTC"),
    optional(
        "decision",
        Text,
        "why it is not run again by itself, such as 'given up: policy oom: 1 used'; null where "
        "nobody said",
    ),
    *said("data_digest", "recipe_id"),
    optional("trial_id", Text, "the trial, null for a pretraining"),
    optional("pretraining_id", Text, "the pretraining, null for a trial"),
    optional("attempt_id", Text, "the last attempt"),
    required("job_id", Text, "the job"),
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
        (SELECT count(*) FROM attempts AS a WHERE a.job_id = jobs.id
            AND a.protocol IS NULL) AS attempts,
        (SELECT count(*) FROM attempts AS a WHERE a.job_id = jobs.id
            AND a.protocol IS NULL AND a.ended IS NOT NULL AND a.cpu_seconds IS NULL) AS unreported,
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
""",
    *said("flow", "dataset", "variant", "profile", "rule", "factorization"),
    budget(),
    map_options(),
    required("seed", Integer, "seed of the trial"),
    required("state", Text, "'pending', 'running', 'done', 'diverged' or 'failed'"),
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
    *said("data_digest", "recipe_id"),
    optional("pretraining_id", Text, "pretraining whose maps are used, null where no map is"),
    required("trial_id", Text, "the trial"),
    required("job_id", Text, "its job on this data set"),
    optional("total_seconds", Double, "seconds + pretraining_seconds"),
    optional("total_cpu_seconds", Double, "cpu_seconds + pretraining_cpu_seconds"),
    optional("total_gpu_seconds", Double, "gpu_seconds + pretraining_gpu_seconds"),
    comment="What each trial cost on each exact data set, by itself. Sums over trials count a "
    "shared pretraining once for each; sum attempts for what was spent.",
    order=("dataset", "variant", "flow", "profile", "factorization", "budget", "seed", "job_id"),
)

curves = view(
    "curves",
    """
SELECT
    jobs.kind, coalesce(flow_trials.flow, pretrainings.flow) AS flow,
    coalesce(flow_trials.dataset, pretrainings.dataset) AS dataset,
    coalesce(flow_trials.variant, pretrainings.variant) AS variant, recipes.profile,
    {rule} AS rule, flow_trials.factorization, coalesce(flow_trials.budget, jobs.budget) AS budget,
    flow_trials.map_options, coalesce(flow_trials.seed, pretrainings.seed) AS seed,
    metrics.name AS curve, metrics.step, metrics.value, recipes.splits, recipes.size, recipes.steps,
    jobs.data_digest, recipes.id AS recipe_id, jobs.trial_id, jobs.pretraining_id,
    jobs.id AS job_id
FROM jobs
JOIN metrics ON metrics.attempt_id = coalesce(jobs.done_attempt_id, jobs.attempt_id)
LEFT JOIN flow_trials ON flow_trials.id = jobs.trial_id
LEFT JOIN pretrainings ON pretrainings.id = jobs.pretraining_id
JOIN recipes ON recipes.id = coalesce(flow_trials.recipe_id, pretrainings.recipe_id)
""",
    required("kind", Text, "'pretraining' or 'trial'"),
    *said("flow", "dataset", "variant", "profile"),
    optional("rule", Text, "the factorization as it is asked for, null for a pretraining"),
    optional("factorization", Text, "its canonical name, null for a pretraining"),
    optional(
        "budget",
        Integer,
        "pretraining steps behind a trial's maps, null where none is used; or at the end of a "
        "pretraining's segment",
    ),
    map_options(),
    required("seed", Integer, "seed of the trial or pretraining"),
    required("curve", Text, "what was measured, such as 'train_bits_per_dim'"),
    required("step", Integer, "training step"),
    optional("value", Double, "the value, null for one that is not a number"),
    *sizes(),
    *said("data_digest", "recipe_id"),
    optional("trial_id", Text, "the trial, null for a pretraining"),
    optional("pretraining_id", Text, "the pretraining, null for a trial"),
    required("job_id", Text, "the job"),
    comment="Curves over training, a row for each point: of the current result of a trial, or of "
    "its last attempt where it has none.",
    order=(
        *("dataset", "variant", "flow", "profile", "factorization", "budget", "seed", "job_id"),
        *("curve", "step"),
    ),
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
    *said("flow", "profile", "dataset", "variant", "data_digest", "rule", "factorization"),
    budget(),
    map_options(),
    required("seed", Integer, "seed of the trial"),
    required("split", Integer, "the split, from 1"),
    required("iou_even", Double, "overlap of what stays with checkerboard-even; 1/3 by chance"),
    required("iou_odd", Double, "overlap of what stays with checkerboard-odd; 1/3 by chance"),
    required("purity", Double, "share of windows with the most common pattern"),
    required("channel_purity", Double, "the same for each channel apart, averaged"),
    optional(
        "mask_share",
        Double,
        "share of the map's variance in the windows of this split that the lattice explains",
    ),
    optional("mask_share_by_chance", Double, "what that is on average for a map with none"),
    optional("tied", Double, "share of windows in which ranks two and three are equal"),
    optional("agreement", Double, "overlap between the tables of two halves of the data"),
    optional("standard_error", Double, "root mean square of the map's standard errors, nats"),
    optional("rank_gap", Double, "median gap between ranks two and three of a window, nats"),
    optional("error_to_gap", Double, "standard_error / rank_gap"),
    optional("unresolved", Double, "share of windows with a gap within two standard errors"),
    optional("mean_log_det", Double, "scalar that the map sums to, nats per image"),
    optional("sum_error", Double, "|sum of the map - mean_log_det| / sum of |map|"),
    optional("images", Integer, "number of images that the map is averaged over"),
    *sizes(),
    *said("recipe_id"),
    optional("pretraining_id", Text, "pretraining of the map, null without one"),
    required("trial_id", Text, "the trial"),
    required("digest", Text, "sha256 of the split's permutation"),
    optional("map_digest", Text, "sha256 of the map's values (contribution_maps.digest)"),
    comment="What each split of a trained trial lets leave, in numbers, and the map that decided "
    "it; null where none did. See index_tables and contribution_maps.",
    order=(
        *("dataset", "variant", "flow", "profile", "factorization", "budget", "map_options"),
        *("seed", "trial_id", "data_digest", "split"),
    ),
)


def render_views(engine: str) -> Iterator[tuple[str, str]]:
    """Yield name and SELECT of each view for an engine, 'sqlite' or 'postgresql'."""
    pieces = _pieces(postgresql=engine == "postgresql")
    for name, table in views.tables.items():
        yield name, table.info["sql"].format(**pieces)


def _pieces(*, postgresql: bool) -> dict[str, str]:
    def whole(number: str) -> str:
        # The number as a whole one: cut off, since engines round halves differently.
        return f"CAST({f'trunc({number})' if postgresql else number} AS BIGINT)"

    def summed(number: str, over: str = "") -> str:
        real = "double precision" if postgresql else "REAL"
        return f"CAST(sum({whole(number)}){over} AS {real})"

    def total(value: str) -> str:
        return f"{summed(f'{value} * 1e6 + 0.5')} / 1e6"

    def mean(value: str) -> str:
        return f"{summed(f'{value} * 1e12 + 0.5')} / 1e12 / count({value})"

    def shares(of: str, value: str = "value", *, squared: bool = False) -> str:
        # The sum of where values lie between the least and the greatest, 0 to 1, or of its squares.
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
        # Its outcome, and the last line of its message: of a traceback, what it was.
        newline = "'\n'"  # by itself in quotes, as every engine has it
        said = f"rtrim({attempt}.message, ' ' || {newline})"
        before = f"rtrim({said}, replace({said}, {newline}, ''))"
        return (
            f"coalesce({attempt}.outcome || CASE WHEN {said} <> '' THEN ': ' || "
            f"substr({said}, length({before}) + 1) ELSE '' END, 'no attempt')"
        )

    options = "flow_trials.map_options"
    kinds = ("seconds", "cpu_seconds", "gpu_seconds")
    sums = {kind: total(f"a.{kind}") for kind in kinds}
    own = [OWN.format(sum=sums[kind], kind=kind, job="jobs.id") for kind in kinds]
    chain = partial(CHAIN.format, start=START)
    before = [
        f"{chain(sum=sums[k], of='flow_trials', data='jobs')} AS pretraining_{k}" for k in kinds
    ]

    return {
        **sums,
        "current": CURRENT,
        "rule": rule("flow_trials.factorization"),
        "rule_of_each": rule("each.factorization"),
        "rule_of_one": rule("one.factorization"),
        "other_rule": rule("other.factorization"),
        "told_by": TOLD_BY,
        "sum": shares(""),
        "squares": shares("", squared=True),
        "less_sum": shares("less_", "less"),
        "less_squares": shares("less_", "less", squared=True),
        "of_row": OF_ROW,
        "of_row_with_tables": f"""{OF_ROW}
        JOIN index_tables AS seen ON seen.attempt_id = jobs.done_attempt_id""",
        "options": f"CAST({options} AS json)" if postgresql else options,
        "gpu": OWN.format(sum=sums["gpu_seconds"], kind="gpu_seconds", job="attempts.job_id"),
        "beside": "\n".join(
            BESIDE.format(alias=alias, name=name) for alias, name in BESIDES.items()
        ),
        "mean_seconds": f"{total('each.seconds')} / count(*)",
        "chain_of_result": chain(sum=sums["seconds"], of="flow_trials", data="jobs"),
        "both_totals": ", ".join(BOTH.format(kind=kind) for kind in kinds),
        "own_sums": ", ".join(own),
        "pretraining_sums": ", ".join(before),
        "last_ended": ended("last"),
        "lost_ended": ended("lost_last"),
        "collate": 'COLLATE "C"' if postgresql else "",
        "mean_mask_share": mean("seen.mask_share"),
        "mean_mask_share_by_chance": mean("seen.mask_share_by_chance"),
    }
