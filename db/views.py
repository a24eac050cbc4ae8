"""The views, each with its SQL and the meaning of its columns side by side.

They are made anew whenever a database is made or upgraded (`lcma.db.migrate`), so this module is
the one place to change a view. Every row of a view is the same on both engines, to the last bit: a
sum over several rows is taken over whole numbers (of microseconds, of 1e-12), whose order does not
matter. What engines write differently stands in braces, see `render_views`.
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
    "factorization": "canonical name of the factorization",
    "protocol": "name of the evaluation protocol",
    "precision": "number format of the evaluation",
    "measure": "what is measured (measure_kinds.name), such as 'bits_per_dim'",
    "nms": "the flow without splits: 'squeezed' or 'flat'; or 'self' or 'data', see pretrainings",
    "data_digest": "content hash of the exact data set",
    "comparable": "hash of data set, variant, content, protocol, precision and measure: numbers "
    "that differ in it are not to be ranked together",
    "recipe_id": "the recipe",
    "cell_id": "what the results are seeds of (cells.id)",
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


def moments() -> list[Column[Any]]:
    """Return the columns of a cell's numbers over seeds."""
    return [
        required("n", Integer, "number of seeds"),
        required("mean", Double, "mean over seeds, in the measure's unit"),
        required("squared_deviations", Double, "sum over seeds of squared deviations from mean"),
    ]


NEAR = """FROM cells AS near
        WHERE near.recipe_id = cells.recipe_id AND near.comparable = cells.comparable"""

# For each cell on an index: the first fifty of a data set and flow cost no more than fifty. A
# measure of which more is better is ranked the other way round.
RANK_BY_COUNTING = {
    "position": f"""CASE WHEN measure_kinds.direction = 'higher'
        THEN (SELECT count(*) + 1 {NEAR} AND near.mean > cells.mean)
        ELSE (SELECT count(*) + 1 {NEAR} AND near.mean < cells.mean) END""",
    "best": f"""CASE WHEN measure_kinds.direction = 'higher'
        THEN (SELECT max(near.mean) {NEAR}) ELSE (SELECT min(near.mean) {NEAR}) END""",
    "usual": f"""(SELECT CASE WHEN measure_kinds.direction = 'higher' THEN max(near.mean)
        ELSE min(near.mean) END {NEAR} AND near.factorization = recipes.conventional)""",
    "window": "",
}

_BETTER = "CASE WHEN measure_kinds.direction = 'higher' THEN -1 ELSE 1 END"

# What can be asked for stands in the partition too, though recipe and `comparable` imply it: a
# WHERE on it then holds for what is ranked, and not only for what comes out.
RANK_BY_WINDOW = {
    "position": "rank() OVER near",
    "best": f"{_BETTER} * min({_BETTER} * cells.mean) OVER near",
    "usual": f"{_BETTER} * min(CASE WHEN cells.factorization = recipes.conventional "
    f"THEN {_BETTER} * cells.mean END) OVER near",
    "window": f"""WINDOW near AS (
    PARTITION BY cells.recipe_id, cells.comparable, cells.data_digest, cells.flow, cells.dataset,
        cells.variant, cells.protocol, cells.precision, cells.measure
    ORDER BY {_BETTER} * cells.mean ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
)""",
}

BESIDE = """LEFT JOIN measures AS {alias} ON {alias}.result_id = bits.result_id
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
"""The measures that stand beside bits per dimension in `trial_results`."""

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


trial_results = view(
    "trial_results",
    """
