"""The tuner: asks the study what to train, hands out tasks, and reports their values to it.

Both engines, Ray Tune and the local one, take tasks from it and report to it, from one thread.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

from lcma.db import Cap, Unavailable
from lcma.harness.place import Place
from lcma.harness.run import limits
from lcma.harness.run.driver import LaunchRecord
from lcma.harness.run.limits import Limits, LimitWatch
from lcma.harness.run.outages import wait_out
from lcma.harness.run.plan import Plan, make_nodes, plan_expansion, register_plan
from lcma.harness.run.work import LEASE_SECONDS, Terms
from lcma.harness.tuning.objective import MeasuredBudget, explain_unmeasured, measure_budget
from lcma.harness.tuning.study import Study
from lcma.harness.tuning.target import Part
from lcma.harness.tuning.task import Rung, StudyTask, TaskEnding
from lcma.sweeps.expansion import Expansion, Trial
from lcma.sweeps.spec import Resources

Note = Callable[[str], None]
"""Shows a line about a trial of the study."""


@dataclass(frozen=True)
class TunerSettings:
    """Owner, resources, intervals (seconds), arguments and limits of a tuner, as for a launch."""

    owner: str
    resources: Resources
    checkpoint_seconds: float | None = None
    lease_seconds: float = LEASE_SECONDS
    arguments: str = ""
    limits: Limits = field(default_factory=Limits)


class Tuner(ABC):
    """Works on one study until it has all its trials.

    Tasks are handed out, and endings taken, from one thread. What follows from the trials of a
    study is for those of a kind: over budgets, or over patterns.
    """

    def __init__(
        self,
        study: Study,
        place: Place,
        digest: str,
        record: LaunchRecord,
        settings: TunerSettings,
        note: Note,
    ) -> None:
        self.store, self.target = study.store, study.target
        self.place, self.digest, self.record, self.settings = place, digest, record, settings
        self.note = note
        self.stopped: str | None = None
        """Why the study's launches were asked to end, once somebody has."""
        self.limited: str | None = None
        """Which limit it came to with something left, once it has."""
        self.spent = ""
        """Which hours are spent, once nothing more is asked for since they are."""
        self.baseline_lost = ""
        """Why the baselines failed, once they have."""
        self._reached = ""
        self._baseline_begun = False

    @abstractmethod
    def is_complete(self) -> bool:
        """Return whether nothing of the study runs, here or elsewhere, and nothing would begin."""

    @abstractmethod
    def next_trials(self) -> "StudyTask | Literal['wait'] | None":
        """Return the task of the next trials of the study; 'wait' and None as `next_task`."""

    @abstractmethod
    def report_trials(self, number: int, ending: TaskEnding, *, served: bool = False) -> None:
        """Report to the study how the trials of a task ended; ``served`` if nothing was run."""

    def report_rung(self, number: int | None, rung: Rung) -> bool:
        """Report a rung to the study; return True if the task ends there."""
        return False

    def is_pruned(self, number: int | None) -> bool:
        """Return whether a trial was stopped at a rung."""
        return False

    @contextmanager
    def watched(self) -> Iterator[None]:
        """End the study's launches at their limits, for the time of a block.

        They look too, but one on Ray Tune not while it trains.
        """
        ended = threading.Event()

        def watch() -> None:
            seen = LimitWatch(
                self.store, self.settings.owner, self.record.sweep_id, self.record.limits
            )
            while not ended.wait(limits.LOOK_SECONDS):
                with suppress(Unavailable):
                    self._reached = self._reached or seen.find_reached()
                    if self._reached:
                        seen.end(self._reached)
                        return

        thread = threading.Thread(target=watch, name="limits", daemon=True)
        if self.record.limits == Limits():
            yield
            return
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def next_task(self) -> "StudyTask | Literal['wait'] | None":
        """Return the next task; 'wait' if only others have work, None if all is done."""
        if self.stopped is not None or self.limited is not None:
            return None
        if self._reached:
            if not self.is_complete():
                self.limited = self._reached
            return None
        if not self._baseline_begun:
            self._baseline_begun = True
            baselines = self.register_task(None, (None,))
            if self.has_work_left(baselines):
                return baselines
        task = self.next_trials()
        if task is None and not self.affordable() and not self.is_complete():
            self.spent = (
                f"the study has taken {self._taken_hours():.3g} of {self.target.tune.cost_hours:g} "
                "device hours that `tune.cost_hours` lets it take"
            )
        return task

    def report_ending(self, number: int | None, ending: TaskEnding) -> None:
        """Report how a task ended."""
        if ending.how == "stopped":
            self.stopped = ending.why
        elif ending.how == "limited":
            self.limited = ending.why
        elif number is not None:
            self.report_trials(number, ending)
        elif ending.how == "failed":
            self.note(f"baselines: failed: {ending.why}")
            self.baseline_lost = ending.why
        else:
            self.note("baselines: done")

    def measure(self, trials: Sequence[Trial]) -> MeasuredBudget:
        """Return the value and cost of trials that are done and measured."""
        return wait_out(lambda: measure_budget(self.store, self.target, trials, self.digest))

    def explain_unmeasured(self, trials: Sequence[Trial]) -> str:
        """Return which of the trials lack the study's measure, as `objective` does."""
        return wait_out(lambda: explain_unmeasured(self.store, self.target, trials, self.digest))

    def plan_all_tasks(self) -> dict[Part | None, StudyTask]:
        """Return the tasks by part, and that of the baselines under None; register nothing."""
        found: dict[Part | None, StudyTask] = {
            key: self.plan_task(0, (key,)) for key in self.target.parts
        }
        return found | {None: self.plan_task(None, (None,))}

    def register_task(self, number: int | None, keys: Sequence[Part | None]) -> StudyTask:
        """Register parts of the sweep, or the baselines; return their task."""
        plan = self._plan(keys)
        wait_out(lambda: register_plan(plan, self.place, self.store))
        return self._make_task(number, keys, plan)

    def plan_task(self, number: int | None, keys: Sequence[Part | None]) -> StudyTask:
        """Return the same task, and register nothing."""
        return self._make_task(number, keys, self._plan(keys))

    def _plan(self, keys: Sequence[Part | None]) -> Plan:
        parts = [self.target.baseline if key is None else self.target.parts[key] for key in keys]
        cells = tuple(cell for part in parts for cell in part.cells)
        whole = Expansion(self.target.spec, cells, parts[0].passing)
        return plan_expansion(whole, self.place, None)

    def _make_task(self, number: int | None, keys: Sequence[Part | None], plan: Plan) -> StudyTask:
        need, most = self.settings.resources, self.record.parallel
        terms = Terms(
            failures=self.target.spec.failures,
            hours=need.hours,
            memory_gb=need.memory_gb,
            cap=None if most is None else Cap(self.record.sweep_id, most),
        )
        nodes = make_nodes(
            plan,
            self.place,
            owner=self.settings.owner,
            device="cuda" if need.gpus else "cpu",
            gpus=need.gpus or 0.0,
            checkpoint_seconds=self.settings.checkpoint_seconds,
            lease_seconds=self.settings.lease_seconds,
            terms=terms,
        )
        rungs = () if number is None else self.target.tune.rungs
        return StudyTask(number, tuple(keys), tuple(nodes), rungs, self.record)

    def has_work_left(self, task: StudyTask) -> bool:
        """Return whether any training of a task is not done."""
        wanted = [n.work.job_id for n in task.nodes if n.work.trial is not None]
        jobs = wait_out(lambda: self.store.jobs(wanted))
        return any(jobs[job_id].state != "done" for job_id in wanted)

    def affordable(self) -> bool:
        """Return whether the study's launches have taken fewer device hours than they may.

        What others have spent on the same trials is served to the study for nothing.
        """
        hours = self.target.tune.cost_hours
        return hours is None or self._taken_hours() < hours

    def _taken_hours(self) -> float:
        return wait_out(lambda: self.store.device_hours(sweep_id=self.record.sweep_id))
