"""Records that are read from several tables: jobs with what they are, attempts, curves, cells."""

from dataclasses import dataclass

from lcma.db.records.work import Kind, State


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
