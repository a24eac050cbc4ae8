"""Expand a spec into trials: fold synonyms, refuse impossible cells, share pretrainings."""

import itertools
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from lcma.sweeps import catalog, factorizations, known_sets, settings
from lcma.sweeps.architectures import REGISTERED
from lcma.sweeps.errors import UserError
from lcma.sweeps.factorizations import ImpossibleError, UnavailableError
from lcma.sweeps.identity import canonical_json, content_id, identity_of
from lcma.sweeps.recipe import Recipe
from lcma.sweeps.spec import Exclusion, Spec

CELLS_VARIABLE, MOST_CELLS = "LCMA_MAX_CELLS", 100_000
"""The most cells of a sweep, and the variable that raises it: a typing mistake makes millions."""


Form = Literal["squeezed", "flat", "self", "data"]
"""What leaves maps: the flow without splits in one of its two forms, the flow with splits itself,
or the data alone."""


@dataclass(frozen=True)
class Pretraining:
    """A run that leaves maps; its ``form`` says of what.

    ``squeezed`` and ``flat``: the flow without splits (NMS), on a schedule independent of the
    budget. ``self``: the flow with its splits, of which ``budget`` / splits steps find one table
    after the other, each with new weights; so each budget is a pretraining of its own. ``data``:
    nothing is trained, and all flows with so many splits share it, whatever their
    recipe and seed; its one budget is 0.
    """

    recipe: Recipe
    dataset: str
    variant: str
    seed: int
    form: Form = "squeezed"
    budget: int | None = None

    @cached_property
    def id(self) -> str:
        content = self._part | {"dataset": self.dataset, "variant": self.variant, "seed": self.seed}
        if self.form == "flat":
            content["nms"] = self.form
        if self.form == "self":
            content |= {"form": self.form, "budget": self.budget}
            # What decides the tables that are trained with on the way.
            options = {"score", "order", "conv1x1"} & identity_of(self.recipe.maps).keys()
            if options:
                content["maps"] = self.recipe.maps.model_dump(mode="json", include=options)
        return content_id("pretraining", content)

    @property
    def flow(self) -> str:
        """The flow that is pretrained; `data` for none."""
        return "data" if self.form == "data" else self.recipe.model.flow

    @property
    def recipe_id(self) -> str:
        """Content id of what it depends on of its recipe."""
        if self.form == "data":
            return content_id("pretraining part", self._part)
        return self.recipe.pretraining_part_id

    @property
    def recipe_body(self) -> str:
        """What it depends on of its recipe, as canonical JSON with every field."""
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
        """Name under which its data set is prepared."""
        return known_sets.set_name(self.dataset, self.variant)

    @property
    def plugins(self) -> frozenset[str]:
        """Versions of the plug-ins that it needs."""
        if self.form == "data":
            return frozenset()
        return frozenset(filter(None, [self.recipe.model.plugin]))


@dataclass(frozen=True)
class Trial:
    """One training; ``budget`` and ``pretraining`` are set if it reads a map.

    ``rule`` is the version of the plug-in whose rule the factorization is, None for lcma's own.
    """

    recipe: Recipe
    profile: str
    dataset: str
    variant: str
    factorization: str
    seed: int
    budget: int | None = None
    pretraining: Pretraining | None = None
    rule: str | None = None

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
        """Name under which its data set is prepared."""
        return known_sets.set_name(self.dataset, self.variant)

    @property
    def plugins(self) -> frozenset[str]:
        """Versions of the plug-ins that it needs."""
        return frozenset(filter(None, [self.recipe.model.plugin, self.rule]))

    @property
    def map_identity(self) -> dict[str, object]:
        """Those map options that count and are not the default; empty where no map is used."""
        counted = factorizations.map_options(self.factorization)
        if not counted:
            return {}
        return {k: v for k, v in identity_of(self.recipe.maps).items() if k in counted}

    @property
    def map_score(self) -> str:
        """The score of the maps that it reads."""
        if self.factorization in factorizations.DATA_RULES:
            return self.factorization
        return self.recipe.maps.stored_score

    @property
    def map_options(self) -> str | None:
        """The same as canonical JSON, with the start of a plug-in's version, which tells rows of
        one name apart. None for the default or no map."""
        found = self.map_identity
        if self.rule is not None:
            found = found | {"rule": self.rule[:19]}
        return canonical_json(found) if found else None


@dataclass(frozen=True)
class Cell:
    """One cell of the matrix at one seed, as the spec names it.

    ``dataset`` is the set's name, ``overlay`` the entry of ``matrix.recipe`` ('' without one).
    Exactly one of ``trial`` and ``reason`` (why it is impossible) is set; ``unavailable`` if it is
    impossible in this version only. ``same_as`` is the name of an earlier cell that is the same
    experiment.
    """

    flow: str
    dataset: str
    factorization: str
    budget: int | None
    seed: int
    trial: Trial | None = None
    reason: str | None = None
    same_as: str | None = None
    overlay: str = ""
    unavailable: bool = False


