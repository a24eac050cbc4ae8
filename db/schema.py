"""The schema: every table and column with its type and meaning. Views are in `lcma.db.views`."""

from collections.abc import Collection
from functools import partial
from typing import Any

import sqlalchemy as sa
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

from lcma.db.records import EVENTS, KINDS, MOVES, OUTCOMES, STATES

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

VERSION_TABLE = "lcma_alembic_version"
"""Alembic's table of the revision, which has its own name: other tools keep `alembic_version`."""

OPTUNA_TABLES = frozenset(
    {
        *("alembic_version", "version_info", "studies", "study_directions"),
        *("study_user_attributes", "study_system_attributes", "trials", "trial_params"),
        *("trial_values", "trial_intermediate_values", "trial_heartbeats"),
        *("trial_user_attributes", "trial_system_attributes"),
    }
)
"""The tables that Optuna's storage makes in the same database. Only Optuna changes them."""

REVISION = "0003"
"""The schema's revision."""


def has_only_optuna(tables: Collection[str]) -> bool:
    """Return whether all tables are Optuna's, as if studies were made before results."""
    names = frozenset(tables)
    # Other programs may have tables called `trials` or `alembic_version`, but not these two.
    return {"studies", "version_info"} <= names <= OPTUNA_TABLES


TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Text that every engine sorts by its bytes, whatever the server's language."""


def column(
    name: str, kind: type[sa.types.TypeEngine[Any]], comment: str, *more: Any, **options: Any
) -> sa.Column[Any]:
    """Return a column with its meaning."""
    return sa.Column(name, TEXT if kind is sa.Text else kind, *more, comment=comment, **options)


required = partial(column, nullable=False)
"""A column that always has a value."""

optional = partial(column, nullable=True)
"""A column that may be null; its comment says when."""

key = partial(column, primary_key=True, nullable=False)
"""A column of the primary key."""

local = partial(required, info={"local": True})
"""A column that may differ between two rows of one key in two databases."""

private = partial(required, info={"local": True, "private": True})
"""A local column that is null in a published database, or empty if it cannot be null."""


def thinned(name: str, comment: str) -> sa.Column[Any]:
    """Return a column of bytes that a published database leaves out because of their size."""
    return private(name, LargeBinary, f"{comment}; null where it was published", nullable=True)


def one_of(column: str, words: tuple[str, ...]) -> sa.CheckConstraint:
    """Return a check that a column has one of these words."""
    listed = ", ".join(f"'{word}'" for word in words)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=column)


def index_where_known(first: str, *columns: str) -> sa.Index:
    """Return an index of only the rows whose first column is not null."""
    where = sa.text(f"{first} IS NOT NULL")
    return sa.Index(None, first, *columns, sqlite_where=where, postgresql_where=where)


# Plans: recipes, data, environments, sweeps, trials and jobs

recipes = Table(
    "recipes",
    metadata,
    key("id", Text, "content hash of the recipe"),
    required("flow", Text, "name of the flow, such as 'realnvp'"),
    local("profile", Text, "size of the recipe, as 'paper' or 'tiny'; 'data' for maps of the data"),
    required("splits", Integer, "number of splits, 0 for a flow with none"),
    required("size", Integer, "height and width of the images in pixels"),
    required("steps", Integer, "length of the training in optimizer steps, 0 for such a part"),
    required("body", Text, "the whole resolved recipe as canonical JSON"),
    optional(
        "conventional",
        Text,
        "canonical name of the flow's conventional factorization on it, 'none' without splits; "
        "null for maps of the data, and where the recipe cannot have it",
    ),
    comment="Resolved training recipes: all that fixes the training of one flow on one data set; "
    "and of pretrainings the part that they depend on, model and optimization.",
)

data_sets = Table(
    "data_sets",
    metadata,
    key("digest", Text, "content hash of all pixels, whatever file they came from"),
    local("name", Text, "name of the data set, such as 'cifar10'"),
    required("variant", Text, "variant of the pixels, such as 'u8'"),
    required("height", Integer, "height of an image in pixels"),
    required("width", Integer, "width of an image in pixels"),
    required("channels", Integer, "number of channels"),
    required("train", Integer, "number of images to train on"),
    required("holdout", Integer, "number of images held out of training, for choices"),
    required("test", Integer, "number of images to report on"),
    local("manifest", Text, "manifest of the prepared set as JSON"),
    local("created", Double, "when the row was added, Unix seconds UTC"),
    comment="Prepared data sets, each known by its exact content.",
)

environments = Table(
    "environments",
    metadata,
    key("id", Text, "content hash of the other columns but `created`"),
    required("code_version", Text, "version of the package, with the commit where it is known"),
    optional("dirty", Text, "digest of uncommitted changes, null when there were none"),
    required("python", Text, "version of Python"),
    required("torch", Text, "version of PyTorch, with its build"),
    required("platform", Text, "operating system and machine"),
    required(
        "device",
        Text,
        "model of the GPU, or architecture of the processor, as 'x86_64', with its maker, family "
        "and model where they are known",
    ),
    required("cpu_capability", Text, "instruction set that PyTorch uses, such as 'AVX512'"),
    required("packages", Text, "versions of the other packages as JSON"),
    optional("driver", Text, "version of the GPU's driver, null on a CPU"),
    required("flags", Text, "settings that may change the last bits or the speed as JSON"),
    local("created", Double, "when the row was added, Unix seconds UTC"),
    comment="Where code ran: versions and hardware.",
)

