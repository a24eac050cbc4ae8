"""The records that go into the database and come out of it.

A field without a comment is the column of the same name in `lcma.db.schema`, which says what it
means. All times are Unix seconds, UTC. Ids are content hashes: the planner makes them, except those
computed here (`Environment.id`, `PlannedJob.id`). Equal content has equal ids, so registering it
twice changes nothing. `created` may be None: the store fills in the time of the insert.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from lcma.sweeps.factorizations import name_rule

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def content_hash(kind: str, content: Any) -> str:
    """Return the sha256 in hex of `content` as canonical JSON, distinct for each `kind`."""
    return hashlib.sha256(_encode([kind, content]).encode()).hexdigest()


def row_of(record: Any) -> dict[str, Any]:
    """Return a record's fields by name: a faster `dataclasses.asdict` for plain values."""
    return {field.name: getattr(record, field.name) for field in fields(record)}


# What an attempt leaves


MAX_VALUE = 1e150
"""The largest value of a measure, whose square is still finite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Cost of an attempt in time and memory."""

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
    """One point of a curve."""

    name: str
    step: int
    value: float  # may be NaN


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A file that a job left, kept outside the database."""

    kind: str
    path: str  # relative to `place`
    bytes: int
    digest: str
    place: str


@dataclass(frozen=True, slots=True)
class Measurement:
    """A named number of a result; `lcma.sweeps.measures` says what each measure is.

    Raises:
        ValueError: A number is not finite, or beyond `MAX_VALUE`: such a run is `diverged`.
    """

    name: str
    value: float
    standard_error: float | None = None
    images: int | None = None
    clusters: int | None = None

    def __post_init__(self) -> None:
        for value in (self.value, self.standard_error):
            if value is not None and not abs(value) <= MAX_VALUE:
                raise ValueError(
                    f"{self.name} is {value}: a measure must be finite, at most {MAX_VALUE:g}"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Measures of a trained trial by one protocol.

    Raises:
        ValueError: Two measures have the same name.
    """

    trial_id: str
    data_digest: str
    step: int  # the training step of the evaluated weights
    protocol: str
    protocol_body: str  # the whole protocol as JSON
    precision: str
    measures: tuple[Measurement, ...]  # kept in the order of their names

    def __post_init__(self) -> None:
        names = [measure.name for measure in self.measures]
        if len(set(names)) < len(names):
            raise ValueError(f"a measure is there twice: {', '.join(sorted(names))}")
        ordered = tuple(sorted(self.measures, key=lambda measure: measure.name))
        object.__setattr__(self, "measures", ordered)

    def measure(self, name: str) -> Measurement | None:
        """Return a measure; None if it was not taken."""
        return next((measure for measure in self.measures if measure.name == name), None)

    def value(self, name: str) -> float:
        """Return the value of a measure.

        Raises:
            KeyError: The measure was not taken.
        """
        measure = self.measure(name)
        if measure is None:
            raise KeyError(name)
        return measure.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluator:
    """The process that evaluates kept weights, as columns of its attempt."""

    owner: str
    host: str
    environment_id: str
    device: str
    threads: int
    started: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MapStatistics:
    """A contribution map in numbers, over the 2x2 windows of the flow without splits."""

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

    Those of the data rules are in squared pixel values.

    Arrays are float32, in the coordinates of the input image. Standard errors and halves are NaN if
    they cannot be computed, and None in a published database.

    Raises:
        ValueError: An array has another shape or type, or a value is not finite.
    """

    pretraining_id: str
    data_digest: str
    budget: int
    split: int  # from 1
    score: str
    values: NDArray[np.float32]  # (C, H, W)
    standard_errors: NDArray[np.float32] | None  # (C, H, W)
    images: int
    mean_log_det: float  # the sum that the map should have, computed separately
    halves: NDArray[np.float32] | None  # (2, C, H, W), the values from two halves of the images
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
    """A contribution map with facts of its pretraining."""

    flow: str
    dataset: str
    variant: str
    seed: int
    nms: str
    recipe_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TableStatistics:
    """An index table in numbers."""

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
    """The dimensions that stay after one split of a trial.

    Raises:
        ValueError: `kept` is not a mask of three dimensions.
    """

    trial_id: str
    data_digest: str
    split: int  # from 1
    kept: NDArray[np.bool_]  # (C, H, W), in the coordinates of the input image
    digest: str
    statistics: TableStatistics

    def __post_init__(self) -> None:
        if self.kept.dtype != np.bool_ or self.kept.ndim != 3:
            raise ValueError(f"kept must be a mask of shape (C, H, W), not {self.kept.shape}")


def _require_array(name: str, array: NDArray[np.float32], shape: "tuple[int, ...] | str") -> None:
    if array.dtype != np.float32 or array.shape != shape:
        raise ValueError(
            f"{name} must be float32 of shape {shape}, not {array.dtype} {array.shape}"
        )


def raw_bytes(array: NDArray[np.float32]) -> bytes:
    """Return an array as little-endian float32 in C order."""
    return np.ascontiguousarray(array, dtype="<f4").tobytes()


# Jobs, and the right to work on one


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
"""The outcomes after which a policy decides whether the job runs again without a person."""

MOVES = ("claim", "retry", "rerun", "again", "give_up")
"""The transitions of a job other than the end of an attempt."""

EVENTS: tuple[str, ...] = (
    *(*OUTCOMES, *MOVES),
    *("register", "evaluate", "merge", "launch", "stop", "set_aside", "take_back"),
)
"""Outcomes, other transitions of a job, and events that change no job's state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A row of `jobs`."""

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
    """Changes of jobs since an event."""

    last: int  # the number of the last event
    jobs: dict[str, Job]  # by id the jobs of the events since then, in their present state
    put_back: frozenset[str] = frozenset()  # those that a policy or a person put back to pending


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on a job until its lease ends."""

    job_id: str
    attempt_id: str
    token: int
    step: int  # the progress known so far
    owner: str  # part of the claim, so that it never holds for another database at the same place
    rerun: str = ""  # the name of the rerun that it is part of, '' for a first run


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """A worker's report under a claim; None for what is not new."""

    claim: Claim
    step: int  # the training step that is reached
    lease_seconds: float  # how long the claim holds from now on
    first_step: int | None = None  # corrects the step from which the attempt went on
    message: str = ""  # what the attempt cannot do at present, such as write checkpoints
    metrics: Sequence[Metric] = ()  # they replace stored points at their steps
    cost: Cost | None = None  # so far
    bits_per_dim: float | None = None  # the last training value
    log: str | None = None  # the end of the output


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
    """Numbers of what `Store.forget` deleted."""

    trials: int
    segments: int
    sweeps: int
    kept: int  # trials that had begun, and stay


