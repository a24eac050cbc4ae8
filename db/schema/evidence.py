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

from lcma.db.records import EVENTS, MOVES, OUTCOMES
from lcma.db.schema.base import (
    index_where_known,
    key,
    local,
    metadata,
    one_of,
    optional,
    private,
    required,
    thinned,
)

_NULL = "null where it cannot be known"

attempts = Table(
    "attempts",
    metadata,
    key("id", Text, "content hash of job, owner, host, token and start"),
    required("job_id", Text, "the job", ForeignKey("jobs.id")),
    required("token", Integer, "which claim of the job this was where it ran, from 1"),
    optional(
        "continues",
        Text,
        "attempt at the same job with whose curves and files it went on; null for none",
    ),
    optional(
        "replaces",
        Text,
        "attempt at the same job that was current when a rerun of it was begun with this one, and "
        "that it supersedes once it is done; null for none",
    ),
    required("owner", Text, "launch that ran it"),
    private("host", Text, "machine it ran on"),
    required(
        "environment_id", Text, "versions and hardware it ran with", ForeignKey("environments.id")
    ),
    required("device", Text, "device it ran on, such as 'cpu' or 'cuda:0'"),
    required("threads", Integer, "number of CPU threads"),
    required("started", Double, "when it started, Unix seconds UTC"),
    optional("ended", Double, "when it ended, Unix seconds UTC, null while it runs"),
    optional("outcome", Text, f"how it ended: {', '.join(OUTCOMES)}; null while it runs"),
    private("message", Text, "what went wrong in a line or more, empty when nothing did"),
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
        "evaluated_step",
        Integer,
        "training step of the weights that it left and that were measured; null without a result",
    ),
    optional(
        "data_wait",
        Double,
        "share of the time of its training steps that went on waiting for images, 0 to 1; null "
        "when it made no step",
    ),
    private(
        "devices",
        Text,
        "devices granted to it, as the driver names them, with commas between; null on a CPU",
        nullable=True,
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
    private(
        "log",
        Text,
        "what it had to say while it ran, the last of it; while it runs, and when it ended without "
        "a report, up to a heartbeat; null before the first",
        nullable=True,
    ),
    one_of("outcome", OUTCOMES),
    CheckConstraint("(ended IS NULL) = (outcome IS NULL)", name="end"),
    Index(None, "job_id"),
    Index(None, "owner"),
    index_where_known("replaces"),
    Index(None, "environment_id"),
    comment="Executions of jobs, and evaluations of what they left, each ended by one outcome.",
    info={"order": ("started", "id")},
)

contribution_maps = Table(
    "contribution_maps",
    metadata,
    key("attempt_id", Text, "attempt that made it", ForeignKey("attempts.id")),
    key("split", Integer, "split before which the map is taken, from 1", autoincrement=False),
    key(
        "score",
        Text,
        "'cumulative': log-det up to the split; 'normalized': less half the log variance of the "
        "dimension's value there; 'total': log-det of all layers; of the data: the rule's name",
    ),
    required("pretraining_id", Text, "the pretraining", ForeignKey("pretrainings.id")),
    required("data_digest", Text, "the exact data set", ForeignKey("data_sets.digest")),
    required("budget", Integer, "training step at which the map was taken"),
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
    thinned("standard_errors", LargeBinary, "standard errors of the values, laid out alike"),
    required("digest", Text, "sha256 of `values`"),
    required("images", Integer, "number of images averaged over"),
    required("mean_log_det", Double, "scalar that the map sums to, nats per image, summed apart"),
    required("sum_error", Double, "|sum of values - mean_log_det| / sum of |values|"),
    optional("clusters", Integer, "clusters behind the standard errors, null for none"),
    thinned(
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
    Index(None, "pretraining_id", "budget"),
    comment="Contribution maps: what each dimension adds to the log-det before a split. Windows "
    "are those of the flow without splits at that place.",
)

index_tables = Table(
    "index_tables",
    metadata,
    key("attempt_id", Text, "attempt that used it", ForeignKey("attempts.id")),
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

protocols = Table(
    "protocols",
    metadata,
    key("id", Text, "content hash of the other columns"),
    required("name", Text, "name of the evaluation protocol, such as 'plain'"),
    required("precision", Text, "number format of the evaluation, such as 'float32'"),
    required("body", Text, "the whole protocol as JSON"),
    comment="Protocols by which trained trials were measured.",
)

measures = Table(
    "measurements",
    metadata,
    key("attempt_id", Text, "attempt that trained what is measured", ForeignKey("attempts.id")),
    key("protocol", Text, "name of the protocol by which it was measured"),
    key("name", Text, "what is measured, such as 'bits_per_dim' (measure_kinds.name)"),
    required("value", Double, "the value, in the unit of measure_kinds"),
    optional("standard_error", Double, "its standard error, null where there is none"),
    optional("images", Integer, "images that it is over, null where it is over none"),
    optional("clusters", Integer, "clusters behind the standard error, null for none"),
    required("protocol_id", Text, "the exact protocol", ForeignKey("protocols.id")),
    required("measured_by", Text, "attempt that measured it", ForeignKey("attempts.id")),
    local("created", Double, "when the row was added, Unix seconds UTC"),
    required("digest", Text, "content hash of attempt, protocol, name and the numbers"),
    sqlite_with_rowid=False,
    comment="Named numbers of trained trials: bits per dimension and all else that is measured.",
)

metrics = Table(
    "metrics",
    metadata,
    key(
        "attempt_id",
        Text,
        "the attempt (attempts.id); one that goes on with what another left takes over its points",
    ),
    key("name", Text, "what is measured, such as 'train_bits_per_dim'"),
    key("step", Integer, "training step", autoincrement=False),
    optional("value", Double, "the value, null for one that is not a number"),
    sqlite_with_rowid=False,
    comment="Points of curves: what was measured while a job trained. A published database has "
    "some of them.",
)

artifacts = Table(
    "artifacts",
    metadata,
    key(
        "attempt_id",
        Text,
        "the attempt; one that goes on with what another left takes over its files",
        ForeignKey("attempts.id"),
    ),
    key("kind", Text, "what it is: 'checkpoint', 'weights', 'samples' and the like"),
    required("path", Text, "where it is, under the launch's storage folder"),
    required(
        "place",
        Text,
        "where the launch kept files: host and folder as HOST:FOLDER, or a URL without passwords",
    ),
    required("bytes", BigInteger, "length in bytes"),
    required("digest", Text, "sha256 of the file"),
    local("created", Double, "when the row was added, Unix seconds UTC"),
    comment="Files that jobs left, kept outside the database.",
)

launches = Table(
    "launches",
    metadata,
    key("owner", Text, "the launch, as attempts name it (attempts.owner)"),
    required("sweep_id", Text, "the sweep, which has the spec", ForeignKey("sweeps.id")),
    private("launched_by", Text, "who launched, may be empty"),
    private("host", Text, "the machine that launched"),
    private("arguments", Text, "what was typed, without the database and passwords, may be empty"),
    required("code_version", Text, "version of the package, with the commit where it is known"),
    optional("dirty", Text, "digest of uncommitted changes, null when there were none"),
    required("started", Double, "when it began, Unix seconds UTC"),
    private(
        "ending",
        Text,
        "why it takes no more jobs and ends those that it has at their next checkpoint, such as a "
        "limit of device hours; null before that",
        nullable=True,
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
    optional("attempt_id", Text, "the attempt, null where it is about none"),
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
