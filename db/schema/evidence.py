"""The tables of what came out: attempts, maps, index tables, results, curves, artifacts, events."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
)
from sqlalchemy import UniqueConstraint as Unique

from lcma.db.records import EVENTS, MOVES, OUTCOMES
from lcma.db.schema.base import beside, key, metadata, one_of, optional, required

_NULL = "null where it cannot be known"

attempts = Table(
    "attempts",
    metadata,
    key("id", Integer, "running number"),
    required("job_id", Text, "the job", ForeignKey("jobs.id")),
    required("token", Integer, "which attempt at the job this is, from 1"),
    required("owner", Text, "launch that ran it"),
    required("host", Text, "machine it ran on"),
    required(
        "environment_id", Text, "versions and hardware it ran with", ForeignKey("environments.id")
    ),
    required("device", Text, "device it ran on, such as 'cpu' or 'cuda:0'"),
    required("threads", Integer, "number of CPU threads"),
    required("started", Double, "when it started, Unix seconds UTC"),
    optional("ended", Double, "when it ended, Unix seconds UTC, null while it runs"),
    optional("outcome", Text, f"how it ended: {', '.join(OUTCOMES)}; null while it runs"),
    required("message", Text, "what went wrong in a line or more, empty when nothing did"),
    required("first_step", Integer, "training step from which it went on"),
    required("last_step", Integer, "training step it reached"),
    optional("seconds", Double, "wall-clock seconds, null when it ended without a report"),
    optional("cpu_seconds", Double, "CPU seconds, null when it ended without a report"),
    optional("images_per_second", Double, "training images per second, null when not measured"),
    optional("peak_memory", BigInteger, "peak memory in bytes, null when not measured"),
    optional(
        "protocol",
        Text,
        "protocol by which it evaluated the weights that the job had left, without a claim and "
        "without training; null for an attempt at the job itself",
    ),
    optional(
        "data_wait",
        Double,
        "share of the time of its training steps that went on waiting for images, 0 to 1; null "
        "when it made no step",
    ),
    optional(
        "devices",
        Text,
        "devices granted to it, as the driver names them, with commas between; null on a CPU",
    ),
    optional(
        "gpu_seconds",
        Double,
        "wall-clock seconds times the share of a GPU that it held; null on a CPU, and when it "
        "ended without a report",
    ),
    optional(
        "lease_seconds",
        Double,
        "how long its lease was, seconds; null without a claim",
    ),
    optional(
        "log",
        Text,
        "what it had to say while it ran, the last of it; null when it ended without a report",
    ),
    one_of("outcome", OUTCOMES),
    CheckConstraint("(ended IS NULL) = (outcome IS NULL)", name="end"),
    Unique("job_id", "token"),
    comment="Executions of jobs, and evaluations of what they left, each ended by one outcome.",
)

contribution_maps = Table(
    "contribution_maps",
    metadata,
    key("id", Integer, "running number"),
    required("pretraining_id", Text, "the pretraining", ForeignKey("pretrainings.id")),
    required("data_digest", Text, "the exact data set", ForeignKey("data_sets.digest")),
    required("budget", Integer, "training step at which the map was taken"),
    required("split", Integer, "split before which the map is taken, from 1"),
    required(
        "score",
        Text,
        "'cumulative': log-det up to the split; 'normalized': less half the log variance of the "
        "dimension's value there; 'total': log-det of all layers",
    ),
    required("channels", Integer, "channels of the map"),
    required("height", Integer, "height of the map in pixels"),
    required("width", Integer, "width of the map in pixels"),
    required("dtype", Text, "type of an entry: '<f4', little-endian float32"),
    required(
        "values",
        LargeBinary,
        "mean score in nats of each dimension; (C, H, W), C order; a keyword, to be quoted",
    ),
    required("standard_errors", LargeBinary, "standard errors of the values, laid out alike"),
    required("digest", Text, "sha256 of `values`"),
    required("images", Integer, "number of images averaged over"),
    required("mean_log_det", Double, "scalar that the map sums to, nats per image, summed apart"),
    required("sum_error", Double, "|sum of values - mean_log_det| / sum of |values|"),
    optional("clusters", Integer, "clusters behind the standard errors, null for none"),
    required("attempt_id", Integer, "attempt that made it", ForeignKey("attempts.id")),
    required(
        "halves",
        LargeBinary,
        "the map from two halves of the images (alternating ones, or alternating clusters), "
        "(2, C, H, W), laid out alike",
    ),
    optional(
        "mask_share",
        Double,
        "share of the variance inside 2x2 windows that channel and position explain, 0 to 1; "
        f"{_NULL}",
    ),
    required("mask_share_by_chance", Double, "what mask_share is on average for a map with none"),
    optional("standard_error", Double, f"root mean square of standard_errors, nats; {_NULL}"),
    required("rank_gap", Double, "median over windows of the second value less the third, nats"),
    optional("error_to_gap", Double, f"standard_error / rank_gap; {_NULL}"),
    optional(
        "unresolved",
        Double,
        "share of windows whose gap between ranks two and three is at most two standard errors; "
        f"{_NULL}",
    ),
    required(
        "tied",
        Double,
        "share of windows in which ranks two and three are equal, so that raster order decides",
    ),
    CheckConstraint("split >= 1", name="split"),
    Unique(
        "pretraining_id",
        "data_digest",
        "budget",
        "split",
        "score",
        # The name by the convention would be longer than PostgreSQL allows.
        name="uq_contribution_maps_key",
    ),
    comment="Contribution maps: what each dimension adds to the log-det before a split. Windows "
    "are those of the flow without splits at that place.",
)

index_tables = Table(
    "index_tables",
    metadata,
    key("trial_id", Text, "the trial", ForeignKey("flow_trials.id")),
    key("data_digest", Text, "the exact data set", ForeignKey("data_sets.digest")),
    key("split", Integer, "the split, from 1"),
    required("channels", Integer, "channels of the image"),
    required("height", Integer, "height of the image in pixels"),
    required("width", Integer, "width of the image in pixels"),
    required(
        "kept",
        LargeBinary,
        "which dimensions are there after the split: a bit each, (C, H, W) of the image, C order, "
        "first bit highest",
    ),
    required("digest", Text, "sha256 of the split's permutation, little-endian int64"),
    required(
        "iou_even",
        Double,
        "overlap (intersection over union) of what stays with checkerboard-even at this split; "
        "1/3 by chance",
    ),
    required("iou_odd", Double, "the same with checkerboard-odd"),
    required(
        "purity",
        Double,
        "lattice purity: share of windows with the most common pattern of what stays; from 1/6 "
        "where all six patterns are alike, to 1",
    ),
    required("channel_purity", Double, "the same for each channel apart, averaged"),
    optional(
        "mask_share",
        Double,
        "share of the variance of the map inside the windows that this split sees, that channel "
        "and position explain; null without a map or variance",
    ),
    optional("mask_share_by_chance", Double, "what mask_share is on average for a map with none"),
    optional(
        "tied",
        Double,
        "share of windows in which ranks two and three of the map are equal; null without a map",
    ),
    optional(
        "agreement",
        Double,
        "overlap of what stays after the split between the tables of two halves of the data; "
        "null without a map",
    ),
    required("attempt_id", Integer, "attempt that used it", ForeignKey("attempts.id")),
    CheckConstraint("split >= 1", name="split"),
    comment="Index tables of trained trials, split by split: what stays, and what it looks like.",
)

table_overlaps = Table(
    "table_overlaps",
    metadata,
    key("trial_id", Text, "a trial", ForeignKey("flow_trials.id")),
    key("other_trial_id", Text, "another one", ForeignKey("flow_trials.id")),
    key("data_digest", Text, "the exact data set", ForeignKey("data_sets.digest")),
    key("split", Integer, "the split, from 1"),
    required("differs", Text, "in what the two trials differ: 'seed' or 'budget'"),
    required(
        "iou",
        Double,
        "overlap (intersection over union) of the dimensions that are there after the split",
    ),
    one_of("differs", ("seed", "budget")),
    comment="Overlaps of the tables of trials that differ in seed or budget alone, both ways.",
)

results = Table(
    "results",
    metadata,
    key("id", Text, "content hash of the result without bound and series"),
    required("trial_id", Text, "the trial", ForeignKey("flow_trials.id")),
    required("data_digest", Text, "the exact data set", ForeignKey("data_sets.digest")),
    required("protocol", Text, "name of the evaluation protocol, such as 'plain'"),
    required("protocol_body", Text, "the whole protocol as JSON"),
    required("precision", Text, "number format of the evaluation, such as 'float32'"),
    required("step", Integer, "training step of the evaluated weights"),
    required("bits_per_dim", Double, "bits per dimension on the test part"),
    optional(
        "standard_error",
        Double,
        "standard error of bits_per_dim over images or clusters, null for a single one",
    ),
    optional("clusters", Integer, "clusters behind the standard errors, null for none"),
    required("images", Integer, "number of test images"),
    required("holdout_bits_per_dim", Double, "bits per dimension on the holdout part"),
    optional(
        "holdout_standard_error",
        Double,
        "standard error of holdout_bits_per_dim, null for a single image or cluster",
    ),
    optional("train_bits_per_dim", Double, "bits per dimension on train, null when not taken"),
    required("log_det", Double, "mean log-det on the test part, nats per image"),
    required("log_prior", Double, "mean log-density of the latents there, nats per image"),
    required("attempt_id", Integer, "attempt that made it", ForeignKey("attempts.id")),
    required("created", Double, "when the row was added, Unix seconds UTC"),
    *beside(),
    required("seed", Integer, "seed of the trial"),
    required("cell_id", Text, "what it is a seed of", ForeignKey("cells.id")),
    Unique("trial_id", "data_digest", "protocol"),
    Index(None, "cell_id", "seed", "bits_per_dim"),
    comment="Evaluated trials: one row for each trial, exact data set and protocol.",
)

curves = Table(
    "curves",
    metadata,
    key("id", Integer, "running number"),
    required("job_id", Text, "the job", ForeignKey("jobs.id")),
    required("name", Text, "what is measured, such as 'train_bits_per_dim'"),
    Unique("job_id", "name"),
    comment="What was measured while a job trained; the points are in metrics.",
)

metrics = Table(
    "metrics",
    metadata,
    key("curve_id", Integer, "the curve (curves.id)", autoincrement=False),
    key("step", Integer, "training step", autoincrement=False),
    optional("value", Double, "the value, null for one that is not a number"),
    sqlite_with_rowid=False,
    comment="Points of curves over training.",
)

artifacts = Table(
    "artifacts",
    metadata,
    key("id", Integer, "running number"),
    required("job_id", Text, "the job", ForeignKey("jobs.id")),
    required("kind", Text, "what it is: 'checkpoint', 'weights', 'samples' and the like"),
    required("path", Text, "where it is, under the launch's storage folder"),
    required(
        "place",
        Text,
        "where the launch kept files: host and folder as HOST:FOLDER, or a URL without passwords",
    ),
    required("bytes", BigInteger, "length in bytes"),
    required("digest", Text, "sha256 of the file"),
    required("created", Double, "when the row was added, Unix seconds UTC"),
    Unique("job_id", "kind"),
    comment="Files that jobs left, kept outside the database.",
)

events = Table(
    "events",
    metadata,
    key("id", Integer, "running number"),
    required("time", Double, "when, Unix seconds UTC"),
    required(
        "event",
        Text,
        f"a transition of a job ({', '.join((*OUTCOMES, *MOVES))}); or that a plan was registered "
        "('register'), kept weights evaluated ('evaluate'), another database merged ('merge'), a "
        "launch begun ('launch'), or launches asked to end ('stop')",
    ),
    optional("job_id", Text, "the job, null where it is about none", ForeignKey("jobs.id")),
    optional("attempt_id", Integer, "the attempt, null where it is about none"),
    optional("owner", Text, "launch or person, null where it is not known"),
    required(
        "detail",
        Text,
        "what more there is to say, may be empty: after a failure what becomes of the job",
    ),
    optional(
        "sweep_id",
        Text,
        "the sweep that is launched, or of which the launches are to end, null for all; null where "
        "it is about none",
        ForeignKey("sweeps.id"),
    ),
    one_of("event", EVENTS),
    Index(None, "job_id"),
    comment="What happened when: every transition of a job, and what was added at once.",
)
