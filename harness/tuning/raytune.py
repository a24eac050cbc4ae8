"""A study on Ray Tune. Tune's files go to a scratch folder and are never read back."""

import logging
import os
import tempfile
from collections.abc import Mapping

from ray import tune

from lcma.harness.tuning.scheduler import StudyScheduler
from lcma.harness.tuning.searcher import StudySearcher
from lcma.harness.tuning.trainable import run_errand
from lcma.harness.tuning.tuner import Tuner

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
