"""The target of a study: the ordinary trials that each budget stands for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lcma.harness.text import format_count
from lcma.sweeps import factorizations
from lcma.sweeps.errors import UserError
from lcma.sweeps.expansion import Cell, Expansion, expand
from lcma.sweeps.identity import content_id
from lcma.sweeps.spec import Spec
from lcma.sweeps.tuning import Tune


@dataclass(frozen=True)
class StudyTarget:
    """A spec with a section `tune`, expanded into baselines and the trials of every budget.

    Both belong to the spec's own sweep. The pretraining of a budget stores its maps at all shorter
    budgets too.
    """

    spec: Spec
    tune: Tune
    baseline: Expansion
    budgets: Mapping[int, Expansion]

    @property
    def seeds(self) -> int:
        """The number of trials of a budget."""
        return len(self.budgets[0].trials)

    @cached_property
    def whole(self) -> Expansion:
        """The expansion of everything that the study may run."""
        return self.join(self.budgets)

    def join(self, budgets: Iterable[int]) -> Expansion:
        """Return the expansion of the baselines and some budgets."""
        cells = [cell for budget in budgets for cell in self.budgets[budget].cells]
        return Expansion(self.spec, (*self.baseline.cells, *cells), self.tune.budgets)

    def digest(self, data_digest: str) -> str:
        """Return the identity of the study, by its search, its trials and the data's content."""
        ids = [trial.id for trial in self.whole.trials]
        content = {"tune": self.tune.identity(), "trials": ids, "data": data_digest}
        return content_id("study", content)

    def count_images(self, budget: int) -> int:
        """Return the number of training images of a trial with its own pretraining."""
        recipe = self.budgets[budget].trials[0].recipe
        return (budget + recipe.training.steps) * recipe.optimization.batch


def describe_search(target: StudyTarget) -> str:
    """Return what a study trains, as a part of a sentence."""
    tune = target.tune
    return (
        f"{tune.trial_count} of the {len(tune.budgets)} budgets from {tune.budgets[0]} to "
        f"{tune.budgets[-1]} steps, by {format_count(target.seeds, 'seed')} each"
    )


def make_target(spec: Spec, where: str) -> StudyTarget:
    """Return the target of a spec. Raises UserError if it has none, or none that can be run."""
    tune, matrix = spec.tune, spec.matrix
    if tune is None:
        raise UserError(f"{where}: it has no section `tune`: give `tune: {{budget: ...}}`")
    for key in ("flow", "dataset"):
        names = getattr(matrix, key)
        if len(names) > 1:
            raise UserError(
                f"{where}: `matrix.{key}`: a study tunes one, and here are {', '.join(names)}"
            )
    if matrix.budget:
        raise UserError(f"{where}: `matrix.budget`: `tune.budget` has the budgets to tune")
    if len(matrix.recipe) > 1:
        raise UserError(f"{where}: `matrix.recipe`: a study tunes with one recipe")
    baselines = tuple(dict.fromkeys(("conventional", *matrix.factorization)))
    baseline = _expand(spec, factorization=baselines)
    if not baseline.cells:
        raise UserError(
            f"{where}: `exclude` leaves out all of {', '.join(baselines)}, so that there is no "
            "baseline: exclude less, or name another one in `matrix.factorization`"
        )
    for cell in baseline.cells:
        if cell.budget is not None or cell.trial is None:
            why = cell.reason or "it has a budget"
            raise UserError(
                f"{where}: `matrix.factorization`: {cell.factorization} cannot be a baseline: "
                f"{why}; `tune.factorization` names the factorization to tune"
            )
    tuned = _expand(spec, factorization=(tune.factorization,), budget=tune.budgets)
    for cell in tuned.cells:
        if cell.trial is None:
            raise UserError(f"{where}: `tune.factorization`: {cell.reason}")
        if not factorizations.needs_budget(cell.trial.factorization):
            raise UserError(
                f"{where}: `tune.factorization`: {tune.factorization} reads no contribution map, "
                "so that there is no pretraining to tune: give a word over L and H, such as low"
            )
    cells = {p: tuple(cell for cell in tuned.cells if cell.budget == p) for p in tune.budgets}
    for budget, group in cells.items():
        _require_all_seeds(spec, where, f"{tune.factorization} at budget {budget}", group)
    budgets = {p: Expansion(spec, group, tune.budgets) for p, group in cells.items()}
    return StudyTarget(spec, tune, baseline, budgets)


def _require_all_seeds(spec: Spec, where: str, what: str, cells: Iterable[Cell]) -> None:
    """Raise UserError if the exclusions of a spec left out a seed of a tuned budget."""
    if lacking := set(spec.seeds) - {cell.seed for cell in cells}:
        raise UserError(
            f"{where}: `exclude` leaves out {what} and seed {min(lacking)}, and a study compares "
            "all its budgets at the same seeds: exclude no budget and no seed of it"
        )


def _expand(spec: Spec, **changes: tuple[Any, ...]) -> Expansion:
    """Return a spec's expansion with changes to its matrix."""
    matrix = spec.matrix.model_copy(update=changes)
    changed = spec.model_copy(update={"matrix": matrix})
    return Expansion(spec, expand(changed).cells)
