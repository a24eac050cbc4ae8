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
from tests.refusals import catch_refusal

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
        assert Model.model_validate(model.model_dump(mode="json")) == model


@pytest.mark.parametrize("flow", FLOWS)
def test_every_size_has_a_bound(flow: str) -> None:
    """Without one, a typing mistake would keep a machine building until somebody stops it."""
    fields = REGISTERED[flow].architecture.model_fields
    names = [f"model.architecture.{name}" for name in fields if fields[name].annotation is int]
    for name in (*names, "model.splits", "optimization.batch", "optimization.threads"):
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
    catch_refusal(lambda: validate(Recipe, settings(**model), "here"), f"here: {message}")


def test_the_published_recipes() -> None:
    for flow in FLOWS:
        for dataset in ("cifar10", "imagenet32", "imagenet64", "celeba64"):
            catalog.recipe(flow, dataset, "paper")
        with pytest.raises(ImpossibleError, match="use another profile"):
            catalog.recipe(flow, "photos16", "paper")
        for dataset in known_sets.known():
            splits = PUBLISHED[flow].get(dataset)
            assert catalog.is_published(flow, dataset, "paper") == (splits is not None)
            if splits is not None:
                assert catalog.recipe(flow, dataset, "paper").model.splits == splits
            assert not catalog.is_published(flow, dataset, "small")
            assert not catalog.is_published(flow, dataset, "tiny")
    assert not catalog.is_published("unknown", "cifar10", "paper")


@pytest.mark.parametrize(
    ("flow", "options", "reason"),
    [
        ("iresnet", {"autocast": "bfloat16"}, "`optimization.autocast: bfloat16` is for flows w"),
        ("resflow", {"compile": True}, "is for flows with coupling nets (realnvp, glow)"),
        ("resflow", {"stacked": True}, "is for flows that stacks make faster (realnvp, glow)"),
        ("glow", {"stacked": True, "compile": True}, "`optimization.compile` exclude each other"),
        ("realnvp", {"stacked": True, "autocast": "bfloat16"}, "`optimization.autocast` exclude"),
    ],
)
def test_a_stack_and_faster_nets_are_refused_where_they_cannot_be(
    flow: str, options: dict[str, Any], reason: str
) -> None:
    override = {"optimization": options}
    catch_refusal(lambda: catalog.recipe(flow, "photos8", "tiny", override), reason)


def test_an_unknown_profile_and_data_set_get_the_nearest() -> None:
    catch_refusal(lambda: catalog.recipe("glow", "photos8", "tin"), "did you mean 'tiny'")
    catch_refusal(lambda: catalog.recipe("glow", "photo8", "tiny"), "did you mean 'photos8'")


OPTIONS = [
    ("glow", {"nms": "flat"}, "glow has no flat form"),
    ("glow", {"masks": "swapped"}, "glow has no checkerboard masks"),
    ("glow", {"conv1x1": "sorted"}, None),
    ("realnvp", {"conv1x1": "sorted"}, "realnvp has no 1x1 convolution"),
    ("realnvp", {"nms": "flat", "masks": "swapped"}, None),
    ("resflow", {"order": "rank", "score": "total"}, None),
]


@pytest.mark.parametrize(("flow", "maps", "reason"), OPTIONS)
def test_map_options_that_a_flow_cannot_have_make_only_words_impossible(
    flow: str, maps: dict[str, str], reason: str | None
) -> None:
    matrix = {"flow": flow, "dataset": "photos16", "factorization": ["low", "channel"]}
    content = {"name": "x", "matrix": matrix | {"budget": 10}, "recipe": {"maps": maps}}
    low, channel = expand(spec.check(content, "here")).cells
    assert channel.trial is not None
    assert (low.trial is None) == (reason is not None)
    assert (low.reason or "").startswith(reason or "")
