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
from lcma.db.schema.base import index_where_known, key, metadata, one_of, optional, required

_NULL = "null where it cannot be known"

attempts = Table(
    "attempts",
    metadata,
    key("id", Integer, "running number"),
    required("job_id", Text, "the job", ForeignKey("jobs.id")),
    required("uid", Text, "content hash of job, owner, host, first token and start"),
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
    optional(
        "seconds",
        Double,
        "wall-clock seconds, in a stack its share of them; up to the last heartbeat while it runs "
        "and when it ended without a report, null before the first",
    ),
    optional(
        "cpu_seconds",
        Double,
        "CPU seconds, in a stack its share of them; null when it ended without a report",
    ),
    optional("images_per_second", Double, "training images per second, null when not measured"),
    optional("peak_memory", BigInteger, "peak memory in bytes, null when not measured"),
    optional(
        "mean_memory",
        BigInteger,
        "mean over its heartbeats of the memory in bytes, in a stack that of all its members as "
        "peak_memory is; null when not measured",
    ),
    optional(
        "gpu_utilization",
        Double,
        "mean over its heartbeats of the share of time in which its GPU computed, for whomever, 0 "
        "to 1; null on a CPU, and where the package nvidia-ml-py or the driver does not say",
    ),
    optional(
        "bits_per_dim", Double, "training bits per dimension last reported; null before the first"
    ),
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
        "wall-clock seconds times the share of a GPU that it held, up to when `seconds` are; null "
        "on a CPU",
    ),
    optional(
        "stack_id",
        Text,
        "stack in which its process ran it with others, the same for all of them; null for an "
        "attempt alone",
    ),
    optional(
        "lease_seconds",
        Double,
        "how long its lease was, seconds; null without a claim",
    ),
    optional(
        "log",
        Text,
        "what it had to say while it ran, the last of it; while it runs, and when it ended without "
        "a report, up to a heartbeat; null before the first",
    ),
    one_of("outcome", OUTCOMES),
    CheckConstraint("(ended IS NULL) = (outcome IS NULL)", name="end"),
    Unique("job_id", "token"),
    Unique("uid"),
    Index(None, "owner"),
    Index(None, "environment_id"),
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
        "dimension's value there; 'total': log-det of all layers; of the data: the rule's name",
    ),
    required("channels", Integer, "channels of the map"),
    required("height", Integer, "height of the map in pixels"),
    required("width", Integer, "width of the map in pixels"),
    required("dtype", Text, "type of an entry: '<f4', little-endian float32"),
    required(
        "values",
        LargeBinary,
        "mean score of each dimension, in nats but for the data; (C, H, W), C order; a keyword, to "
        "be quoted",
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
    Unique("attempt_id", "split", "score"),
    Index(None, "pretraining_id", "budget"),
    comment="Contribution maps: what each dimension adds to the log-det before a split. Windows "
    "are those of the flow without splits at that place.",
)

index_tables = Table(
    "index_tables",
    metadata,
    key(
        "attempt_id",
        Integer,
        "attempt that used it",
        ForeignKey("attempts.id"),
        autoincrement=False,
    ),
    key("split", Integer, "the split, from 1", autoincrement=False),
    required("trial_id", Text, "the trial", ForeignKey("flow_trials.id")),
    required("data_digest", Text, "the exact data set", ForeignKey("data_sets.digest")),
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
    CheckConstraint("split >= 1", name="split"),
    Index(None, "trial_id"),
    comment="Index tables of trained trials, split by split: what stays, and what it looks like.",
)

results = Table(
    "results",
    metadata,
    key("id", Text, "content hash of trial, data and attempt"),
    required("trial_id", Text, "the trial", ForeignKey("flow_trials.id")),
    required("data_digest", Text, "the exact data set", ForeignKey("data_sets.digest")),
    required("attempt_id", Integer, "attempt that trained it", ForeignKey("attempts.id")),
    required("step", Integer, "training step of the evaluated weights"),
    required("created", Double, "when the row was added, Unix seconds UTC"),
    Unique("attempt_id"),
    Index(None, "trial_id", "data_digest"),
    comment="Trained trials: what an attempt at a trial on one exact data set left. What was "
    "measured of it is in measures.",
)

protocols = Table(
    "protocols",
    metadata,
    key("id", Text, "content hash of the other columns"),
    required("name", Text, "name of the evaluation protocol, such as 'plain'"),
    required("precision", Text, "number format of the evaluation, such as 'float32'"),
    required("body", Text, "the whole protocol as JSON"),
    comment="Protocols by which results were measured.",
)

