"""The Optuna study of a target, in the project's own database, and the tuner that works on it.

All that must be remembered is in the study: which budgets were asked for, their values, and why
others have none. A trial that a dead process left running is asked for again where it is.
"""

import statistics
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal

import optuna
import sqlalchemy as sa
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.exceptions import (
    ExperimentalWarning,
    StorageInternalError,
    UpdateFinishedTrialError,
)
from optuna.samplers import TPESampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from lcma.db import Store
from lcma.db.engine import Database, translate_errors
from lcma.harness.kill_points import kill_point
from lcma.harness.launch.driver import Display
from lcma.harness.launch.plan import plan_expansion, register_plan
from lcma.harness.launch.policy import LaunchPolicy, Limits
from lcma.harness.launch.sweep import begin_launch, run_plan
from lcma.harness.launch.workers import Workers
from lcma.harness.place import Place
from lcma.harness.text import format_count
from lcma.harness.train.protocol import PLAIN
from lcma.harness.tuning.target import StudyTarget
from lcma.harness.work.outages import wait_out
from lcma.harness.work.units import LEASE_SECONDS
from lcma.sweeps.errors import UserError
from lcma.sweeps.identity import content_id

BUDGET = "budget"
"""The study's parameter, in steps."""

DIGEST, REASON = "lcma:digest", "reason"
"""User attributes: of a study, the identity of its target; of a trial that failed, why."""

STARTUP = 6
"""Trials that TPE draws at random first. Optuna's own number is 10, for many parameters."""

Direction = Literal["minimize", "maximize"]


@dataclass(frozen=True)
class StudyTrial:
    """A trial that the study asks for: its number, its budget in steps, and Optuna's id."""

    number: int
    budget: int
    id: int


class Study:
    """An Optuna study over budgets, of a measure and of cost in million images.

    Any number of processes may work on it: they ask for the same trials, and share their jobs.
    """

    def __init__(self, store: Store, target: StudyTarget, data_digest: str) -> None:
        """Open the study of the target's name, or create it.

        Raises UserError where it is of another spec.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.store, self.target = store, target
        self.digest = target.digest(data_digest)
        self.directions: list[Direction] = [target.tune.direction, "minimize"]
        self.storage, self.study = wait_out(self._open)

    @staticmethod
    def require_same(store: Store, target: StudyTarget, data_digest: str) -> None:
        """Raise UserError where a study of the target's name is of another spec."""
        if not store.database.has_studies():
            return
        opened = make_storage(store.database)
        for one in opened.get_all_studies():
            if one.study_name == target.spec.name:
                trials = opened.get_all_trials(one._study_id, deepcopy=False)
                found = one.user_attrs.get(DIGEST)
                _require(store, target.spec.name, found, target.digest(data_digest), trials)

    def trials(self) -> list[FrozenTrial]:
        """Return the trials of its budgets by number; others may have added more."""
        points = self.target.tune.points
        found = self.study.get_trials(deepcopy=False)
        return [trial for trial in found if trial.params.get(BUDGET) in points]

    def lost_budgets(self) -> set[int]:
        """Return the budgets whose trials have failed, and no other trial has a value."""
        trials = self.trials()
        done = {t.params[BUDGET] for t in trials if t.state == TrialState.COMPLETE}
        return {t.params[BUDGET] for t in trials if t.state == TrialState.FAIL} - done

    def ask(self, reopened: Collection[int] = ()) -> list[StudyTrial]:
        """Return the next trials, as many as the spec has at once; [] if the study is complete.

        Trials that a dead process left are among them. No new one has the budget of another trial,
        whatever became of that, but of those that failed and are ``reopened``.
        """
        return wait_out(lambda: self._ask(reopened))

    def tell(self, trial: StudyTrial, value: float | None, why: str = "") -> None:
        """End a trial with its value, or without one for a reason of one line.

        Nothing changes if another process was faster.
        """

        def tell() -> None:
            cost = self.target.count_images(trial.budget) / 1e6
            with kill_point("tell"), suppress(UpdateFinishedTrialError):
                if value is not None:
                    self.study.tell(trial.number, [value, cost], skip_if_finished=True)
                else:
                    self.storage.set_trial_user_attr(trial.id, REASON, why)
                    self.study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)

        wait_out(tell)

    def _ask(self, reopened: Collection[int]) -> list[StudyTrial]:
        tune = self.target.tune
        with self.store.database.turn():
            trials = self.trials()
            # What a dead process had begun to ask for is asked for to its end, and then told, so
            # that the study is the one of a process that was left alone.
            missing = -len(trials) % tune.parallel
            if not missing and all(t.state.is_finished() for t in trials):
                missing = tune.parallel
            for _ in range(missing):
                taken = {t.params[BUDGET] for t in trials if t.number not in reopened}
                if len(taken) >= tune.most:
                    break
                new = self._suggest(trials, taken)
                with kill_point("ask"):
                    self.study.add_trial(new)
                trials = self.trials()
            return [
                StudyTrial(t.number, t.params[BUDGET], t._trial_id)
                for t in trials
                if t.state == TrialState.RUNNING
            ]

    def _suggest(self, trials: Sequence[FrozenTrial], taken: Collection[int]) -> FrozenTrial:
        """Return a trial that runs with the budget to try next.

        Budget 0 and the longest come first. Then TPE is asked, seeded by the study and the trial's
        number, over the indices of the budgets, where neighbours on the logarithmic grid are
        neighbours; it is the nearest one that is left, of two the shorter.
        """
        points = self.target.tune.points
        space: dict[str, BaseDistribution] = {BUDGET: IntDistribution(0, len(points) - 1)}
        seed = int(content_id("sampler", {"study": self.digest, "number": len(trials)})[:8], 16)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            sampler = TPESampler(seed=seed, n_startup_trials=STARTUP, constant_liar=True)
        inner = optuna.create_study(directions=self.directions, sampler=sampler)
        for one in trials:
            index = {BUDGET: points.index(one.params[BUDGET])}
            inner.add_trial(
                create_trial(state=one.state, params=index, distributions=space, values=one.values)
            )
        point = inner.ask(space).params[BUDGET]
        left = [index for index, budget in enumerate(points) if budget not in taken]
        ends = [index for index in left if index in (0, len(points) - 1)]
        chosen = (ends or sorted(left, key=lambda index: abs(index - point)))[0]
        distributions: dict[str, BaseDistribution] = {BUDGET: IntDistribution(0, points[-1])}
        return create_trial(
            state=TrialState.RUNNING, params={BUDGET: points[chosen]}, distributions=distributions
        )

    def _open(self) -> tuple[RDBStorage, optuna.Study]:
        name = self.target.spec.name
        with self.store.database.turn():  # Optuna makes its tables where they are not there
            opened = make_storage(self.store.database)
            study = optuna.create_study(
                storage=opened, study_name=name, directions=self.directions, load_if_exists=True
            )
            found = study.user_attrs.get(DIGEST)
            _require(self.store, name, found, self.digest, study.get_trials(deepcopy=False))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                study.set_metric_names([self.target.tune.measure, "million images"])
            study.set_user_attr(DIGEST, self.digest)
            return opened, study


