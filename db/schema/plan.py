"""The tables of what is to be run: recipes, data, environments, sweeps, trials and jobs."""

from sqlalchemy import CheckConstraint, Double, ForeignKey, Index, Integer, Table, Text
from sqlalchemy import UniqueConstraint as Unique

from lcma.db.records import KINDS, STATES
from lcma.db.schema.base import index_where_known, key, local, metadata, one_of, optional, required

recipes = Table(
    "recipes",
    metadata,
    key("id", Text, "content hash of the recipe"),
    required("flow", Text, "name of the flow, such as 'realnvp'"),
    local("profile", Text, "size of the recipe: 'paper', 'small', 'tiny' or a custom one"),
    required("splits", Integer, "number of splits, 0 for a flow with none"),
    required("size", Integer, "height and width of the images in pixels"),
    required("steps", Integer, "length of the training in optimizer steps, 0 for such a part"),
    required("body", Text, "the whole resolved recipe as canonical JSON"),
    optional(
        "conventional",
        Text,
        "canonical name of the flow's conventional factorization on it, 'none' without splits; "
        "null for a flow that was not known",
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
    required("device", Text, "model of the GPU, or architecture of the processor, as 'x86_64'"),
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
    key("id", Text, "content hash of its part of the recipe, data set, variant and seed"),
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
        "options of the map as JSON, null for the default or no map; of a plug-in's rule its "
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