@dataclass(frozen=True)
class Expansion:
    """All cells of a spec in the matrix's order.

    ``passing`` are further budgets at which a pretraining leaves its maps on its way, ``unused``
    the exclusions that no cell agrees with.
    """

    spec: Spec
    cells: tuple[Cell, ...]
    passing: tuple[int, ...] = ()
    unused: tuple[Exclusion, ...] = ()

    @cached_property
    def trials(self) -> tuple[Trial, ...]:
        """Distinct trials, in order."""
        return tuple(c.trial for c in self.cells if c.trial and c.same_as is None)

    @cached_property
    def pretrainings(self) -> dict[str, tuple[Pretraining, tuple[int, ...]]]:
        """Distinct pretrainings by id, each with its budgets, ascending."""
        found: dict[str, tuple[Pretraining, set[int]]] = {}
        for trial in self.trials:
            if trial.pretraining is not None and trial.budget is not None:
                entry = found.setdefault(trial.pretraining.id, (trial.pretraining, set()))
                entry[1].add(trial.budget)
                if trial.pretraining.form in ("squeezed", "flat"):
                    entry[1].update(b for b in self.passing if b < trial.budget)
        return {key: (value, tuple(sorted(asked))) for key, (value, asked) in found.items()}

    @property
    def unshared(self) -> tuple[int, int]:
        """Numbers of pretrainings and trainings if every cell ran alone."""
        valid = [c.trial for c in self.cells if c.trial]
        return sum(t.pretraining is not None for t in valid), len(valid)


def expand(spec: Spec, *, preparable: Collection[str] | None = None) -> Expansion:
    """Expand a spec into the cells of its matrix, in order.

    Args:
        spec: The sweep.
        preparable: Names of the data sets that can be prepared, None for all; cells on others are
            impossible.

    Raises:
        UserError: If the spec's settings do not fit a recipe, or it has too many cells.

    Example:
        >>> from lcma.sweeps import spec
        >>> found = expand(spec.load("demo"))
        >>> len(found.trials), len(found.pretrainings)
        (12, 2)
        >>> [(c.factorization, c.trial.factorization) for c in found.cells[-4:]]
        [('low', 'L'), ('low', 'L'), ('high', 'H'), ('high', 'H')]
    """
    _require_few(count_cells(spec), spec)
    cells: list[Cell] = []
    first_name: dict[str, str] = {}
    unused = dict.fromkeys(spec.exclude)
    matrix = spec.matrix
    overlays = matrix.recipe or ({},)
    for flow, dataset, overlay in itertools.product(matrix.flow, matrix.dataset, overlays):
        recipe, lack = _recipe(spec, flow, dataset, overlay, preparable)
        named = _named(matrix.factorization, recipe)
        _require_few(len(cells) + _count_named(named, spec) * len(spec.seeds), spec)
        for asked, seed in itertools.product(named, spec.seeds):
            for cell in _cells(spec, flow, dataset, asked, seed, recipe, lack, unused):
                unavailable = isinstance(lack, UnavailableError)
                cell = replace(cell, overlay=settings.text(overlay), unavailable=unavailable)
                if cell.trial is None:
                    cells.append(cell)
                    continue
                key = cell.trial.id
                same_as = first_name.get(key)
                where = f" with {cell.overlay}" if cell.overlay else ""
                first_name.setdefault(key, cell.factorization + where)
                if same_as is not None:
                    cell = replace(cell, same_as=same_as)
                cells.append(cell)
    return Expansion(spec, tuple(cells), unused=tuple(unused))


def count_cells(spec: Spec) -> int:
    """Return how many cells a spec has, before any is left out, with `words` counted as one."""
    matrix = spec.matrix
    named = _count_named(matrix.factorization, spec)
    overlays = max(1, len(matrix.recipe))
    return len(matrix.flow) * len(matrix.dataset) * overlays * named * len(spec.seeds)


def _count_named(names: Sequence[str], spec: Spec) -> int:
    """Return how many cells these names of factorizations have at one seed."""
    budgets = max(1, len(spec.matrix.budget))
    return sum(budgets if _reads_budget(name) else 1 for name in names)


def _reads_budget(asked: str) -> bool:
    if factorizations.is_wildcard(asked):
        return asked.lower() == factorizations.WORDS
    return factorizations.needs_budget(factorizations.normalize(asked))


def _require_few(cells: int, spec: Spec) -> None:
    given = os.environ.get(CELLS_VARIABLE, "")
    if not re.fullmatch("[0-9]{0,18}", given):
        raise UserError(
            f"{CELLS_VARIABLE}={given!r} is no number of cells: give one such as 500000"
        )
    most = int(given or MOST_CELLS)
    if cells > most:
        raise UserError(
            f"{spec.name} has {cells:,} cells or more, and at most {most:,} are planned: give "
            f"fewer seeds, budgets or variations, or raise the bound with {CELLS_VARIABLE}"
        )


def _named(asked: Sequence[str], recipe: Recipe | None) -> Sequence[str]:
    """Return the names of the matrix, with those that stand for several written out."""
    if recipe is None or not recipe.model.splits:
        return asked
    listed = [
        factorizations.expand_wildcard(name, recipe.model.splits)
        if factorizations.is_wildcard(name)
        else (name,)
        for name in asked
    ]
    return list(itertools.chain.from_iterable(listed))