def make_storage(database: Database) -> RDBStorage:
    """Return Optuna's storage in the same database. Raises UserError as a store does."""
    settings: dict[str, Any] = {"timeout": 60.0}
    if not database.one_host:
        settings = {"prepare_threshold": None, "application_name": "lcma", "connect_timeout": 10}
    options = {"poolclass": sa.NullPool, "connect_args": settings}
    with _explaining(database):
        made = RDBStorage(database.url, engine_kwargs=options)
    translate_errors(made.engine, database)
    return made


def _require(
    store: Store, name: str, found: str | None, digest: str, trials: Sequence[FrozenTrial]
) -> None:
    if found != digest and (found is not None or trials):
        raise UserError(
            f"{store.name} has a study {name!r} of another spec (what it searches, its recipe, "
            "data, seeds or measure differ): give the spec another `name`"
        )


@contextmanager
def _explaining(database: Database) -> Iterator[None]:
    try:
        yield
    except (StorageInternalError, sa.exc.DBAPIError) as error:
        cause = error if isinstance(error, sa.exc.DBAPIError) else error.__cause__
        problem = database.translate(getattr(cause, "orig", None), connecting=True)
        if problem is None:
            raise
        raise problem from error


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
        plan = plan_expansion(target.baseline, place, None)
        (self.digest,) = plan.digests.values()
        self.target, self.place, self.store = target, place, store
        self.workers, self.display = workers, display
        self.lease_seconds, self.checkpoint_seconds = lease_seconds, checkpoint_seconds
        self.study = Study(store, target, self.digest)
        sweep_id = wait_out(lambda: register_plan(plan, place, store))
        begun = wait_out(lambda: begin_launch(store, workers.owner, sweep_id, arguments))
        parallel = workers.resources.parallel
        self.policy = LaunchPolicy(sweep_id, begun, parallel, limits or Limits())
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
            self.policy,
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
