"""Value and cost of a budget or a pattern, from results and attempts in the database."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lcma.db import Store
from lcma.harness.text import format_count, short_id
from lcma.harness.train.protocol import PLAIN
from lcma.harness.tuning.target import StudyTarget, count_images
from lcma.harness.watch.commands import format_command, format_measure_command
from lcma.sweeps.expansion import Trial
from lcma.sweeps.measures import SWD, plugin_measures
from lcma.sweeps.tuning import UNITS, Tune


@dataclass(frozen=True)
class BudgetCost:
    """Cost of one budget in GPU or CPU seconds and in images, a mean over its seeds.

    ``pretraining`` is by itself up to the budget, as if no other trial used it.
    """

    pretraining_seconds: float
    training_seconds: float
    pretraining_images: int
    training_images: int

    def total(self, tune: Tune) -> float:
        """Return the cost in the study's unit: million images or device hours."""
        if tune.cost == "images":
            amount: float = self.pretraining_images + self.training_images
        else:
            amount = self.pretraining_seconds + self.training_seconds
        return amount / UNITS[tune.cost][0]

    def pretraining(self, tune: Tune) -> float:
        """Return the cost of the pretraining alone, in the same unit."""
        images = tune.cost == "images"
        amount = self.pretraining_images if images else self.pretraining_seconds
        return amount / UNITS[tune.cost][0]


@dataclass(frozen=True)
class MeasuredBudget:
    """A budget or a baseline whose trials are all done: the study's measure, a mean over seeds.

    ``mean`` is of the holdout part, where it is taken there, and is optimized; ``spread`` is its
    sample standard deviation, None for one seed. ``test_mean`` is only reported, and None where
    ``mean`` is of no holdout part.
    """

    mean: float
    spread: float | None
    test_mean: float | None
    cost: BudgetCost

    def values(self, tune: Tune) -> list[float]:
        """Return the one or two values that Optuna minimizes."""
        if tune.objective == "pareto":
            return [tune.sign * self.mean, self.cost.total(tune)]
        return [tune.sign * self.mean + tune.cost_weight * self.cost.total(tune)]


def measure_budget(
    store: Store, target: StudyTarget, trials: Sequence[Trial], digest: str
) -> MeasuredBudget:
    """Return the value and cost of trials of one budget, all of them done and measured."""
    results = [store.result(trial.id, digest, PLAIN.name) for trial in trials]
    found = [result for result in results if result is not None]
    assert len(found) == len(trials)
    tune = target.tune
    values = [result.value(tune.tuned) for result in found]
    test = [result.value(tune.measure) for result in found] if tune.tuned != tune.measure else None
    return MeasuredBudget(
        mean=statistics.fmean(values),
        spread=statistics.stdev(values) if len(values) > 1 else None,
        test_mean=statistics.fmean(test) if test else None,
        cost=measure_cost(store, trials, digest),
    )


def explain_unmeasured(
    store: Store, target: StudyTarget, trials: Sequence[Trial], digest: str
) -> str:
    """Return which of the trials that are done lack the study's measure, and what takes it.

    '' if none does. They are from before it was taken, or its plug-in raised an error.
    """
    tune, lacking = target.tune, set[str]()
    for trial in trials:
        found = store.result(trial.id, digest, PLAIN.name)
        if found is not None and None in map(found.measure, (tune.measure, tune.tuned)):
            lacking.add(trial.id)
    if not lacking:
        return ""
    facts = [one for one in store.job_facts(trial_ids=lacking) if one.data_digest == digest]
    line = f"{format_count(len(lacking), 'result')} without {tune.measure}"
    if tune.measure not in {SWD, *(one.name for one in plugin_measures())}:
        return line
    if kept := [one for one in facts if one.weights]:
        return f"{line}: take it with {format_measure_command(tune.measure, kept)}"
    again = format_command("rerun", *sorted(map(short_id, lacking)))
    return f"{line} or weights: train anew after {again}"


def measure_cost(
    store: Store, trials: Sequence[Trial], digest: str, steps: int | None = None
) -> BudgetCost:
    """Return what the trials of one budget cost so far; ``steps`` as in `count_images`."""
    frame = store.view("costs", trial_id=[t.id for t in trials], data_digest=digest)
    seconds, pretraining = 0.0, 0.0
    for row in frame.to_dict("records"):
        on_gpu = not _is_missing(row["gpu_seconds"])
        seconds += _number(row["gpu_seconds" if on_gpu else "cpu_seconds"])
        on_gpu = not _is_missing(row["pretraining_gpu_seconds"])
        kind = "gpu" if on_gpu else "cpu"
        pretraining += _number(row[f"pretraining_{kind}_seconds"])
    n = len(trials)
    return BudgetCost(pretraining / n, seconds / n, *count_images(trials[0], steps))


def rung_value(tune: Tune, bits: float, so_far: BudgetCost) -> float:
    """Return the value of a budget at a rung, from the mean of bits/dim over its seeds there.

    Trials are compared at one step of the same training, so what training costs is the same for
    all of them and left out.
    """
    return bits + tune.cost_weight * so_far.pretraining(tune)


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _number(value: Any) -> float:
    return 0.0 if _is_missing(value) else float(value)
