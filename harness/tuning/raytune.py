"""A study on Ray Tune, whose trials only wait: what they need is launched in this process.

A trial of Tune is what the study asks for at once. Its placement group would capture whatever it
started, so it starts nothing and holds nothing but a place on the head. Tune's files go to a
scratch folder and are never read back.
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
"""The resource that Ray gives to the head of a cluster alone. A placement group needs some."""

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
    """What ended a launch; no Exception, for which Tune would clean up on a cluster that may be
    lost."""

    def __init__(self, error: Exception) -> None:
        self.error = error


class StudySearcher(Searcher):
    """A study as a searcher of Ray Tune, which launches what it has suggested once Tune's trial
    waits for it."""

    def __init__(self, tuner: Tuner) -> None:
        super().__init__()
        self._tuner = tuner
        self._asked: list[StudyTrial] = []
        self.died = False

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune writes it to a file, and the study has a password

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        return True

    def suggest(  # type: ignore[override]  # Tune has no type for FINISHED
        self, trial_id: str
    ) -> dict[str, Any] | str | None:
        self._asked = [] if self.died else self._tuner.ask()
        budgets = [trial.budget for trial in self._asked]
        return {"budgets": budgets} if budgets else self.FINISHED

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Launch what the trial waits for, and tell the study."""
        try:
            self._tuner.run(self._asked)
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

    Raises what a launch raises, and UserError where the processes of Tune's trials die.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    for name in ("ray.tune", "ray.train", "ray.air"):
        logging.getLogger(name).setLevel(logging.CRITICAL)

    def wait(config: dict[str, Any]) -> None:  # in here, so that the head needs no lcma
        tune.report(config)  # returns once its result was handled

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
