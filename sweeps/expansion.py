"""Expand a spec into trials: fold synonyms, find impossible cells, share pretrainings."""

import itertools
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from lcma.sweeps import catalog, factorizations, known_sets, settings
from lcma.sweeps.architectures import REGISTERED, RealNVPArchitecture
from lcma.sweeps.errors import UserError
from lcma.sweeps.factorizations import ImpossibleError
from lcma.sweeps.identity import canonical_json, content_id, identity_of
from lcma.sweeps.recipe import Recipe
from lcma.sweeps.spec import Exclusion, Spec

# A typing mistake can make millions of cells.
CELLS_VARIABLE, MAX_CELLS = "LCMA_MAX_CELLS", 100_000
"""The variable that sets the most cells of a sweep, and its default."""


PretrainingForm = Literal["squeezed", "flat", "self", "data"]
"""What a pretraining makes maps of.

- `squeezed`, `flat`: the flow without splits (NMS), in one of its two forms. The schedule does not
  depend on the budget.
- `self`: the flow with its splits. Its tables are found one after the other, each by new weights
  that train for budget / splits steps, so each budget is a pretraining of its own.
- `data`: the data. Nothing is trained, the budget is 0, and all flows with as many splits share
  it, whatever their recipe and seed.
"""


@dataclass(frozen=True)
class Pretraining:
    """A run that makes contribution maps."""

    recipe: Recipe
    dataset: str
    variant: str
    seed: int
    form: PretrainingForm = "squeezed"
    budget: int | None = None  # only of the form `self`

    @cached_property
    def id(self) -> str:
        content = self._part | {"dataset": self.dataset, "variant": self.variant, "seed": self.seed}
        if self.form == "flat":
            content["nms"] = self.form
        if self.form == "self":
            content |= {"form": self.form, "budget": self.budget}
            # These options decide the tables of the splits on the way.
            options = {"score", "order", "conv1x1"} & identity_of(self.recipe.maps).keys()
            if options:
                content["maps"] = self.recipe.maps.model_dump(mode="json", include=options)
        return content_id("pretraining", content)

    @property
    def flow(self) -> str:
        """The flow that is pretrained, or `data`."""
        return "data" if self.form == "data" else self.recipe.model.flow

    @property
    def recipe_id(self) -> str:
        """Content id of the part of the recipe that the pretraining depends on."""
        if self.form == "data":
            return content_id("pretraining part", self._part)
        return self.recipe.pretraining_part_id

    @property
    def recipe_body(self) -> str:
        """That part as canonical JSON with every field."""
        if self.form == "data":
            return canonical_json(self._part)
        return self.recipe.pretraining_part_body

    @property
    def _part(self) -> dict[str, object]:
        if self.form != "data":
            return self.recipe.pretraining_identity()
        model = self.recipe.model
        return {"data": {"channels": model.channels, "size": model.size, "splits": model.splits}}

    @property
    def set_name(self) -> str:
        """Name under which the data set is prepared."""
        return known_sets.set_name(self.dataset, self.variant)

    @property
    def plugins(self) -> frozenset[str]:
        """Versions of the plug-ins that the pretraining needs."""
        if self.form == "data":
            return frozenset()
        return frozenset(filter(None, [self.recipe.model.plugin]))