def _recipe(
    spec: Spec,
    flow: str,
    dataset: str,
    overlay: Mapping[str, Any],
    preparable: Collection[str] | None,
) -> tuple[Recipe | None, ImpossibleError | None]:
    """Return the recipe if there is one, and why it cannot be run if it cannot."""
    override = settings.merge(spec.recipe, overlay)
    try:
        recipe = catalog.recipe(flow, dataset, spec.profile, override)
    except ImpossibleError as error:
        return None, error
    if preparable is not None and dataset not in preparable:
        lack = f"the data set {dataset} cannot be prepared by this version"
        return recipe, UnavailableError(lack)
    return recipe, None


def _cells(
    spec: Spec,
    flow: str,
    dataset: str,
    asked: str,
    seed: int,
    recipe: Recipe | None,
    lack: ImpossibleError | None,
    unused: dict[Exclusion, None],
) -> list[Cell]:
    """Return the cells of a name at a seed; the exclusions that leave some out are removed from
    ``unused``."""
    reason = None if lack is None else str(lack)
    if factorizations.is_wildcard(asked):
        reason = reason or "the recipe has no split; only `none` can be run on it"
        return [Cell(flow, dataset, asked, None, seed, reason=reason)]
    name = factorizations.normalize(asked)
    canonical = name
    synonyms = {name}
    if recipe is not None:
        conventional, splits = catalog.flows()[flow], recipe.model.splits
        try:
            canonical = factorizations.canonical(name, conventional=conventional, splits=splits)
            synonyms |= factorizations.synonyms(canonical, conventional=conventional, splits=splits)
        except ImpossibleError as error:
            reason = reason or str(error)
        reason = reason or _find_unfit(canonical, recipe)
    asked_budgets: tuple[int | None, ...] = (None,)
    needs_budget = factorizations.needs_budget(canonical)
    if needs_budget:
        asked_budgets = spec.matrix.budget
    elif factorizations.needs_maps(canonical):
        asked_budgets = (0,)
    if not asked_budgets:
        asked_budgets = (None,)
        reason = reason or f"{name} needs a contribution map: give `matrix.budget`"
    facts = known_sets.known()[dataset]
    shared: Pretraining | None = None
    cells = []
    for budget in asked_budgets:
        named = budget if needs_budget else None  # the 0 of the data's rules is in no sweep file
        excluding = [e for e in spec.exclude if _excludes(e, flow, dataset, synonyms, named, seed)]
        if excluding:
            for one in excluding:
                unused.pop(one, None)
            continue
        cell = Cell(flow, dataset, name, budget, seed, reason=reason)
        if recipe is not None and reason is None:
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


def _find_unfit(canonical: str, recipe: Recipe) -> str | None:
    """Return why the recipe is not one for the maps that a factorization reads, or None."""
    options, flow = recipe.maps, REGISTERED[recipe.model.flow]
    if canonical == "online" and not flow.coupling_nets:
        known = ", ".join(one.name for one in REGISTERED.values() if one.coupling_nets)
        return f"{flow.name} does not know each dimension's log-det in training; {known} do"
    if not factorizations.needs_maps(canonical):
        return None
    if canonical in factorizations.DATA_RULES:
        most = factorizations.MOST_DATA_DIMENSIONS
        dimensions = recipe.model.channels * recipe.model.size**2
        if dimensions > most:
            return f"{canonical} is for images of at most {most} dimensions, not {dimensions}"
        return None
    if canonical != "self" and options.nms == "flat" and not flow.flat_nms:
        return f"{flow.name} has no flat form; use `maps.nms=squeezed`"
    if options.masks == "swapped" and not flow.masks:
        return f"{flow.name} has no checkerboard masks to swap; use `maps.masks=same`"
    if options.conv1x1 != "output" and not flow.mixes:
        return f"{flow.name} has no 1x1 convolution; use `maps.conv1x1=output`"
    return None


def make_pretraining(
    recipe: Recipe, dataset: str, variant: str, factorization: str, seed: int, budget: int
) -> Pretraining:
    """Return the pretraining whose maps a trial with a canonical factorization reads."""
    options = recipe.maps
    if factorization in factorizations.DATA_RULES:
        return Pretraining(recipe, dataset, variant, 0, "data")
    if options.masks == "swapped":
        swapped = recipe.model.architecture.swapped
        model = recipe.model.model_copy(update={"architecture": swapped})
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
    asked = exclusion.factorization
    return (
        (exclusion.flow is None or flow in exclusion.flow)
        and (exclusion.dataset is None or dataset in exclusion.dataset)
        and (asked is None or any(_covers(a, names) for a in asked))
        and (exclusion.budget is None or budget in exclusion.budget)
        and (exclusion.seed is None or seed in exclusion.seed)
    )


def _covers(asked: str, names: set[str]) -> bool:
    if factorizations.is_wildcard(asked):
        return any(factorizations.is_covered(name, asked) for name in names)
    return factorizations.normalize(asked) in names