measures = Table(
    "measures",
    metadata,
    key("result_id", Text, "the result", ForeignKey("results.id")),
    key("protocol", Text, "name of the protocol by which it was measured"),
    key("name", Text, "what is measured, such as 'bits_per_dim' (measure_kinds.name)"),
    required("value", Double, "the value, in the unit of measure_kinds"),
    optional("standard_error", Double, "its standard error, null where there is none"),
    optional("images", Integer, "images that it is over, null where it is over none"),
    optional("clusters", Integer, "clusters behind the standard error, null for none"),
    required("protocol_id", Text, "the exact protocol", ForeignKey("protocols.id")),
    required("attempt_id", Integer, "attempt that measured it", ForeignKey("attempts.id")),
    required("seed", Integer, "seed of the trial"),
    optional(
        "cell_id",
        Text,
        "what it is a seed of; null for one that is not ranked, and where the result is not the "
        "current one of its trial",
        ForeignKey("cells.id"),
    ),
    required("created", Double, "when the row was added, Unix seconds UTC"),
    required("digest", Text, "content hash of result, protocol, name and the numbers"),
    index_where_known("cell_id", "seed", "value"),
    sqlite_with_rowid=False,
    comment="Named numbers of results: bits per dimension and all else that is measured.",
)

curves = Table(
    "curves",
    metadata,
    key("id", Integer, "running number"),
    required(
        "attempt_id",
        Integer,
        "the attempt; one that goes on with what another left takes over its curves",
        ForeignKey("attempts.id"),
    ),
    required("name", Text, "what is measured, such as 'train_bits_per_dim'"),
    Unique("attempt_id", "name"),
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

supersedes = Table(
    "supersedes",
    metadata,
    key("attempt_id", Integer, "the newer attempt", ForeignKey("attempts.id"), autoincrement=False),
    key(
        "superseded_id",
        Integer,
        "the older attempt at the same job, whose result or maps it replaces",
        ForeignKey("attempts.id"),
        autoincrement=False,
    ),
    required("requested_by", Text, "who asked for it, may be empty"),
    required("time", Double, "when that was asked for, Unix seconds UTC"),
    required("why", Text, "the reason given, may be empty"),
    Index(None, "superseded_id"),
    comment="Which attempts replace which by a rerun. What is current is superseded by nothing; of "
    "several, the one that ended first.",
)

verifications = Table(
    "verifications",
    metadata,
    key("id", Text, "content hash of the other columns but `verified_by`"),
    required("result_id", Text, "the result", ForeignKey("results.id")),
    required("equal", Integer, "1 where all measures came out equal to the last bit, 0 where not"),
    required("largest_difference", Double, "largest difference of a measure in bits per dimension"),
    required("tolerance", Double, "difference up to which the result counts as verified"),
    required(
        "environment_id",
        Text,
        "versions and hardware of the second training",
        ForeignKey("environments.id"),
    ),
    required("device", Text, "device of the second training, such as 'cpu' or 'cuda:0'"),
    required("threads", Integer, "number of its CPU threads"),
    required("verified_by", Text, "who verified, may be empty"),
    required("time", Double, "when, Unix seconds UTC"),
    Index(None, "result_id"),
    Index(None, "environment_id"),
    comment="Results that were trained again, to see whether the same numbers come out.",
)

artifacts = Table(
    "artifacts",
    metadata,
    key("id", Integer, "running number"),
    required(
        "attempt_id",
        Integer,
        "the attempt; one that goes on with what another left takes over its files",
        ForeignKey("attempts.id"),
    ),
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
    Unique("attempt_id", "kind"),
    comment="Files that jobs left, kept outside the database.",
)

launches = Table(
    "launches",
    metadata,
    key("owner", Text, "the launch, as attempts name it (attempts.owner)"),
    required("sweep_id", Text, "the sweep, which has the spec", ForeignKey("sweeps.id")),
    required("launched_by", Text, "who launched, may be empty"),
    required("host", Text, "the machine that launched"),
    required("arguments", Text, "what was typed, without the database and passwords, may be empty"),
    required("code_version", Text, "version of the package, with the commit where it is known"),
    optional("dirty", Text, "digest of uncommitted changes, null when there were none"),
    required("started", Double, "when it began, Unix seconds UTC"),
    optional(
        "ending",
        Text,
        "why it takes no more jobs and ends those that it has at their next checkpoint, such as a "
        "limit of device hours; null before that",
    ),
    Index(None, "sweep_id"),
    comment="Launches of sweeps and studies: who launched what, with which code.",
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
        "launch begun ('launch'), launches asked to end ('stop'), or a host set aside "
        "('set_aside') or taken back ('take_back')",
    ),
    optional("job_id", Text, "the job, null where it is about none", ForeignKey("jobs.id")),
    optional("attempt_id", Integer, "the attempt, null where it is about none"),
    optional("owner", Text, "launch or person, null where it is not known"),
    required(
        "detail",
        Text,
        "what more there is to say, may be empty: after a failure what becomes of the job; of a "
        "host its name, until when, why, and whether for that launch alone, as JSON",
    ),
    optional(
        "sweep_id",
        Text,
        "the sweep that is launched, whose launch set a host aside, or of which the launches are "
        "to end, null for all; null where it is about none",
        ForeignKey("sweeps.id"),
    ),
    one_of("event", EVENTS),
    Index(None, "job_id"),
    index_where_known("sweep_id"),
    comment="What happened when: every transition of a job, and what was added at once.",
)
