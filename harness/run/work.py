"""One unit of work as it travels to a worker, and what the worker reports."""

import pickle
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from lcma.db import Cap, PlannedJob, Policy, Starved, State
from lcma.harness.place import Place
from lcma.sweeps import plugins
from lcma.sweeps.expansion import Pretraining, Trial
from lcma.sweeps.plugins import Plugin
from lcma.sweeps.spec import Failures, Keep

if TYPE_CHECKING:
    pass


# The terms of work: what a person allows it, and what becomes of it when that was not enough
from lcma.db import Store

FULL = "alone on a full GPU"


@dataclass(frozen=True)
class Terms:
    """What the work of a launch is allowed: wall-clock hours for an attempt, memory in GB (1e9
    bytes), jobs of its sweep at once; None for no limit."""

    failures: Failures = field(default_factory=Failures)
    hours: float | None = None
    memory_gb: float | None = None
    cap: Cap | None = None


def policy_of(work: "Work", *, killed: bool = False) -> Policy:
    """What becomes of a job after an attempt at this work that failed; ``killed`` where its node
    did that, for want of memory."""
    failures = work.terms.failures
    remedy = hopeless = ""
    if killed:
        more = grow_work(work, Starved(killed=1)).terms.memory_gb
        remedy = "as it was" if more is None else f"with {more:g} GB of memory"
    elif work.device == "cpu":
        hopeless = "it ran on a CPU, which has no more memory to give"
    elif work.gpus >= 1:
        hopeless = "it had a full GPU already"
    else:
        remedy = FULL
    return Policy(
        oom=failures.oom,
        timeout=None if failures.timeout == "always" else failures.timeout,
        code_error=failures.code_error,
        diverged=failures.diverged,
        remedy=remedy,
        hopeless=hopeless,
    )


def grow_work(work: "Work", starved: Starved) -> "Work":
    """The same with more, where it ran out of memory: a full GPU instead of a share of one, and
    twice the host's memory for each time that its node killed it."""
    memory = work.terms.memory_gb
    if memory is not None:
        memory *= 2**starved.killed
    gpus = 1.0 if starved.told and 0 < work.gpus < 1 else work.gpus
    return replace(work, gpus=gpus, terms=replace(work.terms, memory_gb=memory))


LEASE_SECONDS = 30.0
"""How long a worker may be silent before others take it for dead."""


@dataclass(frozen=True)
class Work:
    """A job with all that its body needs: plain values, no connections and no tensors.

    ``gpus`` is the share of a GPU that it holds.
    ``rung`` is the step at which a training ends for a tuner to decide whether it goes on.

    Exactly one of ``trial`` and ``pretraining`` is the job's subject. Where it needs ``plugins``
    it arrives ``sealed``, since it may hold objects of their classes; `opened` loads them.
    """

    job: PlannedJob
    place: Place
    owner: str
    device: Literal["cpu", "cuda"]
    gpus: float = 0.0
    trial: Trial | None = None
    pretraining: Pretraining | None = None
    checkpoint_seconds: float | None = None
    lease_seconds: float = LEASE_SECONDS
    plugins: tuple[Plugin, ...] = ()
    sealed: "_Sealed | None" = None
    terms: Terms = field(default_factory=Terms)
    keep: Keep = field(default_factory=Keep)
    rung: int | None = None

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        if self.plugins and self.sealed is None:
            content = pickle.dumps((self.trial, self.pretraining))
            state["sealed"] = _Sealed(content, self.threads)
            state["trial"] = state["pretraining"] = None
        return state

    def opened(self) -> "Work":
        """The same with its plug-ins loaded; UserError where they are not those of the plan."""
        plugins.load(self.plugins)
        if self.sealed is None:
            return self
        # Made by __getstate__ in the launching process and nowhere else.
        trial, pretraining = pickle.loads(self.sealed.content)  # noqa: S301 - the driver's own bytes
        return replace(self, trial=trial, pretraining=pretraining, sealed=None)

    @property
    def job_id(self) -> str:
        return self.job.id

    @property
    def threads(self) -> int:
        return self.sealed.threads if self.sealed else self._subject.recipe.optimization.threads

    @property
    def set_name(self) -> str:
        return self._subject.set_name

    @property
    def title(self) -> str:
        """A name for people: in progress bars and in Ray's dashboard."""
        subject = self._subject
        flow = f"{subject.recipe.model.flow} {subject.set_name}"
        if self.trial is None:
            return f"pretrain {flow} to {self.job.budget} seed {subject.seed}"
        budget = "" if self.trial.budget is None else f" budget {self.trial.budget}"
        return f"train {flow} {self.trial.factorization}{budget} seed {subject.seed}"

    @property
    def _subject(self) -> Trial | Pretraining:
        subject = self.trial or self.pretraining
        assert subject is not None
        return subject


@dataclass(frozen=True)
class _Sealed:
    """A subject as bytes, and what must be known of it before it can be read."""

    content: bytes
    threads: int


How = Literal["done", "pruned", "diverged", "failed", "elsewhere", "blocked", "stopped", "away"]

ENDINGS: dict[State, How] = {"done": "done", "diverged": "diverged", "failed": "failed"}
"""The states of a job that nobody works on any more."""


@dataclass(frozen=True)
class Report:
    """How a task ended. ``pruned``: it stands at its rung; ``elsewhere``: another launch has the
    job; ``blocked``: what it needed did not end well; ``stopped``: the lease was lost or the launch
    is ending; ``away``: the host could not reach the database or the checkpoints, and nothing was
    begun.

    ``notes`` are lines to be told beside, of what others had left on that host.
    """

    job_id: str
    ending: How
    message: str = ""
    notes: tuple[str, ...] = ()


# Rungs: steps of a training at which a tuner compares it with others and may stop it

CURVE = "rung_bits_per_dim"
"""The curve of the values at rungs."""

HOLDOUT = "holdout_bits_per_dim"
"""The curve of the same at the steps that the recipe asks for."""


class AtRungError(Exception):
    """A training stands at its rung, with a checkpoint of that step where one could be written."""


def rung_values(store: Store, job_id: str) -> dict[int, float]:
    """Bits/dim on the holdout part by step, wherever it is known."""
    curves = (store.metrics(job_id, name) for name in (HOLDOUT, CURVE))
    return {point.step: point.value for curve in curves for point in curve}
