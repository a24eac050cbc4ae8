"""Recipes and sweep files that ship with the package as data."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from pydantic import BaseModel, ConfigDict

from lcma.sweeps import known_sets, settings, strict_yaml
from lcma.sweeps.architectures import REGISTERED
from lcma.sweeps.errors import UserError, suggest
from lcma.sweeps.factorizations import ImpossibleError
from lcma.sweeps.recipe import Recipe
from lcma.sweeps.sections import validate


class _Profile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    published: tuple[str, ...] = ()  # sets on which the flow was published with these settings
    base: dict[str, Any]
    sizes: dict[int, dict[str, Any]] = {}  # by height and width of the images
    datasets: dict[str, dict[str, Any]] = {}  # by a set's name, or by `dataset` for all variants
    gpus: float = 0.0


class _FlowRecipes(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    base: dict[str, Any]
    profiles: dict[str, _Profile]


def flows() -> Mapping[str, str]:
    """Return the flows that a sweep can name, with their conventional factorizations."""
    return {name: facts.conventional for name, facts in REGISTERED.items()}


def profiles(flow: str) -> tuple[str, ...]:
    """Return the names of a flow's profiles; none for a flow that this version does not have."""
    facts = REGISTERED.get(flow)
    has_own = facts is not None and facts.recipes is not None
    return tuple(_read_recipes(flow).profiles) if has_own or flow in _shipped_flows() else ()


def gpus(flow: str, profile: str) -> float:
    """Return the number of GPUs that a trial of a profile needs; 0 for an unknown profile."""
    return _read_recipes(flow).profiles[profile].gpus if profile in profiles(flow) else 0.0


def recipe(
    flow: str,
    dataset: str,
    profile: str,
    override: Mapping[str, Any] | None = None,
    facts: known_sets.DataSetFacts | None = None,
) -> Recipe:
    """Return the recipe of a flow on a data set.

    These settings are merged, each over the previous ones: the base of the flow, the base of the
    profile, its entry for the size of the images, its entry for the data set, and ``override``.

    Args:
        flow: Name of a flow, such as `realnvp`.
        dataset: Name of a data set, such as `cifar10` or `imagenet32-png`.
        profile: A profile of the flow, such as `paper`, `small` or `tiny`.
        override: Settings such as ``{"training": {"steps": 300}}``.
        facts: Facts of the data set, if it is not known here.

    Returns:
        The recipe with every setting filled in and checked.

    Raises:
        ImpossibleError: If this version does not have the flow, or the profile no recipe for this
            data set.
        UserError: If the profile or data set is unknown, or ``override`` does not fit the recipe.

    Example:
        >>> small = recipe("glow", "cifar10", "small", {"training": {"steps": 300}})
        >>> small.model.size, small.model.splits, small.training.steps
        (32, 2, 300)
    """
    if not profiles(flow):
        raise ImpossibleError(f"the flow {flow} is not in this version")
    recipes = _read_recipes(flow)
    if profile not in recipes.profiles:
        known = tuple(recipes.profiles)
        raise UserError(f"{flow} has no profile {profile!r}: {suggest(profile, known)}")
    entry = recipes.profiles[profile]
    sets = known_sets.known()
    if (facts := facts or sets.get(dataset)) is None:
        raise UserError(f"unknown data set {dataset!r}: {suggest(dataset, tuple(sets))}")
    by_size = entry.sizes.get(facts.size)
    by_set = entry.datasets.get(dataset, entry.datasets.get(facts.dataset))
    if by_size is None and by_set is None:
        choices = ", ".join(entry.datasets) or ", ".join(f"size {size}" for size in entry.sizes)
        raise ImpossibleError(
            f"the profile {profile} of {flow} has no recipe for {dataset} (only for {choices}); "
            f"use another profile"
        )
    merged: dict[str, Any] = {}
    for layer in (recipes.base, entry.base, by_size, by_set, override):
        merged = settings.merge(merged, layer or {})
    derived = {"flow": flow, "size": facts.size, "channels": facts.channels}
    overridden = (override or {}).get("model", {})
    if not isinstance(overridden, Mapping):
        raise UserError(f"`recipe.model` holds keys and values, not {overridden!r}")
    fixed = set(derived) & set(overridden)
    if fixed:
        raise UserError(
            f"`recipe.model.{min(fixed)}` cannot be overridden: it follows from `matrix`"
        )
    merged = settings.merge(merged, {"model": derived})
    return validate(Recipe, merged, f"recipe {flow}/{profile} on {dataset}")


def is_published(flow: str, dataset: str, profile: str) -> bool:
    """Return whether the flow was published with this profile on this variant of a data set."""
    return profile in profiles(flow) and dataset in _read_recipes(flow).profiles[profile].published


def shipped_specs() -> tuple[str, ...]:
    """Return the names of the sweep files that ship with the package."""
    return tuple(sorted(_yaml_names("specs")))


def shipped_spec(name: str) -> Traversable:
    """Return a shipped sweep file. Raises UserError with the nearest name if there is none."""
    if name not in shipped_specs():
        raise UserError(
            f"no sweep named {name!r}, and no such file: {suggest(name, shipped_specs())}"
        )
    return files("lcma.sweeps") / "specs" / f"{name}.yaml"


def _read_recipes(flow: str) -> _FlowRecipes:
    facts = REGISTERED.get(flow)
    if facts is not None and facts.recipes is not None:
        where = f"plug-in {facts.plugin}: recipes of the flow {flow}"
        return validate(_FlowRecipes, facts.recipes, where)
    return _read_shipped_recipes(flow)


@cache
def _shipped_flows() -> frozenset[str]:
    return frozenset(_yaml_names("recipes"))


@cache
def _read_shipped_recipes(flow: str) -> _FlowRecipes:
    path = files("lcma.sweeps") / "recipes" / f"{flow}.yaml"
    where = f"sweeps/recipes/{flow}.yaml"
    return validate(_FlowRecipes, strict_yaml.parse(path.read_text(), where), where)


def _yaml_names(folder: str) -> list[str]:
    names = [path.name for path in (files("lcma.sweeps") / folder).iterdir()]
    return [name.removesuffix(".yaml") for name in names if name.endswith(".yaml")]
