"""Our study as a searcher of Ray Tune's.

Tune's own searcher for Optuna tells trials that were stopped early as complete, and keeps what it
knows in a pickle. This one knows nothing: whoever starts Tune again finds all in the study.
"""

from pathlib import Path
from typing import Any

from ray.tune.search import Searcher

from lcma.harness.tuning.errand import Ending
from lcma.harness.tuning.trainable import BUDGET, NUMBER, as_ending
from lcma.harness.tuning.tuner import Tuner


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
