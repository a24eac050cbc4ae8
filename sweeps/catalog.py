"""Recipes with their profiles, and sweep files, that ship with the package as data."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from pydantic import BaseModel, ConfigDict

from lcma.sweeps import known_sets, settings, strict_yaml
from lcma.sweeps.architectures import REGISTERED
from lcma.sweeps.errors import UserError, suggest
from lcma.sweeps.factorizations import ImpossibleError, UnavailableError
from lcma.sweeps.recipe import Recipe
from lcma.sweeps.sections import validate


class _Profile(BaseModel):
    # ``published`` lists the data sets, by the names of their variants, for which the recipe is
    # that of the flow's publication. ``datasets`` may name a variant, or a set in any variant.

    model_config = ConfigDict(frozen=True, extra="forbid")
    published: tuple[str, ...] = ()
    base: dict[str, Any]
    sizes: dict[int, dict[str, Any]] = {}
    datasets: dict[str, dict[str, Any]] = {}
    gpus: float = 0.0


class _FlowRecipes(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    base: dict[str, Any]
    profiles: dict[str, _Profile]


def flows() -> Mapping[str, str]:
    """Return the flows that a sweep can name, with their conventional factorizations."""
    return {name: facts.conventional for name, facts in REGISTERED.items()}


def profiles(flow: str) -> tuple[str, ...]:
    """Return the names of a flow's profiles; none for a flow that this version cannot build."""
    facts = REGISTERED.get(flow)
    own = facts is not None and facts.recipes is not None
    return tuple(_flow(flow).profiles) if own or flow in _shipped_flows() else ()


def gpus(flow: str, profile: str) -> float:
    """Return the GPUs that a trial of a profile is meant for; 0 if there is no such recipe."""
    return _flow(flow).profiles[profile].gpus if profile in profiles(flow) else 0.0


def recipe(
    flow: str,
    dataset: str,
    profile: str,
    override: Mapping[str, Any] | None = None,
    facts: known_sets.DataSetFacts | None = None,
) -> Recipe:
    """Return the resolved recipe of a flow on a data set.

    The flow's base, the profile's base, its entry for the image size, its entry for the data
    set and ``override`` are laid over each other in this order.

    Args:
        flow: Name of a flow, such as `realnvp`.
        dataset: Name of a data set or of one of its variants, such as `cifar10`.
        profile: `paper`, `small`, `tiny`, another of the flow's, or one of a plug-in's.
        override: Settings such as ``{"training": {"steps": 300}}``.
        facts: The facts of a data set that is not known here.

    Raises:
        UnavailableError: If this version has no such flow.
        ImpossibleError: If the profile has no recipe for this data set.
        UserError: If the override does not fit a recipe.

    Example:
        >>> small = recipe("glow", "cifar10", "small", {"training": {"steps": 300}})
        >>> small.model.size, small.model.splits, small.training.steps
        (32, 2, 300)
    """
    if not profiles(flow):
        raise UnavailableError(f"the flow {flow} is not in this version")
    layers = _flow(flow)
    chosen = layers.profiles[profile]
    facts = facts or known_sets.known()[dataset]
    by_size = chosen.sizes.get(facts.size)
    by_set = chosen.datasets.get(dataset, chosen.datasets.get(facts.dataset))
    if by_size is None and by_set is None:
        known = ", ".join(chosen.datasets) or ", ".join(f"size {s}" for s in chosen.sizes)
        raise ImpossibleError(
            f"the profile {profile} of {flow} has no recipe for {dataset} (only for {known}); "
            f"use another profile"
        )
    merged: dict[str, Any] = {}
    for layer in (layers.base, chosen.base, by_size, by_set, override):
        merged = settings.merge(merged, layer or {})
    own = {"flow": flow, "size": facts.size, "channels": facts.channels}
    asked = (override or {}).get("model", {})
    if not isinstance(asked, Mapping):
        raise UserError(f"`recipe.model` holds keys and values, not {asked!r}")
    fixed = set(own) & set(asked)
    if fixed:
        raise UserError(
            f"`recipe.model.{min(fixed)}` cannot be overridden: it follows from `matrix`"
        )
    merged = settings.merge(merged, {"model": own})
    return validate(Recipe, merged, f"recipe {flow}/{profile} on {dataset}")


def is_published(flow: str, dataset: str, profile: str) -> bool:
    """Return whether a profile on a data set is what the flow's publication trained.

    Another variant of a data set is another set.
    """
    return profile in profiles(flow) and dataset in _flow(flow).profiles[profile].published


def shipped_specs() -> tuple[str, ...]:
    """Return the names of the sweep files in the package."""
    return tuple(sorted(_yaml_names("specs")))


def shipped_spec(name: str) -> Traversable:
    """Return the sweep file of a name. Raises UserError with the nearest name if there is none."""
    if name not in shipped_specs():
        raise UserError(
            f"no sweep named {name!r}, and no such file: {suggest(name, shipped_specs())}"
        )
    return files("lcma.sweeps") / "specs" / f"{name}.yaml"


def _flow(name: str) -> _FlowRecipes:
    facts = REGISTERED.get(name)
    if facts is not None and facts.recipes is not None:
        where = f"plug-in {facts.plugin}: recipes of the flow {name}"
        return validate(_FlowRecipes, facts.recipes, where)
    return _shipped_flow(name)


@cache
def _shipped_flows() -> frozenset[str]:
    return frozenset(_yaml_names("recipes"))


@cache
def _shipped_flow(name: str) -> _FlowRecipes:
    path = files("lcma.sweeps") / "recipes" / f"{name}.yaml"
    where = f"sweeps/recipes/{name}.yaml"
    return validate(_FlowRecipes, strict_yaml.parse(path.read_text(), where), where)


def _yaml_names(folder: str) -> list[str]:
    entries = (files("lcma.sweeps") / folder).iterdir()
    return [e.name.removesuffix(".yaml") for e in entries if e.name.endswith(".yaml")]
