"""The views: their columns and meanings. Their SQL stands in the migration that makes them."""

from sqlalchemy import Double, Integer, MetaData, Table, Text

from db.schema.base import beside, optional, required

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
    *beside(),
    required("splits", Integer, "number of splits of the flow"),
    required("size", Integer, "height and width of the images in pixels"),
    required("step", Integer, "training step of the evaluated weights"),
    required("steps", Integer, "length of the training in optimizer steps"),
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
    optional(
        "evaluation_seconds",
        Double,
        "wall-clock seconds of the attempt that made the result, null if it trained too",
    ),
    optional("peak_memory", Integer, "peak memory in bytes of that attempt"),
    required("threads", Integer, "number of CPU threads of that attempt"),
    required("device", Text, "model of the processor or GPU of that attempt"),
    required("cpu_capability", Text, "instruction set that PyTorch used"),
    required("torch", Text, "version of PyTorch"),
    required("code_version", Text, "version of the package"),
    optional("dirty", Text, "digest of uncommitted changes, null when there were none"),
    required("created", Double, "when the result was added, Unix seconds UTC"),
    optional(
        "map_options",
        Text,
        "options of the map as JSON, null for the default or no map; of a plug-in's rule its "
        'version too, as `{"rule": "sha256:..."}`',
    ),
    required("trial_id", Text, "the trial"),
    required("recipe_id", Text, "its recipe"),
    optional("pretraining_id", Text, "pretraining whose maps are used, null where no map is"),
    required("environment_id", Text, "versions and hardware of that attempt"),
    required("result_id", Text, "the result"),
    comment="One readable row for each result.",
)

map_statistics = Table(
    "map_statistics",
    views,
    required("flow", Text, "name of the flow"),
    required("dataset", Text, "name of the data set"),
    required("variant", Text, "variant of the data set"),
    required("data_digest", Text, "content hash of the exact data set"),
    required("seed", Integer, "seed of the pretraining"),
    required("nms", Text, "the flow without splits: 'squeezed' or 'flat'"),
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

table_statistics = Table(
    "table_statistics",
    views,
    required("flow", Text, "name of the flow"),
    required("profile", Text, "profile of the recipe"),
    required("dataset", Text, "name of the data set"),
    required("variant", Text, "variant of the data set"),
    required("data_digest", Text, "content hash of the exact data set"),
    required("factorization", Text, "canonical name of the factorization"),
    optional("budget", Integer, "pretraining steps behind the maps, null where no map is used"),
    optional(
        "map_options",
        Text,
        "options of the map as JSON, null for the default or no map; of a plug-in's rule its "
        'version too, as `{"rule": "sha256:..."}`',
    ),
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
    optional(
        "iou_other_seeds", Double, "mean overlap with the tables of other seeds, null for none"
    ),
    optional(
        "iou_other_budgets", Double, "mean overlap with the tables of other budgets, null for none"
    ),
    required("recipe_id", Text, "recipe of the trial"),
    required("trial_id", Text, "the trial"),
    required("digest", Text, "sha256 of the split's permutation"),
    comment="Index tables in numbers, with how far seeds and budgets agree. See index_tables.",
)