SELECT
    flow_trials.flow, recipes.profile, flow_trials.dataset, flow_trials.variant,
    results.data_digest, flow_trials.factorization, flow_trials.budget, flow_trials.seed,
    bits.protocol, protocols.precision, bits.value AS bits_per_dim, bits.standard_error,
    holdout.value AS holdout_bits_per_dim, holdout.standard_error AS holdout_standard_error,
    train.value AS train_bits_per_dim, log_det.value AS log_det, log_prior.value AS log_prior,
    bits.images, bits.clusters, CAST(draws.value AS BIGINT) AS bound_draws,
    bound.images AS bound_images, bound.value AS bound_bits_per_dim, gain.value AS bound_gain,
    CAST(terms.value AS BIGINT) AS series_terms, bias.value AS series_bias,
    bias.standard_error AS series_bias_standard_error, step.value AS seconds_per_step,
    recipes.splits, recipes.size, results.step, recipes.steps, attempts.images_per_second,
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
    results.created, flow_trials.map_options, cells.comparable, results.trial_id,
    flow_trials.recipe_id, flow_trials.pretraining_id, attempts.environment_id, bits.cell_id,
    results.id AS result_id
FROM measures AS bits
JOIN cells ON cells.id = bits.cell_id
JOIN results ON results.id = bits.result_id
JOIN protocols ON protocols.id = bits.protocol_id
JOIN flow_trials ON flow_trials.id = results.trial_id
JOIN recipes ON recipes.id = flow_trials.recipe_id
JOIN attempts ON attempts.id = bits.attempt_id
JOIN environments ON environments.id = attempts.environment_id
{beside}
WHERE bits.name = 'bits_per_dim'
""",
    *said("flow", "profile", "dataset", "variant", "data_digest", "factorization"),
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
    *said("comparable"),
    required("trial_id", Text, "the trial"),
    *said("recipe_id"),
    optional("pretraining_id", Text, "pretraining whose maps are used, null where no map is"),
    required("environment_id", Text, "versions and hardware of that attempt"),
    *said("cell_id"),
    required("result_id", Text, "the result"),
    comment="One readable row for each current result and protocol. See trial_measures for others.",
    order=(
        *("dataset", "flow", "profile", "factorization", "budget", "seed", "protocol"),
        "result_id",
    ),
)

seed_statistics = view(
    "seed_statistics",
    """
SELECT
    cells.dataset, cells.variant, cells.flow, cells.profile, cells.protocol, cells.precision,
    cells.measure, cells.factorization, cells.budget, cells.map_options, cells.seeds AS n,
    cells.mean, cells.squared_deviations, cells.deviation, cells.standard_error,
    t_quantiles.quantile * cells.standard_error AS half_width, cells.least, cells.greatest,
    recipes.splits, recipes.size, recipes.steps, cells.data_digest, cells.recipe_id,
    cells.comparable, cells.id AS cell_id
FROM cells
JOIN recipes ON recipes.id = cells.recipe_id
LEFT JOIN t_quantiles ON t_quantiles.freedom = cells.seeds - 1
""",
    *said("dataset", "variant", "flow", "profile", "protocol", "precision", "measure"),
    *said("factorization"),
    budget(),
    map_options(),
    *moments(),
    optional("deviation", Double, "sample standard deviation over seeds, null for one seed"),
    optional("standard_error", Double, "deviation / sqrt(n), null for one seed"),
    optional(
        "half_width",
        Double,
        "half of the 95 % t-interval of the mean: t_quantiles.quantile times standard_error; null "
        "for one seed",
    ),
    required("least", Double, "the least value of a seed"),
    required("greatest", Double, "the greatest value of a seed"),
    *sizes(),
    *said("data_digest", "recipe_id", "comparable", "cell_id"),
    comment="Measures over seeds: a row for each cell, which is all that numbers share but the "
    "seed. For bits per dimension ask for measure = 'bits_per_dim'.",
)

leaderboard = view(
    "leaderboard",
    """
SELECT
    cells.dataset, cells.variant, cells.flow, cells.profile, cells.protocol, cells.precision,
    cells.measure, {position} AS position, cells.factorization, cells.budget, cells.map_options,
    cells.seeds AS n, cells.mean, cells.squared_deviations,
    t_quantiles.quantile * cells.standard_error AS half_width, cells.mean - {best} AS from_best,
    recipes.conventional, cells.mean - {usual} AS from_conventional, recipes.splits,
    recipes.size, recipes.steps, cells.data_digest, cells.recipe_id, cells.comparable,
    cells.id AS cell_id
