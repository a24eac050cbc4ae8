"""The views of what came out: their columns and meanings. Their SQL stands in the migrations."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, Double, Integer, MetaData, Table, Text

from lcma.db.schema.base import beside, optional, required

views = MetaData()
"""Kept apart from the tables' MetaData, which Alembic compares with the database."""

SUBJECT = {
    "flow": "name of the flow",
    "dataset": "name of the data set",
    "variant": "variant of the data set",
    "profile": "profile of the recipe",
    "factorization": "canonical name of the factorization",
    "protocol": "name of the evaluation protocol",
    "precision": "number format of the evaluation",
    "nms": "the flow without splits: 'squeezed' or 'flat'",
    "data_digest": "content hash of the exact data set",
    "comparable": "hash of data set, variant, content, protocol and precision: results that differ "
    "in it are not to be ranked together",
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


def moments(of: str = "bits per dimension on the test part") -> list[Column[Any]]:
    """Return the columns of a cell's numbers over seeds."""
    return [
        required("n", Integer, "number of seeds"),
        required("mean", Double, f"mean {of} over seeds"),
        required("squared_deviations", Double, "sum over seeds of squared deviations from mean"),
    ]


def ordered(*names: str) -> dict[str, Sequence[str]]:
    """Return `info` for a view whose rows are ordered by these columns, not by all in turn.

    The columns tell rows apart.
    """
    return {"order": names}


trial_results = Table(
    "trial_results",
    views,
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
    required("holdout_bits_per_dim", Double, "bits per dimension on the holdout part"),
    optional(
        "holdout_standard_error",
        Double,
        "standard error of holdout_bits_per_dim, null for a single image or cluster",
    ),
    optional("train_bits_per_dim", Double, "bits per dimension on train, null when not taken"),
    required("log_det", Double, "mean log-det on the test part, nats per image"),
    required("log_prior", Double, "mean log-density of the latents there, nats per image"),
    required("images", Integer, "number of test images"),
    optional("clusters", Integer, "clusters behind the standard errors, null for none"),
    *beside(),
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
    optional("driver", Text, "version of the GPU's driver, null on a CPU and before schema 0005"),
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
    comment="One readable row for each result.",
    info=ordered("dataset", "flow", "profile", "factorization", "budget", "seed", "result_id"),
)

seed_statistics = Table(
    "seed_statistics",
    views,
    *said("dataset", "variant", "flow", "profile", "protocol", "precision", "factorization"),
    budget(),
    map_options(),
    *moments(),
    required("least", Double, "bits per dimension of the best seed"),
    required("greatest", Double, "bits per dimension of the worst seed"),
    required("holdout_mean", Double, "mean bits per dimension on the holdout part over seeds"),
    required(
        "holdout_squared_deviations",
        Double,
        "sum over seeds of squared deviations from holdout_mean",
    ),
    *sizes(),
    *said("data_digest", "recipe_id", "comparable", "cell_id"),
    comment="Results over seeds: a row for each cell, which is all that results share but the "
    "seed. The sample variance is squared_deviations / (n - 1).",
)

leaderboard = Table(
    "leaderboard",
    views,
    *said("dataset", "variant", "flow", "profile", "protocol", "precision"),
    required(
        "rank", Integer, "place by mean among the cells of the recipe that can be compared, from 1"
    ),
    *said("factorization"),
    budget(),
    map_options(),
    *moments(),
    required("from_best", Double, "mean less the least mean there, bits per dimension, at least 0"),
    optional(
        "conventional",
        Text,
        "canonical name of the flow's conventional factorization, null for an unknown flow",
    ),
    optional(
        "from_conventional",
        Double,
        "mean less that of the conventional factorization there, bits per dimension, negative "
        "where it is better; null without one. Seeds are not paired: see pairs",
    ),
    *sizes(),
    *said("data_digest", "recipe_id", "comparable", "cell_id"),
    comment="Cells ranked by mean bits per dimension within what can be compared and has one "
    "recipe. No WHERE changes a rank.",
    info=ordered(
        *("dataset", "variant", "flow", "profile", "protocol", "precision", "recipe_id"),
        *("comparable", "rank", "cell_id"),
    ),
)

pairs = Table(
    "pairs",
    views,
    *said("dataset", "variant", "flow", "profile", "protocol", "precision"),
    required("seed", Integer, "seed of both trials"),
    *said("factorization"),
    budget(),
    map_options(),
    required("bits_per_dim", Double, "bits per dimension on the test part"),
    required("other_factorization", Text, "canonical name of the other factorization"),
    optional("other_budget", Integer, "the other trial's budget, null where it uses no map"),
    optional("other_map_options", Text, "the other trial's options of the map"),
    required("other_bits_per_dim", Double, "the other trial's bits per dimension"),
    required(
        "difference",
        Double,
        "bits_per_dim - other_bits_per_dim, bits per dimension, negative where the other has more",
    ),
    *said("data_digest", "recipe_id", "comparable", "cell_id"),
    required("other_cell_id", Text, "cell of the other result"),
    required("trial_id", Text, "the trial"),
    required("other_trial_id", Text, "the other trial"),
    required("result_id", Text, "the result"),
    required("other_result_id", Text, "the other result"),
    comment="Results that differ in the factorization alone, paired by seed: one recipe, data set, "
    "protocol and precision; budget and options of the map too, where both use maps. Each pair is "
    "there both ways round.",
    info=ordered(
        *("dataset", "variant", "flow", "profile", "protocol", "factorization", "budget"),
        *("other_factorization", "other_budget", "seed", "result_id", "other_result_id"),
    ),
)

budget_curve = Table(
    "budget_curve",
    views,
    *said("dataset", "variant", "flow", "profile", "protocol", "precision", "factorization"),
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
    optional("conventional_mean", Double, "its mean bits per dimension there"),
    optional("conventional_squared_deviations", Double, "its sum over seeds of squared deviations"),
    optional("from_conventional", Double, "mean - conventional_mean, bits per dimension"),
    *said("data_digest", "recipe_id", "comparable", "cell_id"),
    comment="How much pretraining it takes: the cells that use maps by budget, beside the "
    "conventional factorization on the same recipe.",
)

against_paper = Table(
    "against_paper",
    views,
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