@dataclass(frozen=True)
class Trial:
    """One training of a flow with one factorization and seed."""

    recipe: Recipe
    profile: str  # name of the recipe's profile; not part of the id
    dataset: str
    variant: str
    factorization: str  # canonical
    seed: int
    budget: int | None = None  # None if no map is read
    pretraining: Pretraining | None = None  # None if no map is read
    rule: str | None = None  # version of the plug-in with this factorization; None for lcma's own

    @cached_property
    def id(self) -> str:
        content: dict[str, object] = {
            "recipe": self.recipe.id,
            "dataset": self.dataset,
            "variant": self.variant,
            "factorization": self.factorization,
            "seed": self.seed,
        }
        if self.budget is not None:
            content["budget"] = self.budget
        if self.map_identity:
            content["maps"] = self.map_identity
        if self.rule is not None:
            content["rule"] = self.rule
        return content_id("trial", content)

    @property
    def set_name(self) -> str:
        """Name under which the data set is prepared."""
        return known_sets.set_name(self.dataset, self.variant)

    @property
    def plugins(self) -> frozenset[str]:
        """Versions of the plug-ins that the trial needs."""
        return frozenset(filter(None, [self.recipe.model.plugin, self.rule]))

    @property
    def map_identity(self) -> dict[str, object]:
        """The map options that the factorization depends on and that are not at their defaults."""
        names = factorizations.map_options(self.factorization)
        if not names:
            return {}
        return {k: v for k, v in identity_of(self.recipe.maps).items() if k in names}

    @property
    def order(self) -> Literal["raster", "rank"]:
        """The order of a window's two dimensions inside a half."""
        known = "order" in factorizations.map_options(self.factorization)
        return self.recipe.maps.order if known else "raster"

    @property
    def map_score(self) -> str:
        """Score of the maps that the trial reads."""
        if self.factorization in factorizations.DATA_RULES:
            return self.factorization
        return self.recipe.maps.stored_score

    @property
    def map_options(self) -> str | None:
        """`map_identity` as canonical JSON; None if it is empty."""
        options = self.map_identity
        if self.rule is not None:
            # Rows of two versions of one rule differ in this.
            is_file = self.rule.startswith("sha256:")
            options = options | {"rule": self.rule[:19] if is_file else self.rule}
        return canonical_json(options) if options else None


@dataclass(frozen=True)
class Cell:
    """One cell of the matrix at one seed, as the spec names it."""

    flow: str
    dataset: str  # name under which the set is prepared
    factorization: str  # normalized, but not canonical
    budget: int | None
    seed: int
    trial: Trial | None = None  # None if the cell is impossible
    reason: str | None = None  # why it is impossible
    same_as: str | None = None  # name of an earlier cell that is the same experiment
    overlay: str = ""  # its entry of `matrix.recipe`, as text


@dataclass(frozen=True)
class Expansion:
    """All cells of a spec, in the order of the matrix."""

    spec: Spec
    cells: tuple[Cell, ...]
    passed_budgets: tuple[int, ...] = ()  # further budgets at which pretrainings store their maps
    unused: tuple[Exclusion, ...] = ()  # exclusions that match no cell

    @cached_property
    def trials(self) -> tuple[Trial, ...]:
        """Distinct trials, in the order of the cells."""
        return tuple(c.trial for c in self.cells if c.trial and c.same_as is None)

    @cached_property
    def pretrainings(self) -> dict[str, tuple[Pretraining, tuple[int, ...]]]:
        """Distinct pretrainings by id, each with its budgets, ascending."""
        pretrainings: dict[str, Pretraining] = {}
        budgets: dict[str, set[int]] = {}
        for trial in self.trials:
            if trial.pretraining is not None and trial.budget is not None:
                key = trial.pretraining.id
                pretrainings.setdefault(key, trial.pretraining)
                budgets.setdefault(key, set()).add(trial.budget)
                if trial.pretraining.form in ("squeezed", "flat"):
                    budgets[key].update(b for b in self.passed_budgets if b < trial.budget)
        return {key: (p, tuple(sorted(budgets[key]))) for key, p in pretrainings.items()}

    @property
    def unshared(self) -> tuple[int, int]:
        """Numbers of pretrainings and of trainings if no cell shared any."""
        valid = [c.trial for c in self.cells if c.trial]
        return sum(t.pretraining is not None for t in valid), len(valid)


def expand(spec: Spec) -> Expansion:
    """Expand a spec into the cells of its matrix, in order.

    Args:
        spec: The sweep.

    Returns:
        The cells. Each has a trial, or the reason why it is impossible.

    Raises:
        UserError: If the settings of the spec do not fit a recipe, or it has too many cells.

    Example:
        >>> from lcma.sweeps import spec
        >>> expansion = expand(spec.load("demo"))
        >>> len(expansion.trials), len(expansion.pretrainings)
        (12, 2)
        >>> [(cell.factorization, cell.trial.factorization) for cell in expansion.cells[-4:]]
        [('low', 'L'), ('low', 'L'), ('high', 'H'), ('high', 'H')]
    """
    _check_count(count_cells(spec), spec)
    cells: list[Cell] = []
    first_names: dict[str, str] = {}  # of the first cell of each trial, by the trial's id
    unused = dict.fromkeys(spec.exclude)
    matrix = spec.matrix
    overlays = matrix.recipe or ({},)
    for flow, dataset, overlay in itertools.product(matrix.flow, matrix.dataset, overlays):
        changed = settings.flatten(overlay)
        recipe, problem = _find_recipe(spec, flow, dataset, overlay)
        names = _expand_wildcards(matrix.factorization, recipe)
        _check_count(len(cells) + _count_per_seed(names, spec) * len(spec.seeds), spec)
        for name, seed in itertools.product(names, spec.seeds):
            for cell in _make_cells(spec, flow, dataset, name, seed, recipe, problem, unused):
                cell = replace(cell, overlay=" ".join(f"{k}={v}" for k, v in changed.items()))
                if cell.trial is not None:
                    key = cell.trial.id
                    where = f" with {cell.overlay}" if cell.overlay else ""
                    cell = replace(cell, same_as=first_names.get(key))
                    first_names.setdefault(key, cell.factorization + where)
                cells.append(cell)
    return Expansion(spec, tuple(cells), unused=tuple(unused))


