"""The Optuna study of a target, in the project's own database.

All that must be remembered is in the study: which budgets were asked for, their values, and why
others have none. A trial that a dead process left running is asked for again where it is.
"""

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
from lcma.harness.tuning.target import StudyTarget
from lcma.harness.work.outages import wait_out
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