# Retries, caps and stops


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How many attempts with an outcome are followed by another without a person; None for all.

    Attempts before a person last asked for a retry do not count.
    """

    oom: int | None = 0
    timeout: int | None = 0
    code_error: int | None = 0
    diverged: int | None = 0
    remedy: str = ""  # what the attempt after an 'oom' gets, such as 'alone on a full GPU'
    hopeless: str = ""  # why there is nothing more to give after an 'oom', so no other attempt

    def times(self, outcome: Outcome) -> int | None:
        """Return how many attempts with an outcome of `FAILURES` are followed by another."""
        times: int | None = getattr(self, outcome)
        return times


@dataclass(frozen=True, slots=True)
class Cap:
    """Limit of the jobs of a sweep that run at once, over all its launches."""

    sweep_id: str
    parallel: int


@dataclass(frozen=True, slots=True)
class StopRequest:
    """A person's request that the launches that began before it end."""

    event: int  # its number
    time: float
    by: str
    sweep_id: str | None  # None for all sweeps


# Plans


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeRow:
    """A row of `recipes`."""

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
    """A row of `data_sets`."""

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
    """A row of `bars`: bits/dim that any flow should beat, or why they are missing."""

    data_digest: str
    name: str
    bits_per_dim: float | None
    standard_error: float | None
    images: int
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """A row of `environments`: versions and hardware with which code ran."""

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
    """A row of `sweeps`."""

    id: str
    name: str
    spec: str
    created: float | None = None


