"""The tuner of a search over budgets."""

from collections.abc import Sequence
from typing import Any, Literal

from optuna.trial import TrialState

from lcma.harness.run.outages import wait_out
from lcma.harness.run.plan import plan_expansion
from lcma.harness.tuning.objective import BudgetCost, MeasuredBudget, measure_cost, rung_value
from lcma.harness.tuning.study import BUDGET, BudgetStudy
from lcma.harness.tuning.task import Rung, StudyTask, TaskEnding
from lcma.harness.tuning.tuner import Tuner
from lcma.sweeps.expansion import Trial


class BudgetTuner(Tuner):
    """Asks a study for budgets, and tells it their values."""

    def __init__(self, study: BudgetStudy, *others: Any) -> None:
        super().__init__(study, *others)
        self.study: BudgetStudy = study
        self._budgets: dict[int | None, int] = {}
        self._pruned: set[int] = set()
        study.reopen(self._retried())

    def is_complete(self) -> bool:
        return self.study.is_complete()

    def next_trials(self) -> "StudyTask | Literal['wait'] | None":
        """Return the task of the next budget.

        One whose trainings are all done already is reported to Optuna directly.
        """
        while True:
            trial = self.study.ask(more=self.affordable())
            if trial is None or trial == "wait":
                return trial
            task = self.register_task(trial.number, (trial.budget,))
            left = self.has_work_left(task)
            if trial.served is None:
                self.study.note_served(trial.number, not left)
            self._budgets[trial.number] = trial.budget
            if left:
                return task
            self.report_trials(trial.number, TaskEnding("done"), served=True)

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

    def report_trials(self, number: int, ending: TaskEnding, *, served: bool = False) -> None:
        name = f"trial {number}, {self._budgets[number]} steps"
        trials = self._trials(number)
        if ending.how == "done" and (why := self.explain_unmeasured(trials)):
            ending = TaskEnding("failed", why)
        if ending.how == "failed":
            self.note(f"{name}: failed: {ending.why}")
            self.study.fail(number, ending.why)
        elif ending.how == "pruned":
            cost = self._cost(trials, self.study.trials()[number].last_step)
            self.study.prune(number, _cost_notes(cost))
            self.note(f"{name}: stopped at a rung")
        else:
            found = self.measure(trials)
            values = found.values(self.target.tune)
            self.study.complete(number, values, _notes(self.target.tune.measure, found))
            numbers = ", ".join(f"{value:.4f}" for value in values)
            self.note(f"{name}: {'served' if served else 'done'}, {numbers}")

    def _cost(self, trials: Sequence[Trial], steps: int | None = None) -> BudgetCost:
        return wait_out(lambda: measure_cost(self.store, trials, self.digest, steps))

    def _trials(self, number: int) -> Sequence[Trial]:
        return self.target.parts[self._budgets[number]].trials

    def _retried(self) -> list[int]:
        """Return the trials that failed, and now have neither lost jobs nor unmeasured results."""
        failed = {
            trial.number: int(trial.user_attrs[BUDGET])
            for trial in self.study.trials()
            if trial.state == TrialState.FAIL and BUDGET in trial.user_attrs
        }
        lost = {budget for budget in failed.values() if self._is_lost(budget)}
        return [number for number, budget in failed.items() if budget not in lost]

    def _is_lost(self, budget: int) -> bool:
        part = self.target.parts[budget]
        if wait_out(lambda: plan_expansion(part, self.place, self.store)).lost:
            return True
        return bool(self.explain_unmeasured(part.trials))


def _notes(measure: str, found: MeasuredBudget) -> dict[str, Any]:
    notes = {measure: found.mean}
    if found.test_mean is not None:
        notes[f"test_{measure}"] = found.test_mean
    if found.spread is not None:
        notes[f"{measure}_sd"] = found.spread
    return notes | _cost_notes(found.cost)


def _cost_notes(cost: BudgetCost) -> dict[str, Any]:
    return {
        "cost_images": cost.pretraining_images + cost.training_images,
        "cost_seconds": cost.pretraining_seconds + cost.training_seconds,
    }