FROM cells
JOIN recipes ON recipes.id = cells.recipe_id
JOIN measure_kinds ON measure_kinds.name = cells.measure
LEFT JOIN t_quantiles ON t_quantiles.freedom = cells.seeds - 1
{window}
""",
    *said("dataset", "variant", "flow", "profile", "protocol", "precision", "measure"),
    required(
        "position",
        Integer,
        "place by mean among the cells of the recipe that can be compared, from 1. It says nothing "
        "of whether a test tells cells apart",
    ),
    *said("factorization"),
    budget(),
    map_options(),
    *moments(),
    optional("half_width", Double, "half of the 95 % t-interval of the mean; null for one seed"),
    required("from_best", Double, "mean minus the best mean there, in the measure's unit"),
    optional(
        "conventional",
        Text,
        "canonical name of the flow's conventional factorization, null for an unknown flow",
    ),
    optional(
        "from_conventional",
        Double,
        "mean minus that of the conventional factorization there, in the measure's unit; null "
        "without one. Seeds are not paired: see pairs",
    ),
    *sizes(),
    *said("data_digest", "recipe_id", "comparable", "cell_id"),
    comment="Cells by mean within what can be compared and has one recipe. No WHERE changes a "
    "position.",
    order=(
        *("dataset", "variant", "flow", "profile", "protocol", "precision", "recipe_id"),
        *("comparable", "position", "cell_id"),
    ),
)

pairs = view(
    "pairs",
    """
SELECT
    one.dataset, one.variant, one.flow, one.profile, one.protocol, one.precision, one.measure,
    own.seed, one.factorization, one.budget, one.map_options, own.value,
    other.factorization AS other_factorization, other.budget AS other_budget,
    other.map_options AS other_map_options, their.value AS other_value,
    own.value - their.value AS difference, one.data_digest, one.recipe_id,
    one.comparable, one.id AS cell_id, other.id AS other_cell_id, own_result.trial_id,
    their_result.trial_id AS other_trial_id, own.result_id, their.result_id AS other_result_id
FROM cells AS one
JOIN cells AS other
  ON other.comparable = one.comparable AND other.recipe_id = one.recipe_id
 AND other.factorization <> one.factorization
 AND (one.budget IS NULL OR other.budget IS NULL OR (other.budget = one.budget
      AND coalesce(other.map_options, '') = coalesce(one.map_options, '')))
JOIN measures AS own ON own.cell_id = one.id
JOIN measures AS their ON their.cell_id = other.id AND their.seed = own.seed
JOIN results AS own_result ON own_result.id = own.result_id
JOIN results AS their_result ON their_result.id = their.result_id
""",
    *said("dataset", "variant", "flow", "profile", "protocol", "precision", "measure"),
    required("seed", Integer, "seed of both trials"),
    *said("factorization"),
    budget(),
    map_options(),
    required("value", Double, "the measure's value"),
    required("other_factorization", Text, "canonical name of the other factorization"),
    optional("other_budget", Integer, "the other trial's budget, null where it uses no map"),
    optional("other_map_options", Text, "the other trial's options of the map"),
    required("other_value", Double, "the other trial's value"),
    required(
        "difference",
        Double,
        "value - other_value, negative where the other has more",
    ),
    *said("data_digest", "recipe_id", "comparable", "cell_id"),
    required("other_cell_id", Text, "cell of the other result"),
    required("trial_id", Text, "the trial"),
    required("other_trial_id", Text, "the other trial"),
    required("result_id", Text, "the result"),
    required("other_result_id", Text, "the other result"),
    comment="Numbers that differ in the factorization alone, paired by seed: one recipe, data set, "
    "protocol, precision and measure; budget and options of the map too, where both use maps. Each "
    "pair is there both ways round.",
    order=(
        *(
            "dataset",
            "variant",
            "flow",
            "profile",
            "protocol",
            "measure",
            "factorization",
            "budget",
        ),
        *("other_factorization", "other_budget", "seed", "result_id", "other_result_id"),
    ),
)

budget_curve = view(
    "budget_curve",
    """
