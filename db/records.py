"""What goes into the database and comes out of it: frozen records, one for each kind of row.

All times are float Unix seconds, UTC. All ids are content hashes made by whoever plans, save those
computed here (`Environment.id`, `PlannedJob.id`, `Result.id`): equal content has equal ids, so to
register a thing twice changes nothing. Fields called `created` may be left None: the store fills
in the time of the insert.
"""

import hashlib
import json
import math
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

Kind = Literal["pretraining", "trial"]
State = Literal["pending", "running", "done", "diverged", "failed"]
Outcome = Literal[
    "done",
    "pruned",
    "diverged",
    "oom",
    "preempted",
    "node_lost",
    "timeout",
    "code_error",
    "cancelled",
]

KINDS: tuple[Kind, ...] = get_args(Kind)
STATES: tuple[State, ...] = get_args(State)
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
EVENTS: tuple[str, ...] = (*OUTCOMES, "claim", "retry", "register", "evaluate", "merge")
"""What an event may be: an outcome, another transition of a job, or what changes no job's state."""


def content_hash(what: str, content: Any) -> str:
    """Sha256 in hex of `content` as canonical JSON, set apart by the word `what`."""
    text = json.dumps([what, content], sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def row_of(record: Any) -> dict[str, Any]:
    """A record's fields by name: `dataclasses.asdict` for one that holds plain values."""
    return {field.name: getattr(record, field.name) for field in fields(record)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A resolved training recipe; `body` is its canonical JSON text, `size` the image side.

    `conventional` is the canonical name of its flow's conventional factorization, None where that
    is not known.
    """

    id: str
    flow: str
    profile: str
    splits: int
    size: int
    steps: int
    body: str
    conventional: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """A prepared data set, known by the hash of its pixels; counts are images for each part."""

    digest: str
    name: str
    variant: str
    height: int
    width: int
    channels: int
    train: int
    holdout: int
    test: int
    manifest: str
    created: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where code ran. `dirty` is a digest of uncommitted changes, None for a clean tree.

    `driver` is the version of the GPU's driver, None on a CPU; `flags` are settings that may change
    the last bits or the speed, as JSON.
    """

    code_version: str
    dirty: str | None
    python: str
    torch: str
    platform: str
    device: str
    cpu_capability: str
    packages: str
    driver: str | None = None
    flags: str | None = None

    @property
    def id(self) -> str:
        """Content hash of all fields."""
        return content_hash("environment", asdict(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """A planned sweep; `spec` is the canonical JSON text of what was asked for."""

    id: str
    name: str
    spec: str
    created: float | None = None


@dataclass(frozen=True, slots=True)
class SweepMember:
    """A trial's place in a sweep, under the factorization's name as it was asked for."""

    sweep_id: str
    trial_id: str
    factorization: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pretraining:
    """A run with no splits whose contribution maps serve the trials."""

    id: str
    recipe_id: str
    flow: str
    dataset: str
    variant: str
    seed: int
    nms: str = "squeezed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Recipe + data set + factorization + seed and, for words over L and H, the maps' origin."""

    id: str
    recipe_id: str
    flow: str
    profile: str
    dataset: str
    variant: str
    factorization: str
    seed: int
    budget: int | None = None
    pretraining_id: str | None = None
    map_options: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedJob:
    """A unit of work to register: a trial, or one segment of a pretraining, on one exact data set.

    Make one with `of_trial` or `of_pretraining`. `steps` is the training step at which it is done.
    """

    kind: Kind
    data_digest: str
    steps: int
    pretraining_id: str | None = None
    trial_id: str | None = None
    budget: int | None = None

    @classmethod
    def of_trial(cls, trial_id: str, data_digest: str, *, steps: int) -> Self:
        """The job that trains and evaluates one trial."""
        return cls(kind="trial", trial_id=trial_id, data_digest=data_digest, steps=steps)

    @classmethod
    def of_pretraining(cls, pretraining_id: str, data_digest: str, *, budget: int) -> Self:
        """The segment of a pretraining that ends at step `budget` and leaves its maps."""
        return cls(
            kind="pretraining",
            pretraining_id=pretraining_id,
            data_digest=data_digest,
            budget=budget,
            steps=budget,
        )

    @property
    def id(self) -> str:
        """Content hash of kind, subject, budget and data."""
        subject = self.pretraining_id if self.kind == "pretraining" else self.trial_id
        return content_hash("job", [self.kind, subject, self.budget, self.data_digest])


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as it stands. `token` counts its claims; `attempt_id` is its latest attempt."""

    id: str
    kind: Kind
    pretraining_id: str | None
    trial_id: str | None
    budget: int | None
    data_digest: str
    state: State
    steps: int
    step: int
    token: int
    attempt_id: int | None
    owner: str | None
    host: str | None
    pid: int | None
    lease_until: float | None
    updated: float


@dataclass(frozen=True, slots=True)
class News:
    """What happened to jobs: the `last` event there is, and the `jobs` that it and those before it
    were about, by id and as they stand."""

    last: int
    jobs: dict[str, Job]


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on a job until its lease ends; `step` is the progress known so far.

    `owner` is whom the job was claimed for: with it, a claim on another database that lay at the
    same place is never good.
    """

    job_id: str
    attempt_id: int
    token: int
    step: int
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What an attempt took: wall and CPU seconds, training images/s, peak memory in bytes.

    data_wait: share of the time of its training steps that went on waiting for images.
    gpu_seconds: wall seconds times the share of a GPU that it held, None on a CPU.
    """

    seconds: float
    cpu_seconds: float
    images_per_second: float | None = None
    peak_memory: int | None = None
    data_wait: float | None = None
    gpu_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Metric:
    """One value of a curve. A value that is not a number is kept, as NaN."""

    name: str
    step: int
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A file that a job left, kept outside the database; `bytes` is its length.

    `path` is relative to `place`, the launch's storage folder as HOST:FOLDER.
    """

    kind: str
    path: str
    bytes: int
    digest: str
    place: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """An evaluated trial. Bits/dim with standard errors; `log_det`, `log_prior` in nats/image.

    A standard error is None where a single image or cluster gives none. `BESIDE` names what was
    measured beside the bits/dim, each None where it was not: the bound of `bound_draws`
    dequantizations over `bound_images` images, by `bound_gain` below that of one; and for the
    power series of residual blocks its terms with what bits/dim lose at twice as many.

    Raises ValueError for a number that is not finite: such a run is `diverged`.
    """

    trial_id: str
    data_digest: str
    protocol: str
    protocol_body: str
    precision: str
    step: int
    bits_per_dim: float
    standard_error: float | None
    images: int
    holdout_bits_per_dim: float
    holdout_standard_error: float | None
    log_det: float
    log_prior: float
    clusters: int | None = None
    train_bits_per_dim: float | None = None
    bound_draws: int | None = None
    bound_images: int | None = None
    bound_bits_per_dim: float | None = None
    bound_gain: float | None = None
    series_terms: int | None = None
    series_bias: float | None = None
    series_bias_standard_error: float | None = None

    BOUND: ClassVar = ("bound_draws", "bound_images", "bound_bits_per_dim", "bound_gain")
    SERIES: ClassVar = ("series_terms", "series_bias", "series_bias_standard_error")
    BESIDE: ClassVar = (*BOUND, *SERIES)

    def __post_init__(self) -> None:
        for name in (
            "bits_per_dim",
            "standard_error",
            "holdout_bits_per_dim",
            "holdout_standard_error",
            "log_det",
            "log_prior",
            "train_bits_per_dim",
            *self.BESIDE,
        ):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{name} is {value}: a result must be finite")

    @property
    def id(self) -> str:
        """Content hash of all fields, to the last bit, but those in `BESIDE`: they may be added
        to a result that is there."""
        content = {k: v for k, v in row_of(self).items() if k not in self.BESIDE}
        return content_hash("result", content)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluator:
    """Who evaluates kept weights, on what, and since when (Unix seconds UTC)."""

    owner: str
    host: str
    environment_id: str
    device: str
    threads: int
    started: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MapStatistics:
    """A contribution map in numbers, over the 2x2 windows of the flow without splits.

    Shares are between 0 and 1; errors and gaps in nats. The columns of `contribution_maps` say
    what each means.
    """

    mask_share: float | None
    mask_share_by_chance: float
    standard_error: float | None
    rank_gap: float
    error_to_gap: float | None
    unresolved: float | None
    tied: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ContributionMap:
    """What each dimension adds to the log-det, in nats, by one score, before one split.

    `values` and `standard_errors` are float32 of shape (C, H, W), in the coordinates of the input
    image; `halves`, (2, C, H, W), are the values from two halves of the images. `split` counts
    from 1. `mean_log_det` is the scalar in nats per image that the map has to sum to, computed
    apart; `sum_error` is by how much it does not.
    Standard errors and halves may be NaN where there is nothing to take them from. Raises
    ValueError for other shapes or types, or values not finite.
    """

    pretraining_id: str
    data_digest: str
    budget: int
    split: int
    score: str
    values: NDArray[np.float32]
    standard_errors: NDArray[np.float32]
    images: int
    mean_log_det: float
    clusters: int | None = None
    halves: NDArray[np.float32] | None = None
    statistics: MapStatistics | None = None

    def __post_init__(self) -> None:
        for name in ("values", "standard_errors"):
            array = getattr(self, name)
            if array.dtype != np.float32 or array.ndim != 3:
                found = f"{array.dtype} {array.shape}"
                raise ValueError(f"{name} must be float32 of shape (C, H, W), not {found}")
        if not np.isfinite(self.values).all():
            raise ValueError("values must be finite")
        if self.values.shape != self.standard_errors.shape:
            raise ValueError("values and standard_errors differ in shape")
        expected = (2, *self.values.shape)
        halves = self.halves
        if halves is not None and (halves.dtype != np.float32 or halves.shape != expected):
            raise ValueError(f"halves must be float32 of shape {expected}")
        if not math.isfinite(self.mean_log_det):
            raise ValueError(f"mean_log_det is {self.mean_log_det}: it must be finite")

    @property
    def digest(self) -> str:
        """Sha256 in hex of the values as little-endian float32 in C order."""
        return hashlib.sha256(raw_bytes(self.values)).hexdigest()

    @property
    def sum_error(self) -> float:
        """|sum of the map - mean_log_det| over the sum of |map|; absolute where the map is 0."""
        scale = float(np.abs(self.values).sum(dtype=np.float64))
        return abs(float(self.values.sum(dtype=np.float64)) - self.mean_log_det) / (scale or 1.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StoredMap(ContributionMap):
    """A contribution map with what it is of: the flow, data set, seed and recipe of its
    pretraining, and the form `nms` of the flow without splits."""

    flow: str
    dataset: str
    variant: str
    seed: int
    nms: str
    recipe_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TableStatistics:
    """An index table in numbers; shares and overlaps are between 0 and 1.

    The columns of `index_tables` say what each means.
    """

    iou_even: float
    iou_odd: float
    purity: float
    channel_purity: float
    mask_share: float | None
    mask_share_by_chance: float | None
    tied: float | None
    agreement: float | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IndexTable:
    """Which dimensions are still there after one split of a trial.

    `kept` is a mask of shape (C, H, W) in the coordinates of the input image; `digest` is the
    sha256 of the split's whole permutation. `split` counts from 1.
    """

    trial_id: str
    data_digest: str
    split: int
    kept: NDArray[np.bool_]
    digest: str
    statistics: TableStatistics

    def __post_init__(self) -> None:
        if self.kept.dtype != np.bool_ or self.kept.ndim != 3:
            raise ValueError(f"kept must be a mask of shape (C, H, W), not {self.kept.shape}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """Bits/dim on the test part of something that any flow should beat, or why there are none."""

    data_digest: str
    name: str
    bits_per_dim: float | None
    standard_error: float | None
    images: int
    detail: str


def raw_bytes(array: NDArray[np.float32]) -> bytes:
    """The array as little-endian float32 in C order."""
    return np.ascontiguousarray(array, dtype="<f4").tobytes()


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """All that a plan adds, in one transaction; what is there already is left as it is."""

    sweeps: tuple[Sweep, ...] = ()
    members: tuple[SweepMember, ...] = ()
    recipes: tuple[Recipe, ...] = ()
    data_sets: tuple[DataSet, ...] = ()
    pretrainings: tuple[Pretraining, ...] = ()
    trials: tuple[Trial, ...] = ()
    jobs: tuple[PlannedJob, ...] = ()
    bars: tuple[Bar, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningJob:
    """A job that somebody holds, with what it is: enough for a progress bar."""

    job_id: str
    kind: Kind
    flow: str
    dataset: str
    factorization: str | None
    budget: int | None
    seed: int
    step: int
    steps: int
    owner: str
    host: str
    lease_until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StateCounts:
    """How many jobs of one kind are in each state."""

    pending: int = 0
    running: int = 0
    done: int = 0
    diverged: int = 0
    failed: int = 0

    @property
    def total(self) -> int:
        """Jobs in any state."""
        return self.pending + self.running + self.done + self.diverged + self.failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many jobs are in each state, by kind."""

    pretraining: StateCounts
    trial: StateCounts

    @property
    def by_state(self) -> dict[str, int]:
        """How many of either kind."""
        return {
            state: getattr(self.pretraining, state) + getattr(self.trial, state)
            for state in StateCounts.__dataclass_fields__
        }
