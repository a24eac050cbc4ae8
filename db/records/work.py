"""Records of jobs as they stand, and of the right to work on one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from lcma.db.records.evidence import Cost, Metric

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
        metrics: Points of curves, stored as by `Store.add_metrics`.
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
