"""Records that queries join from several tables: jobs with their subjects, cells, what was lost."""

from dataclasses import dataclass

from lcma.db.records.plan import Sweep
from lcma.db.records.work import Kind, State

SHORTEST = 60.0
"""Seconds from which on a number of trials makes a rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFacts:
    """A job as it stands, with what it works on.

    `pretraining_id` is the pretraining that it is a segment of, or whose maps the trial reads up to
    `budget`. `nms` is the form of a pretraining's flow. What a query does not ask for is as by
    default: of `Store.failures` the `outcome` and `message` of the last attempt, on `host`, and the
    `decision` why it is not run again without a person; of `Store.running_jobs` the `pid` of the
    worker, the `first_step` and the last training `bits_per_dim` of its attempt, the stack in which
    it runs with others, as `message` what it cannot do at present, '' where there is nothing, and
    the `log_end`, the last of its log, once its steps are made; of `Store.trained_trials` whether
    `weights` were kept.
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
    outcome: str | None = None
    message: str | None = None
    decision: str | None = None
    pid: int | None = None
    first_step: int | None = None
    stack_id: str | None = None
    bits_per_dim: float | None = None
    log_end: str | None = None
    weights: bool = False

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


@dataclass(frozen=True, slots=True, kw_only=True)
class CellState:
    """State of a cell of a sweep: the trials that it has and lacks, as in the view `coverage`."""

    flow: str
    dataset: str
    data_digest: str | None
    asked: str
    factorization: str
    budget: int | None
    map_options: str | None
    recipe_id: str
    planned: int
    done: int
    running: int
    pending: int
    blocked: int
    diverged: int
    failed: int
    why: str | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A segment that is not done, and how many pending trials read maps at its end."""

    segment: JobFacts
    trials: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Speed of a sweep.

    Attributes:
        trials: Trials done in the last `seconds`.
        seconds: An hour, or the time since work began in it.
        steps_per_second: Training steps over all attempts that run, each since it started.
        steps_left: Training steps that are not made, without those of lost jobs.
    """

    trials: int
    seconds: float
    steps_per_second: float
    steps_left: int = 0

    @property
    def trials_per_hour(self) -> float:
        """How many trials would be done in an hour as fast as this."""
        return 3600.0 * self.trials / max(self.seconds, SHORTEST)

    @property
    def seconds_left(self) -> float | None:
        """How long the steps that are left take as fast as this; None while none is made."""
        return self.steps_left / self.steps_per_second if self.steps_per_second else None


@dataclass(frozen=True, slots=True)
class Membership:
    """A sweep that a trial is in, and the factorization's name as the sweep asked for it."""

    trial_id: str
    sweep: Sweep
    asked: str


@dataclass(frozen=True)
class LostTrials:
    """Number of trials of one cell and seed that ended as `state`: diverged or failed.

    Their last attempts ended with this `outcome`.
    """

    state: str
    flow: str
    profile: str
    dataset: str
    variant: str
    data_digest: str
    recipe_id: str
    factorization: str
    budget: int | None
    map_options: str | None
    seed: int
    outcome: str | None = None
    trials: int = 1


@dataclass(frozen=True, slots=True)
class TrialEffort:
    """When the first attempt at a trial began, Unix seconds UTC, and the CPU seconds of all.

    The seconds are None where no attempt has a report, and those of the pretraining behind it, up
    to the budget, where there is none.
    """

    recipe_id: str
    data_digest: str
    factorization: str
    budget: int | None
    map_options: str | None
    seed: int
    started: float
    cpu_seconds: float | None
    pretraining_cpu_seconds: float | None = None


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


@dataclass(frozen=True)
class DataWait:
    """The share of training steps that attempts on one set and kind of device waited for images.

    `mean` is over attempts, `largest` the largest of them, 0 to 1.
    """

    dataset: str
    variant: str
    device: str
    attempts: int
    mean: float
    largest: float


@dataclass(frozen=True)
class MapKey:
    """The key of the maps of one pretraining at one budget, without the split."""

    pretraining_id: str
    data_digest: str
    budget: int
    score: str
    flow: str
    dataset: str
    variant: str
    seed: int
    nms: str
    recipe_id: str


@dataclass(frozen=True)
class MapUser:
    """A trial that reads the maps of a pretraining at a budget, with its options as JSON."""

    trial_id: str
    recipe_id: str
    pretraining_id: str
    factorization: str
    budget: int
    map_options: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDuration:
    """The attempt by which a job was done, and how long it took on which device.

    `factorization` is None for a pretraining, `nms` for a trial. `images` are those of its data
    set. `gpu_seconds` is None on a CPU, `images_per_second` where it made no step.
    """

    kind: Kind
    recipe_id: str
    factorization: str | None
    nms: str | None
    device: str
    images: int
    first_step: int
    last_step: int
    seconds: float
    gpu_seconds: float | None
    images_per_second: float | None


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
class Beside:
    """Measures beside a result's bits/dim: the bound of several draws, the bias of the series.

    Names are as in `results`; None stands for what was not measured.
    """

    attempt_id: str
    bound_draws: int | None
    bound_gain: float | None
    series_terms: int | None
    series_bias: float | None
    series_bias_standard_error: float | None


@dataclass(frozen=True, slots=True)
class SeededCell:
    """All current results that differ in the seed alone: the values of one measure by seed.

    Attributes:
        repeated: A seed with two results, where there is one.
        standard_error: The largest of one value's; None where none is known.
        images: The fewest behind a value; None where it is over none.
        clusters: The fewest behind a result; None where none is known.
        data_wait: The largest share of a step's time that a training waited for images; None where
            it is no more than the caller's threshold.
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
    beside: tuple[Beside, ...] = ()
    data_wait: float | None = None
