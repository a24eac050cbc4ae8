"""The records that go into the database and come out of it.

All times are float Unix seconds, UTC. All ids are content hashes made by whoever plans, save those
computed here (`Environment.id`, `PlannedJob.id`, `Result.id`): equal content has equal ids, so to
register a thing twice changes nothing. Fields called `created` may be left None: the store fills
in the time of the insert.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def content_hash(what: str, content: Any) -> str:
    """Return the sha256 in hex of `content` as canonical JSON, set apart by the word `what`."""
    return hashlib.sha256(_encode([what, content]).encode()).hexdigest()


def row_of(record: Any) -> dict[str, Any]:
    """Return a record's fields by name: `dataclasses.asdict` for one that holds plain values."""
    return {field.name: getattr(record, field.name) for field in fields(record)}


# What an attempt leaves


GREATEST = 1e150
"""Of the values of measures: the sum of their squares is a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Cost of an attempt in time and memory.

    Attributes:
        seconds: Wall-clock seconds.
        cpu_seconds: CPU seconds.
        images_per_second: Training images per second.
        peak_memory: Bytes.
        data_wait: Share of the time of its training steps that went on waiting for images, 0 to 1.
        gpu_seconds: Wall-clock seconds times the share of a GPU that it held, None on a CPU.
        mean_memory: Bytes, over its heartbeats.
        gpu_utilization: Share of time in which its GPU computed, 0 to 1, over its heartbeats.
    """

    seconds: float
    cpu_seconds: float
    images_per_second: float | None = None
    peak_memory: int | None = None
    data_wait: float | None = None
    gpu_seconds: float | None = None
    mean_memory: int | None = None
    gpu_utilization: float | None = None


