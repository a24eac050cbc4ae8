"""The Optuna study of a target, in the project's own database.

All that a tuner must remember is in the study: its trials, what each is of, their values at
rungs, how they ended, and which tuner holds them. A tuner that dies leaves trials that run; the
next one takes them up where they are.
"""

import os
import socket
import threading
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import isnan, nan
from types import TracebackType
from typing import Any, Literal, Self

import optuna
import sqlalchemy as sa
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.samplers import BaseSampler, GPSampler, GridSampler, TPESampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from lcma.db import Store, Unavailable
from lcma.db.engine import Database, translate_errors
from lcma.db.leases import is_alive
from lcma.harness.kill_points import kill_point
from lcma.harness.run.outages import wait_out
from lcma.harness.tuning.target import StudyTarget
from lcma.sweeps.errors import UserError
from lcma.sweeps.identity import content_id
from lcma.sweeps.tuning import Tune

POINT = "point"
"""The parameter: index of a budget among the points of the search, from 0. Neighbours on the
logarithmic grid are neighbours here, and budget 0 is the one before the first."""

STARTUP = 6
"""Trials that TPE and GP draw at random first. Optuna's own number is 10, for many parameters."""


class SeededSampler(BaseSampler):
    """A sampler that is made anew for each trial, seeded by study and trial number.

    What it suggests depends on the study alone, not on what its process suggested before. Where a
    point is ``taken``, it suggests the nearest that is not, of two the one with fewer steps.
    """

    def __init__(self, tune: Tune, study: str) -> None:
        self.tune, self.study = tune, study
        self.taken: Collection[int] = ()
        self._inner: dict[int, BaseSampler] = {}

    def before_trial(self, study: optuna.study.Study, trial: FrozenTrial) -> None:
        self._inner = {trial.number: self._make(trial.number)}
        self._inner[trial.number].before_trial(study, trial)

    def infer_relative_search_space(
        self, study: optuna.study.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._of(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self,
        study: optuna.study.Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        found = self._of(trial).sample_relative(study, trial, search_space)
        return {name: self._nearest_free(point) for name, point in found.items()}

    def sample_independent(
        self,
        study: optuna.study.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return self._nearest_free(
            self._of(trial).sample_independent(study, trial, param_name, param_distribution)
        )

    def _nearest_free(self, point: int) -> int:
        free = [one for one in range(len(self.tune.points)) if one not in self.taken]
        return min(free, key=lambda one: abs(one - point), default=point)

    def _of(self, trial: FrozenTrial) -> BaseSampler:
        return self._inner[trial.number]

    def _make(self, number: int) -> BaseSampler:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            seed = int(content_id("sampler", {"study": self.study, "number": number})[:8], 16)
            match self.tune.sampler:
                case "grid":
                    # Its order of the grid has to be the same for every trial.
                    points = list(range(len(self.tune.points)))
                    return GridSampler({POINT: points}, seed=0)
                case "gp":
                    return GPSampler(seed=seed, n_startup_trials=STARTUP)
                case "tpe":
                    return TPESampler(
                        seed=seed,
                        n_startup_trials=STARTUP,
                        constant_liar=self.tune.parallel > 1,
                    )


def make_pruner(tune: Tune) -> optuna.pruners.BasePruner:
    """Return the pruner that a spec names, which decides at rungs. Its state is in the study."""
    stop = tune.stop
    if stop is None:
        return optuna.pruners.NopPruner()
    if stop.pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=stop.startup, n_warmup_steps=0)
    return HalvingPruner(stop.reduction)


class HalvingPruner(optuna.pruners.BasePruner):
    """Asynchronous successive halving: of the trials at a rung the best one in ``reduction`` go on.

    Optuna's own chooses other rungs than those of the spec, and keeps a state by which it lets a
    trial go on that it has stopped, where the tuner died before it could end the trial.
    """

    def __init__(self, reduction: int) -> None:
        self.reduction = reduction

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Return whether a trial ends at its last rung; lower values are better, and NaN is not."""
        step = trial.last_step
        if step is None:
            return False
        trials = study.get_trials(deepcopy=False)
        reached = [
            t.intermediate_values.get(step, nan) for t in trials if t.state != TrialState.FAIL
        ]
        values = sorted(value for value in reached if not isnan(value))
        best = values[: max(1, len(values) // self.reduction)]
        return trial.intermediate_values[step] not in best


HOLD_SECONDS = 30.0
"""Seconds that a tuner may be silent before others take up its trials."""

DIGEST, TUNER, BUDGET, REASON, SERVED = "lcma:digest", "tuner", "budget", "reason", "served"
"""User attributes: of a study, the identity of its target; of a trial, which tuner holds it, its
budget in steps, why it failed, and whether all its trainings were done when it was asked for."""


@dataclass(frozen=True)
class StudyTrial:
    """A trial of the study that this process holds: its number, and its budget in steps."""

    number: int
    budget: int
    served: bool | None
    """True if all its trainings were done when it was asked for; None if not known yet."""


_compatible: set[str] = set()
"""Databases whose tables were found to be of this release of Optuna; to look takes longer than all
else of opening a study."""


def make_storage(database: Database) -> RDBStorage:
    """Return Optuna's storage in the same database. Raises UserError as a store does."""
    settings: dict[str, Any] = {"timeout": 60.0}
    if not database.one_host:
        settings = {"prepare_threshold": None, "application_name": "lcma", "connect_timeout": 10}
    options = {"poolclass": sa.NullPool, "connect_args": settings}
    known = database.url in _compatible
    with _explaining(database):
        made = RDBStorage(database.url, engine_kwargs=options, skip_compatibility_check=known)
    _compatible.add(database.url)
    translate_errors(made.engine, database)
    return made


class Study:
    """An Optuna study that this process works on, from one thread."""

    def __init__(self, store: Store, target: StudyTarget, data_digest: str) -> None:
        """Open the study of the target's name, or create it.

        Raises UserError where it is of another spec.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.store, self.target = store, target
        self.name = target.spec.name
        self.digest = target.digest(data_digest)
        self._sampler = SeededSampler(target.tune, self.digest)
        self.storage, self.study = wait_out(self._opened)

    @staticmethod
    def read(store: Store, name: str) -> list[FrozenTrial]:
        """Return the trials of a study, none if it does not exist."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with store.database.turn():  # Optuna makes its tables where they are not there
            opened = make_storage(store.database)
        known = {one.study_name: one for one in opened.get_all_studies()}
        return opened.get_all_trials(known[name]._study_id) if name in known else []

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
        """Return all trials by number, with those that wait."""
        return wait_out(lambda: self.study.get_trials(deepcopy=False))

    def _opened(self) -> tuple[RDBStorage, optuna.Study]:
        with self.store.database.turn():
            opened = make_storage(self.store.database)
            return opened, self._study_of(opened)

    def _study_of(self, opened: RDBStorage) -> optuna.Study:
        tune = self.target.tune
        measured = tune.measure if tune.sign > 0 else f"-{tune.measure}"
        names = [measured, "cost"] if tune.objective == "pareto" else ["objective"]
        known = {one.study_name for one in opened.get_all_studies()}
        make = optuna.load_study if self.name in known else optuna.create_study
        more = {} if self.name in known else {"directions": ["minimize"] * len(names)}
        study: optuna.Study = make(
            storage=opened,
            study_name=self.name,
            sampler=self._sampler,
            pruner=make_pruner(tune),
            **more,
        )
        found = study.user_attrs.get(DIGEST)
        _require(self.store, self.name, found, self.digest, study.get_trials(deepcopy=False))
        if tune.points:
            study.set_user_attr("budgets", list(tune.points))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            study.set_metric_names(names)
        study.set_user_attr(DIGEST, self.digest)
        return study


class BudgetStudy(Study):
    """A study over budgets, which it asks for one after the other, for the time of a block.

    A trial that runs is held by its tuner; one that is not may be taken up by any.
    """

    def __init__(self, store: Store, target: StudyTarget, data_digest: str, owner: str) -> None:
        """Open the study as `Study` does."""
        super().__init__(store, target, data_digest)
        self.owner = owner
        self._mine: dict[int, optuna.Trial] = {}
        self._reopened: Collection[int] = ()
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._beat = threading.Thread(target=self._hold_on, name="study", daemon=True)

    def __enter__(self) -> Self:
        self._beat.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Release the trials that have not ended, so that another tuner may take them up."""
        self._ended.set()
        self._beat.join()
        with suppress(UserError):
            for trial in self._mine.values():
                self._hold(trial, seconds=0.0)

    def reopen(self, numbers: Collection[int]) -> None:
        """Let the budgets of trials that failed be asked for again."""
        self._reopened = numbers

    def ask(self, *, more: bool = True) -> "StudyTrial | Literal['wait'] | None":
        """Return the next trial: one that a dead tuner left, else, if ``more``, a new one.

        A new one has a budget that no other trial has, whatever became of that trial. 'wait' if
        only other tuners have trials that run; None if all have ended.
        """
        trial = wait_out(lambda: self._ask(more))
        if not isinstance(trial, optuna.Trial):
            return trial
        with self._lock:
            self._mine[trial.number] = trial
        return StudyTrial(trial.number, trial.user_attrs[BUDGET], trial.user_attrs.get(SERVED))

    def is_complete(self) -> bool:
        """Return whether no trial runs, here or elsewhere, and no new one would be asked for."""
        trials = self.trials()
        if any(trial.state == TrialState.RUNNING for trial in trials):
            return False
        return len(self._taken_points(trials)) >= self.target.tune.most

    def note_served(self, number: int, served: bool) -> None:
        """Record whether all trainings of a trial were done when it was asked for."""
        self._note(number, {SERVED: served})

    def _ask(self, more: bool) -> "optuna.Trial | Literal['wait'] | None":
        # What is taken in a turn is ours only once the turn has ended: where the database becomes
        # unreachable before, the trial is asked for again.
        with self.store.database.turn():
            trials = self.study.get_trials(deepcopy=False)
            running = [t for t in trials if t.state == TrialState.RUNNING]
            orphans = [t for t in running if t.number not in self._mine and self._is_orphan(t)]
            if orphans:
                return self._take(optuna.Trial(self.study, orphans[0]._trial_id))
            if more and len(self._taken_points(trials)) < self.target.tune.most:
                with kill_point("ask"):
                    trial = self._new_trial(trials)
                return self._take(trial)
            return "wait" if running else None

    def _new_trial(self, trials: Sequence[FrozenTrial]) -> optuna.Trial:
        # The first two are budget 0 and the longest.
        taken = self._taken_points(trials)
        ends = () if self.target.tune.sampler == "grid" else (0, len(self.target.tune.points) - 1)
        missing = [point for point in ends if point not in taken]
        if missing and not any(t.state == TrialState.WAITING for t in trials):
            self.study.enqueue_trial({POINT: missing[0]})
        return self.study.ask()

    def _take(self, trial: optuna.Trial) -> optuna.Trial:
        with kill_point("take"):
            self._hold(trial)
        others = [t for t in self.study.get_trials(deepcopy=False) if t.number != trial.number]
        self._sampler.taken = self._taken_points(others)
        with kill_point("suggest"):
            point = trial.suggest_int(POINT, 0, len(self.target.tune.points) - 1)
        budget = self.target.tune.points[point]
        if trial.user_attrs.get(BUDGET) != budget:
            trial.set_user_attr(BUDGET, budget)
        return trial

    def _taken_points(self, trials: Sequence[FrozenTrial]) -> set[int]:
        """Return the points of trials that have begun; below zero for one that has none yet."""
        begun = (
            t for t in trials if t.state != TrialState.WAITING and t.number not in self._reopened
        )
        return {_point_of(t) for t in begun}

    def report(self, number: int, step: int, value: float) -> bool:
        """Report the value at a rung; return True if the trial ends there.

        The pruner ends it, or a tuner that took it up because this process was silent for long.
        """

        def report() -> bool:
            trial = self._mine[number]
            try:
                with kill_point("report"):
                    trial.report(value, step)
            except optuna.exceptions.UpdateFinishedTrialError:
                return True
            return trial.should_prune()

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it is reported again, after a tuner's death
            return wait_out(report)

    def complete(self, number: int, values: Sequence[float], notes: dict[str, Any]) -> None:
        """End a trial with its value, or values."""
        self._tell(number, notes, values=list(values))

    def prune(self, number: int, notes: dict[str, Any]) -> None:
        """End a trial that was stopped at a rung."""
        self._tell(number, notes, state=TrialState.PRUNED)

    def fail(self, number: int, reason: str) -> None:
        """End a trial without a value, for a reason of one line."""
        self._tell(number, {REASON: reason}, state=TrialState.FAIL)

    def _is_orphan(self, trial: FrozenTrial) -> bool:
        """Return whether a running trial that is not ours has no tuner.

        Its tuner is dead, as far as can be known, or is this process, which lost the database
        before it had taken the trial.
        """
        held = trial.user_attrs.get(TUNER)
        if held is None or held["owner"] == self.owner or held["until"] < self.store.now():
            return True
        return held["host"] == socket.gethostname() and not is_alive(held["pid"])

    def _hold(self, trial: optuna.Trial, seconds: float = HOLD_SECONDS) -> None:
        held = {"owner": self.owner, "until": self.store.now() + seconds}
        held |= {"host": socket.gethostname(), "pid": os.getpid()}
        self.storage.set_trial_user_attr(trial._trial_id, TUNER, held)

    def _hold_on(self) -> None:
        while not self._ended.wait(HOLD_SECONDS / 4):
            with self._lock:
                mine = list(self._mine.values())
            for trial in mine:
                # It may have ended meanwhile, and the database may be back the next time.
                with suppress(optuna.exceptions.UpdateFinishedTrialError, Unavailable):
                    self._hold(trial)

    def _tell(self, number: int, notes: dict[str, Any], **ending: Any) -> None:
        trial = self._mine[number]
        with suppress(optuna.exceptions.UpdateFinishedTrialError):  # another tuner was faster
            self._note(number, notes)

        def tell() -> None:
            with kill_point("tell"):
                self.study.tell(trial, skip_if_finished=True, **ending)

        wait_out(tell)
        with self._lock:
            del self._mine[number]

    def _note(self, number: int, notes: dict[str, Any]) -> None:
        def write() -> None:
            with kill_point("note"):
                for name, value in notes.items():
                    self._mine[number].set_user_attr(name, value)

        wait_out(write)


def _point_of(trial: FrozenTrial) -> int:
    """Return the point of a trial; a number below zero where its tuner died before it had one."""
    fixed = trial.system_attrs.get("fixed_params", {})
    return int(trial.params.get(POINT, fixed.get(POINT, -1 - trial.number)))


def _require(
    store: Store, name: str, found: str | None, digest: str, trials: Sequence[FrozenTrial]
) -> None:
    if found != digest and (found is not None or trials):
        raise UserError(
            f"{store.name} has a study {name!r} of another spec (what it searches, its recipe, "
            "data, seeds, objective or stop rule differ): give the spec another `name`"
        )


@contextmanager
def _explaining(database: Database) -> Iterator[None]:
    try:
        yield
    except (StorageInternalError, sa.exc.DBAPIError) as error:
        cause = error if isinstance(error, sa.exc.DBAPIError) else error.__cause__
        original = getattr(cause, "orig", None)
        problem = database.explain(original, connecting=True)
        if problem is None:
            raise
        kind = Unavailable if database.passes(original, connecting=True) else UserError
        raise kind(problem) from error
