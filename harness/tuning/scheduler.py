"""What carries the pruner's decisions out: a scheduler of Ray Tune's with no mind of its own."""

from typing import Any

from ray.tune.schedulers import FIFOScheduler

from lcma.harness.tuning.trainable import NUMBER, as_rung
from lcma.harness.tuning.tuner import Tuner


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