SELECT
    cells.dataset, cells.variant, cells.flow, cells.profile, cells.protocol, cells.precision,
    cells.measure, cells.factorization, cells.map_options, cells.budget, cells.seeds AS n,
    cells.mean, cells.squared_deviations,
    (SELECT CASE WHEN count(each.seconds) = count(*) THEN {mean_seconds} END FROM (
        SELECT {chain_of_result} AS seconds FROM measures
        JOIN results ON results.id = measures.result_id
        JOIN flow_trials ON flow_trials.id = results.trial_id
        WHERE measures.cell_id = cells.id) AS each) AS pretraining_seconds,
    (SELECT {mean_mask_share} FROM measures
        JOIN results ON results.id = measures.result_id
        JOIN index_tables AS seen ON seen.attempt_id = results.attempt_id
        WHERE measures.cell_id = cells.id) AS mask_share,
    (SELECT {mean_mask_share_by_chance} FROM measures
        JOIN results ON results.id = measures.result_id
        JOIN index_tables AS seen ON seen.attempt_id = results.attempt_id
        WHERE measures.cell_id = cells.id) AS mask_share_by_chance,
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
""",
    *said("dataset", "variant", "flow", "profile", "protocol", "precision", "measure"),
    *said("factorization"),
    map_options(),
    required("budget", Integer, "pretraining steps behind the maps"),
    *moments(),
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
    optional(
        "conventional",
        Text,
        "canonical name of the flow's conventional factorization, null for an unknown flow",
    ),
    optional("conventional_n", Integer, "its seeds on the same recipe, null without results"),
    optional("conventional_mean", Double, "its mean there"),
    optional("conventional_squared_deviations", Double, "its sum over seeds of squared deviations"),
    optional("from_conventional", Double, "mean - conventional_mean"),
    *said("data_digest", "recipe_id", "comparable", "cell_id"),
    comment="How much pretraining it takes: the cells that use maps by budget, beside the "
    "conventional factorization on the same recipe.",
)

against_paper = view(
    "against_paper",
    """
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
  ON printed.flow = cells.flow AND cells.measure = 'bits_per_dim'
 AND printed.dataset = CASE WHEN cells.variant IN ('u8', 'npz') THEN cells.dataset
        ELSE cells.dataset || '-' || cells.variant END
 AND (printed.factorization = cells.factorization
      OR (printed.factorization = 'low' AND replace(cells.factorization, 'L', '') = '')
      OR (printed.factorization = 'high' AND replace(cells.factorization, 'H', '') = '')
      OR (printed.factorization = 'checkerboard' AND cells.factorization = 'checkerboard-even')
      OR (printed.factorization = 'conventional' AND cells.factorization = recipes.conventional))
""",
    *said("dataset", "variant", "flow", "profile"),
    required("paper_profile", Integer, "1 for the profile 'paper', else 0: another training"),
    *said("protocol", "precision", "factorization"),
    budget(),
    map_options(),
    *moments(),
    required("printed_as", Text, "the factorization's name in the paper, such as 'low'"),
    required("printed", Double, "bits per dimension as printed"),
    required("difference", Double, "mean - printed, bits per dimension"),
    required("source", Text, "the paper"),
    required("source_table", Text, "number of its table"),
    required("part", Text, "part of the data set, as far as the paper says: else 'unspecified'"),
    required("note", Text, "what to keep in mind, may be empty"),
    *said("data_digest", "recipe_id", "comparable", "cell_id"),
    required("reference_id", Text, "the printed number (reference_results.id)"),
    comment="Cells beside the numbers that papers print of the same flow, data set and "
    "factorization, under any of its names.",
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
    *said("factorization"),
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
    flow_trials.factorization, coalesce(flow_trials.budget, jobs.budget) AS budget,
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
    optional("factorization", Text, "canonical name, null for a pretraining"),
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
    optional("attempt_id", Integer, "the last attempt"),
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
        flow_trials.factorization, flow_trials.budget, flow_trials.map_options, flow_trials.seed,
        jobs.state,
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
    *said("flow", "dataset", "variant", "profile", "factorization"),
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

snapshots = view(
    "snapshots",
    """
