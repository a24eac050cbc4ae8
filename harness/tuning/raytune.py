"""A study on Ray Tune. Tune's files go to a scratch folder and are never read back."""

import logging
import os
import tempfile
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from lcma.db import JobFacts
from lcma.harness.run.executor import Executor, Finished, run_body
from lcma.harness.run.work import Report, Work
from lcma.harness.tuning.target import Part
from lcma.harness.tuning.task import Rung, StudyTask, TaskEnding, run_task
from lcma.harness.tuning.tuner import Tuner

NUMBER, KEYS = "number", "keys"
"""Configuration that the searcher suggests: a task's number, None for the baselines, and the parts
of the study that it is of."""

STEP, BITS, HOW, WHY = "rung", "bits_per_dim", "how", "why"
"""Keys of what a Tune trial reports: where it stands at a rung, or how it ended."""


class StudySearcher(Searcher):
    """Our study as a searcher of Ray Tune: suggests tasks, and tells the tuner how they end."""

    def __init__(self, tuner: Tuner) -> None:
        super().__init__()
        self._tuner = tuner
        self._numbers: dict[str, int | None] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune writes it to a file, and the study has a password

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        return True

    def suggest(  # type: ignore[override]  # Tune has no type for FINISHED
        self, trial_id: str
    ) -> dict[str, Any] | str | None:
        task = self._tuner.next_task()
        if task is None:
            return self.FINISHED
        if task == "wait":
            return None
        self._numbers[trial_id] = task.number
        return {NUMBER: task.number, KEYS: task.keys}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Do nothing: the scheduler handles it."""

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        number = self._numbers.pop(trial_id)
        ending = parse_ending(result)
        if ending is None and self._tuner.is_pruned(number):
            ending = TaskEnding("pruned")
        died = TaskEnding("failed", "its process died again and again, see Ray's logs")
        self._tuner.report_ending(number, ending or died)

    def save(self, checkpoint_path: str) -> None:
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: the database is the truth."""


class InlineExecutor(Executor):
    """Runs work one after the other in this process, which holds the CPU and GPU of its Tune
    trial."""

    def __init__(self) -> None:
        self._tasks: deque[tuple[Sequence[Work], str | None]] = deque()
        self._reports: dict[str, Report] = {}

    def hosts(self) -> list[str]:
        return ["this process"]

    def submit(self, works: Sequence[Work], after: str | None) -> None:
        self._tasks.append((works, after))

    def wait(self, seconds: float) -> list[Finished]:
        works, after = self._tasks.popleft()
        reports = run_body(works, None if after is None else [self._reports[after]])
        self._reports |= {report.job_id: report for report in reports}
        return [Finished(report.job_id, report) for report in reports]

    def free_slots(self, work: Work) -> int:
        return 0 if self._tasks else 1

    def close(self, *, kill: bool) -> None:
        pass


class SilentDisplay:
    """A display that shows nothing: attempts have their logs in the database."""

    def update(self, ended: int, total: int, running: Sequence[JobFacts]) -> None:
        pass

    def job_ended(self, title: str, report: Report) -> None:
        pass

    def unreachable(self, since: float, why: str) -> None:
        pass

    def note(self, line: str) -> None:
        pass


def run_tune_trial(config: Mapping[str, Any], tasks: Mapping[Part | None, StudyTask]) -> None:
    """Run the task of a Tune trial, with what the searcher suggested as ``config``.

    ``tasks`` are those of all parts. They hold the database's URL and so are in no file of
    Tune's. At each rung nothing runs until the scheduler has decided.
    """
    parts = [tasks[key] for key in config[KEYS]]
    nodes = {node.work.job_id: node for part in parts for node in part.nodes}
    opened = tuple(replace(node, work=node.work.opened()) for node in nodes.values())
    task = replace(parts[0], nodes=opened, number=config[NUMBER], keys=tuple(config[KEYS]))
    for reached in run_task(task, InlineExecutor(), SilentDisplay()):
        if isinstance(reached, Rung):
            tune.report({STEP: reached.step, BITS: reached.bits})
        else:
            tune.report({HOW: reached.how, WHY: reached.why})


def parse_rung(result: Mapping[str, Any]) -> Rung | None:
    """Return the rung in a Tune report, None if it holds none."""
    return Rung(result[STEP], result[BITS]) if STEP in result and HOW not in result else None


def parse_ending(result: Mapping[str, Any] | None) -> TaskEnding | None:
    """Return the ending in a Tune report, None if it holds none."""
    return TaskEnding(result[HOW], result[WHY]) if result and HOW in result else None


class StudyScheduler(FIFOScheduler):
    """A first-come-first-served scheduler that stops trials at rungs as the study's pruner says."""

    def __init__(self, tuner: Tuner) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._tuner = tuner

    def __getstate__(self) -> dict[str, Any]:
        return {}  # as for the searcher

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        rung = parse_rung(result)
        if rung is not None and self._tuner.report_rung(trial.config[NUMBER], rung):
            return str(self.STOP)
        return str(self.CONTINUE)


RESTARTS = 3
"""Restarts of a Tune trial whose process died; it goes on from its checkpoints."""

SETTINGS = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # no CSV, JSON or TensorBoard beside the database
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # the caller has its own
    "TUNE_WARN_SLOW_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "3600",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
}


def run_ray_tune(tuner: Tuner, need: Mapping[str, float], parallel: int) -> None:
    """Run tasks until the tuner has none left, at most ``parallel`` at once.

    ``need`` are the resources of each, by Ray's names. Ray must be initialized.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    for name in ("ray.tune", "ray.train", "ray.air"):
        logging.getLogger(name).setLevel(logging.ERROR)
    bundle = {name: amount for name, amount in need.items() if amount}
    with tempfile.TemporaryDirectory(prefix="lcma-tune-", ignore_cleanup_errors=True) as scratch:
        tune.Tuner(
            tune.with_resources(
                tune.with_parameters(run_tune_trial, tasks=tuner.plan_all_tasks()),
                tune.PlacementGroupFactory([bundle]),
            ),
            tune_config=tune.TuneConfig(
                search_alg=StudySearcher(tuner),
                scheduler=StudyScheduler(tuner),
                num_samples=-1,
                max_concurrent_trials=parallel,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name=tuner.target.spec.name,
                storage_path=scratch,
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=RESTARTS),
            ),
        ).fit()
