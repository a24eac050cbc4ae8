"""The one who tunes: asks the study for budgets, hands out errands, and tells what became of them.

Both engines, Ray Tune's and the local one, ask it for errands and report to it, from one thread.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from lcma.db import Cap, Store
from lcma.harness.place import Place
from lcma.harness.run.driver import Course
from lcma.harness.run.outages import wait_out
from lcma.harness.run.plan import (
    Plan,
    known_digests,
    make_nodes,
    plan_expansion,
    register_plan,
)
from lcma.harness.run.work import LEASE_SECONDS, Terms
from lcma.harness.tuning.errand import Ending, Errand, Rung
from lcma.harness.tuning.objective import Cost, Measured, at_rung, measure_budget, measure_cost
from lcma.harness.tuning.study import Study
from lcma.harness.tuning.target import Target
from lcma.sweeps.expansion import Expansion, Trial
from lcma.sweeps.spec import Resources

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Means:
    """With what the work is done, as for the works of a launch."""

    owner: str
    resources: Resources
    checkpoint_seconds: float | None = None
    lease_seconds: float = LEASE_SECONDS


@contextmanager
def open_tuner(
    target: Target, place: Place, store: Store, means: Means, tell: Tell
) -> Iterator["Tuner"]:
    """A tuner of a target's study, for the time of a block. The data are prepared at the place.

    The study is made where it is not there, and the base lines are registered. ``tell`` is given
    lines. Raises UserError where the study is of another spec.
    """
    (digest,) = known_digests(target.whole, place).values()
    with Study(store, target, digest, means.owner) as study:
        plan = plan_expansion(target.baseline, place, None)
        sweep_id = wait_out(lambda: register_plan(plan, place, store))
        begun = wait_out(lambda: store.begin_launch(means.owner, sweep_id))
        course = Course(sweep_id, begun, means.resources.parallel)
        yield Tuner(study, place, digest, course, means, tell)


class Tuner:
    """Works on one study until it has all its trials."""

    def __init__(
        self,
        study: Study,
        place: Place,
        digest: str,
        course: Course,
        means: Means,
        tell: Tell,
    ) -> None:
        self.study, self.store, self.target = study, study.store, study.target
        self.place, self.digest, self.course, self.means = place, digest, course, means
        self.tell = tell
        self.stopped: str | None = None
        """Who asked the study's launches to end, once somebody has."""
        self.baseline_lost = ""
        self._budgets: dict[int | None, int | None] = {}
        self._pruned: set[int] = set()
        self._baseline_asked = False

    def next(self) -> "Errand | Literal['wait'] | None":
        """What to do next; 'wait' where others are at work, None where all is done.

        A budget whose trainings are all there is told at once, and takes nobody any time.
        """
        if self.stopped is not None:
            return None
        if not self._baseline_asked:
            self._baseline_asked = True
            errand = self._errand(None, self.target.baseline, ())
            if self._left(errand):
                return errand
        while True:
            asked = self.study.ask(more=self._affordable())
            if asked is None or asked == "wait":
                return asked
            rungs = self.target.tune.rungs
            errand = self._errand(asked.number, self.target.budgets[asked.budget], rungs)
            left = self._left(errand)
            if asked.served is None:
                self.study.serve(asked.number, not left)
            self._budgets[asked.number] = asked.budget
            if left:
                return errand
            self.ended(errand.number, Ending("done"), served=True)

    def rung(self, number: int | None, rung: Rung) -> bool:
        """Tell the study of a rung; whether the errand ends there."""
        assert number is not None
        trials = self._trials(number)
        so_far = self._cost(trials)
        value = at_rung(self.target.tune, rung.bits, so_far)
        stop = self.study.report(number, rung.step, value)
        self.tell(f"trial {number}, {self._budgets[number]} steps: {value:.4f} at rung {rung.step}")
        if stop:
            self._pruned.add(number)
        return stop

    def is_pruned(self, number: int | None) -> bool:
        """Whether it was decided that this one ends at a rung."""
        return number in self._pruned

    def ended(self, number: int | None, ending: Ending, *, served: bool = False) -> None:
        """Tell the study how an errand ended."""
        if ending.how == "stopped":
            self.stopped = ending.why
            return
        budget = self._budgets.get(number)
        name = "base lines" if number is None else f"trial {number}, {budget} steps"
        if ending.how == "failed":
            self.tell(f"{name}: failed: {ending.why}")
            if number is None:
                self.baseline_lost = ending.why
            else:
                self.study.fail(number, ending.why)
        elif number is None:
            self.tell(f"{name}: done")
        elif ending.how == "pruned":
            trials = self._trials(number)
            self.study.prune(number, _cost_notes(self._cost(trials)))
            self.tell(f"{name}: stopped at a rung")
        else:
            found = self.measured(self._trials(number))
            values = found.values(self.target.tune)
            self.study.complete(number, values, _notes(found))
            told = ", ".join(f"{value:.4f}" for value in values)
            self.tell(f"{name}: {'served' if served else 'done'}, {told}")

    def measured(self, trials: Sequence[Trial]) -> Measured:
        """What trials that are done are worth."""
        return wait_out(lambda: measure_budget(self.store, self.target, trials, self.digest))

    def _cost(self, trials: Sequence[Trial]) -> Cost:
        return wait_out(lambda: measure_cost(self.store, self.target, trials, self.digest))

    def _trials(self, number: int) -> Sequence[Trial]:
        budget = self._budgets[number]
        assert budget is not None
        return self.target.budgets[budget].trials

    def all_errands(self) -> dict[int | None, Errand]:
        """Those of all budgets, and that of the base lines, under None; nothing is registered."""
        rungs, budgets = self.target.tune.rungs, self.target.budgets
        found: dict[int | None, Errand] = {
            b: self._planned(0, self._plan(p), rungs) for b, p in budgets.items()
        }
        return found | {None: self._planned(None, self._plan(self.target.baseline), ())}

    def _plan(self, part: Expansion) -> Plan:
        return plan_expansion(part, self.place, None)

    def _errand(self, number: int | None, part: Expansion, rungs: tuple[int, ...]) -> Errand:
        """Register a part of the sweep, and what it takes to carry it out."""
        plan = self._plan(part)
        wait_out(lambda: register_plan(plan, self.place, self.store))
        return self._planned(number, plan, rungs)

    def _planned(self, number: int | None, plan: Plan, rungs: tuple[int, ...]) -> Errand:
        need, most = self.means.resources, self.course.parallel
        terms = Terms(
            failures=self.target.spec.failures,
            hours=need.hours,
            memory_gb=need.memory_gb,
            cap=None if most is None else Cap(self.course.sweep_id, most),
        )
        nodes = make_nodes(
            plan,
            self.place,
            owner=self.means.owner,
            device="cuda" if need.gpus else "cpu",
            gpus=need.gpus or 0.0,
            checkpoint_seconds=self.means.checkpoint_seconds,
            lease_seconds=self.means.lease_seconds,
            terms=terms,
        )
        return Errand(number, plan.expansion.trials[0].budget, tuple(nodes), rungs, self.course)

    def _left(self, errand: Errand) -> bool:
        """Whether any of its trainings is not done."""
        wanted = [n.work.job_id for n in errand.nodes if n.work.trial is not None]
        jobs = wait_out(lambda: self.store.jobs(wanted))
        return any(jobs[job_id].state != "done" for job_id in wanted)

    def _affordable(self) -> bool:
        """Whether the study has cost less than it may."""
        hours = self.target.tune.cost_hours
        if hours is None:
            return True
        return wait_out(lambda: spent_seconds(self.store, self.target, self.digest)) < hours * 3600


def spent_seconds(store: Store, target: Target, digest: str) -> float:
    """Device seconds of all trainings of a study, and of its pretrainings, each counted once."""
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


def _notes(found: Measured) -> dict[str, Any]:
    notes = {"bits_per_dim": found.bits, "test_bits_per_dim": found.test_bits}
    if found.spread is not None:
        notes["bits_per_dim_sd"] = found.spread
    return notes | _cost_notes(found.cost)


def _cost_notes(cost: Cost) -> dict[str, Any]:
    return {
        "cost_images": cost.pretraining_images + cost.training_images,
        "cost_seconds": cost.pretraining_seconds + cost.training_seconds,
    }
