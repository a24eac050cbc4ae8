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


_DENSE = {"model": {"architecture": {"net_actnorm": False}}}
_CONVOLUTIONS = {
    "model": {"architecture": {"fully_connected": 0, "max_iterations": 5, "tolerance": 1e-12}}
}
_SERIES = {"model": {"architecture": {"activation": "lipswish"}}}
_RESIDUAL = (
    "normflows has an activation before the very first convolution; five power iterations a step"
)


def _peer(name: str, flow: str, profile: str, **more: Any) -> Comparison:
    override, dataset = more.get("override", {}), more.get("dataset", "photos16")
    sides = [
        Side(kind, flow, profile, dataset=dataset, override=override)
        for kind in ("lcma", "normflows")
    ]
    return Comparison(f"{name}/{profile}", *sides, aim=more["aim"], differs=more["differs"])


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
        rows += [
            _peer(
                "coupling",
                "realnvp",
                profile,
                dataset=dataset,
                override=batch,
                aim="at least 1.3",
                differs="normflows normalizes all entries after a coupling, ours the changed ones",
            ),
            _peer(
                "glow",
                "glow",
                profile,
                dataset=dataset,
                override=batch | _DENSE,
                aim="at least 1.3",
                differs="ours has border channels, gains and conditional split priors besides",
            ),
            _peer(
                "glow-actnorm",
                "glow",
                profile,
                dataset=dataset,
                override=batch,
                aim="at least 1.3",
                differs="as glow; both have actnorm in the coupling nets (net_actnorm=True)",
            ),
            _peer(
                "residual",
                "resflow",
                profile,
                dataset=dataset,
                override=batch | _CONVOLUTIONS,
                aim="at least 2, at no more memory",
                differs=_RESIDUAL,
            ),
            _peer(
                "series",
                "iresnet",
                profile,
                dataset=dataset,
                override=batch | _SERIES,
                aim="at least 2, at no more memory",
                differs=_RESIDUAL,
            ),
        ]
        for flow in ("realnvp", "glow"):
            rows += [_choice(flow, profile, dataset), _passes(flow, profile, dataset)]
            rows += _stacks(flow, profile, dataset, batch)
    return tuple(rows)
