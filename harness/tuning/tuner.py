"""The tuner: asks the study for budgets, hands out tasks, and reports their values to the study.

Both engines, Ray Tune and the local one, take tasks from it and report to it, from one thread.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from optuna.trial import TrialState

from lcma.db import Cap, Store, Unavailable
from lcma.harness.place import Place
from lcma.harness.run import limits
from lcma.harness.run.driver import LaunchRecord
from lcma.harness.run.limits import Limits, LimitWatch
from lcma.harness.run.outages import wait_out
from lcma.harness.run.plan import (
    Plan,
    known_digests,
    make_nodes,
    plan_expansion,
    register_plan,
)
from lcma.harness.run.sweep import begin_launch
from lcma.harness.run.work import LEASE_SECONDS, Terms
from lcma.harness.tuning.objective import (
    BudgetCost,
    MeasuredBudget,
    measure_budget,
    measure_cost,
    rung_value,
)
from lcma.harness.tuning.study import BUDGET, Study
from lcma.harness.tuning.target import StudyTarget
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


@contextmanager
def open_tuner(
    target: StudyTarget, place: Place, store: Store, settings: TunerSettings, note: Note
) -> Iterator["Tuner"]:
    """Open a tuner of a target's study for the time of a block.

    The data must be prepared at the place. The study is created if it is missing, and the base
    lines are registered. ``note`` is called with lines for people. Raises UserError where the
    study is of another spec.
    """
    (digest,) = known_digests(target.whole, place).values()
    with Study(store, target, digest, settings.owner) as study:
        plan = plan_expansion(target.baseline, place, None)
        sweep_id = wait_out(lambda: register_plan(plan, place, store))
        begun = wait_out(lambda: begin_launch(store, settings.owner, sweep_id, settings.arguments))
        record = LaunchRecord(sweep_id, begun, settings.resources.parallel, settings.limits)
        tuner = Tuner(study, place, digest, record, settings, note)
        with tuner.watched():
            yield tuner


class Tuner:
    """Works on one study until it has all its trials."""

    def __init__(
        self,
        study: Study,
        place: Place,
        digest: str,
        record: LaunchRecord,
        settings: TunerSettings,
        note: Note,
    ) -> None:
        self.study, self.store, self.target = study, study.store, study.target
        self.place, self.digest, self.record, self.settings = place, digest, record, settings
        self.note = note
        self.stopped: str | None = None
        """Why the study's launches were asked to end, once somebody has."""
        self.limited: str | None = None
        """Which limit it came to with something left, once it has."""
        self.baseline_lost = ""
        """Why the baselines failed, once they have."""
        self._reached = ""
        self._budgets: dict[int | None, int | None] = {}
        self._pruned: set[int] = set()
        self._baseline_begun = False
        study.reopen(self._retried())

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
        """Return the next task; 'wait' if only other tuners have work, None if all is done.

        A budget whose trainings are all done already is reported to Optuna directly.
        """
        if self.stopped is not None or self.limited is not None:
            return None
        if self._reached:
            if not self.study.is_complete(more=self._affordable()):
                self.limited = self._reached
            return None
        if not self._baseline_begun:
            self._baseline_begun = True
            task = self._register_task(None, self.target.baseline, ())
            if self._has_work_left(task):
                return task
        while True:
            trial = self.study.ask(more=self._affordable())
            if trial is None or trial == "wait":
                return trial
            rungs = self.target.tune.rungs
            task = self._register_task(trial.number, self.target.budgets[trial.budget], rungs)
            left = self._has_work_left(task)
            if trial.served is None:
                self.study.note_served(trial.number, not left)
            self._budgets[trial.number] = trial.budget
            if left:
                return task
            self.report_ending(task.number, TaskEnding("done"), served=True)

    def report_rung(self, number: int | None, rung: Rung) -> bool:
        """Report a rung to the study; return True if the task ends there."""
        assert number is not None
        trials = self._trials(number)
        so_far = self._cost(trials)
        value = rung_value(self.target.tune, rung.bits, so_far)
        stop = self.study.report(number, rung.step, value)
        self.note(f"trial {number}, {self._budgets[number]} steps: {value:.4f} at rung {rung.step}")
        if stop:
            self._pruned.add(number)
        return stop

    def is_pruned(self, number: int | None) -> bool:
        """Return whether a trial was stopped at a rung."""
        return number in self._pruned

    def report_ending(
        self, number: int | None, ending: TaskEnding, *, served: bool = False
    ) -> None:
        """Report to the study how a task ended; ``served`` if nothing had to be run for it."""
        if ending.how == "stopped":
            self.stopped = ending.why
            return
        if ending.how == "limited":
            self.limited = ending.why
            return
        budget = self._budgets.get(number)
        name = "baselines" if number is None else f"trial {number}, {budget} steps"
        if ending.how == "failed":
            self.note(f"{name}: failed: {ending.why}")
            if number is None:
                self.baseline_lost = ending.why
            else:
                self.study.fail(number, ending.why)
        elif number is None:
            self.note(f"{name}: done")
        elif ending.how == "pruned":
            trials = self._trials(number)
            self.study.prune(number, _cost_notes(self._cost(trials)))
            self.note(f"{name}: stopped at a rung")
        else:
            found = self.measure(self._trials(number))
            values = found.values(self.target.tune)
            self.study.complete(number, values, _notes(self.target.tune.measure, found))
            numbers = ", ".join(f"{value:.4f}" for value in values)
            self.note(f"{name}: {'served' if served else 'done'}, {numbers}")

    def measure(self, trials: Sequence[Trial]) -> MeasuredBudget:
        """Return the value and cost of trials that are done."""
        return wait_out(lambda: measure_budget(self.store, self.target, trials, self.digest))

    def _cost(self, trials: Sequence[Trial]) -> BudgetCost:
        return wait_out(lambda: measure_cost(self.store, self.target, trials, self.digest))

    def _trials(self, number: int) -> Sequence[Trial]:
        budget = self._budgets[number]
        assert budget is not None
        return self.target.budgets[budget].trials

    def plan_all_tasks(self) -> dict[int | None, StudyTask]:
        """Return the tasks by budget, and that of the baselines under None; register nothing."""
        rungs, budgets = self.target.tune.rungs, self.target.budgets
        found: dict[int | None, StudyTask] = {
            b: self._plan_task(0, self._plan(p), rungs) for b, p in budgets.items()
        }
        return found | {None: self._plan_task(None, self._plan(self.target.baseline), ())}

    def _plan(self, part: Expansion) -> Plan:
        return plan_expansion(part, self.place, None)

    def _register_task(
        self, number: int | None, part: Expansion, rungs: tuple[int, ...]
    ) -> StudyTask:
        """Register a part of the sweep; return its task."""
        plan = self._plan(part)
        wait_out(lambda: register_plan(plan, self.place, self.store))
        return self._plan_task(number, plan, rungs)

    def _plan_task(self, number: int | None, plan: Plan, rungs: tuple[int, ...]) -> StudyTask:
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
        return StudyTask(number, plan.expansion.trials[0].budget, tuple(nodes), rungs, self.record)

    def _has_work_left(self, task: StudyTask) -> bool:
        """Return whether any training of a task is not done."""
        wanted = [n.work.job_id for n in task.nodes if n.work.trial is not None]
        jobs = wait_out(lambda: self.store.jobs(wanted))
        return any(jobs[job_id].state != "done" for job_id in wanted)

    def _retried(self) -> list[int]:
        """Return the trials that failed, and of whose jobs none is failed or diverged any more."""
        failed = {
            trial.number: int(trial.user_attrs[BUDGET])
            for trial in self.study.trials()
            if trial.state == TrialState.FAIL and BUDGET in trial.user_attrs
        }
        lost = {budget for budget in failed.values() if self._is_lost(budget)}
        return [number for number, budget in failed.items() if budget not in lost]

    def _is_lost(self, budget: int) -> bool:
        part = self.target.budgets[budget]
        return wait_out(lambda: plan_expansion(part, self.place, self.store)).lost > 0

    def _affordable(self) -> bool:
        """Return whether the study has cost less than its limit."""
        hours = self.target.tune.cost_hours
        if hours is None:
            return True
        return wait_out(lambda: spent_seconds(self.store, self.target, self.digest)) < hours * 3600


