"""The Optuna study of a target, in the project's own database, and the tuner that works on it.

The study holds the whole state: which budgets were asked for, their values, and why others have
none. If a process died and left a trial running, the next process asks for that trial again.
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
from lcma.sweeps.errors import UserError
from lcma.sweeps.identity import content_id

BUDGET = "budget"
"""The study's parameter, in steps."""

DIGEST, REASON = "lcma:digest", "reason"
"""User attributes: the identity of a study's target, and why a trial failed."""

STARTUP = 6
"""Trials that TPE draws at random first. Optuna's own number is 10, for many parameters."""

Direction = Literal["minimize", "maximize"]


@dataclass(frozen=True)
class StudyTrial:
    """A trial that the study asks for."""

    number: int
    budget: int  # in steps
    id: int  # Optuna's


class Study:
    """An Optuna study over budgets, with a measure and the cost in million images as objectives.

    Any number of processes may work on it: they ask for the same trials, and share their jobs.
    """

    def __init__(self, store: Store, target: StudyTarget, data_digest: str) -> None:
        """Open the study of the target's name, or create it.

        Raises UserError if it is of another spec.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.store, self.target = store, target
        self.digest = target.digest(data_digest)
        self.directions: list[Direction] = [target.tune.direction, "minimize"]
        self.storage, self.study = wait_out(self._open)

    @staticmethod
    def require_same(store: Store, target: StudyTarget, data_digest: str) -> None:
        """Raise UserError if a study of the target's name is of another spec."""
        with store.database.reader().connect() as connection:
            if not sa.inspect(connection).has_table("studies"):
                return
        storage = make_storage(store.database)
        for study in storage.get_all_studies():
            if study.study_name == target.spec.name:
                trials = storage.get_all_trials(study._study_id, deepcopy=False)
                stored = study.user_attrs.get(DIGEST)
                _require(store, target.spec.name, stored, target.digest(data_digest), trials)

    def trials(self) -> list[FrozenTrial]:
        """Return the trials of its budgets by number, without those that others may have added."""
        points = self.target.tune.budgets
        trials = self.study.get_trials(deepcopy=False)
        return [trial for trial in trials if trial.params.get(BUDGET) in points]

    def lost_budgets(self) -> set[int]:
        """Return the budgets that have failed trials and no trial with a value."""
        trials = self.trials()
        done = {t.params[BUDGET] for t in trials if t.state == TrialState.COMPLETE}
        return {t.params[BUDGET] for t in trials if t.state == TrialState.FAIL} - done

    def ask(self, reopened: Collection[int] = ()) -> list[StudyTrial]:
        """Return the next trials, as many as the spec runs at once; [] if the study is complete.

        Among them are trials that a dead process left running. A new trial has a budget that no
        other trial has had, except failed trials that are ``reopened``, by their numbers.
        """
        return wait_out(lambda: self._ask(reopened))

    def tell(self, trial: StudyTrial, value: float | None, why: str = "") -> None:
        """End a trial with its value, or without a value and with the reason in one line.

        Nothing changes if another process has ended it.
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
            # A batch that a dead process had begun is completed first, so that the study becomes
            # that of an undisturbed process.
            missing = -len(trials) % tune.parallel
            if not missing and all(t.state.is_finished() for t in trials):
                missing = tune.parallel
            for _ in range(missing):
                tried = {t.params[BUDGET] for t in trials if t.number not in reopened}
                if len(tried) >= tune.trial_count:
                    break
                new = self._suggest(trials, tried)
                with kill_point("ask"):
                    self.study.add_trial(new)
                trials = self.trials()
            return [
                StudyTrial(t.number, t.params[BUDGET], t._trial_id)
                for t in trials
                if t.state == TrialState.RUNNING
            ]

    def _suggest(self, trials: Sequence[FrozenTrial], tried: Collection[int]) -> FrozenTrial:
        """Return a running trial with the budget to try next.

        Budget 0 and the longest one come first. Then TPE, seeded by the study and the trial's
        number, suggests an index of the budgets, so that it sees their logarithmic grid as even.
        The nearest budget that is left is tried, the shorter of two.
        """
        points = self.target.tune.budgets
        space: dict[str, BaseDistribution] = {BUDGET: IntDistribution(0, len(points) - 1)}
        seed = int(content_id("sampler", {"study": self.digest, "number": len(trials)})[:8], 16)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            sampler = TPESampler(seed=seed, n_startup_trials=STARTUP, constant_liar=True)
        inner = optuna.create_study(directions=self.directions, sampler=sampler)
        for trial in trials:
            index = {BUDGET: points.index(trial.params[BUDGET])}
            inner.add_trial(
                create_trial(
                    state=trial.state, params=index, distributions=space, values=trial.values
                )
            )
        point = inner.ask(space).params[BUDGET]
        left = [index for index, budget in enumerate(points) if budget not in tried]
        ends = [index for index in left if index in (0, len(points) - 1)]
        chosen = (ends or sorted(left, key=lambda index: abs(index - point)))[0]
        distributions: dict[str, BaseDistribution] = {BUDGET: IntDistribution(0, points[-1])}
        return create_trial(
            state=TrialState.RUNNING, params={BUDGET: points[chosen]}, distributions=distributions
        )

    def _open(self) -> tuple[RDBStorage, optuna.Study]:
        name = self.target.spec.name
        with self.store.database.turn():  # Optuna creates its tables if they are missing
            storage = make_storage(self.store.database)
            study = optuna.create_study(
                storage=storage, study_name=name, directions=self.directions, load_if_exists=True
            )
            stored = study.user_attrs.get(DIGEST)
            _require(self.store, name, stored, self.digest, study.get_trials(deepcopy=False))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                study.set_metric_names([self.target.tune.measure, "million images"])
            study.set_user_attr(DIGEST, self.digest)
            return storage, study


def make_storage(database: Database) -> RDBStorage:
    """Return Optuna's storage in a database. Raises UserError as a store does."""
    settings: dict[str, Any] = {"timeout": 60.0}
    if not database.one_host:
        settings = {"prepare_threshold": None, "application_name": "lcma", "connect_timeout": 10}
    options = {"poolclass": sa.NullPool, "connect_args": settings}
    with _translating_errors(database):
        storage = RDBStorage(database.url, engine_kwargs=options)
    translate_errors(storage.engine, database)
    return storage


