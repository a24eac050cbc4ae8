"""Ids: equal for equal experiments however they are written, different for different ones."""

import hashlib
import itertools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lcma.sweeps import architectures, catalog, known_sets, spec, strict_yaml
from lcma.sweeps.expansion import Pretraining, Trial, expand
from lcma.sweeps.factorizations import ImpossibleError
from lcma.sweeps.recipe import Recipe
from lcma.sweeps.settings import merge, subtract

WRITTEN: dict[str, Any] = {
    "model.flow": "realnvp",
    "model.size": 16,
    "model.splits": 3,
    "model.architecture.width": 8,
    "model.architecture.blocks": 1,
    "optimization.learning_rate": 0.001,
    "optimization.batch": 32,
    "training.steps": 250,
}
"""The settings of PLAIN that have no default, by dotted key."""


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for path, value in flat.items():
        setting = value
        for key in reversed(path.split(".")):
            setting = {key: setting}
        content = merge(content, setting)
    return content


def make_recipe(**changes: Any) -> Recipe:
    return Recipe.model_validate(nest(WRITTEN | changes))


PLAIN = make_recipe()
FULL = subtract(PLAIN.model_dump(mode="json"), {})
DEFAULTS = [path for path in FULL if path not in WRITTEN]


def respell(value: Any) -> st.SearchStrategy[Any]:
    """Draw a value as a person might also write it."""
    if isinstance(value, float) and value.is_integer():
        return st.sampled_from([value, int(value)])
    if isinstance(value, int) and not isinstance(value, bool):
        return st.sampled_from([value, float(value), str(value)])
    return st.just(value)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_key_order_defaults_and_spelling_do_not_matter(data: st.DataObject) -> None:
    written = data.draw(st.sets(st.sampled_from(DEFAULTS)))
    paths = data.draw(st.permutations([*WRITTEN, *sorted(written)]))
    flat = {path: data.draw(respell(FULL[path])) for path in paths}
    text = yaml.safe_dump(nest(flat), sort_keys=False, default_flow_style=None)
    recipe = Recipe.model_validate(strict_yaml.parse(text, "here"))
    assert recipe == PLAIN
    assert recipe.id == PLAIN.id
    assert recipe.body == PLAIN.body
    assert recipe.pretraining_identity() == PLAIN.pretraining_identity()


CHANGES: dict[str, Any] = {
    "model.flow": "other",
    "model.size": 32,
    "model.channels": 1,
    "model.splits": 2,
    "model.preprocess": "center",
    "model.architecture.width": 9,
    "model.architecture.blocks": 2,
    "model.architecture.checkerboard_couplings": 4,
    "model.architecture.channel_couplings": 4,
    "model.architecture.last_couplings": 3,
    "model.architecture.flow_norm": "actnorm",
    "model.architecture.net_norm": "none",
    "optimization.learning_rate": 0.0011,
    "optimization.betas": [0.9, 0.99],
    "optimization.l2": 1e-5,
    "optimization.clip": 100,
    "optimization.batch": 33,
    "optimization.warmup": 1,
    "optimization.flips": True,
    "optimization.threads": 2,
    "training.steps": 251,
    "training.ema": 0.999,
    "training.holdout_every": 10,
}
LATER_CHANGES: dict[str, Any] = {
    "model.architecture.masks": "even-first",
    "model.architecture.scale": "additive",
    "model.architecture.growth": 1,
    "model.architecture.start": "released",
    "optimization.optimizer": "adamax",
    "optimization.shift": 3,
    "optimization.shift_fill": "zero",
    "optimization.autocast": "bfloat16",
    "optimization.compile": True,
    "optimization.stacked": True,
    "training.schedule": "linear",
}
"""Changes of fields and values that were added after the ids below were pinned."""

DEPENDENT = {"training.select", "training.decay", "model.plugin"}
"""Fields that cannot change by themselves: they need another field or follow from one."""

ONLINE_OPTIONS = {"maps.online.every", "maps.online.share", "maps.online.freeze"}
"""Options that only `online` reads; see test_expansion.py."""

MAP_OPTIONS = {
    "maps.score": "total",
    "maps.nms": "flat",
    "maps.order": "rank",
    "maps.masks": "swapped",
    "maps.conv1x1": "sorted",
}