def count_cells(spec: Spec) -> int:
    """Return the number of cells of a spec, without its exclusions and with `words` as one cell."""
    matrix = spec.matrix
    per_seed = _count_per_seed(matrix.factorization, spec)
    overlays = max(1, len(matrix.recipe))
    return len(matrix.flow) * len(matrix.dataset) * overlays * per_seed * len(spec.seeds)


def _count_per_seed(names: Sequence[str], spec: Spec) -> int:
    """Return the number of cells that these factorizations have at one seed."""
    budgets = max(1, len(spec.matrix.budget))
    return sum(budgets if _reads_budget(name) else 1 for name in names)


def _reads_budget(name: str) -> bool:
    if factorizations.is_wildcard(name):
        return name.lower() == factorizations.WORDS
    return factorizations.needs_budget(factorizations.normalize(name))


def _check_count(cells: int, spec: Spec) -> None:
    value = os.environ.get(CELLS_VARIABLE, "")
    if not re.fullmatch("[0-9]{0,18}", value):
        raise UserError(
            f"{CELLS_VARIABLE}={value!r} is not a number of cells: give one such as 500000"
        )
    most = int(value or MAX_CELLS)
    if cells > most:
        raise UserError(
            f"{spec.name} has {cells:,} cells or more, and at most {most:,} are planned: give "
            f"fewer seeds, budgets or variations, or raise the bound with {CELLS_VARIABLE}"
        )


def _expand_wildcards(names: Sequence[str], recipe: Recipe | None) -> Sequence[str]:
    """Return the names of the matrix, with `words` and `patterns` written out."""
    if recipe is None or not recipe.model.splits:
        return names
    lists = [
        factorizations.expand_wildcard(name, recipe.model.splits)
        if factorizations.is_wildcard(name)
        else (name,)
        for name in names
    ]
    return list(itertools.chain.from_iterable(lists))


def _find_recipe(
    spec: Spec, flow: str, dataset: str, overlay: Mapping[str, Any]
) -> tuple[Recipe | None, ImpossibleError | None]:
    """Return the recipe, or the reason why there is none."""
    override = settings.merge(spec.recipe, overlay)
    try:
        return catalog.recipe(flow, dataset, spec.profile, override), None
    except ImpossibleError as error:
        return None, error


