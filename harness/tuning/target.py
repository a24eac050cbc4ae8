"""The target of a study: for each budget or pattern, the ordinary trials that it stands for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lcma.harness.text import format_count
from lcma.sweeps import factorizations, settings
from lcma.sweeps.errors import UserError
from lcma.sweeps.expansion import Cell, Expansion, Trial, expand
from lcma.sweeps.identity import content_id
from lcma.sweeps.spec import Spec
from lcma.sweeps.tuning import FIRST_SEARCH_SEED, PatternSearch, Tune

PatternRung = tuple[str, int]
"""A pattern by its canonical name, and the steps of its training at a rung."""

Part = int | PatternRung
"""What a study has values of: a budget in steps, or a pattern at a rung."""


@dataclass(frozen=True)
class StudyTarget:
    """A spec with a section `tune`, expanded into baselines and the trials of every part.

    Both belong to the spec's own sweep. The pretraining of a budget passes all shorter ones and
    leaves its maps at each of them.
    """

    spec: Spec
    tune: Tune
    baseline: Expansion
    parts: Mapping[Part, Expansion]

    @property
    def seeds(self) -> int:
        """Number of trials of a part."""
        return len(next(iter(self.parts.values())).trials)

    @cached_property
    def patterns(self) -> tuple[str, ...]:
        """The patterns of a search, in order; none in one over budgets."""
        return tuple(dict.fromkeys(part[0] for part in self.parts if isinstance(part, tuple)))

    @cached_property
    def whole(self) -> Expansion:
        """Expansion of everything that the study may run."""
        cells = [c for each in self.parts.values() for c in each.cells]
        return Expansion(self.spec, (*self.baseline.cells, *cells), self.tune.points)

    def digest(self, data_digest: str) -> str:
        """Return the identity of the study: its search, its trials, and the content of the data."""
        ids = [trial.id for trial in self.whole.trials]
        content = {"tune": self.tune.identity(), "trials": ids, "data": data_digest}
        return content_id("study", content)


def count_images(trial: Trial, steps: int | None = None) -> tuple[int, int]:
    """Return the images of a trial's stand-alone pretraining, and of its training.

    ``steps`` are those that the training took, where it was stopped early.
    """
    batch = trial.recipe.optimization.batch
    steps = trial.recipe.training.steps if steps is None else steps
    return (trial.budget or 0) * batch, steps * batch


def describe_search(target: StudyTarget) -> str:
    """Return in a sentence what a study trains."""
    tune, each = target.tune, f"by {format_count(target.seeds, 'seed')} each"
    if tune.patterns is None:
        return (
            f"{tune.most} of the {len(tune.points)} budgets from {tune.points[0]} to "
            f"{tune.points[-1]} steps, {each}"
        )
    number, parts = len(target.patterns), list[str]()
    for steps in tune.patterns.rungs:
        parts.append(f"{'the best ' if parts else ''}{number} for {steps} steps")
        number = max(1, number // tune.patterns.reduction)
    return f"patterns of each split: {', then '.join(parts)}, {each}"


def make_target(spec: Spec, where: str, preparable: list[str]) -> StudyTarget:
    """Return the target of a spec. Raises UserError where it has none, or none that can be run."""
    tune = spec.tune
    if tune is None:
        raise UserError(
            f"{where}: it has no section `tune`: give `tune: {{budget: ...}}`, or "
            "`tune: {patterns: ...}`"
        )
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
    if tune.patterns is not None:
        return _make_pattern_target(spec, tune, tune.patterns, where, preparable)
    seeds = spec.seeds if tune.seeds is None else tune.seeds
    baseline = _baseline(spec, where, preparable, seeds)
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
    budgets: dict[Part, Expansion] = {
        b: Expansion(spec, _of_budget(tuned, b), tune.points) for b in tune.points
    }
    steps = budgets[0].trials[0].recipe.training.steps
    if tune.rungs and tune.rungs[-1] >= steps:
        raise UserError(
            f"{where}: `tune.stop.rungs`: {tune.rungs[-1]} is beyond the training's schedule: a "
            f"rung lies before its last step, {steps}"
        )
    return StudyTarget(spec, tune, baseline, budgets)


def _make_pattern_target(
    spec: Spec, tune: Tune, search: PatternSearch, where: str, preparable: list[str]
) -> StudyTarget:
    """Return the target of a search over patterns: each of them at each rung."""
    seeds = (FIRST_SEARCH_SEED,) if tune.seeds is None else tune.seeds
    (overlay,) = spec.matrix.recipe or ({},)
    recipes = tuple(
        settings.merge(overlay, {"training": {"steps": steps}}) for steps in search.rungs
    )
    baseline = _baseline(spec, where, preparable, seeds, recipes[-1:])
    cells = _expanded(
        spec,
        preparable,
        factorization=(factorizations.PATTERNS,),
        seeds=seeds,
        recipe=recipes,
    ).cells
    found: dict[PatternRung, list[Cell]] = {}
    for cell in cells:
        if cell.trial is None:
            raise UserError(f"{where}: `tune.patterns`: {cell.reason}")
        part = (cell.trial.factorization, cell.trial.recipe.training.steps)
        found.setdefault(part, []).append(cell)
    names = _choose(sorted({name for name, _ in found}), search)
    return StudyTarget(
        spec,
        tune,
        baseline,
        {
            (name, steps): Expansion(spec, tuple(found[name, steps]), ())
            for steps in search.rungs
            for name in names
        },
    )


def _choose(names: Sequence[str], search: PatternSearch) -> list[str]:
    """Return the patterns to begin with: so many by chance, which the search fixes."""
    if search.count is None:
        return list(names)
    if search.count > len(names):
        raise UserError(
            f"`tune.patterns.count`: {search.count} of the {len(names)} patterns that fit the "
            "recipe: give fewer, or leave it out for all"
        )
    drawn = sorted(names, key=lambda name: content_id("drawn", {"pattern": name}))
    return sorted(drawn[: search.count])


def _baseline(
    spec: Spec,
    where: str,
    preparable: list[str],
    seeds: tuple[int, ...],
    recipe: tuple[dict[str, Any], ...] | None = None,
) -> Expansion:
    """Return the conventional factorization, and what else the matrix names."""
    names = tuple(dict.fromkeys(("conventional", *spec.matrix.factorization)))
    found = _expanded(spec, preparable, factorization=names, seeds=seeds, recipe=recipe)
    for cell in found.cells:
        if cell.budget is not None or cell.trial is None:
            why = cell.reason or "it has a budget"
            raise UserError(
                f"{where}: `matrix.factorization`: {cell.factorization} cannot be a baseline: "
                f"{why}; what is tuned stands in `tune.factorization`"
            )
    return found


def _expanded(
    spec: Spec,
    preparable: list[str],
    *,
    factorization: tuple[str, ...],
    seeds: tuple[int, ...],
    budget: tuple[int, ...] = (),
    recipe: tuple[dict[str, Any], ...] | None = None,
) -> Expansion:
    """Return a spec's expansion with another matrix; ``recipe`` None is that of the spec."""
    named = {"factorization": factorization, "budget": budget}
    named |= {} if recipe is None else {"recipe": recipe}
    matrix = spec.matrix.model_copy(update=named)
    changed = spec.model_copy(update={"matrix": matrix, "seeds": seeds})
    found = expand(changed, preparable=preparable)
    return Expansion(spec, found.cells)


def _of_budget(expansion: Expansion, budget: int) -> tuple[Cell, ...]:
    return tuple(cell for cell in expansion.cells if cell.budget == budget)