@pytest.fixture(autouse=True)
def _other_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registered flow of another name and the same architecture."""
    facts = replace(architectures.REGISTERED["realnvp"], name="other", conventional="channel")
    monkeypatch.setitem(architectures._REGISTER, "other", facts)


def test_every_field_has_a_change() -> None:
    changes = {*CHANGES, *LATER_CHANGES, *DEPENDENT, *MAP_OPTIONS, *ONLINE_OPTIONS}
    assert changes == set(FULL)


def test_a_body_has_no_later_field_at_its_default() -> None:
    """A board then sees no difference between recipes stored before and after it was added."""
    for path, value in LATER_CHANGES.items():
        name = path.rpartition(".")[2]
        if name not in ("masks", "optimizer", "shift", "shift_fill"):
            recipe = make_recipe(**{path: value})
            assert f'"{name}":' not in PLAIN.body
            assert f'"{name}":' in recipe.body
            assert Recipe.model_validate_json(recipe.body) == recipe
    assert Recipe.model_validate_json(PLAIN.body) == PLAIN
    assert '"decay":' not in PLAIN.body
    assert '"top":' not in catalog.recipe("glow", "photos8", "tiny").body


def test_every_field_enters_the_id() -> None:
    changes = [{}, *({path: value} for path, value in (CHANGES | LATER_CHANGES).items())]
    changes.append({"training.holdout_every": 10, "training.select": "best"})
    changes.append({"training.schedule": "linear", "training.decay": 0.25})
    assert len({make_recipe(**change).id for change in changes}) == len(changes)
    with pytest.raises(ValueError, match="`decay` needs `schedule: linear`"):
        make_recipe(**{"training.decay": 0.25})


@pytest.mark.parametrize("path", CHANGES | LATER_CHANGES)
def test_a_pretraining_depends_on_everything_except_the_final_training(path: str) -> None:
    changed = make_recipe(**{path: (CHANGES | LATER_CHANGES)[path]})
    same = Pretraining(PLAIN, "d", "u8", 0).id == Pretraining(changed, "d", "u8", 0).id
    assert same == path.startswith("training.")


def make_trial(**changes: Any) -> Trial:
    content: dict[str, Any] = {
        "recipe": PLAIN,
        "profile": "tiny",
        "dataset": "photos16",
        "variant": "u8",
        "factorization": "LLH",
        "seed": 0,
        "budget": 100,
        "pretraining": Pretraining(PLAIN, "photos16", "u8", 0),
    }
    return Trial(**(content | changes))


def test_the_id_of_a_trial_depends_on_everything_except_its_profile() -> None:
    other = make_recipe(**{"training.steps": 300})
    changes: list[dict[str, Any]] = [
        {},
        {"recipe": other},
        {"dataset": "photos32"},
        {"variant": "float"},
        {"factorization": "LHL"},
        {"seed": 1},
        {"budget": 150},
        {"budget": None},
        {"budget": 0},
    ]
    assert len({make_trial(**change).id for change in changes}) == len(changes)
    assert make_trial(profile="renamed").id == make_trial().id, "a profile is a name for a recipe"
    seeds = {Pretraining(other, "photos16", "u8", seed).id for seed in range(4)}
    sets = {Pretraining(other, d, v, 0).id for d in ("a", "b") for v in ("u8", "float")}
    assert len(seeds | sets) == 8


@pytest.mark.parametrize("option", MAP_OPTIONS)
def test_map_options_enter_only_the_ids_of_trials_that_use_a_map(option: str) -> None:
    changed = make_recipe(**{option: MAP_OPTIONS[option]})
    assert changed.id == PLAIN.id
    assert make_trial(recipe=changed).id != make_trial().id
    without_map: dict[str, Any] = {"factorization": "random", "budget": None, "pretraining": None}
    assert make_trial(recipe=changed, **without_map).id == make_trial(**without_map).id


def test_golden_ids() -> None:
    """Pinned: an id that changes orphans every result that is stored under it.

    A new field of a recipe must have a default, so that these stay. A shipped profile may change,
    which makes new experiments, but PLAIN and its trials never do.
    """
    assert PLAIN.id == "2dac00e01ba885497b2e"
    assert make_recipe(**CHANGES, **{"training.select": "best"}).id == "87a0b8805b70c30eefd1"
    assert Pretraining(PLAIN, "photos16", "u8", 0).id == "105a790004ee9a530389"
    assert make_trial().id == "1e19a90ca3fdf7705d89"
    random = make_trial(factorization="random", seed=5, budget=None, pretraining=None)
    assert random.id == "445fe243f3cd8b608b23"


REFERENCE = {"words": (78, "adfcc3ebb6ae9816b2d9"), "flows": (120, "2fdf94331a537fd6f225")}
QUEUE = {
    "0": (18, "c25664d22873604c7a60"),
    "A": (336, "167b9531a0be18f11c18"),
    "B": (216, "9e0776e1f10f335e0e20"),
    "B-glow": (72, "41823a5209144909f52b"),
    "B-iresnet": (72, "3e9bb3089697b0ce397b"),
    "A-best": (120, "1edaa0fd8a6eabbd7609"),
    "D": (36, "ca7cc9673c5111d8aceb"),
}
"""The plan was written before its trainings. C has sets that are yet to be made."""


@pytest.mark.parametrize("name", REFERENCE | QUEUE)
def test_the_trials_of_the_evidence_are_what_they_were(name: str) -> None:
    """Pinned: the evidence of many evenings adds up only while these ids stay."""
    if name in QUEUE:
        file = Path(__file__).parents[2] / "evidence" / "queue" / f"{name}.yaml"
        content = strict_yaml.parse(file.read_text(), name)
    else:
        content = strict_yaml.parse(catalog.shipped_spec(name).read_text(), name)
        content["matrix"]["dataset"] = "cifar10-16"
    ids = sorted(trial.id for trial in expand(spec.check(content, name)).trials)
    digest = hashlib.sha256("".join(ids).encode()).hexdigest()[:20]
    assert (len(ids), digest) == (REFERENCE | QUEUE)[name]


def test_no_two_shipped_recipes_have_one_id() -> None:
    bodies: dict[str, str] = {}
    for flow, dataset in itertools.product(catalog.flows(), known_sets.known()):
        for profile in catalog.profiles(flow):
            try:
                recipe = catalog.recipe(flow, dataset, profile)
            except ImpossibleError:
                continue
            assert bodies.setdefault(recipe.id, recipe.body) == recipe.body
            assert len(recipe.id) == 20
    assert len(set(bodies.values())) == len(bodies)