def _make_cells(
    spec: Spec,
    flow: str,
    dataset: str,
    name: str,
    seed: int,
    recipe: Recipe | None,
    problem: ImpossibleError | None,
    unused: dict[Exclusion, None],
) -> list[Cell]:
    """Return the cells of a factorization at a seed, one for each budget.

    Exclusions that match a cell are removed from ``unused``.
    """
    reason = None if problem is None else str(problem)
    if factorizations.is_wildcard(name):
        matching = [e for e in spec.exclude if _excludes(e, flow, dataset, {name}, None, seed)]
        for exclusion in matching:
            unused.pop(exclusion, None)
        if matching:
            return []
        reason = reason or "the recipe has no split; only `none` can be run on it"
        return [Cell(flow, dataset, name, None, seed, reason=reason)]
    name = factorizations.normalize(name)
    canonical = name
    synonyms = {name}
    if recipe is not None:
        conventional, splits = catalog.flows()[flow], recipe.model.splits
        try:
            canonical = factorizations.canonical(name, conventional=conventional, splits=splits)
            synonyms |= factorizations.synonyms(canonical, conventional=conventional, splits=splits)
        except ImpossibleError as error:
            reason = reason or str(error)
        reason = reason or _find_misfit(canonical, recipe)
    budgets: tuple[int | None, ...] = (None,)
    needs_budget = factorizations.needs_budget(canonical)
    if needs_budget:
        budgets = spec.matrix.budget
    elif factorizations.needs_maps(canonical):
        budgets = (0,)
    if not budgets:
        budgets = (None,)
        reason = reason or f"{name} needs a contribution map: give `matrix.budget`"
    facts = known_sets.known()[dataset]
    shared: Pretraining | None = None
    cells = []
    for budget in budgets:
        # No sweep file names the budget 0 of a rule of the data, so no exclusion matches it.
        named = budget if needs_budget else None
        matching = [e for e in spec.exclude if _excludes(e, flow, dataset, synonyms, named, seed)]
        for exclusion in matching:
            unused.pop(exclusion, None)
        if matching:
            continue
        cell = Cell(flow, dataset, name, budget, seed, reason=reason)
        if recipe is not None and reason is None:
            # One pretraining serves all budgets, except one of the form `self`.
            if budget is not None and (shared is None or shared.budget not in (None, budget)):
                shared = make_pretraining(
                    recipe, facts.dataset, facts.variant, canonical, seed, budget
                )
            trial = Trial(
                recipe,
                spec.profile,
                facts.dataset,
                facts.variant,
                canonical,
                seed,
                budget,
                shared,
                factorizations.version(canonical),
            )
            cell = Cell(flow, dataset, name, budget, seed, trial=trial)
        cells.append(cell)
    return cells


def _find_misfit(canonical: str, recipe: Recipe) -> str | None:
    """Return why a recipe cannot make the maps that a factorization reads, or None."""
    options, flow = recipe.maps, REGISTERED[recipe.model.flow]
    if canonical == "online" and not flow.coupling_nets:
        known = ", ".join(facts.name for facts in REGISTERED.values() if facts.coupling_nets)
        return f"{flow.name} does not know each dimension's log-det in training; {known} do"
    if not factorizations.needs_maps(canonical):
        return None
    if canonical in factorizations.DATA_RULES:
        most = factorizations.MAX_DATA_DIMENSIONS
        dimensions = recipe.model.channels * recipe.model.size**2
        if dimensions > most:
            return f"{canonical} is for images of at most {most} dimensions, not {dimensions}"
        return None
    if canonical != "self" and options.nms == "flat" and not flow.flat_nms:
        return f"{flow.name} has no flat form; use `maps.nms=squeezed`"
    if options.masks == "swapped" and flow.architecture is not RealNVPArchitecture:
        return f"{flow.name} has no checkerboard masks to swap; use `maps.masks=same`"
    if options.conv1x1 != "output" and not flow.mixes:
        return f"{flow.name} has no 1x1 convolution; use `maps.conv1x1=output`"
    return None


def make_pretraining(
    recipe: Recipe, dataset: str, variant: str, factorization: str, seed: int, budget: int
) -> Pretraining:
    """Return the pretraining whose maps a trial reads; ``factorization`` is canonical."""
    options = recipe.maps
    if factorization in factorizations.DATA_RULES:
        return Pretraining(recipe, dataset, variant, 0, "data")
    if options.masks == "swapped":
        architecture = recipe.model.architecture
        assert isinstance(architecture, RealNVPArchitecture)
        model = recipe.model.model_copy(update={"architecture": architecture.swapped})
        recipe = recipe.model_copy(update={"model": model})
    if factorization == "self":
        return Pretraining(recipe, dataset, variant, seed, "self", budget)
    return Pretraining(recipe, dataset, variant, seed, options.nms)


def _excludes(
    exclusion: Exclusion,
    flow: str,
    dataset: str,
    names: set[str],
    budget: int | None,
    seed: int,
) -> bool:
    excluded = exclusion.factorization
    return (
        (exclusion.flow is None or flow in exclusion.flow)
        and (exclusion.dataset is None or dataset in exclusion.dataset)
        and (excluded is None or any(_covers(name, names) for name in excluded))
        and (exclusion.budget is None or budget in exclusion.budget)
        and (exclusion.seed is None or seed in exclusion.seed)
    )


def _covers(excluded: str, names: set[str]) -> bool:
    if factorizations.is_wildcard(excluded):
        return excluded in names or any(factorizations.is_covered(name, excluded) for name in names)
    return factorizations.normalize(excluded) in names