SELECT
    pretrainings.flow, pretrainings.dataset, pretrainings.variant, pretrainings.seed,
    pretrainings.nms, jobs.budget, jobs.state, jobs.step,
    (SELECT count(*) FROM attempts AS a WHERE a.job_id = jobs.id) AS attempts,
    {own_sums},
    {chain_of_segment} AS total_seconds,
    (SELECT count(*) FROM contribution_maps AS map
        WHERE map.attempt_id = jobs.done_attempt_id) AS maps,
    kept.place, kept.path, kept.bytes, kept.digest, jobs.data_digest, pretrainings.recipe_id,
    jobs.pretraining_id, jobs.id AS job_id
FROM jobs
JOIN pretrainings ON pretrainings.id = jobs.pretraining_id
LEFT JOIN artifacts AS kept ON kept.kind = 'checkpoint'
    AND kept.attempt_id = coalesce(jobs.done_attempt_id, jobs.attempt_id)
""",
    *said("flow", "dataset", "variant"),
    required("seed", Integer, "seed of the pretraining"),
    *said("nms"),
    required("budget", Integer, "training step at which the segment ends"),
    required("state", Text, "'pending', 'running', 'done', 'diverged' or 'failed'"),
    required("step", Integer, "training step last reported"),
    required("attempts", Integer, "attempts at the segment"),
    optional("seconds", Double, "wall-clock seconds of the segment, lost attempts too"),
    optional("cpu_seconds", Double, "CPU seconds of the segment"),
    optional("gpu_seconds", Double, "GPU seconds of the segment, null on a CPU"),
    optional(
        "total_seconds",
        Double,
        "wall-clock seconds of the segments that led here, from the start; null where one is "
        "missing",
    ),
    required("maps", Integer, "contribution maps taken at this budget"),
    optional("place", Text, "where its checkpoint is, as HOST:FOLDER or URL; null if none is kept"),
    optional("path", Text, "the checkpoint's path in that folder"),
    optional("bytes", BigInteger, "the checkpoint's length in bytes"),
    optional("digest", Text, "sha256 of the checkpoint"),
    *said("data_digest", "recipe_id"),
    required("pretraining_id", Text, "the pretraining"),
    required("job_id", Text, "the segment's job"),
    comment="Pretrainings, segment by segment: how far, how long, and what is there.",
    order=("dataset", "variant", "flow", "seed", "nms", "pretraining_id", "budget", "job_id"),
)

map_statistics = view(
    "map_statistics",
    """
SELECT
    pretrainings.flow, pretrainings.dataset, pretrainings.variant, contribution_maps.data_digest,
    pretrainings.seed, pretrainings.nms, contribution_maps.budget, contribution_maps.score,
    contribution_maps.split, contribution_maps.mask_share, contribution_maps.mask_share_by_chance,
    contribution_maps.standard_error, contribution_maps.rank_gap, contribution_maps.error_to_gap,
    contribution_maps.unresolved, contribution_maps.tied, contribution_maps.mean_log_det,
    contribution_maps.sum_error, contribution_maps.images, contribution_maps.clusters,
    pretrainings.recipe_id, contribution_maps.pretraining_id, contribution_maps.digest
