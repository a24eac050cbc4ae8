"""The views: their columns and meanings. Their SQL stands in the migration that makes them."""

from sqlalchemy import Double, Integer, MetaData, Table, Text

from db.schema.base import optional, required

views = MetaData()
"""Kept apart from the tables' MetaData, which Alembic compares with the database."""

trial_results = Table(
    "trial_results",
    views,
    required("flow", Text, "name of the flow"),
    required("profile", Text, "profile of the recipe"),
    required("dataset", Text, "name of the data set"),
    required("variant", Text, "variant of the data set"),
    required("data_digest", Text, "content hash of the exact data set"),
    required("factorization", Text, "canonical name of the factorization"),
    optional("budget", Integer, "pretraining steps behind the maps, null where no map is used"),
    required("seed", Integer, "seed of the trial"),
    required("protocol", Text, "name of the evaluation protocol"),
    required("precision", Text, "number format of the evaluation"),
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
    required("splits", Integer, "number of splits of the flow"),
    required("size", Integer, "height and width of the images in pixels"),
    required("step", Integer, "training step of the evaluated weights"),
    required("steps", Integer, "length of the training in optimizer steps"),
    optional(
        "images_per_second",
        Double,
        "training images per second of the attempt that made the result",
    ),
    optional(
        "seconds", Double, "wall-clock seconds of all attempts of the trial, without pretraining"
    ),
    optional(
        "cpu_seconds", Double, "CPU seconds of all attempts of the trial, without pretraining"
    ),
    optional("peak_memory", Integer, "peak memory in bytes of that attempt"),
    required("threads", Integer, "number of CPU threads of that attempt"),
    required("device", Text, "model of the processor or GPU of that attempt"),
    required("cpu_capability", Text, "instruction set that PyTorch used"),
    required("torch", Text, "version of PyTorch"),
    required("code_version", Text, "version of the package"),
    optional("dirty", Text, "digest of uncommitted changes, null when there were none"),
    required("created", Double, "when the result was added, Unix seconds UTC"),
    optional("map_options", Text, "options of the map as JSON, null for the default or no map"),
    required("trial_id", Text, "the trial"),
    required("recipe_id", Text, "its recipe"),
    optional("pretraining_id", Text, "pretraining whose maps are used, null where no map is"),
    required("environment_id", Text, "versions and hardware of that attempt"),
    required("result_id", Text, "the result"),
    comment="One readable row for each result.",
)