@dataclass(frozen=True, slots=True)
class SweepMember:
    """A row of `sweep_trials`."""

    sweep_id: str
    trial_id: str
    factorization: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainingRow:
    """A row of `pretrainings`."""

    id: str
    recipe_id: str
    flow: str
    dataset: str
    variant: str
    seed: int
    nms: str = "squeezed"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRow:
    """A row of `flow_trials`."""

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
    """A job to register; make one with `of_trial` or `of_pretraining`."""

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
    """The rows that a plan adds; rows that are stored already stay as they are."""

    sweeps: tuple[Sweep, ...] = ()
    members: tuple[SweepMember, ...] = ()
    recipes: tuple[RecipeRow, ...] = ()
    data_sets: tuple[DataSet, ...] = ()
    pretrainings: tuple[PretrainingRow, ...] = ()
    trials: tuple[TrialRow, ...] = ()
    jobs: tuple[PlannedJob, ...] = ()
    bars: tuple[Bar, ...] = ()
    planned: int | None = None  # the jobs of the whole plan, if this is one of its `slices`

    def slices(self, size: int) -> Iterator["Registration"]:
        """Yield parts to add in this order, each of at most `size` trials, members or jobs."""
        if max(map(len, (self.trials, self.members, self.jobs))) <= size:
            yield self
            return
        yield replace(self, trials=(), members=(), jobs=(), planned=len(self.jobs))
        for name in ("trials", "members", "jobs"):
            rows = getattr(self, name)
            for start in range(0, len(rows), size):
                yield Registration(**{name: rows[start : start + size]})


# Records read from several tables


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFacts:
    """A job with its trial or pretraining, and with its last attempt."""

    job_id: str
    kind: Kind
    trial_id: str | None
    pretraining_id: str | None  # of the segment, or of the maps that the trial reads
    data_digest: str
    flow: str
    dataset: str
    factorization: str | None
    budget: int | None  # the end of the segment, or of the pretraining behind the trial's maps
    seed: int
    state: State
    step: int
    steps: int
    token: int
    attempt_id: str | None
    owner: str | None
    host: str | None  # where the job runs; if it is lost, where its last attempt ran
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
    started: float | None  # of the last attempt, as the next four
    first_step: int | None
    stack_id: str | None
    outcome: str | None
    message: str | None  # what went wrong; while it runs, what it cannot do at present
    decision: str | None  # why a job that is not done runs again by itself, or does not
    bits_per_dim: float | None  # the last training value of the last attempt
    log_end: str | None  # of a job that runs and has made its steps
    weights: bool  # whether the trained weights were kept

    @property
    def rule(self) -> str | None:
        """The factorization as in the column `rule` of the views."""
        return name_rule(self.factorization)

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
    """One execution of a job, or an evaluation of kept weights: columns of `attempts`."""

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
        """The share of a GPU that it held; None on a CPU and if it ended without a report."""
        return self.gpu_seconds / self.seconds if self.gpu_seconds and self.seconds else None


@dataclass(frozen=True, slots=True)
class Rerun:
    """A job that was put back for a rerun, and is not done."""

    job_id: str
    kind: Kind
    state: State
    made: float  # when the former result or maps were made, which stay current until it is done
    by: str | None
    why: str  # may be empty


CurveKey = tuple[str, str]
"""The attempt of a curve, and its name."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve of a job."""

    attempt_id: str
    job_id: str
    name: str
    points: int  # the number of its points
    last_step: int

    @property
    def key(self) -> CurveKey:
        """The attempt and the name."""
        return self.attempt_id, self.name


@dataclass(frozen=True, slots=True)
class Making:
    """Versions and hardware with which results were made, as columns of `results`."""

    code_version: str
    dirty: str | None
    torch: str
    device: str
    cpu_capability: str
    threads: int


@dataclass(frozen=True, slots=True)
class SeededCell:
    """The values of one measure of all current results that differ only in the seed."""

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
    values: dict[int, float]  # by seed
    repeated: int | None  # a seed with two results, if there is one
    standard_error: float | None  # the largest of a value; None if none is known
    images: int | None  # the fewest behind a value; None if there are none
    clusters: int | None  # the fewest behind a value; None if there are none
    makings: tuple[Making, ...]
