"""A study on Ray Tune, whose trials only wait while this process launches what they need.

A trial of Tune stands for all budgets that the study asks for at once. Tune's placement group would
capture any task that it started, so it starts none and holds only a place on the head. Tune's files
go to a temporary folder and are never read back.
"""

import logging
import os
import tempfile
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.search import Searcher

from lcma.harness.tuning.study import StudyTrial, Tuner
from lcma.sweeps.errors import UserError

HEAD = "node:__internal_head__"
"""The resource that only the head of a cluster has. A placement group must name a resource."""

RESTARTS = 3
"""Restarts of a trial of Tune whose process died."""

SETTINGS = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # no CSV, JSON or TensorBoard beside the database
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # the caller has its own
    "TUNE_WARN_SLOW_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "3600",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
}


class _EndedEarly(BaseException):
    """Carries what ended a launch through Tune."""

    # Not an Exception: Tune would then clean up, on a cluster that may be lost.
    def __init__(self, error: Exception) -> None:
        self.error = error


class StudySearcher(Searcher):
    """A study as a searcher of Ray Tune; it launches what it suggests once Tune's trial waits."""

    def __init__(self, tuner: Tuner) -> None:
        super().__init__()
        self._tuner = tuner
        self._trials: list[StudyTrial] = []
        self.died = False

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune writes the state to a file, and the study's URL has a password

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        return True

    def suggest(  # type: ignore[override]  # Tune has no type for FINISHED
        self, trial_id: str
    ) -> dict[str, Any] | str | None:
        self._trials = [] if self.died else self._tuner.ask()
        budgets = [trial.budget for trial in self._trials]
        return {"budgets": budgets} if budgets else self.FINISHED

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Launch what the trial waits for, and report the values to the study."""
        try:
            self._tuner.run(self._trials)
        except Exception as error:
            raise _EndedEarly(error) from error

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        self.died = error

    def save(self, checkpoint_path: str) -> None:
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: the database is the truth."""


def run_ray_tune(tuner: Tuner) -> None:
    """Run trials until the study is complete. Ray must be initialized.

    Raises as a launch does, and UserError if the processes of Tune's trials die.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    for name in ("ray.tune", "ray.train", "ray.air"):
        logging.getLogger(name).setLevel(logging.CRITICAL)

    def wait(config: dict[str, Any]) -> None:  # a local function, so that the head needs no lcma
        tune.report(config)  # returns after `on_trial_result`

    searcher = StudySearcher(tuner)
    with tempfile.TemporaryDirectory(prefix="lcma-tune-", ignore_cleanup_errors=True) as scratch:
        fitted = tune.Tuner(
            tune.with_resources(wait, tune.PlacementGroupFactory([{HEAD: 0.001}])),
            tune_config=tune.TuneConfig(
                search_alg=searcher, num_samples=-1, max_concurrent_trials=1, reuse_actors=True
            ),
            run_config=tune.RunConfig(
                name=tuner.target.spec.name,
                storage_path=scratch,
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=RESTARTS),
            ),
        )
        try:
            fitted.fit()
        except _EndedEarly as ended:
            raise ended.error from None
    if searcher.died:
        raise UserError(
            f"a process of Ray Tune died {RESTARTS + 1} times, see Ray's logs: tune again"
        )
