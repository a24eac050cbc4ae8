"""A work as it travels to a worker, its terms, and the report that the worker returns.

`make_policy` and `grow_work` say what follows when the terms were too tight.
"""

import pickle
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from lcma.db import Cap, PlannedJob, Policy, State
from lcma.harness.place import Place
from lcma.sweeps import plugins
from lcma.sweeps.expansion import Pretraining, Trial
from lcma.sweeps.plugins import Plugin
from lcma.sweeps.spec import Failures, Keep

LEASE_SECONDS = 30.0
"""Time without a heartbeat after which a worker counts as dead."""

FULL_GPU_REMEDY = "alone on a full GPU"
"""The remedy for a trial that ran out of the memory of its share of a GPU."""

Need = tuple[int, float, float | None]
"""The resources of a task: threads, share of a GPU, and the host's memory in GB, None for any."""


@dataclass(frozen=True)
class Terms:
    """The limits of a launch's work, None for no limit, and what follows its failures."""

    failures: Failures = field(default_factory=Failures)
    hours: float | None = None  # of an attempt by the wall clock; in a stack, of its share
    memory_gb: float | None = None  # of the host, in 1e9 bytes
    cap: Cap | None = None  # of jobs of the sweep at once


@dataclass(frozen=True)
class Work:
    """A job with all that its body needs: plain values, no connections and no tensors."""

    job: PlannedJob
    subject: Trial | Pretraining
    place: Place
    owner: str  # the launch
    device: Literal["cpu", "cuda"]
    after: str | None = None  # id of the job that it waits for
    gpus: float = 0.0  # share of a GPU that it holds
    checkpoint_seconds: float | None = None
    lease_seconds: float = LEASE_SECONDS
    plugins: tuple[Plugin, ...] = ()  # that the subject needs
    sealed: tuple[bytes, int] | None = None  # the pickled subject, and its threads
    terms: Terms = field(default_factory=Terms)
    keep: Keep = field(default_factory=Keep)
    expired: float | None = None  # end of a lease that the launch has seen expire

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        if self.plugins and self.sealed is None:
            # It may hold objects of the plug-ins' classes, which `opened` loads before it.
            state |= {"sealed": (pickle.dumps(self.subject), self.threads), "subject": None}
        return state

    def opened(self) -> "Work":
        """Load the plug-ins and return the work with its subject.

        Raises UserError if the plug-ins are not those of the plan.
        """
        plugins.load(self.plugins)
        if self.sealed is None:
            return self
        # Made by __getstate__ in the launching process and nowhere else.
        subject = pickle.loads(self.sealed[0])  # noqa: S301 - the driver's own bytes
        return replace(self, subject=subject, sealed=None)

    @property
    def job_id(self) -> str:
        return self.job.id

    @property
    def threads(self) -> int:
        return self.sealed[1] if self.sealed else self.subject.recipe.optimization.threads

    @property
    def need(self) -> Need:
        return self.threads, self.gpus, self.terms.memory_gb

    @property
    def set_name(self) -> str:
        return self.subject.set_name

    @property
    def title(self) -> str:
        """A readable name, for progress bars and Ray's dashboard."""
        subject = self.subject
        flow = f"{subject.recipe.model.flow} {subject.set_name}"
        if isinstance(subject, Trial):
            budget = "" if subject.budget is None else f" budget {subject.budget}"
            return f"train {flow} {subject.factorization}{budget} seed {subject.seed}"
        if subject.form == "data":
            return f"measure the data {subject.set_name}"
        how = "split by split " if subject.form == "self" else ""
        return f"pretrain {flow} {how}to {self.job.budget} seed {subject.seed}"


ReportEnding = Literal[
    "done",
    "diverged",
    "failed",
    "elsewhere",
    "blocked",
    "stopped",
    "away",
    "crowded",
    "cancelled",
    "preempted",
    "device_failed",
]

ENDINGS: dict[State, ReportEnding] = {"done": "done", "diverged": "diverged", "failed": "failed"}
"""The final states of a job, and the endings that they stand for."""


@dataclass(frozen=True)
class Report:
    """How a task ended, by its worker.

    ``ending`` is the state of the job, or one of

    - ``elsewhere``: another launch has the job, or it was forgotten;
    - ``blocked``: a job that it needs ended without a result;
    - ``cancelled``: a person requested that no launch that has begun runs it;
    - ``stopped``: the lease was lost, or the launch is ending;
    - ``away``: the host could not reach the database or the checkpoints, and nothing was begun;
    - ``crowded``: its stack ran out of memory or raised an error, or an earlier error broke the
      device of its process; this counts against no job, and a smaller stack may succeed;
    - ``preempted``: its process or node was told to end, and it has written a checkpoint;
    - ``device_failed``: the device failed, which counts against its host and not against the job.
    """

    job_id: str
    ending: ReportEnding
    message: str = ""
    steps: int = 0  # that the attempt made
    at_start: bool = False  # whether an error ended it before its first step
    host: str = ""  # as `Finished.host`


def make_policy(work: Work, *, killed: bool = False) -> Policy:
    """Return what the database does with a job after a failed attempt at this work.

    ``killed`` says that its node killed the attempt because memory ran out.
    """
    failures = work.terms.failures
    remedy = hopeless = ""
    if killed:
        memory = grow_work(work, Starved(killed=1)).terms.memory_gb
        remedy = "as it was" if memory is None else f"with {memory:g} GB of memory"
    elif work.device == "cpu":
        hopeless = "it ran on a CPU, which has no more memory to give"
    elif work.gpus >= 1:
        hopeless = "it had a full GPU already"
    else:
        remedy = FULL_GPU_REMEDY
    return Policy(
        oom=failures.oom,
        timeout=None if failures.timeout == "always" else failures.timeout,
        code_error=failures.code_error,
        diverged=failures.diverged,
        remedy=remedy,
        hopeless=hopeless,
    )


@dataclass(frozen=True, slots=True)
class Starved:
    """Numbers of attempts at a job that ran out of memory since a person last requested a retry."""

    reported: int = 0  # by the attempt itself
    killed: int = 0  # by its node


def grow_work(work: Work, starved: Starved) -> Work:
    """Return the work with more memory for a job that ran out of it.

    It gets a full GPU instead of a share, and twice the host's memory for each kill by its node.
    """
    memory = work.terms.memory_gb
    if memory is not None:
        memory *= 2**starved.killed
    gpus = 1.0 if starved.reported and 0 < work.gpus < 1 else work.gpus
    return replace(work, gpus=gpus, terms=replace(work.terms, memory_gb=memory))