def _require(
    store: Store, name: str, stored: str | None, digest: str, trials: Sequence[FrozenTrial]
) -> None:
    if stored != digest and (stored is not None or trials):
        raise UserError(
            f"{store.name} has a study {name!r} of another spec (what it searches, its recipe, "
            "data, seeds or measure differ): give the spec another `name`"
        )


@contextmanager
def _translating_errors(database: Database) -> Iterator[None]:
    try:
        yield
    except (StorageInternalError, sa.exc.DBAPIError) as error:
        cause = error if isinstance(error, sa.exc.DBAPIError) else error.__cause__
        problem = database.translate(getattr(cause, "orig", None), connecting=True)
        if problem is None:
            raise
        raise problem from error


class Tuner:
    """What works on a study until it is complete, in one thread, as one launch of its sweep."""

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
    ) -> None:
        """Open or create the study and begin the launch. The data must be prepared.

        Raises UserError if the study is of another spec.
        """
        plan = plan_expansion(target.baseline, place, None)
        (self.digest,) = plan.digests.values()
        self.target, self.place, self.store = target, place, store
        self.workers, self.display = workers, display
        self.study = Study(store, target, self.digest)
        # With other resources the study is the same and the sweep is not: it gets all budgets.
        asked = {trial.params[BUDGET] for trial in wait_out(self.study.trials)}
        plan = plan_expansion(target.join(asked), place, None)
        sweep_id = wait_out(lambda: register_plan(plan, place, store))
        begun = wait_out(lambda: begin_launch(store, workers.owner, sweep_id, arguments))
        parallel = workers.resources.parallel
        self.policy = LaunchPolicy(sweep_id, begun, parallel, limits or Limits())
        # Failed trials whose budgets nothing keeps from a value any more.
        self._reopened = {
            trial.number
            for trial in wait_out(self.study.trials)
            if trial.state == TrialState.FAIL and not self._measure(trial.params[BUDGET])[1]
        }

    def ask(self) -> list[StudyTrial]:
        """Return the trials to run next; [] if the study is complete."""
        return self.study.ask(self._reopened)

    def run(self, trials: Sequence[StudyTrial]) -> None:
        """Launch what is missing of the baselines and the trials, and report to the study.

        Without trials, launch what is missing of all budgets that have a value: `lcma rerun` may
        have put it back.

        Raises as a launch does. Then the trials stay running in the study.
        """
        budgets = [trial.budget for trial in trials]
        if not trials:
            done = [t for t in wait_out(self.study.trials) if t.state == TrialState.COMPLETE]
            budgets = [trial.params[BUDGET] for trial in done]
        expansion = self.target.join(budgets)
        plan = wait_out(lambda: plan_expansion(expansion, self.place, self.store))
        wait_out(lambda: register_plan(plan, self.place, self.store))
        run_plan(self.workers, plan, self.place, self.policy, self.display)
        for trial in trials:
            value, why = self._measure(trial.budget)
            self.study.tell(trial, value, why or "cancelled")
            outcome = f"failed: {why or 'cancelled'}" if value is None else f"{value:.4f}"
            self.display.note(f"trial {trial.number}, {trial.budget} steps: {outcome}")

    def _measure(self, budget: int) -> tuple[float | None, str]:
        """Return the mean over a budget's seeds, None if results are missing, and what keeps them
        from coming in one line: a lost job, or results without the measure; '' for nothing."""

        def measure() -> tuple[float | None, str]:
            expansion, tune = self.target.budgets[budget], self.target.tune
            plan = plan_expansion(expansion, self.place, self.store)
            ids = [trial.id for trial in expansion.trials]
            results = [self.store.result(trial_id, self.digest, PLAIN.name) for trial_id in ids]
            if plan.lost and None in results:  # the result of a lost rerun stays
                jobs = self.store.job_facts(list(plan.jobs), states=["diverged", "failed"])
                # A pretraining first: its trials are lost because of it.
                lost = min(jobs, key=lambda job: job.kind == "trial")
                lines = (lost.message or "").strip().splitlines()
                return None, ": ".join([lost.state, *lines[-1:]])
            measures = [
                result.measure(tune.tuned_measure) for result in results if result is not None
            ]
            values = [measure.value for measure in measures if measure is not None]
            if lacking := len(measures) - len(values):
                return None, f"{format_count(lacking, 'result')} without {tune.measure}"
            return (statistics.fmean(values) if len(values) == len(ids) else None), ""

        return wait_out(measure)
