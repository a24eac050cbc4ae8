"""One unit of work as it travels to a worker, and what the worker reports."""

from dataclasses import dataclass
from typing import Literal

from db import PlannedJob, State
from harness.place import Place
from sweeps.expansion import Pretraining, Trial

LEASE_SECONDS = 30.0
"""How long a worker may be silent before others take it for dead."""


@dataclass(frozen=True)
class Work:
    """A job with all that its body needs: plain values, no connections and no tensors.

    Exactly one of ``trial`` and ``pretraining`` is the job's subject.
    """

    job: PlannedJob
    place: Place
    owner: str
    device: Literal["cpu", "cuda"]
    trial: Trial | None = None
    pretraining: Pretraining | None = None
    checkpoint_seconds: float | None = None
    lease_seconds: float = LEASE_SECONDS

    @property
    def job_id(self) -> str:
        return self.job.id

    @property
    def threads(self) -> int:
        return self._subject.recipe.optimization.threads

    @property
    def dataset(self) -> str:
        return self._subject.dataset

    @property
    def title(self) -> str:
        """A name for people: in progress bars and in Ray's dashboard."""
        subject = self._subject
        flow = f"{subject.recipe.model.flow} {subject.dataset}"
        if self.trial is None:
            return f"pretrain {flow} to {self.job.budget} seed {subject.seed}"
        budget = "" if self.trial.budget is None else f" budget {self.trial.budget}"
        return f"train {flow} {self.trial.factorization}{budget} seed {subject.seed}"

    @property
    def _subject(self) -> Trial | Pretraining:
        subject = self.trial or self.pretraining
        assert subject is not None
        return subject


Ending = Literal["done", "diverged", "failed", "elsewhere", "blocked", "stopped"]


ENDINGS: dict[State, Ending] = {"done": "done", "diverged": "diverged", "failed": "failed"}
"""The states of a job that nobody works on any more."""


@dataclass(frozen=True)
class Report:
    """How a task ended. ``elsewhere``: another launch has the job; ``blocked``: what it needed
    did not end well; ``stopped``: the lease was lost or the launch is ending."""

    job_id: str
    ending: Ending
    message: str = ""
