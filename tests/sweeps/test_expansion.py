"""From a sweep file to trials: shared, folded, impossible and excluded cells."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lcma.sweeps import catalog, spec
from lcma.sweeps.expansion import Cell, Expansion, expand
from lcma.sweeps.factorizations import MAP_RULES, words
from lcma.sweeps.spec import Spec
from tests.refusals import catch_refusal


def sweep(factorization: Any = "low", **other: Any) -> Spec:
    matrix = {"flow": "realnvp", "dataset": "photos16", "factorization": factorization}
    matrix |= {key: other.pop(key) for key in ("dataset", "budget") if key in other}
    return spec.check({"name": "x", "matrix": matrix} | other, "here")


def list_keys(plan: Expansion) -> list[tuple[str, int | None, int]]:
    return [(cell.factorization, cell.budget, cell.seed) for cell in plan.cells]


def list_names(plan: Expansion) -> list[str]:
    return [cell.factorization for cell in plan.cells]


def list_ids(plan: Expansion) -> list[str]:
    return [trial.id for trial in plan.trials]


def test_budgets_multiply_only_words() -> None:
    plan = expand(sweep(["channel", "low", "random"], budget=[10, 20], seeds=[3, 1]))
    words = [("low", budget, seed) for seed in (3, 1) for budget in (10, 20)]
    channel, random = ([(name, None, seed) for seed in (3, 1)] for name in ("channel", "random"))
    assert list_keys(plan) == [*channel, *words, *random]
    assert [t.budget for t in plan.trials] == [None, None, 10, 20, 10, 20, None, None]
    assert all((t.pretraining is None) == (t.budget is None) for t in plan.trials)


def test_patterns_of_one_experiment_are_run_once() -> None:
    names = ["checkerboard", "keep-ad", "keep-da-ad-ad", "keep-cd", "rows", "keep-ba"]
    plan = expand(sweep([*names, "keep-ab-ab-ab"]))
    same_as = [None, "checkerboard", "checkerboard", None, "keep-cd", None, "keep-ab"]
    assert [cell.same_as for cell in plan.cells] == same_as
    assert [t.factorization for t in plan.trials] == ["checkerboard-even", "rows", "keep-ab"]
    even = expand(sweep("checkerboard-even"))
    assert list_ids(expand(sweep("keep-ad-ad-ad"))) == list_ids(even)


def test_every_pattern_of_a_recipe() -> None:
    plan = expand(sweep(["conventional", "patterns"]))
    assert len(plan.cells) == 217
    assert len(plan.trials) == 216
    assert not plan.pretrainings
    plan = expand(sweep(["patterns", "channel"], exclude=[{"factorization": "patterns"}]))
    assert list_names(plan) == ["channel"]
    plan = expand(sweep(["patterns"], exclude=[{"factorization": "keep-ad"}]))
    assert len(plan.cells) == 215


@pytest.mark.parametrize("rule", MAP_RULES)
def test_rules_beside_words_share_their_pretraining(rule: str) -> None:
    plan = expand(sweep(["low", rule], budget=[10, 20], seeds=2))
    assert len(plan.trials) == 8
    assert len(plan.pretrainings) == 2
    plain = expand(sweep(["low", rule], budget=10))
    ranked = expand(sweep(["low", rule], budget=10, recipe={"maps": {"order": "rank"}}))
    same = [a == b for a, b in zip(list_ids(plain), list_ids(ranked), strict=True)]
    assert same == [False, rule == "low-global"], "which has no windows, and so no order"


def test_maps_of_the_data_are_shared_by_flows_seeds_and_recipes() -> None:
    matrix = {"flow": ["realnvp", "glow"], "dataset": "photos16"}
    matrix["factorization"] = ["variance-low", "precision-low"]
    content: dict[str, Any] = {"name": "x", "matrix": matrix, "seeds": 3}
    content["recipe"] = {"model": {"splits": 2}}

    def expand_with(**changes: Any) -> Expansion:
        return expand(spec.check(content | changes, "here"))

    plain = expand_with()
    assert len(plain.trials) == 12
    ((pretraining, budgets),) = plain.pretrainings.values()
    assert (pretraining.form, pretraining.seed, budgets) == ("data", 0, (0,))
    assert list_ids(expand_with(matrix=matrix | {"budget": [10, 100]})) == list_ids(plain)
    maps = {"score": "total", "nms": "flat", "order": "rank"}
    ranked = expand_with(recipe={"maps": maps, "model": {"splits": 2}})
    assert list_ids(ranked) == list_ids(plain)
    assert {trial.order for trial in ranked.trials} == {"raster"}
    other = expand_with(recipe={"model": {"splits": 1}})
    assert other.pretrainings.keys() != plain.pretrainings.keys()


def test_online_has_options_of_its_own_and_no_budget() -> None:
    def expand_with(**maps: Any) -> list[str]:
        plan = expand(sweep(["online", "low", "random"], budget=10, recipe={"maps": maps}))
        assert list_keys(plan) == [("online", None, 0), ("low", 10, 0), ("random", None, 0)]
        return list_ids(plan)

    online, *others = expand_with()
    for option in ({"every": 20}, {"share": 0.5}, {"freeze": 0.25}):
        changed, *unchanged = expand_with(online=option)
        assert changed != online
        assert unchanged == others
    assert expand_with(order="rank", nms="flat")[0] == online
    (trial,) = expand(sweep("online", recipe={"maps": {"online": {"every": 20}}})).trials
    assert trial.map_options == '{"online":{"every":20}}'


def test_synonyms_are_run_once() -> None:
    names = ["low", "LLL", "checkerboard", "conventional", "lll", "HHH", "high"]
    plan = expand(sweep(names, budget=10))
    assert list_names(plan) == [*names[:4], "LLL", *names[5:]]
    same_as = [None, "low", None, "checkerboard", "low", None, "HHH"]
    assert [cell.same_as for cell in plan.cells] == same_as
    assert [t.factorization for t in plan.trials] == ["LLL", "checkerboard-even", "HHH"]
    assert plan.unshared == (5, 7)
    assert len(plan.pretrainings) == 1


def list_reasons(plan: Expansion) -> list[str | None]:
    return [cell.reason for cell in plan.cells]


IMPOSSIBLE: list[tuple[dict[str, Any], str]] = [
    (
        {"factorization": "LL", "budget": 10},
        "the word LL has 2 letters, the recipe has 3 splits; use a word such as LLL",
    ),
    ({"factorization": "keep-ad-bc"}, "the pattern keep-ad-bc names 2 pairs, the recipe has 3"),
    ({"factorization": "low"}, "low needs a contribution map: give `matrix.budget`"),
    (
        {"factorization": "precision-low", "dataset": "imagenet64"},
        "precision-low is for images of at most 3072 dimensions, not 12288",
    ),
    (
        {"factorization": "online", "flow": "iresnet"},
        "iresnet does not know each dimension's log-det in training",
    ),
]


@pytest.mark.parametrize(("changes", "reason"), IMPOSSIBLE)
def test_an_impossible_cell_has_a_reason_and_no_trial(changes: dict[str, Any], reason: str) -> None:
    matrix = {"flow": "realnvp", "dataset": "photos16"} | changes
    matrix["factorization"] = [changes["factorization"], "none"]
    impossible, possible = expand(spec.check({"name": "x", "matrix": matrix}, "")).cells
    assert (impossible.reason or "").startswith(reason)
    assert impossible.trial is None
    assert possible.reason is None


def test_a_profile_without_a_recipe_for_a_set_makes_its_cells_impossible() -> None:
    (reason,) = list_reasons(expand(sweep("channel", dataset="photos32", profile="paper")))
    assert reason == (
        "the profile paper of realnvp has no recipe for photos32 (only for cifar10, imagenet32, "
        "imagenet64, celeba64); use another profile"
    )


EXCLUSIONS: list[tuple[dict[str, Any], set[tuple[str, int | None, int]]]] = [
    ({"factorization": "low"}, {("low", 10, 0), ("low", 20, 0), ("low", 10, 1), ("low", 20, 1)}),
    ({"factorization": "LLL", "budget": 10}, {("low", 10, 0), ("low", 10, 1)}),
    ({"factorization": ["HHL", "channel"]}, {("channel", None, 0), ("channel", None, 1)}),
    ({"factorization": "checkerboard"}, {("conventional", None, 0), ("conventional", None, 1)}),
    ({"factorization": "checkerboard-even", "seed": 1}, {("conventional", None, 1)}),
    ({"seed": 0, "budget": [20, 30]}, {("low", 20, 0)}),
    ({"flow": "realnvp", "dataset": "photos32"}, set()),
]


@pytest.mark.parametrize(("exclusion", "cells"), EXCLUSIONS)
def test_an_exclusion_leaves_out_the_cells_that_match_every_key(
    exclusion: dict[str, Any], cells: set[tuple[str, int | None, int]]
) -> None:
    """A synonym of a factorization excludes it too."""
    rules = ["channel", "low", "conventional"]
    whole = list_keys(expand(sweep(rules, budget=[10, 20], seeds=2)))
    assert cells <= set(whole)
    plan = expand(sweep(rules, budget=[10, 20], seeds=2, exclude=[exclusion]))
    assert list_keys(plan) == [cell for cell in whole if cell not in cells]


def test_an_excluded_budget_leaves_out_no_rule_of_the_data() -> None:
    rules = ["low", "variance-low", "precision-low"]
    assert list_names(expand(sweep(rules, budget=[0, 10], exclude=[{"budget": 0}]))) == rules
    plan = expand(sweep(rules, budget=10, exclude=[{"factorization": "precision-low"}]))
    assert list_names(plan) == rules[:2]


@given(
    st.lists(st.sampled_from(["low", "LLL", "HHL", "channel", "conventional", "none"]), min_size=1),
    st.sets(st.sampled_from([0, 10, 100]), min_size=1),
    st.sets(st.integers(0, 3), min_size=1),
)
@settings(max_examples=40, deadline=None)
def test_every_cell_is_a_trial_or_the_same_as_an_earlier_one(
    rules: list[str], budget: set[int], seeds: set[int]
) -> None:
    plan = expand(sweep(rules, budget=sorted(budget), seeds=sorted(seeds)))
    first: dict[str, Cell] = {}
    for cell in plan.cells:
        assert cell.reason is None
        assert cell.trial is not None
        earlier = first.setdefault(cell.trial.id, cell)
        assert cell.same_as == (None if earlier is cell else earlier.factorization)
    assert list_ids(plan) == list(first)
    with_map = [trial for trial in plan.trials if trial.budget is not None]
    assert len(plan.pretrainings) == len({trial.seed for trial in with_map})
    assert all(trial.pretraining.seed == trial.seed for trial in with_map)


WRONG_OVERRIDES: list[tuple[dict[str, Any], str]] = [
    ({"model": {"size": 8}}, "`recipe.model.size` cannot be overridden"),
    ({"model": {"flow": "glow"}}, "`recipe.model.flow` cannot be overridden"),
    ({"model": 3}, "`recipe.model` holds keys and values, not 3"),
    ({"model": {"splits": 4}}, "on photos16: `model`: 4 splits do not fit"),
    ({"modle": {}}, "on photos16: unknown key `modle`: did you mean 'model'?"),
    ({"optimization": {"lr": 1}}, "on photos16: unknown key `optimization.lr`"),
    ({"optimization": {"learning_rate": float("inf")}}, "on photos16: `optimization.learning_rate"),
    ({"model": {"splits": True}}, "on photos16: `model.splits`: input should be "),
    ({"model": {"architecture": {"width": True}}}, "on photos16: `model.architecture.width`: "),
    ({"optimization": {"betas": [1.5, 2]}}, "on photos16: `optimization.betas"),
    ({"training": {"select": "best"}}, "recipe realnvp/tiny on photos16: `training`: `select: "),
]


@pytest.mark.parametrize(("override", "message"), WRONG_OVERRIDES)
def test_a_wrong_override_is_a_user_error(override: dict[str, Any], message: str) -> None:
    catch_refusal(lambda: expand(sweep("channel", recipe=override)), message)


@pytest.mark.parametrize("name", catalog.shipped_specs())
def test_a_shipped_sweep_expands(name: str) -> None:
    plan = expand(spec.load(name))
    assert plan.trials
    assert {cell.reason for cell in plan.cells} == {None}


def test_words_are_as_long_as_the_recipe_has_splits() -> None:
    plan = expand(sweep(["words", "low"], dataset=["photos8", "photos16"], budget=10))
    assert list_names(plan) == [*words(2), "low", *words(3), "low"]
    assert plan.cells[-1].same_as == "LLL"
    plan = expand(sweep(["words", "random"], budget=10, exclude=[{"factorization": "words"}]))
    assert list_names(plan) == ["random"]
    plan = expand(sweep("words", budget=10, recipe={"model": {"splits": 0}}))
    assert list_reasons(plan) == ["the recipe has no split; only `none` can be run on it"]
    recipe, exclude = {"model": {"splits": 0}}, [{"factorization": "words"}]
    plan = expand(sweep(["words", "none"], budget=10, recipe=recipe, exclude=exclude))
    assert list_names(plan) == ["none"]
    assert not plan.unused


SHORT = {"training": {"steps": 100}}
SWAPPED = {"model": {"architecture": {"masks": "even-first"}}}


def expand_recipes(recipes: list[dict[str, Any]], *rules: str) -> Expansion:
    matrix: dict[str, Any] = {"flow": "realnvp", "dataset": "photos16", "budget": 10}
    matrix |= {"factorization": rules, "recipe": recipes}
    return expand(spec.check({"name": "x", "matrix": matrix}, "here"))


def test_variations_of_the_recipe_are_an_axis() -> None:
    plan = expand_recipes([{}, SHORT, SWAPPED], "channel", "low")
    overlays = ["", "training.steps=100", "model.architecture.masks=even-first"]
    assert [cell.overlay for cell in plan.cells] == [text for text in overlays for _ in range(2)]
    assert len(set(list_ids(plan))) == 6
    assert len(plan.pretrainings) == 2, "lengths of training share one, another flow has its own"


def test_map_options_are_another_experiment_only_for_words() -> None:
    options: list[dict[str, Any]] = [{}, {"score": "normalized"}, {"score": "total"}]
    options += [{"order": "rank"}, {"nms": "flat"}, {"masks": "swapped"}]
    plan = expand_recipes([{"maps": maps} for maps in options], "channel", "low")
    low = [cell.trial for cell in plan.cells if cell.factorization == "low" and cell.trial]
    assert len({trial.id for trial in low}) == len(options)
    assert len({trial.recipe.id for trial in low}) == 1
    assert len({trial.map_options for trial in low}) == len(options)
    assert low[0].map_options is None
    same_as = [cell.same_as for cell in plan.cells if cell.factorization == "channel"]
    assert same_as == [None, *(["channel"] * (len(options) - 1))]
    assert len(plan.pretrainings) == 3, "scores and order share one"


def test_swapped_masks_share_the_pretraining_of_the_swapped_flow() -> None:
    """The map that a swapped pretraining makes is the one that the swapped flow would read."""
    option = {"maps": {"masks": "swapped"}}
    plain, by_option, by_flow, by_both = (
        set(expand_recipes([recipe], "low").pretrainings)
        for recipe in ({}, option, SWAPPED, SWAPPED | option)
    )
    assert by_option == by_flow != plain
    assert by_both == plain
