"""The search over patterns: successive halving, rung by rung, with a training of its own at each.

What a rung decides follows from the values alone: whoever works on it, and in whatever order, and
however often it was killed. Several tuners need not know of each other, as the jobs of a rung have
leases and their results are shared.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import Any, Literal

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from lcma.db import State, Store
from lcma.harness.kill_points import kill_point
from lcma.harness.run.outages import wait_out
from lcma.harness.tuning.study import REASON, Study
from lcma.harness.tuning.target import PatternRung, StudyTarget
from lcma.harness.tuning.task import StudyTask, TaskEnding
from lcma.harness.tuning.tuner import Tuner
from lcma.sweeps.factorizations import PAIRS, pattern_pair

PATTERN = "pattern"
"""User attribute of a study's trial: its pattern by canonical name."""

ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


def choose_best(values: Mapping[str, float], reduction: int) -> set[str]:
    """Return the one in ``reduction`` with the lowest values, one at least; in ties by name.

    Example:
        >>> sorted(choose_best({"a": 3.0, "b": 1.0, "c": 2.0, "d": 1.0, "e": 5.0}, 2))
        ['b', 'd']
    """
    ordered = sorted(values, key=lambda name: (values[name], name))
    return set(ordered[: max(1, len(ordered) // reduction)])


class PatternStudy(Study):
    """A study with a trial for each pattern: its pairs as parameters, its value at each rung."""

    def __init__(self, store: Store, target: StudyTarget, data_digest: str) -> None:
        """Open the study as `Study` does, with all its patterns."""
        super().__init__(store, target, data_digest)
        assert target.tune.patterns is not None
        self.rungs, self.reduction = target.tune.patterns.rungs, target.tune.patterns.reduction
        wait_out(self._fill)

    def find_rung(self) -> tuple[int, list[str]] | None:
        """Return the rung that is not complete, in steps, and the patterns that it lacks.

        Where one has just become complete, what does not go on ends there. None if all have ended.
        """
        return wait_out(self._find_rung)

    def report(self, pattern: str, steps: int, value: float) -> None:
        """Report the value of a pattern at a rung; once more changes nothing."""

        def report() -> None:
            trial = self._trials()[pattern]
            if trial.state in ENDED or steps in trial.intermediate_values:
                return
            with kill_point("report"), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that another tuner has reported it meanwhile
                optuna.Trial(self.study, trial._trial_id).report(value, steps)

        wait_out(report)

    def fail(self, pattern: str, reason: str) -> None:
        """End a pattern that has no value at a rung, for a reason of one line."""
        wait_out(lambda: self._end(self._trials()[pattern], TrialState.FAIL, {REASON: reason}))

    def put_back(self, patterns: Sequence[str]) -> None:
        """Let those of the patterns that failed, and were not put back yet, have another trial."""

        def add() -> None:
            with self.store.database.turn():
                trials = self._trials()
                self._add(name for name in patterns if trials[name].state == TrialState.FAIL)

        wait_out(add)

    def failed(self) -> list[str]:
        """Return the patterns that failed."""
        trials = wait_out(self._trials)
        return [name for name, trial in trials.items() if trial.state == TrialState.FAIL]

    def _trials(self) -> dict[str, FrozenTrial]:
        """Return the last trial of each pattern."""
        return {t.user_attrs[PATTERN]: t for t in self.study.get_trials(deepcopy=False)}

    def _fill(self) -> None:
        with self.store.database.turn():
            known = self._trials()
            self._add(name for name in self.target.patterns if name not in known)

    def _add(self, patterns: Iterable[str]) -> None:
        splits = next(iter(self.target.parts.values())).trials[0].recipe.model.splits
        names = [f"split {split + 1}" for split in range(splits)]
        for pattern in patterns:
            pairs = {name: pattern_pair(pattern, split) for split, name in enumerate(names)}
            with kill_point("ask"):
                self.study.add_trial(
                    optuna.trial.create_trial(
                        state=TrialState.RUNNING,
                        params=pairs,
                        distributions=dict.fromkeys(pairs, CategoricalDistribution(PAIRS)),
                        user_attrs={PATTERN: pattern},
                    )
                )

    def _find_rung(self) -> tuple[int, list[str]] | None:
        with self.store.database.turn():
            trials = self._trials()
            for k, steps in enumerate(self.rungs):
                values = {
                    name: trial.intermediate_values[steps]
                    for name, trial in trials.items()
                    if steps in trial.intermediate_values and trial.state != TrialState.FAIL
                }
                running = [n for n, t in trials.items() if t.state == TrialState.RUNNING]
                lacking = [name for name in running if name not in values]
                if lacking:
                    return steps, lacking
                last = k == len(self.rungs) - 1
                going_on = set(values) if last else choose_best(values, self.reduction)
                for name in running:
                    if last:
                        self._end(trials[name], TrialState.COMPLETE, {}, values[name])
                    elif name not in going_on:
                        self._end(trials[name], TrialState.PRUNED, {})
                trials = {name: trials[name] for name in trials if name in going_on}
        return None

    def _end(
        self,
        trial: FrozenTrial,
        state: TrialState,
        notes: Mapping[str, Any],
        value: float | None = None,
    ) -> None:
        if trial.state in ENDED:
            return
        for name, content in notes.items():
            self.study._storage.set_trial_user_attr(trial._trial_id, name, content)
        with kill_point("tell"):
            self.study.tell(trial.number, value, state, skip_if_finished=True)


class PatternTuner(Tuner):
    """Trains what a rung lacks, as many tasks as run at once, each a part of it."""

    def __init__(self, study: PatternStudy, *others: Any) -> None:
        super().__init__(study, *others)
        self.study: PatternStudy = study
        self._numbers = count()
        self._running: dict[int, StudyTask] = {}
        lost = [name for name in study.failed() if not self._is_lost(name)]
        study.put_back(lost)

    def is_complete(self) -> bool:
        return self.study.find_rung() is None

    def next_trials(self) -> "StudyTask | Literal['wait'] | None":
        """Return the next part of the rung that is not complete; wait where all are given out.

        What is trained already is reported to Optuna directly.
        """
        while True:
            found = self.study.find_rung()
            if found is None:
                return None
            steps, lacking = found
            given = {part for task in self._running.values() for part in task.keys}
            free = [(name, steps) for name in lacking if (name, steps) not in given]
            if not self.affordable():  # what is trained passes, as it costs nothing
                free = self._find_trained(free)
            if not free:
                return "wait" if self._running else None
            share = -(-len(lacking) // self.target.tune.parallel)
            parts = free[:share]
            number = next(self._numbers)
            task = self.register_task(number, parts)
            self._running[number] = task
            if self.has_work_left(task):
                self.note(f"{len(parts)} patterns at {steps} steps begin")
                return task
            self.report_trials(number, TaskEnding("done"), served=True)

    def report_trials(self, number: int, ending: TaskEnding, *, served: bool = False) -> None:
        task = self._running.pop(number)
        parts = [part for part in task.keys if isinstance(part, tuple)]
        (steps,) = {steps for _, steps in parts}
        lost = self._find_lost(task)
        values = {}
        for name, _ in parts:
            if name in lost:
                self.study.fail(name, lost[name])
            elif ending.how == "done":
                trials = self.target.parts[name, steps].trials
                if why := self.explain_unmeasured(trials):
                    self.note(f"{name} at {steps} steps: failed: {why}")
                    self.study.fail(name, why)
                    continue
                (values[name],) = self.measure(trials).values(self.target.tune)
                self.study.report(name, steps, values[name])
        if ending.how == "failed" and not lost:  # its process died again and again
            for name, _ in parts:
                self.study.fail(name, ending.why)
        if values:
            how, best = "served" if served else "done", min(values, key=lambda name: values[name])
            self.note(
                f"{len(values)} patterns at {steps} steps: {how}, best {best} {values[best]:.4f}"
            )

    def _find_lost(self, task: StudyTask) -> dict[str, str]:
        """Return the patterns of which a job is lost, each with the reason in a line."""
        works = [node.work for node in task.nodes]
        ids = {work.job_id: work.trial.factorization for work in works if work.trial}
        states: list[State] = ["diverged", "failed"]
        lost = wait_out(lambda: self.store.job_facts(ids, states=states))
        return {
            ids[job.job_id]: ": ".join(
                filter(None, (job.state, *(job.message or "").splitlines()[-1:]))
            )
            for job in lost
        }

    def _find_trained(self, parts: Sequence[PatternRung]) -> list[PatternRung]:
        """Return the parts of which all trainings are there."""
        ids = {part: {trial.id for trial in self.target.parts[part].trials} for part in parts}
        wanted = sorted(set().union(*ids.values()))
        found = wait_out(
            lambda: self.store.view("results", trial_id=wanted, data_digest=self.digest)
        )
        return [part for part in parts if ids[part] <= set(found.trial_id)]

    def _is_lost(self, name: str) -> bool:
        parts = [(name, steps) for steps in self.study.rungs]
        if self._find_lost(self.plan_task(0, parts)):
            return True
        trials = [trial for part in parts for trial in self.target.parts[part].trials]
        return bool(self.explain_unmeasured(trials))
