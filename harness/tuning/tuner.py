"""The tuner: launches what a study asks for, and tells it the values."""

import statistics
from collections.abc import Sequence

from optuna.trial import TrialState

from lcma.db import Store
from lcma.harness.launch.driver import Display, LaunchRecord
from lcma.harness.launch.limits import Limits
from lcma.harness.launch.plan import known_digests, plan_expansion, register_plan
from lcma.harness.launch.sweep import begin_launch, run_plan
from lcma.harness.launch.workers import Workers
from lcma.harness.place import Place
from lcma.harness.text import format_count
from lcma.harness.train.protocol import PLAIN
from lcma.harness.tuning.study import BUDGET, Study, StudyTrial
from lcma.harness.tuning.target import StudyTarget
from lcma.harness.work.outages import wait_out
from lcma.harness.work.units import LEASE_SECONDS


class Tuner:
    """Works on one study until it is complete, from one thread, as one launch of its sweep."""

    def __init__(
        self,
        target: StudyTarget,
        place: Place,
        store: Store,
        workers: Workers,
        display: Display,
        *,
        limits: Limits | None = None,
        arguments: str = "",
        lease_seconds: float = LEASE_SECONDS,
        checkpoint_seconds: float | None = None,
    ) -> None:
        """Open the study, or create it, and begin the launch. The data must be prepared.

        Raises UserError where the study is of another spec.
        """
        (self.digest,) = known_digests(target.whole, place).values()
        self.target, self.place, self.store = target, place, store
        self.workers, self.display = workers, display
        self.lease_seconds, self.checkpoint_seconds = lease_seconds, checkpoint_seconds
        self.study = Study(store, target, self.digest)
        plan = plan_expansion(target.baseline, place, None)
        sweep_id = wait_out(lambda: register_plan(plan, place, store))
        begun = wait_out(lambda: begin_launch(store, workers.owner, sweep_id, arguments))
        parallel = workers.resources.parallel
        self.record = LaunchRecord(sweep_id, begun, parallel, limits or Limits())
        failed = wait_out(self.study.trials)
        self._reopened = {
            one.number
            for one in failed
            if one.state == TrialState.FAIL and not self._measure(one.params[BUDGET])[1]
        }

    def ask(self) -> list[StudyTrial]:
        """Return the trials to run next; [] if the study is complete.

        A budget that failed is asked for again once nothing is in its way any more.
        """
        return self.study.ask(self._reopened)

    def run(self, trials: Sequence[StudyTrial]) -> None:
        """Launch what is missing of the baselines and of the trials, and tell the study.

        Raises what a launch raises; then the trials go on running in the study.
        """
        expansion = self.target.join(trial.budget for trial in trials)
        plan = wait_out(lambda: plan_expansion(expansion, self.place, self.store))
        wait_out(lambda: register_plan(plan, self.place, self.store))
        run_plan(
            self.workers,
            plan,
            self.place,
            self.record,
            self.display,
            lease_seconds=self.lease_seconds,
            checkpoint_seconds=self.checkpoint_seconds,
        )
        for trial in trials:
            value, why = self._measure(trial.budget)
            self.study.tell(trial, value, why or "cancelled")
            said = f"failed: {why or 'cancelled'}" if value is None else f"{value:.4f}"
            self.display.note(f"trial {trial.number}, {trial.budget} steps: {said}")

    def _measure(self, budget: int) -> tuple[float | None, str]:
        """Return the mean of a budget's results over its seeds, None if some are missing; and in a
        line what keeps it from a mean, a lost job or results without the measure, '' if nothing."""

        def measure() -> tuple[float | None, str]:
            expansion, tune = self.target.budgets[budget], self.target.tune
            plan = plan_expansion(expansion, self.place, self.store)
            if plan.lost:
                jobs = self.store.job_facts(list(plan.jobs), states=["diverged", "failed"])
                lost = min(jobs, key=lambda job: job.kind == "trial")  # it lacks the others' maps
                lines = (lost.message or "").strip().splitlines()
                return None, ": ".join([lost.state, *lines[-1:]])
            ids = [trial.id for trial in expansion.trials]
            results = [self.store.result(one, self.digest, PLAIN.name) for one in ids]
            taken = [one.measure(tune.tuned) for one in results if one is not None]
            values = [one.value for one in taken if one is not None]
            if lacking := len(taken) - len(values):
                return None, f"{format_count(lacking, 'result')} without {tune.measure}"
            return (statistics.fmean(values) if len(values) == len(ids) else None), ""

        return wait_out(measure)
