"""Optuna's samplers and pruners by the names that a spec gives them."""

import warnings
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, GPSampler, GridSampler, TPESampler
from optuna.trial import FrozenTrial

from lcma.sweeps.identity import content_id
from lcma.sweeps.tuning import Tune

if TYPE_CHECKING:
    from optuna.study import Study

POINT = "point"
"""The parameter: the place of a budget among the points of the search, from 0. Neighbours on the
logarithmic grid are neighbours here, and 0 is the one before the first."""

STARTUP = 6
"""Trials that TPE and GP draw at random first. Optuna's own number is 10, for many parameters."""


class Seeded(BaseSampler):
    """A sampler that is made anew for each trial, seeded by study and trial number: so what it
    suggests depends on the study alone, and not on what its process has suggested before."""

    def __init__(self, tune: Tune, study: str) -> None:
        self.tune, self.study = tune, study
        self._inner: dict[int, BaseSampler] = {}

    def before_trial(self, study: "Study", trial: FrozenTrial) -> None:
        self._inner = {trial.number: self._make(trial.number)}
        self._inner[trial.number].before_trial(study, trial)

    def infer_relative_search_space(
        self, study: "Study", trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._of(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: "Study", trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._of(trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: "Study",
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return self._of(trial).sample_independent(study, trial, param_name, param_distribution)

    def _of(self, trial: FrozenTrial) -> BaseSampler:
        return self._inner[trial.number]

    def _make(self, number: int) -> BaseSampler:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            seed = int(content_id("sampler", {"study": self.study, "number": number})[:8], 16)
            match self.tune.sampler:
                case "grid":
                    # Its order of the grid has to be the same for every trial.
                    points = list(range(len(self.tune.points)))
                    return GridSampler({POINT: points}, seed=0)
                case "gp":
                    return GPSampler(seed=seed, n_startup_trials=STARTUP)
                case "tpe":
                    return TPESampler(
                        seed=seed,
                        n_startup_trials=STARTUP,
                        constant_liar=self.tune.parallel > 1,
                    )


def make_pruner(tune: Tune) -> optuna.pruners.BasePruner:
    """What decides at rungs. Its state is in the study."""
    stop = tune.stop
    if stop is None:
        return optuna.pruners.NopPruner()
    if stop.pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=stop.startup, n_warmup_steps=0)
    return optuna.pruners.SuccessiveHalvingPruner(
        min_resource=stop.rungs[0], reduction_factor=stop.reduction
    )
