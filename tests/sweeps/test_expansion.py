"""From a sweep file to trials: shared, folded, impossible and excluded cells."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lcma.sweeps import catalog, spec
from lcma.sweeps.errors import UserError
from lcma.sweeps.expansion import Cell, Expansion, expand
from lcma.sweeps.factorizations import MAP_RULES, words
from lcma.sweeps.spec import Spec

EIGHT = list(words(3))


def sweep(factorization: Any = "low", **other: Any) -> Spec:
    matrix = {"flow": "realnvp", "dataset": "photos16", "factorization": factorization}
    matrix |= {key: other.pop(key) for key in ("dataset", "budget") if key in other}
    return spec.check({"name": "x", "matrix": matrix} | other, "here")


def names(found: Expansion) -> list[tuple[str, int | None, int]]:
    return [(c.factorization, c.budget, c.seed) for c in found.cells]


def test_all_words_of_a_seed_hang_on_one_pretraining() -> None:
    found = expand(sweep(EIGHT, seeds=6, budget=500))
    assert len(found.cells) == len(found.trials) == 48
    assert len(found.pretrainings) == 6
    assert found.unshared == (48, 48)
    assert [p.seed for p, _ in found.pretrainings.values()] == list(range(6))
    assert len({t.id for t in found.trials}) == 48
    for trial in found.trials:
        assert trial.pretraining is not None
        assert found.pretrainings[trial.pretraining.id][0].seed == trial.seed


def test_budgets_multiply_words_alone() -> None:
    found = expand(sweep(["channel", "low", "random"], budget=[10, 20], seeds=[3, 1]))
    words = [("low", budget, seed) for seed in (3, 1) for budget in (10, 20)]
    others = [[(name, None, seed) for seed in (3, 1)] for name in ("channel", "random")]
    assert names(found) == [*others[0], *words, *others[1]]
    assert [t.budget for t in found.trials] == [None, None, 10, 20, 10, 20, None, None]
    assert all((t.pretraining is None) == (t.budget is None) for t in found.trials)


def test_patterns_of_one_experiment_are_run_once() -> None:
    asked = ["checkerboard", "keep-ad", "keep-da-ad-ad", "keep-cd", "rows", "keep-ba"]
    found = expand(sweep([*asked, "keep-ab-ab-ab"]))
    same = [None, "checkerboard", "checkerboard", None, "keep-cd", None, "keep-ab"]
    assert [c.same_as for c in found.cells] == same
    assert [t.factorization for t in found.trials] == ["checkerboard-even", "rows", "keep-ab"]
    even = expand(sweep("checkerboard-even")).trials[0].id
    assert [t.id for t in expand(sweep("keep-ad-ad-ad")).trials] == [even]


def test_every_pattern_of_a_recipe() -> None:
    found = expand(sweep(["conventional", "patterns"]))
    assert len(found.cells) == 217
    assert len(found.trials) == 216
    assert not found.pretrainings
    left = expand(sweep(["patterns", "channel"], exclude=[{"factorization": "patterns"}]))
    assert [c.factorization for c in left.cells] == ["channel"]
    left = expand(sweep(["patterns"], exclude=[{"factorization": "keep-ad"}]))
    assert len(left.cells) == 215


@pytest.mark.parametrize("rule", MAP_RULES)
def test_rules_beside_words_share_their_pretraining(rule: str) -> None:
    found = expand(sweep(["low", rule], budget=[10, 20], seeds=2))
    assert len(found.trials) == 8
    assert len(found.pretrainings) == 2
    ranked = {"maps": {"order": "rank"}}
    first, second = (
        expand(sweep(["low", rule], budget=10, recipe=recipe)).trials for recipe in ({}, ranked)
    )
    assert first[0].id != second[0].id
    without_order = rule == "low-global"  # it has no windows
    assert (first[1].id == second[1].id) is without_order


def test_what_is_measured_of_the_data_is_shared_by_flows_seeds_and_recipes() -> None:
    flows: dict[str, Any] = {"flow": ["realnvp", "glow"], "dataset": "photos16"}
    matrix = flows | {"factorization": ["variance-low", "precision-high"]}
    content = {"name": "x", "matrix": matrix, "seeds": 3, "recipe": {"model": {"splits": 2}}}
    found = expand(spec.check(content, "here"))
    assert len(found.trials) == 12
    ((pretraining, budgets),) = found.pretrainings.values()
    assert (pretraining.form, pretraining.seed, budgets) == ("data", 0, (0,))
    with_budget = spec.check(content | {"matrix": matrix | {"budget": [10, 100]}}, "here")
    assert {t.id for t in expand(with_budget).trials} == {t.id for t in found.trials}
    options = {"maps": {"score": "total", "nms": "flat"}, "model": {"splits": 2}}
    changed = expand(spec.check(content | {"recipe": options}, "here"))
    assert {t.id for t in changed.trials} == {t.id for t in found.trials}
    other = expand(spec.check(content | {"recipe": {"model": {"splits": 1}}}, "here"))
    assert other.pretrainings.keys() != found.pretrainings.keys()


def test_online_has_options_of_its_own_and_no_budget() -> None:
    def ids(maps: dict[str, Any]) -> list[str]:
        found = expand(sweep(["online", "low", "random"], budget=10, recipe={"maps": maps}))
        assert [(t.factorization, t.budget) for t in found.trials] == [
            ("online", None),
            ("LLL", 10),
            ("random", None),
        ]
        return [t.id for t in found.trials]

    plain = ids({})
    for option in ({"every": 20}, {"share": 0.5}, {"freeze": 0.25}):
        changed = ids({"online": option})
        assert changed[0] != plain[0]
        assert changed[1:] == plain[1:]
    assert ids({"order": "rank", "nms": "flat"})[0] == plain[0]
    changed_trial = expand(sweep("online", recipe={"maps": {"online": {"every": 20}}})).trials[0]
    assert changed_trial.map_options == '{"online":{"every":20}}'


def test_synonyms_are_run_once() -> None:
    asked = ["low", "LLL", "checkerboard", "conventional", "lll", "HHH", "high"]
    found = expand(sweep(asked, budget=10))
    assert [(c.factorization, c.same_as) for c in found.cells] == [
        ("low", None),
        ("LLL", "low"),
        ("checkerboard", None),
        ("conventional", "checkerboard"),
        ("LLL", "low"),
        ("HHH", None),
        ("high", "HHH"),
    ]
    assert [t.factorization for t in found.trials] == ["LLL", "checkerboard-even", "HHH"]
    assert found.unshared == (5, 7)
    assert len(found.pretrainings) == 1


def reasons(found: Expansion) -> list[str | None]:
    return [c.reason for c in found.cells]


IMPOSSIBLE: list[tuple[dict[str, Any], str]] = [
    (
        {"factorization": "LL", "budget": 10},
        "the word LL has 2 letters, the recipe has 3 splits; use a word such as LLL",
    ),
    ({"factorization": "keep-ad-bc"}, "the pattern keep-ad-bc names 2 pairs, the recipe has 3"),
    ({"factorization": "low"}, "low needs a contribution map: give `matrix.budget`"),
    ({"factorization": "HHL"}, "HHL needs a contribution map: give `matrix.budget`"),
    (
        {"factorization": "precision-low", "dataset": "imagenet64"},
        "precision-low is for images of at most 3072 dimensions, not 12288",
    ),
    (
        {"factorization": "online", "flow": "iresnet"},
        "iresnet does not know each dimension's log-det in training",
    ),
    (
        {"factorization": "channel", "dataset": "photos32", "profile": "paper"},
        "the profile paper of realnvp has no recipe for photos32 (only for cifar10, imagenet32, "
        "imagenet64, celeba64); use another profile",
    ),
]


@pytest.mark.parametrize(("asked", "reason"), IMPOSSIBLE)
def test_what_is_impossible_has_a_reason_and_no_trial(asked: dict[str, Any], reason: str) -> None:
    asked = dict(asked)
    profile = asked.pop("profile", "tiny")
    matrix = {"flow": "realnvp", "dataset": "photos16"} | asked
    matrix["factorization"] = [asked["factorization"], "none"]
    wrong, right = expand(spec.check({"name": "x", "matrix": matrix, "profile": profile}, "")).cells
    assert wrong.reason is not None
    assert wrong.reason.startswith(reason)
    assert wrong.trial is None
    assert (right.reason is None) == (profile == "tiny")


def test_a_data_set_that_cannot_be_had_is_impossible() -> None:
    asked = sweep("channel", dataset=["photos16", "imagenet32"])
    found = expand(asked, preparable={"photos16"})
    assert reasons(found) == [None, "the data set imagenet32 cannot be prepared by this version"]
    assert reasons(expand(asked)) == [None, None]
    assert [c.unavailable for c in found.cells] == [False, True]


EXCLUSIONS: list[tuple[dict[str, Any], set[tuple[str, int | None, int]]]] = [
    ({"factorization": "low"}, {("low", 10, 0), ("low", 20, 0), ("low", 10, 1), ("low", 20, 1)}),
    ({"factorization": "LLL", "budget": 10}, {("low", 10, 0), ("low", 10, 1)}),
    ({"factorization": ["HHL", "channel"]}, {("channel", None, 0), ("channel", None, 1)}),
    ({"factorization": "checkerboard"}, {("conventional", None, 0), ("conventional", None, 1)}),
    ({"factorization": "checkerboard-even", "seed": 1}, {("conventional", None, 1)}),
    ({"seed": 0, "budget": [20, 30]}, {("low", 20, 0)}),
    ({"flow": "realnvp", "dataset": "photos32"}, set()),
]


@pytest.mark.parametrize(("exclusion", "gone"), EXCLUSIONS)
def test_exclusions(exclusion: dict[str, Any], gone: set[tuple[str, int | None, int]]) -> None:
    """Every key must agree; a synonym of a factorization excludes it too."""
    matrix: dict[str, Any] = {"factorization": ["channel", "low", "conventional"]}
    every = expand(sweep(**matrix, budget=[10, 20], seeds=2))
    found = expand(sweep(**matrix, budget=[10, 20], seeds=2, exclude=[exclusion]))
    assert set(names(every)) - set(names(found)) == gone
    assert names(found) == [n for n in names(every) if n not in gone]


def test_a_budget_leaves_out_no_rule_of_the_data() -> None:
    rules = ["low", "variance-low", "precision-high", "detail-low"]
    found = expand(sweep(rules, budget=[0, 10], exclude=[{"budget": 0}]))
    assert [cell.factorization for cell in found.cells] == rules
    left = expand(sweep(rules, budget=10, exclude=[{"factorization": "detail-low"}]))
    assert [cell.factorization for cell in left.cells] == rules[:3]


@given(
    st.lists(st.sampled_from(["low", "LLL", "HHL", "channel", "conventional", "none"]), min_size=1),
    st.sets(st.sampled_from([0, 10, 100]), min_size=1),
    st.sets(st.integers(0, 3), min_size=1),
)
@settings(max_examples=40, deadline=None)
def test_every_cell_is_a_trial_or_the_same_as_an_earlier_one(
    asked: list[str], budget: set[int], seeds: set[int]
) -> None:
    found = expand(sweep(asked, budget=sorted(budget), seeds=sorted(seeds)))
    first: dict[str, Cell] = {}
    for cell in found.cells:
        assert (cell.trial is None) != (cell.reason is None)
        assert cell.trial is not None
        earlier = first.setdefault(cell.trial.id, cell)
        assert cell.same_as == (None if earlier is cell else earlier.factorization)
    assert [t.id for t in found.trials] == list(first)
    mapped = [t for t in found.trials if t.budget is not None]
    assert len(found.pretrainings) == len({t.seed for t in mapped})


WRONG_OVERRIDES: list[tuple[dict[str, Any], str]] = [
    ({"model": {"size": 8}}, "`recipe.model.size` cannot be overridden"),
    ({"model": {"flow": "glow"}}, "`recipe.model.flow` cannot be overridden"),
    ({"model": 3}, "`recipe.model` holds keys and values, not 3"),
    ({"model": {"splits": 4}}, "recipe realnvp/tiny on photos16: `model`: 4 splits do not fit"),
    ({"modle": {}}, "recipe realnvp/tiny on photos16: unknown key `modle`: did you mean 'model'?"),
    ({"optimization": {"lr": 1}}, "recipe realnvp/tiny on photos16: unknown key `optimization.lr`"),
    ({"optimization": {"learning_rate": float("inf")}}, "recipe realnvp/tiny on photos16: `opti"),
    (
        {"model": {"splits": True}},
        "recipe realnvp/tiny on photos16: `model.splits`: input should be ",
    ),
    ({"model": {"architecture": {"width": True}}}, "recipe realnvp/tiny on photos16: `model.arch"),
    ({"optimization": {"betas": [1.5, 2]}}, "recipe realnvp/tiny on photos16: `optimization.betas"),
    ({"training": {"select": "best"}}, "recipe realnvp/tiny on photos16: `training`: `select: "),
]


@pytest.mark.parametrize(("override", "message"), WRONG_OVERRIDES)
def test_a_wrong_override_is_a_user_error(override: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        expand(sweep("channel", recipe=override))
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


BUILT = {flow for flow in catalog.flows() if catalog.profiles(flow)}


@pytest.mark.parametrize("name", catalog.shipped_specs())
def test_a_shipped_sweep_expands(name: str) -> None:
    found = expand(spec.load(name))
    assert found.trials
    for cell in found.cells:
        lacking = cell.flow not in BUILT
        expected = f"the flow {cell.flow} is not in this version" if lacking else None
        assert (cell.reason, cell.unavailable) == (expected, lacking)


def test_every_word_is_written_out_by_the_recipe() -> None:
    found = expand(sweep(["words", "low"], dataset=["photos8", "photos16"], budget=10))
    asked = [c.factorization for c in found.cells if c.dataset == "photos8"]
    assert asked == [*words(2), "low"]
    assert [c.factorization for c in found.cells if c.dataset == "photos16"] == [*EIGHT, "low"]
    assert [c.same_as for c in found.cells][-1] == "LLL"
    left = expand(sweep(["words", "random"], budget=10, exclude=[{"factorization": "words"}]))
    assert [c.factorization for c in left.cells] == ["random"]
    none = expand(sweep("words", budget=10, recipe={"model": {"splits": 0}}))
    assert reasons(none) == ["the recipe has no split; only `none` can be run on it"]


SHORT = {"training": {"steps": 100}}
SWAPPED = {"model": {"architecture": {"masks": "even-first"}}}


def overlaid(recipes: list[dict[str, Any]], factorization: Any) -> Expansion:
    matrix = {"flow": "realnvp", "dataset": "photos16", "budget": 10}
    matrix |= {"factorization": factorization, "recipe": recipes}
    return expand(spec.check({"name": "x", "matrix": matrix}, "here"))


def test_variations_of_the_recipe_are_an_axis() -> None:
    found = overlaid([{}, SHORT, SWAPPED], ["channel", "low"])
    assert [c.overlay for c in found.cells] == [
        *([""] * 2),
        *(["training.steps=100"] * 2),
        *(["model.architecture.masks=even-first"] * 2),
    ]
    assert len({t.id for t in found.trials}) == 6
    lengths = len(found.pretrainings)
    assert lengths == 2, "a length of training shares its pretraining, another flow has its own"


def test_map_options_are_another_experiment_for_words_alone() -> None:
    options: list[dict[str, Any]] = [
        {},
        *({"maps": {"score": score}} for score in ("normalized", "total")),
        {"maps": {"order": "rank"}},
        {"maps": {"nms": "flat"}},
        {"maps": {"masks": "swapped"}},
    ]
    found = overlaid(options, ["channel", "low"])
    low = [c.trial for c in found.cells if c.factorization == "low" and c.trial]
    assert len({t.id for t in low}) == len(options)
    assert len({t.recipe.id for t in low}) == 1
    assert len({t.map_options for t in low}) == len(options)
    assert low[0].map_options is None
    channel = [c for c in found.cells if c.factorization == "channel"]
    assert [c.same_as for c in channel] == [None, *(["channel"] * (len(options) - 1))]
    assert len({t.pretraining.id for t in low if t.pretraining}) == 3, "scores and order share one"


def test_swapped_masks_share_the_pretraining_of_the_swapped_flow() -> None:
    """The map that a swapped pretraining makes is the one that the swapped flow would read."""
    (by_option,) = overlaid([{"maps": {"masks": "swapped"}}], "low").pretrainings
    (by_flow,) = overlaid([SWAPPED], "low").pretrainings
    (plain,) = overlaid([{}], "low").pretrainings
    assert by_option == by_flow != plain
    (back,) = overlaid([SWAPPED | {"maps": {"masks": "swapped"}}], "low").pretrainings
    assert back == plain