@dataclass(frozen=True, slots=True)
class Metric:
    """One value of a curve. A value that is not a number is kept, as NaN."""

    name: str
    step: int
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A file that a job left, kept outside the database; `bytes` is its length.

    `path` is relative to `place`, where the launch kept files: HOST:FOLDER, or a URL without
    passwords.
    """

    kind: str
    path: str
    bytes: int
    digest: str
    place: str


@dataclass(frozen=True, slots=True)
class Measurement:
    """A named number of a result; `lcma.sweeps.measures` says what each is.

    Attributes:
        name: What is measured, such as 'bits_per_dim'.
        value: The value in its unit.
        standard_error: Its standard error; None where there is none.
        images: The images that it is over; None for none.
        clusters: The clusters behind the standard error; None for none.

    Raises:
        ValueError: A number is not finite, or beyond `GREATEST`: such a run is `diverged`.
    """

    name: str
    value: float
    standard_error: float | None = None
    images: int | None = None
    clusters: int | None = None

    def __post_init__(self) -> None:
        for value in (self.value, self.standard_error):
            if value is not None and not abs(value) <= GREATEST:
                raise ValueError(
                    f"{self.name} is {value}: a measure must be finite, at most {GREATEST:g}"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Measures of a trained trial by one protocol.

    `step` is the training step of the evaluated weights, `protocol_body` the whole protocol as
    JSON. The measures are kept in the order of their names.

    Raises:
        ValueError: A measure is there twice.
    """

    trial_id: str
    data_digest: str
    step: int
    protocol: str
    protocol_body: str
    precision: str
    measures: tuple[Measurement, ...]

    def __post_init__(self) -> None:
        names = [one.name for one in self.measures]
        if len(set(names)) < len(names):
            raise ValueError(f"a measure is there twice: {', '.join(sorted(names))}")
        ordered = tuple(sorted(self.measures, key=lambda one: one.name))
        object.__setattr__(self, "measures", ordered)

    def measure(self, name: str) -> Measurement | None:
        """Return a measure; None where it was not taken."""
        return next((one for one in self.measures if one.name == name), None)

    def value(self, name: str) -> float:
        """Return the value of a measure that was taken.

        Raises:
            KeyError: It was not.
        """
        found = self.measure(name)
        if found is None:
            raise KeyError(name)
        return found.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluator:
    """Evaluator of kept weights: its owner, machine, and when it began (Unix seconds UTC)."""

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
    """Contributions of all dimensions to the log-det, in nats, by one score, before one split.

    `values` and `standard_errors` are float32 of shape (C, H, W), in the coordinates of the input
    image; `halves`, (2, C, H, W), are the values from two halves of the images. `split` counts
    from 1. `mean_log_det` is the scalar in nats per image that the map has to sum to, computed
    apart; `sum_error` is by how much it does not. Standard errors and halves may be NaN where there
    is nothing to take them from; they are None in a published database.

    Raises:
        ValueError: An array has another shape or type, or a value is not finite.
    """

    pretraining_id: str
    data_digest: str
    budget: int
    split: int
    score: str
    values: NDArray[np.float32]
    standard_errors: NDArray[np.float32] | None
    images: int
    mean_log_det: float
    halves: NDArray[np.float32] | None
    statistics: MapStatistics
    clusters: int | None = None

    def __post_init__(self) -> None:
        shape = self.values.shape
        _require_array("values", self.values, shape if len(shape) == 3 else "(C, H, W)")
        if not np.isfinite(self.values).all():
            raise ValueError("values must be finite")
        if self.standard_errors is not None:
            _require_array("standard_errors", self.standard_errors, shape)
        if self.halves is not None:
            _require_array("halves", self.halves, (2, *shape))
        if not math.isfinite(self.mean_log_det):
            raise ValueError(f"mean_log_det is {self.mean_log_det}: it must be finite")

    @property
    def digest(self) -> str:
        """The sha256 in hex of the values as little-endian float32 in C order."""
        return hashlib.sha256(raw_bytes(self.values)).hexdigest()

    @property
    def sum_error(self) -> float:
        """|sum of the map - mean_log_det| over the sum of |map|; absolute where the map is 0."""
        scale = float(np.abs(self.values).sum(dtype=np.float64))
        return abs(float(self.values.sum(dtype=np.float64)) - self.mean_log_det) / (scale or 1.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StoredMap(ContributionMap):
    """A contribution map with the flow, data set, seed and recipe of its pretraining.

    `nms` is the form of the flow without splits.
    """

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
    """The dimensions that are still there after one split of a trial.

    `kept` is a mask of shape (C, H, W) in the coordinates of the input image; `digest` is the
    sha256 of the split's whole permutation. `split` counts from 1.

    Raises:
        ValueError: `kept` is no such mask.
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


def _require_array(name: str, array: NDArray[np.float32], shape: "tuple[int, ...] | str") -> None:
    if array.dtype != np.float32 or array.shape != shape:
        found = f"{array.dtype} {array.shape}"
        raise ValueError(f"{name} must be float32 of shape {shape}, not {found}")


def raw_bytes(array: NDArray[np.float32]) -> bytes:
    """Return an array as little-endian float32 in C order."""
    return np.ascontiguousarray(array, dtype="<f4").tobytes()


# Jobs as they stand, and the right to work on one


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
    "crowded",
]

KINDS: tuple[Kind, ...] = get_args(Kind)
STATES: tuple[State, ...] = get_args(State)
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
FAILURES: tuple[Outcome, ...] = ("diverged", "oom", "timeout", "code_error")
"""The outcomes after which it is a matter of policy whether the job is run again by itself."""

MOVES = ("claim", "retry", "rerun", "again", "give_up")
"""The transitions of a job that no attempt's end makes."""

EVENTS: tuple[str, ...] = (
    *(*OUTCOMES, *MOVES),
    *("register", "evaluate", "merge", "launch", "stop", "set_aside", "take_back"),
)
"""What an event may be: an outcome, another transition of a job, or what changes no job's state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as it stands. `token` counts its claims; `attempt_id` is its latest attempt, and
    `done_attempt_id` the one whose result or maps are current."""

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
    attempt_id: str | None
    done_attempt_id: str | None
    owner: str | None
    host: str | None
    pid: int | None
    lease_until: float | None
    updated: float
    stopped_by: str | None = None


@dataclass(frozen=True, slots=True)
class News:
    """Changes of jobs since an event.

    Attributes:
        last: The number of the last event there is.
        jobs: The jobs that it and those before it were about, by id and as they stand.
        put_back: Those of them that a policy or a person put back to pending.
    """

    last: int
    jobs: dict[str, Job]
    put_back: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on a job until its lease ends; `step` is the progress known so far.

    `owner` is whom the job was claimed for: with it, a claim on another database that lay at the
    same place is never good. `rerun` names the rerun that it is part of, '' for a first run.
    """

    job_id: str
    attempt_id: str
    token: int
    step: int
    owner: str
    rerun: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """The news of a worker under a claim.

    Attributes:
        claim: The right to work on the job.
        step: The training step that is reached.
        lease_seconds: How long from now on the claim holds.
        first_step: Corrects the step from which the attempt went on.
        message: What the attempt cannot do at present, such as write checkpoints.
        metrics: Points of curves, in place of those that are there.
        cost: What the attempt has taken so far.
        bits_per_dim: Training bits per dimension, the last ones.
        log: The last of what it printed, None for nothing new.
    """

    claim: Claim
    step: int
    lease_seconds: float
    first_step: int | None = None
    message: str = ""
    metrics: Sequence[Metric] = ()
    cost: Cost | None = None
    bits_per_dim: float | None = None
    log: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StateCounts:
    """Numbers of jobs of one kind by state."""

    pending: int = 0
    running: int = 0
    done: int = 0
    diverged: int = 0
    failed: int = 0

    @property
    def total(self) -> int:
        """The number of jobs in any state."""
        return self.pending + self.running + self.done + self.diverged + self.failed


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCounts:
    """Numbers of jobs by kind and state."""

    pretraining: StateCounts
    trial: StateCounts

    @property
    def total(self) -> int:
        """The number of jobs of either kind in any state."""
        return self.pretraining.total + self.trial.total

    @property
    def by_state(self) -> dict[str, int]:
        """The number of jobs of either kind by state."""
        return {
            state: getattr(self.pretraining, state) + getattr(self.trial, state)
            for state in StateCounts.__dataclass_fields__
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What `Store.forget` deleted, and the number of trials that had begun and stay."""

    trials: int
    segments: int
    sweeps: int
    kept: int


# Retries, caps and stops


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """After how many attempts with an outcome a job is run again without a person; None for all.

    They are counted since a person last asked for a retry. `remedy` says in words what the next
    attempt after an 'oom' has that this one had not, as 'alone on a full GPU'; `hopeless` why there
    is nothing more to give, and so no such attempt.
    """

    oom: int | None = 0
    timeout: int | None = 0
    code_error: int | None = 0
    diverged: int | None = 0
    remedy: str = ""
    hopeless: str = ""

    def times(self, outcome: Outcome) -> int | None:
        """Return how many attempts with an outcome of `FAILURES` are followed by another."""
        found: int | None = getattr(self, outcome)
        return found


@dataclass(frozen=True, slots=True)
class Cap:
    """Limit of the jobs of a sweep that run at once, over all its launches."""

    sweep_id: str
    parallel: int


@dataclass(frozen=True, slots=True)
class StopRequest:
    """A person's request that the launches end that began before.

    `event` is its number, `time` Unix seconds; `sweep_id` is None where all sweeps are meant.
    """

    event: int
    time: float
    by: str
    sweep_id: str | None


# What is planned


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeRow:
    """A resolved training recipe; `body` is its canonical JSON, `size` the image side in pixels.

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
class Bar:
    """Bits/dim on the test part of something that any flow should beat, or why there are none."""

    data_digest: str
    name: str
    bits_per_dim: float | None
    standard_error: float | None
    images: int
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Versions and hardware with which code ran.

    `dirty` is a digest of uncommitted changes, None for a clean tree; `driver` is the version of
    the GPU's driver, None on a CPU; `flags` are settings that may change the last bits or the
    speed, as JSON.
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
    flags: str = "{}"

    @property
    def id(self) -> str:
        """The content hash of all fields."""
        return content_hash("environment", row_of(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """A planned sweep; `spec` is its specification as canonical JSON text."""

    id: str
    name: str
    spec: str
    created: float | None = None


@dataclass(frozen=True, slots=True)
class SweepMember:
    """A trial's place in a sweep, under the name by which the sweep asked for its factorization."""

    sweep_id: str
    trial_id: str
    factorization: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainingRow:
    """A run with no splits whose contribution maps serve the trials."""

    id: str
    recipe_id: str
    flow: str
    dataset: str
    variant: str
    seed: int
    nms: str = "squeezed"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRow:
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
        """Return the job that trains and evaluates one trial."""
        return cls(kind="trial", trial_id=trial_id, data_digest=data_digest, steps=steps)

    @classmethod
    def of_pretraining(cls, pretraining_id: str, data_digest: str, *, budget: int) -> Self:
        """Return the segment of a pretraining that ends at step `budget` and leaves its maps."""
        return cls(
            kind="pretraining",
            pretraining_id=pretraining_id,
            data_digest=data_digest,
            budget=budget,
            steps=budget,
        )

    @property
    def id(self) -> str:
        """The content hash of kind, subject, budget and data."""
        subject = self.pretraining_id if self.kind == "pretraining" else self.trial_id
        return content_hash("job", [self.kind, subject, self.budget, self.data_digest])


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """All that a plan adds, in one transaction; what is there already is left as it is.

    ``planned`` is the number of jobs of the whole plan where this is one of its `slices`.
    """

    sweeps: tuple[Sweep, ...] = ()
    members: tuple[SweepMember, ...] = ()
    recipes: tuple[RecipeRow, ...] = ()
    data_sets: tuple[DataSet, ...] = ()
    pretrainings: tuple[PretrainingRow, ...] = ()
    trials: tuple[TrialRow, ...] = ()
    jobs: tuple[PlannedJob, ...] = ()
    bars: tuple[Bar, ...] = ()
    planned: int | None = None

    def slices(self, size: int) -> Iterator["Registration"]:
        """Yield parts to be added in this order, each of at most so many trials, members or jobs;
        itself if it has no more than that of each."""
        if max(map(len, (self.trials, self.members, self.jobs))) <= size:
            yield self
            return
        yield replace(self, trials=(), members=(), jobs=(), planned=len(self.jobs))
        for name in ("trials", "members", "jobs"):
            rows = getattr(self, name)
            for start in range(0, len(rows), size):
                yield Registration(**{name: rows[start : start + size]})


# What is read from several tables


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFacts:
    """A job as it stands, with what it works on.

    `pretraining_id` is the pretraining that it is a segment of, or whose maps the trial reads up to
    `budget`. `nms` is the form of a pretraining's flow, `weights` whether the trained weights were
    kept. Of the last attempt are when it `started`, its `first_step`, its `stack_id`, its last
    training `bits_per_dim`, and its `outcome`; its `message` is what went wrong, or while it runs
    what it cannot do at present. `host` and `pid` are where the job runs, of one that was lost
    where its last attempt ran; `decision` says why a job that is not done is not run again without
    a person, or that it is. `log_end` is the last of the log of a job that runs, once its steps are
    made.
    """

    job_id: str
    kind: Kind
    trial_id: str | None
    pretraining_id: str | None
    data_digest: str
    flow: str
    dataset: str
    factorization: str | None
    budget: int | None
    seed: int
    state: State
    step: int
    steps: int
    token: int
    attempt_id: str | None
    owner: str | None
    host: str | None
    lease_until: float | None
    updated: float
    variant: str
    recipe_id: str
    profile: str
    map_options: str | None
    nms: str | None
    stopped_by: str | None
    done_attempt_id: str | None
    pid: int | None
    started: float | None
    first_step: int | None
    stack_id: str | None
    outcome: str | None
    message: str | None
    decision: str | None
    bits_per_dim: float | None
    log_end: str | None
    weights: bool

    @property
    def subject(self) -> str:
        """The id of the trial or pretraining that the job works on."""
        return self.trial_id or self.pretraining_id or self.job_id

    @property
    def factorization_or_kind(self) -> str:
        """The factorization, or the kind of a job that has none."""
        return self.factorization or self.kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One execution of a job. Times are Unix seconds UTC.

    `log` and `seconds` go up to the last heartbeat where it ended without a report, and
    `cpu_seconds` is None there; `protocol` is that of an evaluation of kept weights, `stack_id` the
    stack in which it ran with others.
    """

    id: str
    job_id: str
    token: int
    owner: str
    host: str
    device: str
    devices: str | None
    started: float
    ended: float | None
    outcome: str | None
    message: str
    first_step: int
    last_step: int
    seconds: float | None
    cpu_seconds: float | None
    lease_seconds: float | None
    protocol: str | None
    log: str | None
    stack_id: str | None = None
    peak_memory: int | None = None
    gpu_seconds: float | None = None
    mean_memory: int | None = None
    gpu_utilization: float | None = None

    @property
    def share(self) -> float | None:
        """The share of a GPU that it held; None on a CPU and where it ended without a report."""
        return self.gpu_seconds / self.seconds if self.gpu_seconds and self.seconds else None


@dataclass(frozen=True, slots=True)
class Rerun:
    """A job that was put back to be run anew, and is not done.

    Attributes:
        job_id: The job.
        kind: Its kind.
        state: Its state.
        made: When its result or maps were made, which stay current until then, Unix seconds UTC.
        by: Who asked for it.
        why: The reason, may be empty.
    """

    job_id: str
    kind: Kind
    state: State
    made: float
    by: str | None
    why: str


CurveKey = tuple[str, str]
"""The attempt of a curve, and its name."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve of a job: how many points it has, and the step of the last."""

    attempt_id: str
    job_id: str
    name: str
    points: int
    last_step: int

    @property
    def key(self) -> CurveKey:
        """What tells it from other curves."""
        return self.attempt_id, self.name


@dataclass(frozen=True, slots=True)
class Making:
    """Versions and hardware with which results were made; names as in `results`."""

    code_version: str
    dirty: str | None
    torch: str
    device: str
    cpu_capability: str
    threads: int


@dataclass(frozen=True, slots=True)
class SeededCell:
    """All current results that differ in the seed alone: the values of one measure by seed.

    Attributes:
        repeated: A seed with two results, where there is one.
        standard_error: The largest of one value's; None where none is known.
        images: The fewest behind a value; None where it is over none.
        clusters: The fewest behind a result; None where none is known.
    """

    flow: str
    dataset: str
    variant: str
    data_digest: str
    recipe_id: str
    profile: str
    protocol: str
    precision: str
    factorization: str
    budget: int | None
    map_options: str | None
    splits: int
    size: int
    steps: int
    values: dict[int, float]
    repeated: int | None
    standard_error: float | None
    images: int | None
    clusters: int | None
    makings: tuple[Making, ...]
