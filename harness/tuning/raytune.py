"""A study on Ray Tune. Tune's files go to a scratch folder and are never read back."""

import logging
import os
import tempfile

# What carries the pruner's decisions out: a scheduler of Ray Tune's with no mind of its own
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace

# An errand as a Ray Tune trial: the same task bodies, in the process that Tune gives it
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from lcma.db import RunningJob
from lcma.harness.run.executor import Executor, Finished
from lcma.harness.run.work import Report, Work
from lcma.harness.run.worker import run_work
from lcma.harness.tuning.errand import Ending, Errand, Rung, carry_out
from lcma.harness.tuning.tuner import Tuner

# Our study as a searcher of Ray Tune's


class StudySearcher(Searcher):
    """Hands out errands as Tune asks, and passes on how they end."""

    def __init__(self, tuner: Tuner) -> None:
        super().__init__()
        self._tuner = tuner
        self._numbers: dict[str, int | None] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune writes it to a file that nobody reads, and the study has a password

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        return True

    def suggest(  # type: ignore[override]  # Tune has no type for FINISHED
        self, trial_id: str
    ) -> dict[str, Any] | str | None:
        errand = self._tuner.next()
        if errand is None:
            return self.FINISHED
        if errand == "wait":
            return None
        self._numbers[trial_id] = errand.number
        return {NUMBER: errand.number, BUDGET: errand.budget}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """The scheduler has heard of it."""

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        number = self._numbers.pop(trial_id)
        ending = as_ending(result)
        if ending is None and self._tuner.is_pruned(number):
            ending = Ending("pruned")
        died = Ending("failed", "its process died again and again, see Ray's logs")
        self._tuner.ended(number, ending or died)

    def save(self, checkpoint_path: str) -> None:
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the database is the truth."""


NUMBER, BUDGET = "number", "budget"
"""What the searcher suggests: a trial of the study, None for the base lines, and its budget."""

STEP, BITS, HOW, WHY = "rung", "bits_per_dim", "how", "why"
"""What a Tune trial reports: where it stands at a rung, or how it ended."""


class Here(Executor):
    """Tasks one after the other in this process: it holds the CPU and the GPU of its Tune trial."""

    def __init__(self) -> None:
        self._works: deque[tuple[Work, str | None]] = deque()
        self._reports: dict[str, Report] = {}

    def hosts(self) -> list[str]:
        return ["this process"]

    def submit(self, work: Work, after: str | None) -> None:
        self._works.append((work, after))

    def wait(self, seconds: float) -> list[Finished]:
        work, after = self._works.popleft()
        report = run_work(work, None if after is None else self._reports.get(after))
        self._reports[work.job_id] = report
        return [Finished(work.job_id, report)]

    def close(self, *, kill: bool) -> None:
        pass


class Silent:
    """A display where nobody looks: attempts have their logs in the database."""

    def update(self, ended: int, total: int, running: Sequence[RunningJob]) -> None:
        pass

    def job_ended(self, title: str, report: Report) -> None:
        pass

    def unreachable(self, since: float, why: str) -> None:
        pass

    def note(self, line: str) -> None:
        pass


def run_errand(config: Mapping[str, Any], errands: Mapping[int | None, Errand]) -> None:
    """What Tune calls with what the searcher suggested; ``errands`` are those of all budgets, which
    hold the database's URL and so are in no file of Tune's.

    At each rung it waits, with nothing running, for the scheduler's decision.
    """
    errand = replace(errands[config[BUDGET]], number=config[NUMBER])
    for said in carry_out(errand, Here(), Silent()):
        if isinstance(said, Rung):
            tune.report({STEP: said.step, BITS: said.bits})
        else:
            tune.report({HOW: said.how, WHY: said.why})


def as_rung(result: Mapping[str, Any]) -> Rung | None:
    """The rung that a report is of, None for another."""
    return Rung(result[STEP], result[BITS]) if STEP in result and HOW not in result else None


def as_ending(result: Mapping[str, Any] | None) -> Ending | None:
    """The ending that a report is of, None for another."""
    return Ending(result[HOW], result[WHY]) if result and HOW in result else None


class StudyScheduler(FIFOScheduler):
    """First come, first served; stops at a rung what the study's pruner stops there."""

    def __init__(self, tuner: Tuner) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._tuner = tuner

    def __getstate__(self) -> dict[str, Any]:
        return {}  # as the searcher's

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        rung = as_rung(result)
        if rung is not None and self._tuner.rung(trial.config[NUMBER], rung):
            return str(self.STOP)
        return str(self.CONTINUE)


RESTARTS = 3
"""How often a Tune trial whose process died is started again; it goes on from what is there."""

SETTINGS = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # no CSV, JSON or TensorBoard beside the database
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # who called us has its own
    "TUNE_WARN_SLOW_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "3600",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
}


def run_ray_tune(tuner: Tuner, need: Mapping[str, float], parallel: int) -> None:
    """Until the tuner has nothing left, with so many errands at once, each with the resources that
    one trial needs. Ray is there already."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    for name in ("ray.tune", "ray.train", "ray.air"):
        logging.getLogger(name).setLevel(logging.ERROR)
    bundle = {name: amount for name, amount in need.items() if amount}
    with tempfile.TemporaryDirectory(prefix="lcma-tune-", ignore_cleanup_errors=True) as scratch:
        tune.Tuner(
            tune.with_resources(
                tune.with_parameters(run_errand, errands=tuner.all_errands()),
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