FROM contribution_maps
JOIN jobs ON jobs.done_attempt_id = contribution_maps.attempt_id
JOIN pretrainings ON pretrainings.id = contribution_maps.pretraining_id
""",
    *said("flow", "dataset", "variant", "data_digest"),
    required("seed", Integer, "seed of the pretraining"),
    *said("nms"),
    required("budget", Integer, "training step at which the map was taken"),
    required("score", Text, "'cumulative', 'normalized' or 'total'"),
    required("split", Integer, "split before which the map is taken, from 1"),
    optional("mask_share", Double, "share of variance in windows that the lattice explains"),
    optional("mask_share_by_chance", Double, "what that is on average for a map with none"),
    optional("standard_error", Double, "root mean square of the entries' standard errors, nats"),
    optional("rank_gap", Double, "median gap between ranks two and three of a window, nats"),
    optional("error_to_gap", Double, "standard_error / rank_gap"),
    optional("unresolved", Double, "share of windows with a gap within two standard errors"),
    optional("tied", Double, "share of windows in which ranks two and three are equal"),
    required("mean_log_det", Double, "scalar that the map sums to, nats per image"),
    required("sum_error", Double, "|sum of the map - mean_log_det| / sum of |map|"),
    required("images", Integer, "number of images averaged over"),
    optional("clusters", Integer, "clusters behind the standard errors, null for none"),
    required("recipe_id", Text, "recipe of the pretraining"),
    required("pretraining_id", Text, "the pretraining"),
    required("digest", Text, "sha256 of the map's values"),
    comment="Contribution maps in numbers, without the arrays. See contribution_maps.",
)

table_statistics = view(
    "table_statistics",
    """
SELECT
    flow_trials.flow, flow_trials.profile, flow_trials.dataset, flow_trials.variant,
    index_tables.data_digest, flow_trials.factorization, flow_trials.budget,
    flow_trials.map_options, flow_trials.seed, index_tables.split, index_tables.iou_even,
    index_tables.iou_odd, index_tables.purity, index_tables.channel_purity,
    index_tables.mask_share, index_tables.mask_share_by_chance, index_tables.tied,
    index_tables.agreement,
    flow_trials.recipe_id, index_tables.trial_id, index_tables.digest
FROM index_tables
JOIN jobs ON jobs.done_attempt_id = index_tables.attempt_id
JOIN flow_trials ON flow_trials.id = index_tables.trial_id
""",
    *said("flow", "profile", "dataset", "variant", "data_digest", "factorization"),
    budget(),
    map_options(),
    required("seed", Integer, "seed of the trial"),
    required("split", Integer, "the split, from 1"),
    required("iou_even", Double, "overlap of what stays with checkerboard-even; 1/3 by chance"),
    required("iou_odd", Double, "overlap of what stays with checkerboard-odd; 1/3 by chance"),
    required("purity", Double, "share of windows with the most common pattern"),
    required("channel_purity", Double, "the same for each channel apart, averaged"),
    optional("mask_share", Double, "share of the map's variance that the lattice explains"),
    optional("mask_share_by_chance", Double, "what that is on average for a map with none"),
    optional("tied", Double, "share of windows in which ranks two and three are equal"),
    optional("agreement", Double, "overlap between the tables of two halves of the data"),
    required("recipe_id", Text, "recipe of the trial"),
    required("trial_id", Text, "the trial"),
    required("digest", Text, "sha256 of the split's permutation"),
    comment="Index tables in numbers. See index_tables.",
)


trial_measures = view(
    "trial_measures",
    """
SELECT
    flow_trials.flow, recipes.profile, flow_trials.dataset, flow_trials.variant,
    results.data_digest, flow_trials.factorization, flow_trials.budget, flow_trials.map_options,
    flow_trials.seed, measures.protocol, protocols.precision, measures.name AS measure,
    measures.value, measures.standard_error, measures.images, measures.clusters,
    measure_kinds.unit, measure_kinds.direction, results.step, measures.created,
    results.trial_id, flow_trials.recipe_id, measures.cell_id, measures.result_id