sweeps = Table(
    "sweeps",
    metadata,
    key("id", Text, "content hash of the spec"),
    required("name", Text, "name of the sweep"),
    required("spec", Text, "what was asked for, as canonical JSON"),
    local("created", Double, "when the row was added, Unix seconds UTC"),
    comment="Sweeps that were planned.",
)

pretrainings = Table(
    "pretrainings",
    metadata,
    key("id", Text, "content hash of its part of the recipe, data set, variant, seed and form"),
    required(
        "recipe_id", Text, "the part of a recipe that it depends on", ForeignKey("recipes.id")
    ),
    required("flow", Text, "name of the flow, 'data' for none"),
    required("dataset", Text, "name of the data set"),
    required("variant", Text, "variant of the data set"),
    required("seed", Integer, "seed of everything random in the run"),
    required(
        "nms",
        Text,
        "the flow without splits: 'squeezed' between scales, or 'flat' at full size throughout; or "
        "'self', the flow with its splits; or 'data', the data alone",
    ),
    comment="Runs whose maps serve the trials: of a flow with no splits, or as `nms` says.",
)

trials = Table(
    "flow_trials",
    metadata,
    key("id", Text, "content hash of exactly what defines the trial"),
    required("recipe_id", Text, "its recipe", ForeignKey("recipes.id")),
    required("flow", Text, "name of the flow"),
    local("profile", Text, "profile of the recipe"),
    required("dataset", Text, "name of the data set"),
    required("variant", Text, "variant of the data set"),
    required("factorization", Text, "canonical name of the factorization, such as 'LLL'"),
    required("seed", Integer, "seed of everything random in the run"),
    optional("budget", Integer, "pretraining steps behind the maps, null where no map is used"),
    optional(
        "pretraining_id",
        Text,
        "pretraining whose maps are used, null where no map is",
        ForeignKey("pretrainings.id"),
    ),
    optional(
        "map_options",
        Text,
        "options of the map, or of online, as JSON, null for the defaults; of a plug-in's rule its "
        'version too, as `{"rule": "sha256:..."}`',
    ),
    CheckConstraint("(budget IS NULL) = (pretraining_id IS NULL)", name="map_origin"),
    Index(None, "dataset", "flow", "factorization"),
    Index(None, "recipe_id", "seed", "factorization"),
    Index(None, "pretraining_id", "budget"),
    comment="Trials: a recipe on a data set with one factorization and one seed.",
)

bars = Table(
    "bars",
    metadata,
    key("data_digest", Text, "the exact data set", ForeignKey("data_sets.digest")),
    key("name", Text, "'gaussian', 'full-gaussian', 'png' or 'webp'"),
    local(
        "bits_per_dim",
        Double,
        "bits per dimension on the test part, null if left out",
        nullable=True,
    ),
    local("standard_error", Double, "standard error over images or clusters", nullable=True),
    required("images", Integer, "number of test images"),
    local("detail", Text, "what was done, or why it is left out"),
    comment="What any model has to beat on a data set: simple densities and lossless codecs.",
)

sweep_trials = Table(
    "sweep_trials",
    metadata,
    key("sweep_id", Text, "the sweep", ForeignKey("sweeps.id")),
    key("trial_id", Text, "a trial of the sweep", ForeignKey("flow_trials.id")),
    key("factorization", Text, "the factorization's name as it was asked for, such as 'low'"),
    Index(None, "trial_id"),
    comment="Which trials a sweep has, under the names that it asked for.",
)

