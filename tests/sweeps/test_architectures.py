"""The registered flows: their architectures, and the errors of wrong ones."""

from typing import Any

import pytest

from lcma.sweeps import catalog, known_sets, spec
from lcma.sweeps.architectures import REGISTERED, GlowArchitecture
from lcma.sweeps.errors import UserError
from lcma.sweeps.expansion import expand
from lcma.sweeps.factorizations import ImpossibleError
from lcma.sweeps.recipe import Model, Recipe
from lcma.sweeps.sections import validate
from lcma.sweeps.settings import parse

FLOWS = ("realnvp", "glow", "iresnet", "resflow")
PUBLISHED = {
    "realnvp": {"cifar10": 1, "imagenet32-png": 3, "imagenet64-png": 4, "celeba64-float": 4},
    "glow": {"cifar10": 2, "imagenet32-png": 2, "imagenet64-png": 3},
    "iresnet": {"cifar10": 2},
    "resflow": {"cifar10": 2, "imagenet32-png": 2, "imagenet64-png": 2},
}
"""Splits of the published recipes; a Residual Flow at 32x32 is published without its two."""


def settings(**model: Any) -> dict[str, Any]:
    content = {"flow": "glow", "size": 16, "splits": 2, "architecture": {"steps": 2}}
    return {
        "model": content | model,
        "optimization": {"learning_rate": 0.001, "batch": 32},
        "training": {"steps": 10},
    }


def test_a_model_has_the_architecture_of_its_flow() -> None:
    assert tuple(REGISTERED) == FLOWS
    for flow, facts in REGISTERED.items():
        model = catalog.recipe(flow, "photos16", "tiny").model
        assert type(model.architecture) is facts.architecture
        again = Model.model_validate(model.model_dump(mode="json"))
        assert again == model


@pytest.mark.parametrize("flow", FLOWS)
def test_every_size_has_a_bound(flow: str) -> None:
    """After a typing mistake a machine would build it until somebody stops it."""
    architecture = REGISTERED[flow].architecture
    sizes = [
        f"model.architecture.{n}"
        for n, f in architecture.model_fields.items()
        if f.annotation is int
    ]
    for name in (*sizes, "model.splits", "optimization.batch", "optimization.threads"):
        override = parse([f"{name}=1000000000"])
        with pytest.raises(UserError, match=rf"`{name}`: input should be less than or equal to"):
            catalog.recipe(flow, "photos8", "tiny", override)


WRONG = [
    ({"flow": "glwo"}, "`model.flow`: unknown flow 'glwo': did you mean 'glow'?"),
    ({"architecture": {"stesp": 2}}, "`model.architecture`: glow has no 'stesp': did you mean"),
    ({"architecture": {"steps": 2, "flow_norm": "batch"}}, "`model.architecture`: glow has no 'fl"),
    ({"architecture": {}}, "the key `model.architecture.steps` is missing"),
    ({"architecture": {"steps": 0}}, "`model.architecture.steps`: input should be greater than or"),
    (
        {"architecture": {"steps": 2, "learned_top": False, "top": "place"}},
        "`model.architecture`: `top: place` is a learned prior: leave `learned_top: false` ",
    ),
    (
        {"flow": "iresnet", "architecture": GlowArchitecture(steps=1)},
        "`model.architecture`: iresnet has a IResNetArchitecture, not a GlowArchitecture",
    ),
]


@pytest.mark.parametrize(("model", "message"), WRONG)
def test_a_wrong_model_is_refused_in_one_line(model: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        validate(Recipe, settings(**model), "here")
    assert str(caught.value).startswith(f"here: {message}")
    assert "\n" not in str(caught.value)


def test_the_published_recipes() -> None:
    for flow in FLOWS:
        for dataset in ("cifar10", "imagenet32", "imagenet64", "celeba64"):
            catalog.recipe(flow, dataset, "paper")
        with pytest.raises(ImpossibleError, match="use another profile"):
            catalog.recipe(flow, "photos16", "paper")
        for dataset in known_sets.known():
            known = PUBLISHED[flow]
            assert catalog.is_published(flow, dataset, "paper") == (dataset in known)
            if dataset in known:
                assert catalog.recipe(flow, dataset, "paper").model.splits == known[dataset]
            assert not catalog.is_published(flow, dataset, "small")
            assert not catalog.is_published(flow, dataset, "tiny")
    assert not catalog.is_published("unheard", "cifar10", "paper")


@pytest.mark.parametrize(
    ("flow", "asked", "why"),
    [
        (
            "iresnet",
            {"autocast": "bfloat16"},
            "`optimization.autocast: bfloat16` is for flows with",
        ),
        ("resflow", {"compile": True}, "is for flows with coupling nets (realnvp, glow)"),
        ("resflow", {"stacked": True}, "is for flows that stacks make faster (realnvp, glow)"),
        ("glow", {"stacked": True, "compile": True}, "`optimization.compile` exclude each other"),
        ("realnvp", {"stacked": True, "autocast": "bfloat16"}, "`optimization.autocast` exclude"),
    ],
)
def test_a_stack_and_faster_nets_are_refused_where_they_cannot_be(
    flow: str, asked: dict, why: str
) -> None:
    with pytest.raises(UserError) as caught:
        catalog.recipe(flow, "photos8", "tiny", {"optimization": asked})
    assert "\n" not in str(caught.value)
    assert why in str(caught.value)


OPTIONS = [
    ("glow", {"nms": "flat"}, "glow has no flat form"),
    ("glow", {"masks": "swapped"}, "glow has no checkerboard masks"),
    ("glow", {"conv1x1": "sorted"}, None),
    ("realnvp", {"conv1x1": "sorted"}, "realnvp has no 1x1 convolution"),
    ("realnvp", {"nms": "flat", "masks": "swapped"}, None),
    ("resflow", {"order": "rank", "score": "total"}, None),
]


@pytest.mark.parametrize(("flow", "maps", "reason"), OPTIONS)
def test_map_options_that_a_flow_cannot_have(
    flow: str, maps: dict[str, str], reason: str | None
) -> None:
    """They make the words impossible, and nothing else."""
    matrix = {
        "flow": flow,
        "dataset": "photos16",
        "factorization": ["low", "channel"],
        "budget": 10,
    }
    found = expand(spec.check({"name": "x", "matrix": matrix, "recipe": {"maps": maps}}, "here"))
    low, channel = found.cells
    assert channel.trial is not None
    if reason is None:
        assert low.trial is not None
    else:
        assert low.reason is not None
        assert low.reason.startswith(reason)