FROM measures
JOIN measure_kinds ON measure_kinds.name = measures.name
JOIN protocols ON protocols.id = measures.protocol_id
JOIN results ON results.id = measures.result_id
JOIN jobs ON jobs.done_attempt_id = results.attempt_id
JOIN flow_trials ON flow_trials.id = results.trial_id
JOIN recipes ON recipes.id = flow_trials.recipe_id
""",
    *said("flow", "profile", "dataset", "variant", "data_digest", "factorization"),
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
    required("step", Integer, "training step of the evaluated weights"),
    required("created", Double, "when the measure was added, Unix seconds UTC"),
    required("trial_id", Text, "the trial"),
    *said("recipe_id"),
    optional("cell_id", Text, "what the value is a seed of; null for one that is not ranked"),
    required("result_id", Text, "the result"),
    comment="Every measure of every current result, a row each.",
    order=("dataset", "flow", "factorization", "seed", "result_id", "protocol", "measure"),
)


def render_views(engine: str) -> Iterator[tuple[str, str]]:
    """Yield name and SELECT of each view for an engine, 'sqlite' or 'postgresql'."""
    pieces = _pieces(postgresql=engine == "postgresql")
    for name, table in views.tables.items():
        yield name, table.info["sql"].format(**pieces)


def _pieces(*, postgresql: bool) -> dict[str, str]:
    def whole(value: str, parts: str) -> str:
        # The sum of values in whole parts of one, as a float of that many parts.
        if postgresql:
            return f"CAST(sum(CAST(trunc({value} * {parts} + 0.5) AS bigint)) AS double precision)"
        return f"CAST(sum(CAST({value} * {parts} + 0.5 AS BIGINT)) AS REAL)"

    def total(value: str) -> str:
        return f"{whole(value, '1e6')} / 1e6"

    def mean(value: str) -> str:
        return f"{whole(value, '1e12')} / 1e12 / count({value})"

    def ended(attempt: str) -> str:
        # Its outcome, and the last line of its message: of a traceback, what it was.
        newline = "'\n'"  # by itself in quotes, as every engine has it
        said = f"rtrim({attempt}.message, ' ' || {newline})"
        before = f"rtrim({said}, replace({said}, {newline}, ''))"
        return (
            f"coalesce({attempt}.outcome || CASE WHEN {said} <> '' THEN ': ' || "
            f"substr({said}, length({before}) + 1) ELSE '' END, 'no attempt')"
        )

    kinds = ("seconds", "cpu_seconds", "gpu_seconds")
    sums = {kind: total(f"a.{kind}") for kind in kinds}
    own = [OWN.format(sum=sums[kind], kind=kind, job="jobs.id") for kind in kinds]
    chain = partial(CHAIN.format, start=START)
    before = [
        f"{chain(sum=sums[k], of='flow_trials', data='jobs')} AS pretraining_{k}" for k in kinds
    ]

    return {
        **sums,
        # A window has to see all cells of a data set and flow, which SQLite does more slowly.
        **(RANK_BY_WINDOW if postgresql else RANK_BY_COUNTING),
        "gpu": OWN.format(sum=sums["gpu_seconds"], kind="gpu_seconds", job="attempts.job_id"),
        "beside": "\n".join(
            BESIDE.format(alias=alias, name=name) for alias, name in BESIDES.items()
        ),
        "mean_seconds": f"{total('each.seconds')} / count(*)",
        "chain_of_result": chain(sum=sums["seconds"], of="flow_trials", data="results"),
        "chain_of_segment": chain(sum=sums["seconds"], of="jobs", data="jobs"),
        "both_totals": ", ".join(BOTH.format(kind=kind) for kind in kinds),
        "own_sums": ", ".join(own),
        "pretraining_sums": ", ".join(before),
        "last_ended": ended("last"),
        "lost_ended": ended("lost_last"),
        "collate": 'COLLATE "C"' if postgresql else "",
        "mean_mask_share": mean("seen.mask_share"),
        "mean_mask_share_by_chance": mean("seen.mask_share_by_chance"),
    }
