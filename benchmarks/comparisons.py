"""The rows of `benchmarks.step_time`: which two sides each compares."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from lcma.sweeps.catalog import recipe
from lcma.sweeps.recipe import Recipe

Kind = Literal["lcma", "stack", "normflows", "evaluation", "contributions"]


@dataclass(frozen=True)
class Side:
    """One of the two things that a row compares.

    Kinds: `lcma` and `normflows` are training steps of `models` models, one after the other.
    `stack` is one step of all of them as a stack. `evaluation` and `contributions` are passes of
    our flow over a batch without gradients.
    """

    kind: Kind
    flow: str
    profile: str
    dataset: str = "photos16"
    factorization: str = "channel"
    override: Mapping[str, Any] = field(default_factory=dict)  # of the profile's recipe
    models: int = 1
    recorded: bool = True  # a step is recorded once and repeated, not computed each time

    @property
    def recipe(self) -> Recipe:
        return recipe(self.flow, self.dataset, self.profile, self.override)

    @property
    def description(self) -> str:
        """The whole configuration in one line."""
        model, optimization = self.recipe.model, self.recipe.optimization
        architecture = " ".join(f"{k}={v}" for k, v in model.architecture.model_dump().items())
        models = "" if self.models == 1 else f" of {self.models}"
        return (
            f"{self.kind}{models}: {self.flow} {model.size}x{model.size} {self.factorization} "
            f"splits={model.splits} {architecture} batch={optimization.batch} "
            f"{optimization.optimizer} clip={optimization.clip} float32"
        )


@dataclass(frozen=True)
class Comparison:
    """A row: the time of the second side over that of the first."""

    name: str
    first: Side
    second: Side
    aim: str  # of the project, for this ratio
    differs: str = ""  # what makes the sides differ


_CONVOLUTIONS = {"fully_connected": 0, "max_iterations": 5, "tolerance": 1e-12}
_RESIDUAL = (
    "normflows has an activation before the first convolution, and five power iterations a step"
)
_COUPLING = "normflows normalizes all entries after a coupling, ours the changed ones"
_GLOW = "ours also has border channels, gains and conditional split priors"
_ACTNORM = "as glow; both have actnorm in the coupling nets (net_actnorm=True)"
_PEERS: tuple[tuple[str, str, dict[str, Any], str, str], ...] = (
    ("coupling", "realnvp", {}, "at least 1.3", _COUPLING),
    ("glow", "glow", {"net_actnorm": False}, "at least 1.3", _GLOW),
    ("glow-actnorm", "glow", {}, "at least 1.3", _ACTNORM),
    ("residual", "resflow", _CONVOLUTIONS, "at least 2, at no more memory", _RESIDUAL),
    ("series", "iresnet", {"activation": "lipswish"}, "at least 2, at no more memory", _RESIDUAL),
)
"""Comparisons with normflows: name, flow, changes of its architecture, aim, what differs."""


def _compare_with_peers(
    profile: str, dataset: str, override: Mapping[str, Any]
) -> Iterator[Comparison]:
    for name, flow, architecture, aim, differs in _PEERS:
        settings = override
        if architecture:
            settings = {**override, "model": {"architecture": architecture}}
        ours = Side("lcma", flow, profile, dataset=dataset, override=settings)
        peer = replace(ours, kind="normflows")
        yield Comparison(f"{name}/{profile}", ours, peer, aim, differs)


def _compare_stacks(
    flow: str, profile: str, dataset: str, override: Mapping[str, Any]
) -> Iterator[Comparison]:
    models = 4 if dataset == "photos8" else 6
    settings = flow, profile, dataset, "conventional", override
    stack, single = Side("stack", *settings, models), Side("lcma", *settings, models)
    aim = "at least 1.5" if flow == "realnvp" else "at least 1.8"
    differs = f"the second makes the steps of {models} models one after the other"
    yield Comparison(f"stack-{flow}/{profile}", stack, single, aim=aim, differs=differs)
    computed, differs = replace(stack, recorded=False), "the first runs a step that was recorded"
    yield Comparison(f"recorded-stack-{flow}/{profile}", stack, computed, "above 1", differs)
    single = replace(single, models=1)
    computed = replace(single, recorded=False)
    yield Comparison(f"recorded-{flow}/{profile}", single, computed, "above 1", differs)


def _compare_rules(flow: str, profile: str, dataset: str) -> Comparison:
    splits = recipe(flow, dataset, profile).model.splits
    return Comparison(
        f"low-{flow}/{profile}",
        Side("lcma", flow, profile, dataset, "conventional"),
        Side("lcma", flow, profile, dataset, "L" * splits),
        aim="1.0",
        differs="only the index tables",
    )


def _compare_passes(flow: str, profile: str, dataset: str) -> Comparison:
    return Comparison(
        f"map-{flow}/{profile}",
        Side("evaluation", flow, profile, dataset, "none"),
        Side("contributions", flow, profile, dataset, "none"),
        aim="at most 1.1",
        differs="the second keeps each dimension's log-determinant",
    )


def list_comparisons(*, quick: bool = False) -> tuple[Comparison, ...]:
    """Return all rows; ``quick`` ones take seconds and say little about speed."""
    dataset = "photos8" if quick else "photos16"
    rows: list[Comparison] = []
    for profile in ("tiny",) if quick else ("tiny", "small"):
        batch = {"optimization": {"batch": 8}} if quick else {}
        rows += _compare_with_peers(profile, dataset, batch)
        for flow in ("realnvp", "glow"):
            rows.append(_compare_rules(flow, profile, dataset))
            rows.append(_compare_passes(flow, profile, dataset))
            rows += _compare_stacks(flow, profile, dataset, batch)
    return tuple(rows)
