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

PLAIN: dict[str, Any] = {
    "model": {
        "flow": "realnvp",
        "size": 16,
        "splits": 3,
        "architecture": {"width": 8, "blocks": 1},
    },
    "optimization": {"learning_rate": 0.001, "batch": 32},
    "training": {"steps": 250},
}


def leaves(content: Mapping[str, Any], path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    found: dict[tuple[str, ...], Any] = {}
    for key, value in content.items():
        inner = isinstance(value, Mapping)
        found |= leaves(value, (*path, key)) if inner else {(*path, key): value}
    return found


def nested(flat: Mapping[tuple[str, ...], Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path, value in flat.items():
        place = found
        for key in path[:-1]:
            place = place.setdefault(key, {})
        place[path[-1]] = value
    return found


FULL = leaves(Recipe.model_validate(PLAIN).model_dump(mode="json"))
GIVEN = leaves(PLAIN)
DEFAULTS = [path for path in FULL if path not in GIVEN]


def respelled(value: Any) -> st.SearchStrategy[Any]:
    """The same value as a person might also write it."""
    if isinstance(value, float) and value.is_integer():
        return st.sampled_from([value, int(value)])
    if isinstance(value, int) and not isinstance(value, bool):
        return st.sampled_from([value, float(value), str(value)])
    return st.just(value)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_key_order_defaults_and_spelling_do_not_matter(data: st.DataObject) -> None:
    written = data.draw(st.sets(st.sampled_from(DEFAULTS)))
    paths = data.draw(st.permutations([*GIVEN, *sorted(written)]))
    flat = {path: data.draw(respelled(FULL[path])) for path in paths}
    text = yaml.safe_dump(nested(flat), sort_keys=False, default_flow_style=None)
    found = Recipe.model_validate(strict_yaml.parse(text, "here"))
    plain = Recipe.model_validate(PLAIN)
    assert found == plain
    assert found.id == plain.id
    assert found.body == plain.body
    assert found.pretraining_identity() == plain.pretraining_identity()


CHANGES: dict[tuple[str, ...], Any] = {
    ("model", "flow"): "other",
    ("model", "size"): 32,
    ("model", "channels"): 1,
    ("model", "splits"): 2,
    ("model", "preprocess"): "center",
    ("model", "architecture", "width"): 9,
    ("model", "architecture", "blocks"): 2,
    ("model", "architecture", "checkerboard_couplings"): 4,
    ("model", "architecture", "channel_couplings"): 4,
    ("model", "architecture", "last_couplings"): 3,
    ("model", "architecture", "flow_norm"): "actnorm",
    ("model", "architecture", "net_norm"): "none",
    ("model", "architecture", "masks"): "even-first",
    ("optimization", "learning_rate"): 0.0011,
    ("optimization", "betas"): [0.9, 0.99],
    ("optimization", "l2"): 1e-5,
    ("optimization", "clip"): 100,
    ("optimization", "batch"): 33,
    ("optimization", "warmup"): 1,
    ("optimization", "flips"): True,
    ("optimization", "threads"): 2,
    ("training", "steps"): 251,
    ("training", "ema"): 0.999,
    ("training", "holdout_every"): 10,
}
LATER: dict[tuple[str, ...], Any] = {
    ("model", "architecture", "masks"): "even-first",
    ("model", "architecture", "scale"): "additive",
    ("model", "architecture", "growth"): 1,
    ("model", "architecture", "start"): "released",
    ("optimization", "optimizer"): "adamax",
    ("optimization", "shift"): 3,
    ("optimization", "shift_fill"): "zero",
    ("optimization", "autocast"): "bfloat16",
    ("optimization", "compile"): True,
    ("optimization", "stacked"): True,
    ("training", "schedule"): "linear",
}
"""Changes of fields and values that were added after the ids below were pinned."""

SINGLE = {("training", "select"), ("training", "decay"), ("model", "plugin")}
"""Fields that cannot change by themselves: they need another field or follow from one."""

ONLINE = {("maps", "online", key) for key in ("every", "share", "freeze")}
"""Options that only `online` reads; see test_expansion.py."""

MAPS: dict[str, str] = {
    "score": "total",
    "nms": "flat",
    "order": "rank",
    "masks": "swapped",
    "conv1x1": "sorted",
}


@pytest.fixture(autouse=True)
def _other_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registered flow of another name and the same architecture."""
    facts = replace(architectures.REGISTERED["realnvp"], name="other", conventional="channel")
    monkeypatch.setitem(architectures._REGISTER, "other", facts)


def test_every_field_has_a_change() -> None:
    maps = {("maps", key) for key in MAPS}
    assert set(CHANGES) | set(LATER) | SINGLE | maps | ONLINE == set(FULL)


def test_a_body_has_no_later_field_at_its_default() -> None:
    """So that a board sees no difference between recipes stored before and after it came."""
    plain = Recipe.model_validate(PLAIN)
    for path, value in LATER.items():
        if path[-1] in ("masks", "optimizer", "shift", "shift_fill"):
            continue
        recipe = Recipe.model_validate(nested(GIVEN | {path: value}))
        assert f'"{path[-1]}":' not in plain.body
        assert f'"{path[-1]}":' in recipe.body
        assert Recipe.model_validate_json(recipe.body) == recipe
    assert Recipe.model_validate_json(plain.body) == plain
    assert '"decay":' not in plain.body
    assert '"top":' not in catalog.recipe("glow", "photos8", "tiny").body


def test_every_field_enters_the_id() -> None:
    recipes = [Recipe.model_validate(PLAIN)]
    recipes += [Recipe.model_validate(nested(GIVEN | {p: v})) for p, v in (CHANGES | LATER).items()]
    best = GIVEN | {("training", "holdout_every"): 10, ("training", "select"): "best"}
    recipes.append(Recipe.model_validate(nested(best)))
    falling = GIVEN | {("training", "schedule"): "linear", ("training", "decay"): 0.25}
    recipes.append(Recipe.model_validate(nested(falling)))
    with pytest.raises(ValueError, match="`decay` needs `schedule: linear`"):
        Recipe.model_validate(nested(GIVEN | {("training", "decay"): 0.25}))
    ids = [recipe.id for recipe in recipes]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("path", CHANGES | LATER)
def test_a_pretraining_depends_on_everything_but_the_final_training(path: tuple[str, ...]) -> None:
    plain = Recipe.model_validate(PLAIN)
    changed = Recipe.model_validate(nested(GIVEN | {path: (CHANGES | LATER)[path]}))
    same = Pretraining(plain, "d", "u8", 0).id == Pretraining(changed, "d", "u8", 0).id
    assert same == (path[0] == "training")


def trial(**changes: Any) -> Trial:
    recipe = Recipe.model_validate(PLAIN)
    content: dict[str, Any] = {
        "recipe": recipe,
        "profile": "tiny",
        "dataset": "photos16",
        "variant": "u8",
        "factorization": "LLH",
        "seed": 0,
        "budget": 100,
        "pretraining": Pretraining(recipe, "photos16", "u8", 0),
    }
    return Trial(**(content | changes))


def test_what_a_trial_is_known_by() -> None:
    other = Recipe.model_validate(nested(GIVEN | {("training", "steps"): 300}))
    different = [
        trial(),
        trial(recipe=other),
        trial(dataset="photos32"),
        trial(variant="float"),
        trial(factorization="LHL"),
        trial(seed=1),
        trial(budget=150),
        trial(budget=None),
        trial(budget=0),
    ]
    assert len({t.id for t in different}) == len(different)
    assert trial(profile="renamed").id == trial().id, "a profile is a name for a recipe"
    seeds = {Pretraining(other, "photos16", "u8", seed).id for seed in range(4)}
    sets = {Pretraining(other, d, v, 0).id for d in ("a", "b") for v in ("u8", "float")}
    assert len(seeds | sets) == 8


@pytest.mark.parametrize("option", MAPS)
def test_map_options_enter_the_ids_of_trials_that_use_a_map_alone(option: str) -> None:
    changed = Recipe.model_validate(nested(GIVEN | {("maps", option): MAPS[option]}))
    assert changed.id == Recipe.model_validate(PLAIN).id
    assert trial(recipe=changed).id != trial().id
    mapless: dict[str, Any] = {"factorization": "random", "budget": None, "pretraining": None}
    assert trial(recipe=changed, **mapless).id == trial(**mapless).id


def test_golden_ids() -> None:
    """Pinned: an id that changes orphans every result that is stored under it.

    A new field of a recipe must have a default, so that these stay; a shipped profile may
    change, which makes new experiments, but PLAIN and its trials never do.
    """
    plain = Recipe.model_validate(PLAIN)
    first = {k: v for k, v in CHANGES.items() if k[-1] != "masks"}
    changed = Recipe.model_validate(nested(GIVEN | first | {("training", "select"): "best"}))
    assert plain.id == "2dac00e01ba885497b2e"
    assert changed.id == "87a0b8805b70c30eefd1"
    assert Pretraining(plain, "photos16", "u8", 0).id == "105a790004ee9a530389"
    assert trial().id == "1e19a90ca3fdf7705d89"
    assert (
        trial(factorization="random", seed=5, budget=None, pretraining=None).id
        == "445fe243f3cd8b608b23"
    )


def pin_ids(content: dict[str, Any], name: str) -> tuple[int, str]:
    """The number of a sweep's trials, and a digest of their ids."""
    ids = sorted(one.id for one in expand(spec.check(content, name)).trials)
    return len(ids), hashlib.sha256("".join(ids).encode()).hexdigest()[:20]


@pytest.mark.parametrize(
    ("name", "trials", "digest"),
    [("words", 78, "adfcc3ebb6ae9816b2d9"), ("flows", 120, "2fdf94331a537fd6f225")],
)
def test_the_reference_specs_are_what_they_were(name: str, trials: int, digest: str) -> None:
    """Pinned: the evidence of many evenings adds up only while these ids stay."""
    content = strict_yaml.parse(catalog.shipped_spec(name).read_text(), name)
    content["matrix"]["dataset"] = "cifar10-16"
    assert pin_ids(content, name) == (trials, digest)


QUEUE = Path(__file__).parents[2] / "evidence" / "queue"


PLANNED = {
    "0": (18, "c25664d22873604c7a60"),
    "A": (336, "167b9531a0be18f11c18"),
    "B": (216, "9e0776e1f10f335e0e20"),
    "B-glow": (72, "41823a5209144909f52b"),
    "B-iresnet": (72, "3e9bb3089697b0ce397b"),
    "A-best": (120, "1edaa0fd8a6eabbd7609"),
    "D": (36, "ca7cc9673c5111d8aceb"),
}


@pytest.mark.parametrize("part", PLANNED)
def test_what_is_trained_next_is_what_was_planned(part: str) -> None:
    """Pinned: the plan was written before its trainings. C has sets that are yet to be made."""
    content = strict_yaml.parse((QUEUE / f"{part}.yaml").read_text(), part)
    assert pin_ids(content, part) == PLANNED[part]


def test_shipped_recipes_have_an_id_of_their_own() -> None:
    """Every recipe that the catalog resolves can be stored, and no two are one by mistake."""
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
