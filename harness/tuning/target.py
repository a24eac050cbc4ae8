"""The target of a study: for each budget, the ordinary trials that it stands for."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from lcma.sweeps import factorizations
from lcma.sweeps.errors import UserError
from lcma.sweeps.expansion import Cell, Expansion, expand
from lcma.sweeps.identity import content_id
from lcma.sweeps.recipe import Recipe
from lcma.sweeps.spec import Spec
from lcma.sweeps.tuning import Tune


@dataclass(frozen=True)
class StudyTarget:
    """A spec with a section `tune`, expanded into baselines and the trials of every budget.

    Both belong to the spec's own sweep. The pretraining of a budget passes all shorter ones and
    leaves its maps at each of them.
    """

    spec: Spec
    tune: Tune
    baseline: Expansion
    budgets: Mapping[int, Expansion]

    @cached_property
    def recipe(self) -> Recipe:
        """Recipe of all trials."""
        return self.budgets[0].trials[0].recipe

    @property
    def seeds(self) -> int:
        """Number of trials of a budget."""
        return len(self.budgets[0].trials)

    @cached_property
    def whole(self) -> Expansion:
        """Expansion of everything that the study may run."""
        cells = [c for each in self.budgets.values() for c in each.cells]
        return Expansion(self.spec, (*self.baseline.cells, *cells), self.tune.points)

    def images(self, budget: int | None) -> tuple[int, int]:
        """Return the images per seed of a budget's stand-alone pretraining, and of its training."""
        batch = self.recipe.optimization.batch
        return (budget or 0) * batch, self.recipe.training.steps * batch

    def digest(self, data_digest: str) -> str:
        """Return the identity of the study: its search, its trials, and the content of the data."""
        ids = [trial.id for trial in self.whole.trials]
        content = {"tune": self.tune.identity(), "trials": ids, "data": data_digest}
        return content_id("study", content)


def make_target(spec: Spec, where: str, preparable: list[str]) -> StudyTarget:
    """Return the target of a spec. Raises UserError where it has none, or none that can be run."""
    tune = spec.tune
    if tune is None:
        raise UserError(f"{where}: it has no section `tune`: give `tune: {{budget: ...}}`")
    matrix = spec.matrix
    for key in ("flow", "dataset"):
        several = getattr(matrix, key)
        if len(several) > 1:
            raise UserError(
                f"{where}: `matrix.{key}`: a study tunes one, and here are {', '.join(several)}"
            )
    if matrix.budget:
        raise UserError(f"{where}: `matrix.budget`: budgets to tune stand in `tune.budget`")
    if len(matrix.recipe) > 1:
        raise UserError(f"{where}: `matrix.recipe`: a study tunes with one recipe")
    seeds = spec.seeds if tune.seeds is None else tune.seeds
    names = tuple(dict.fromkeys(("conventional", *matrix.factorization)))
    baseline = _expanded(spec, preparable, factorization=names, seeds=seeds)
    for cell in baseline.cells:
        if cell.budget is not None or cell.trial is None:
            why = cell.reason or "it has a budget"
            raise UserError(
                f"{where}: `matrix.factorization`: {cell.factorization} cannot be a baseline: "
                f"{why}; what is tuned stands in `tune.factorization`"
            )
    tuned = _expanded(
        spec, preparable, factorization=(tune.factorization,), seeds=seeds, budget=tune.points
    )
    for cell in tuned.cells:
        if cell.trial is None:
            raise UserError(f"{where}: `tune.factorization`: {cell.reason}")
        if not factorizations.needs_budget(cell.trial.factorization):
            raise UserError(
                f"{where}: `tune.factorization`: {tune.factorization} reads no contribution map, "
                "so that there is no pretraining to tune: give a word over L and H, such as low"
            )
    target = StudyTarget(
        spec,
        tune,
        baseline,
        {b: Expansion(spec, _of_budget(tuned, b), tune.points) for b in tune.points},
    )
    steps = target.recipe.training.steps
    if tune.rungs and tune.rungs[-1] >= steps:
        raise UserError(
            f"{where}: `tune.stop.rungs`: {tune.rungs[-1]} is beyond the training's schedule: a "
            f"rung lies before its last step, {steps}"
        )
    return target


def _expanded(
    spec: Spec,
    preparable: list[str],
    *,
    factorization: tuple[str, ...],
    seeds: tuple[int, ...],
    budget: tuple[int, ...] = (),
) -> Expansion:
    matrix = spec.matrix.model_copy(update={"factorization": factorization, "budget": budget})
    changed = spec.model_copy(update={"matrix": matrix, "seeds": seeds})
    found = expand(changed, preparable=preparable)
    return Expansion(spec, found.cells)


def _of_budget(expansion: Expansion, budget: int) -> tuple[Cell, ...]:
    return tuple(cell for cell in expansion.cells if cell.budget == budget)