def spent_seconds(store: Store, target: StudyTarget, digest: str) -> float:
    """Return the device seconds of all trainings of a study and of its pretrainings, each counted
    once."""
    ids = [trial.id for trial in target.whole.trials]
    longest: dict[str, float] = {}
    total = 0.0
    for trial in store.view("costs", trial_id=ids, data_digest=digest).to_dict("records"):
        gpu = trial["gpu_seconds"]
        total += _known(gpu) or _known(trial["seconds"])
        pretraining = trial["pretraining_id"]
        if isinstance(pretraining, str):
            seconds = _known(trial["pretraining_gpu_seconds"]) or _known(
                trial["pretraining_seconds"]
            )
            longest[pretraining] = max(longest.get(pretraining, 0.0), seconds)
    return total + sum(longest.values())


def _known(value: Any) -> float:
    return float(value) if isinstance(value, float) and value == value else 0.0


def _notes(measure: str, found: MeasuredBudget) -> dict[str, Any]:
    notes = {measure: found.mean, f"test_{measure}": found.test_mean}
    if found.spread is not None:
        notes[f"{measure}_sd"] = found.spread
    return notes | _cost_notes(found.cost)


def _cost_notes(cost: BudgetCost) -> dict[str, Any]:
    return {
        "cost_images": cost.pretraining_images + cost.training_images,
        "cost_seconds": cost.pretraining_seconds + cost.training_seconds,
    }
