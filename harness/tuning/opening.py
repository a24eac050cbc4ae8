"""Opening the tuner of a target: over budgets, or over patterns."""

from collections.abc import Iterator
from contextlib import contextmanager

from lcma.db import Store
from lcma.harness.place import Place
from lcma.harness.run.driver import LaunchRecord
from lcma.harness.run.outages import wait_out
from lcma.harness.run.plan import known_digests, plan_expansion, register_plan
from lcma.harness.run.sweep import begin_launch
from lcma.harness.tuning.budgets import BudgetTuner
from lcma.harness.tuning.patterns import PatternStudy, PatternTuner
from lcma.harness.tuning.study import BudgetStudy
from lcma.harness.tuning.target import StudyTarget
from lcma.harness.tuning.tuner import Note, Tuner, TunerSettings


@contextmanager
def open_tuner(
    target: StudyTarget, place: Place, store: Store, settings: TunerSettings, note: Note
) -> Iterator[Tuner]:
    """Open a tuner of a target's study for the time of a block.

    The data must be prepared at the place. The study is created if it is missing, and the base
    lines are registered. ``note`` is called with lines for people. Raises UserError where the
    study is of another spec.
    """
    (digest,) = known_digests(target.whole, place).values()

    def begin() -> LaunchRecord:
        plan = plan_expansion(target.baseline, place, None)
        sweep_id = wait_out(lambda: register_plan(plan, place, store))
        begun = wait_out(lambda: begin_launch(store, settings.owner, sweep_id, settings.arguments))
        return LaunchRecord(sweep_id, begun, settings.resources.parallel, settings.limits)

    if target.patterns:
        found = PatternStudy(store, target, digest)
        patterns = PatternTuner(found, place, digest, begin(), settings, note)
        with patterns.watched():
            yield patterns
        return
    with BudgetStudy(store, target, digest, settings.owner) as study:
        budgets = BudgetTuner(study, place, digest, begin(), settings, note)
        with budgets.watched():
            yield budgets