jobs = Table(
    "jobs",
    metadata,
    key("id", Text, "content hash of kind, subject, budget and data"),
    required("kind", Text, "'pretraining' or 'trial'"),
    optional(
        "pretraining_id",
        Text,
        "the pretraining this is a segment of, null for a trial",
        ForeignKey("pretrainings.id"),
    ),
    optional("trial_id", Text, "the trial, null for a pretraining", ForeignKey("flow_trials.id")),
    optional("budget", Integer, "training step at which the segment ends, null for a trial"),
    required("data_digest", Text, "the exact data set it runs on", ForeignKey("data_sets.digest")),
    required("state", Text, "'pending', 'running', 'done', 'diverged' or 'failed'"),
    required("steps", Integer, "training step at which the job is done"),
    required("step", Integer, "training step last reported"),
    required(
        "token",
        Integer,
        "number of attempts so far; a claim's writes count under its own token only",
    ),
    optional("attempt_id", Text, "its latest claim's attempt (attempts.id), null before the first"),
    optional(
        "done_attempt_id",
        Text,
        "attempt whose result, or maps, are current (attempts.id); null before one is done",
    ),
    optional("owner", Text, "launch that holds the job, null unless running"),
    optional("host", Text, "machine it runs on, null unless running"),
    optional("pid", Integer, "process it runs in, null unless running"),
    optional("lease_until", Double, "when the lease ends, Unix seconds UTC, null unless running"),
    required("updated", Double, "when the row last changed, Unix seconds UTC"),
    optional(
        "stopped_by",
        Text,
        "who asked that it is not run until a later launch begins, null where nobody did",
    ),
    one_of("kind", KINDS),
    one_of("state", STATES),
    CheckConstraint(
        "(kind = 'pretraining' AND pretraining_id IS NOT NULL AND budget IS NOT NULL"
        " AND trial_id IS NULL) OR "
        "(kind = 'trial' AND trial_id IS NOT NULL AND pretraining_id IS NULL AND budget IS NULL)",
        name="subject",
    ),
    CheckConstraint(
        "(state = 'running' AND owner IS NOT NULL AND host IS NOT NULL AND pid IS NOT NULL"
        " AND lease_until IS NOT NULL AND attempt_id IS NOT NULL) OR "
        "(state <> 'running' AND owner IS NULL AND host IS NULL AND pid IS NULL"
        " AND lease_until IS NULL)",
        name="holder",
    ),
    CheckConstraint("state <> 'done' OR done_attempt_id IS NOT NULL", name="done"),
    Unique("pretraining_id", "budget", "data_digest"),
    Unique("trial_id", "data_digest"),
    Index(None, "state"),
    index_where_known("done_attempt_id"),
    index_where_known("stopped_by"),
    Index(None, "data_digest"),
    comment="Units of work: a trial, or one segment of a pretraining, on one exact data set.",
)


# Evidence: attempts, maps, index tables, results, curves, files, events

_NULL = "null where it cannot be known"

attempts = Table(
    "attempts",
    metadata,
    key("id", Text, "content hash of job, owner, host, token and start"),
    required("job_id", Text, "the job", ForeignKey("jobs.id")),
    required(
        "token", Integer, "which claim or evaluation of the job this was where it ran, from 1"
    ),
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
    required("device", Text, "kind of device it ran on, 'cpu' or 'cuda'"),
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
        "CPU seconds, in a stack its share of them; null while it runs and when it ended without a "
        "report",
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
        "GPU granted to it, as the driver names it; null on a CPU and for an evaluation",
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
        "mean score of each dimension, in nats except for the data; (C, H, W), C order; a keyword, "
        "to be quoted",
    ),
    thinned("standard_errors", "standard errors of the values, laid out alike"),
    required("digest", Text, "sha256 of `values`"),
    required("images", Integer, "number of images averaged over"),
    required("mean_log_det", Double, "scalar that the map sums to, nats per image, summed apart"),
    required("sum_error", Double, "|sum of values - mean_log_det| / sum of |values|"),
    optional("clusters", Integer, "clusters behind the standard errors, null for none"),
    thinned(
        "halves",
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
    required("rank_gap", Double, "median over windows of the second value minus the third, nats"),
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
    "are those of the flow without splits at that place, of self and of the data those of what has "
    "not left before.",
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
        "lattice purity: share of windows with the most common pattern of what stays; 1/6 where "
        "all six patterns of two positions are alike, up to 1",
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
        "the attempt",
        ForeignKey("attempts.id"),
    ),
    key("kind", Text, "what it is: 'weights'; in older rows also 'checkpoint' and 'tables'"),
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
    private("arguments", Text, "as typed, sweep and places absolute, no database, may be empty"),
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
        "launch begun ('launch'), or launches or a job asked to end ('stop')",
    ),
    optional("job_id", Text, "the job, null where it is about none", ForeignKey("jobs.id")),
    optional("attempt_id", Text, "the attempt, null where it is about none"),
    optional("owner", Text, "launch or person, null where it is not known"),
    required(
        "detail",
        Text,
        "what more there is to say, may be empty: after a failure what becomes of the job",
    ),
    optional(
        "sweep_id",
        Text,
        "the sweep that is launched, or of which the launches are to end, null for all; null "
        "where it is about none",
        ForeignKey("sweeps.id"),
    ),
    one_of("event", EVENTS),
    Index(None, "job_id"),
    index_where_known("sweep_id"),
    comment="What happened when: every transition of a job, and what was added at once.",
)


# Facts beside the evidence: kinds of measures, and quantiles for intervals

measure_kinds = Table(
    "measure_kinds",
    metadata,
    key("name", Text, "name of the measure"),
    required("unit", Text, "its unit"),
    optional("direction", Text, "'lower' or 'higher' is better; null for one that is not ranked"),
    local("meaning", Text, "what it is"),
    comment="What measures are: those of the package, and those of plug-ins that were used.",
)

t_quantiles = Table(
    "t_quantiles",
    metadata,
    key("freedom", Integer, "degrees of freedom, from 1", autoincrement=False),
    required(
        "quantile",
        Double,
        "97.5 % quantile of Student's t: a mean's 95 % interval is it "
        "times the standard error to either side",
    ),
    comment="Quantiles of Student's t, for intervals in SQL.",
)
