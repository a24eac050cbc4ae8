"""What is held against what: the rows of `benchmarks.step_time`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from lcma.sweeps.catalog import recipe
from lcma.sweeps.recipe import Recipe

Kind = Literal["lcma", "stack", "normflows", "evaluation", "contributions"]


@dataclass(frozen=True)
class Side:
    """One of the two things that a row compares.

    ``lcma`` and ``normflows`` are training steps of so many ``models`` one after the other,
    ``stack`` is one of all of them as a stack, ``evaluation`` and ``contributions`` are passes of
    our flow over a batch without gradients. ``override`` is laid over the profile's recipe. Steps
    are computed anew each time where they are not ``recorded``.
    """

    kind: Kind
    flow: str
    profile: str
    dataset: str = "photos16"
    factorization: str = "channel"
    override: Mapping[str, Any] = field(default_factory=dict)
    models: int = 1
    recorded: bool = True

    @property
    def recipe(self) -> Recipe:
        return recipe(self.flow, self.dataset, self.profile, self.override)

    @property
    def about(self) -> str:
        """The whole configuration in one line."""
        r = self.recipe
        architecture = " ".join(f"{k}={v}" for k, v in r.model.architecture.model_dump().items())
        o = r.optimization
        models = "" if self.models == 1 else f" of {self.models}"
        return (
            f"{self.kind}{models}: {self.flow} {r.model.size}x{r.model.size} {self.factorization} "
            f"splits={r.model.splits} {architecture} batch={o.batch} {o.optimizer} clip={o.clip} "
            "float32"
        )


@dataclass(frozen=True)
class Comparison:
    """A row: the time of ``second`` over that of ``first``, and the aim of the project for it."""

    name: str
    first: Side
    second: Side
    aim: str
    differs: str = ""


_CONVOLUTIONS = {"fully_connected": 0, "max_iterations": 5, "tolerance": 1e-12}
_RESIDUAL = (
    "normflows has an activation before the very first convolution; five power iterations a step"
)
_PEERS: tuple[tuple[str, str, dict[str, Any], str, str], ...] = (
    (
        *("coupling", "realnvp", {}, "at least 1.3"),
        "normflows normalizes all entries after a coupling, ours the changed ones",
    ),
    (
        *("glow", "glow", {"net_actnorm": False}, "at least 1.3"),
        "ours has border channels, gains and conditional split priors besides",
    ),
    (
        *("glow-actnorm", "glow", {}, "at least 1.3"),
        "as glow; both have actnorm in the coupling nets (net_actnorm=True)",
    ),
    ("residual", "resflow", _CONVOLUTIONS, "at least 2, at no more memory", _RESIDUAL),
    ("series", "iresnet", {"activation": "lipswish"}, "at least 2, at no more memory", _RESIDUAL),
)
"""Rows beside normflows: name, flow, changes of its architecture, aim, what differs."""


def _compare_with_peers(
    profile: str, dataset: str, override: Mapping[str, Any]
) -> Iterator[Comparison]:
    for name, flow, architecture, aim, differs in _PEERS:
        own = {**override, "model": {"architecture": architecture}} if architecture else override
        ours, theirs = (
            Side(kind, flow, profile, dataset=dataset, override=own)
            for kind in ("lcma", "normflows")
        )
        yield Comparison(f"{name}/{profile}", ours, theirs, aim, differs)


def _stacks(
    flow: str, profile: str, dataset: str, override: Mapping[str, Any]
) -> Iterator[Comparison]:
    models = 4 if dataset == "photos8" else 6
    own = flow, profile, dataset, "conventional", override
    stack, alone = Side("stack", *own, models), Side("lcma", *own, models)
    aim = "at least 1.5" if flow == "realnvp" else "at least 1.8"
    differs = f"the second makes the steps of {models} models one after the other"
    yield Comparison(f"stack-{flow}/{profile}", stack, alone, aim=aim, differs=differs)
    computed, differs = replace(stack, recorded=False), "the first runs a step that was recorded"
    yield Comparison(f"recorded-stack-{flow}/{profile}", stack, computed, "above 1", differs)
    alone = replace(alone, models=1)
    computed = replace(alone, recorded=False)
    yield Comparison(f"recorded-{flow}/{profile}", alone, computed, "above 1", differs)


def _choice(flow: str, profile: str, dataset: str) -> Comparison:
    splits = recipe(flow, dataset, profile).model.splits
    return Comparison(
        f"low-{flow}/{profile}",
        Side("lcma", flow, profile, dataset, "conventional"),
        Side("lcma", flow, profile, dataset, "L" * splits),
        aim="1.0",
        differs="the index tables alone",
    )


def _passes(flow: str, profile: str, dataset: str) -> Comparison:
    return Comparison(
        f"map-{flow}/{profile}",
        Side("evaluation", flow, profile, dataset, "none"),
        Side("contributions", flow, profile, dataset, "none"),
        aim="at most 1.1",
        differs="the second keeps each dimension's log-determinant",
    )


def comparisons(*, quick: bool = False) -> tuple[Comparison, ...]:
    """All rows; ``quick`` ones take seconds and say little about speed."""
    dataset = "photos8" if quick else "photos16"
    rows: list[Comparison] = []
    for profile in ("tiny",) if quick else ("tiny", "small"):
        batch = {"optimization": {"batch": 8}} if quick else {}
        rows += _compare_with_peers(profile, dataset, batch)
        for flow in ("realnvp", "glow"):
            rows += [_choice(flow, profile, dataset), _passes(flow, profile, dataset)]
            rows += _stacks(flow, profile, dataset, batch)
    return tuple(rows)
