"""Verdicts on results whose truth is known."""

import io
import json
import shlex

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from lcma.harness.cli import main as cli
from lcma.harness.report.verdicts import (
    list_decisions,
    next_command,
    render_verdicts,
    verdict_sentence,
    verdicts_as_dict,
    verdicts_as_markdown,
)
from lcma.harness.results.statistics import seeds_needed
from lcma.harness.results.verdicts import make_verdicts
from lcma.sweeps import catalog, factorizations
from lcma.sweeps.expansion import Trial
from tests.harness.report.synthetic import DEMO, board, bodies, noisy, rows

SPREAD = (-0.011, 0.004, 0.017, -0.006, 0.002, -0.009, 0.008, -0.005)
"""Deviations that add up to zero, but for the last two seeds."""


def shifted(shift, seeds=6, spread=1.0, base="checkerboard-even"):
    """`low` and the conventional one, apart by a shift with the spread above."""
    own = {seed: 4.0 + 0.1 * seed for seed in range(seeds)}
    low = {seed: own[seed] + shift + spread * SPREAD[seed] for seed in range(seeds)}
    return {base: own, "LLL": low}


def found(bits, bar=9.0, **more):
    made = make_verdicts(board(rows(bits, **more), bar))
    return {one.claim.key: one for one in (*made.verdicts, *made.apart)}


@pytest.mark.parametrize(
    ("shift", "spread", "seeds", "decision", "why"),
    [
        (-0.1, 1.0, 6, "supported", "wholly below zero"),
        (-0.1, 1.0, 5, "undecided", "fewer than 6 seeds"),
        (0.1, 1.0, 6, "refuted", "wholly above zero"),
        (0.1, 1.0, 5, "undecided", "fewer than 6 seeds"),
        (0.0, 0.3, 6, "refuted", "wholly within 0.01 bits/dim of zero"),
        (-0.004, 0.1, 6, "refuted", "wholly within 0.01 bits/dim of zero"),
        (-0.005, 1.0, 6, "undecided", "contains zero"),
        (0.0, 10.0, 6, "undecided", "contains zero"),
    ],
)
def test_the_rule(shift, spread, seeds, decision, why):
    one = found(shifted(shift, seeds, spread))["low-conventional"]
    assert (one.decision, one.n) == (decision, seeds)
    assert why in one.why
    differences = [shift + spread * SPREAD[seed] for seed in range(seeds)]
    expected = stats.ttest_1samp(differences, 0.0)
    interval = expected.confidence_interval(0.95)
    test = one.comparison.test
    assert test.mean == pytest.approx(np.mean(differences))
    assert (test.low, test.high) == pytest.approx((interval.low, interval.high))


def test_a_t_test_alone_supports_nothing():
    """Two seeds a little the other way: t says 0.03, the exact test of six seeds 8 / 64."""
    shifts = (-0.1, -0.1, -0.1, -0.1, 0.005, 0.002)
    own = dict.fromkeys(range(6), 4.0)
    low = {seed: 4.0 + shift for seed, shift in enumerate(shifts)}
    one = found({"checkerboard-even": own, "LLL": low})["low-conventional"]
    assert one.comparison.test.high < 0
    assert one.t_p < 0.05
    assert one.comparison.test.sign_flip_p == pytest.approx(8 / 64)
    assert one.decision == "undecided"
    assert "sign-flip" in one.why
    assert one.seeds > 6


def test_claims_of_one_choice_are_corrected_together():
    """Three claims, p 0.03 each: Holm makes it 0.09."""
    differences = np.array([-0.02, -0.05, -0.3, -0.04, -0.1, -0.15])
    bits = {name: dict.fromkeys(range(6), 4.0) for name in DEMO if name != "LLL"}
    bits["LLL"] = {seed: 4.0 + d for seed, d in enumerate(differences)}
    p = stats.ttest_1samp(differences, 0.0).pvalue
    assert 0.02 < p < 0.05
    claims = found(bits)
    one = claims["low-random-local"]
    assert (one.t_p, one.holm_p, one.family_size) == pytest.approx((p, 3 * p, 3))
    assert one.decision == "undecided"
    assert "Holm's correction over 3 claims" in one.why
    del bits["random-local"]
    assert found(bits)["low-conventional"].holm_p == pytest.approx(2 * p)


@pytest.mark.parametrize(
    ("shift", "spread", "decision"),
    [
        (0.0, 0.5, "supported"),
        (0.012, 0.5, "supported"),
        (0.023, 1.0, "undecided"),
        (-0.023, 1.0, "undecided"),
        (0.06, 1.0, "refuted"),
        (-0.06, 1.0, "refuted"),
    ],
)
def test_self_is_equal_to_low_up_to_the_margin(shift, spread, decision):
    bits = shifted(0.0)
    bits["self"] = {seed: b + shift + spread * SPREAD[seed] for seed, b in bits["LLL"].items()}
    one = found(bits)["self-low"]
    assert one.decision == decision
    assert sorted(c.name for c in one.claim.comparisons) == [
        "low (LLL) - self - 0.024",
        "self - low (LLL) - 0.024",
    ]
    five = {name: {s: b for s, b in row.items() if s < 5} for name, row in bits.items()}
    assert found(five)["self-low"].decision == "undecided"
    said = shown(make_verdicts(board(rows(bits))), notes=False)
    assert "Of self-low it is less a margin of 0.024 bits/dim: below zero says that" in said
    assert "settings" not in said, "one says nothing about others"


@pytest.mark.parametrize(
    ("shift", "lead", "spread", "low", "conventional"),
    [
        (-0.01, 0.0, 0.3, "supported", "supported"),
        (-0.01, 0.06, 0.3, "refuted", "refuted"),
        (-0.06, 0.0, 0.3, "supported", "refuted"),
        (0.05, 0.0, 0.3, "refuted", "supported"),  # by the conventional one, a pattern itself
        (-0.01, 0.024, 1.0, "undecided", "undecided"),
    ],
)
def test_patterns_are_held_against_the_margin_all_together(shift, lead, spread, low, conventional):
    bits = shifted(shift, spread=0.3)
    for name, ahead in (("keep-ab", lead), ("keep-ac-bd-cd", -0.05), ("checkerboard-odd", -0.1)):
        bits[name] = {s: b - ahead + spread * SPREAD[s] for s, b in bits["LLL"].items()}
    claims = found(bits)
    assert claims["low-patterns"].decision == low
    assert claims["conventional-patterns"].decision == conventional
    assert len(claims["low-patterns"].claim.comparisons) == 4
    assert len(claims["conventional-patterns"].claim.comparisons) == 3
    del bits["keep-ab"], bits["keep-ac-bd-cd"]
    assert not {"low-patterns", "conventional-patterns"} & set(found(bits))  # none searched


def test_rules_beyond_the_paper_are_corrected_together():
    bits = shifted(-0.1)
    for name, shift in (("low-global", 0.1), ("variance-low", 0.05), ("online", 0.2)):
        bits[name] = {s: b + shift + SPREAD[s] for s, b in bits["LLL"].items()}
    claims = found(bits)
    decisions = {key: claims[key].decision for key in claims}
    assert decisions["low-low-global"] == decisions["low-variance-low"] == "supported"
    assert decisions["online-low"] == "refuted"
    assert {claims[key].family_size for key in ("low-low-global", "online-low")} == {3}
    assert claims["low-conventional"].family_size == 1
    of_data = {"variance-low": bits["variance-low"]}
    made = board(rows(shifted(-0.1), budget=1000) + rows(of_data, budget=0), 9.0)
    keys = {one.claim.key: one.decision for one in make_verdicts(made).verdicts}
    assert keys["low-variance-low"] == "supported", "which has no budget"


def test_the_better_phase_has_to_be_beaten_too():
    bits = shifted(-0.1)
    bits["checkerboard-odd"] = {seed: bits["LLL"][seed] - 0.1 for seed in range(6)}
    claims = found(bits)
    assert claims["low-conventional"].decision == "supported"
    assert claims["low-better-phase"].decision == "refuted"
    assert "checkerboard-odd" in claims["low-better-phase"].comparison.name


def in_order(names, gap, seeds=8):
    return {
        name: {seed: 4 + gap * k + 0.05 * seed + SPREAD[(seed + k) % 8] for seed in range(seeds)}
        for k, name in enumerate(names)
    }


def test_orders_of_tables_three_and_four():
    third = ("LLL", "checkerboard-even", "random", "HHH")
    assert found(in_order(third, 0.1))["table3-order"].decision == "supported"
    other = ("LLL", "random", "checkerboard-even", "HHH")
    one = found(in_order(other, 0.1))["table3-order"]
    assert one.decision == "refuted"
    assert one.comparison.name == "checkerboard-even - random"
    words = tuple(reversed(factorizations.words(3)))
    assert words == ("LLL", "LLH", "LHL", "LHH", "HLL", "HLH", "HHL", "HHH")
    assert found(in_order(words, 0.1))["table4-order"].decision == "supported"
    assert found(in_order(words, 0.001))["table4-order"].decision != "supported"
    assert found(in_order(words[::-1], 0.1))["table4-order"].decision == "refuted"
    assert "table4-order" not in found(in_order(words[:-1], 0.1))


@pytest.mark.parametrize(("few", "decision", "n"), [(6, "refuted", 8), (5, "undecided", 5)])
def test_a_verdict_has_the_n_of_the_comparison_that_it_shows(few, decision, n):
    """Of eight seeds a sign-flip p of 0.008 is possible, of six none below 0.031."""
    bits = in_order(("LLL", "random", "checkerboard-even", "HHH"), 0.1)
    bits["HHH"] = {seed: one for seed, one in bits["HHH"].items() if seed < few}
    one = found(bits)["table3-order"]
    shown = "checkerboard-even - random" if few == 6 else "random - high (HHH)"
    assert (one.decision, one.n, one.comparison.name) == (decision, n, shown)
    assert one.comparison.test.n == n
    assert f"n = {n}, sign-flip p {'0.008' if n == 8 else '0.062'}" in verdict_sentence(one)


def test_which_split_carries_the_gap():
    def words(effects):
        return {
            word: {
                seed: 4
                + sum(e * (c == "H") for e, c in zip(effects, word, strict=True))
                + SPREAD[(seed + k) % 8] / 10
                for seed in range(8)
            }
            for k, word in enumerate(factorizations.words(3))
        }

    assert found(words((0.3, 0.05, 0.0)))["first-split"].decision == "supported"
    assert found(words((0.05, 0.3, 0.0)))["first-split"].decision == "refuted"


def test_a_claim_is_of_the_longest_budget_under_which_all_its_rows_have_results():
    bits = shifted(-0.1) | {"random-local": {seed: 4.5 + 0.1 * seed for seed in range(6)}}
    bits["HHH"] = {seed: one + 0.3 for seed, one in bits["LLL"].items()}
    bits["random"] = {seed: one + 0.4 for seed, one in bits["LLL"].items()}
    bits["low-global"] = {seed: one + 0.2 for seed, one in bits["LLL"].items()}
    long = rows({"LLL": {seed: one - 0.1 for seed, one in bits["LLL"].items()}}, budget=500)
    found = rows(bits)
    for one in found:
        one["budget"] = 100 if one["factorization"] == "low-global" else one["budget"]
    claims = {one.claim.key: one for one in make_verdicts(board(found + long)).verdicts}
    budgets = {key: one.claim.cells.budget for key, one in claims.items()}
    assert budgets == {
        "low-conventional": 500,
        "low-random-local": 500,
        "budget": 500,
        "low-low-global": 100,
        "table3-order": 100,
    }
    assert claims["low-conventional"].comparison.test.mean == pytest.approx(-0.2, abs=0.01)
    assert claims["low-low-global"].comparison.test.mean == pytest.approx(-0.2)
    # Holm's family is that of the models, whatever the budgets of its claims.
    alone = make_verdicts(board(found))
    sizes = {one.claim.key: one.family_size for one in alone.verdicts}
    assert {key: one.family_size for key, one in claims.items() if key != "budget"} == sizes


@pytest.mark.parametrize(("moved", "decision"), [(0.1, "supported"), (0.6, "refuted")])
def test_what_the_variant_of_the_data_moves(moved, decision):
    bits = shifted(-0.1)
    more = {"dataset": "celeba64-16"}
    integers = rows(bits, variant="u8", **more)
    moved_bits = {
        name: {s: b - moved + SPREAD[(s + 1) % 6] for s, b in by.items()}
        for name, by in bits.items()
    }
    floats = rows(moved_bits, variant="float", data_digest="e" * 64, **more)
    made = make_verdicts(board(integers + floats))
    (one,) = (one for one in made.verdicts if one.claim.key == "variant")
    assert one.decision == decision
    assert "0.31" in one.claim.text
    assert one.claim.sets == ("--dataset", "celeba64-16,celeba64-16-float")


@pytest.mark.parametrize(
    ("faces", "objects", "decision"), [(-0.3, -0.1, "supported"), (-0.1, -0.2, "refuted")]
)
def test_whether_faces_gain_more(faces, objects, decision):
    of_faces = {"dataset": "celeba64-16", "data_digest": "f" * 64}
    one = rows(shifted(faces), **of_faces)
    other = rows(shifted(objects, spread=0.5), dataset="cifar10-16")
    of_large = {"dataset": "cifar10", "data_digest": "e" * 64, "size": 32, "recipe_id": "9" * 20}
    large = rows(shifted(0.0), **of_large)
    made = make_verdicts(board(one + other + large))
    (claim,) = (one for one in made.verdicts if one.claim.key == "faces")
    assert claim.decision == decision
    assert claim.comparison.test.mean == pytest.approx(faces - objects, abs=0.01)
    sizes = [cells.group.size for cells in claim.claim.members]
    assert sizes == [16, 16], "of one size alone"


def test_means_over_flows_and_data_sets():
    one = rows(shifted(-0.1))
    other = rows(shifted(-0.2), dataset="cifar10-16", data_digest="e" * 64)
    smaller = rows(shifted(0.7), dataset="cifar10-8", data_digest="f" * 64, size=8)
    whole = rows(shifted(0.8), dataset="cifar10", data_digest="0" * 64, size=32)
    glow = rows(shifted(-0.3, base="channel"), flow="glow", recipe_id="g" * 20)
    made = make_verdicts(board(one + other + smaller + whole + glow))
    claims = {one.claim.key: one for one in made.verdicts}
    assert claims["table1-mean"].comparison.test.mean == pytest.approx(-0.15, abs=0.01)
    assert claims["table2-mean"].comparison.test.mean == pytest.approx(-0.2, abs=0.01)
    assert claims["table1-mean"].decision == "supported"


def test_a_data_set_counts_once_in_a_mean_over_sets():
    """Faces as floats, of which the paper prints numbers; one length, one budget, one recipe."""
    shipped, changed = (
        catalog.recipe("realnvp", "cifar10-16", "tiny", {"training": {"steps": 250}} | more)
        for more in ({}, {"model": {"architecture": {"masks": "even-first"}}})
    )
    faces = {"dataset": "celeba64-16", "data_digest": "f" * 64}
    found = rows(shifted(-0.3), variant="float", recipe_id=shipped.id, **faces)
    found += rows(shifted(5.0), variant="u8", recipe_id=shipped.id, **faces)
    objects = {"dataset": "cifar10-16"}
    found += rows(shifted(-0.1), recipe_id=shipped.id, **objects)
    longer = {"LLL": shifted(6.0)["LLL"]}
    found += rows(longer, recipe_id=shipped.id, budget=500, **objects)
    found += rows(shifted(7.0), recipe_id=changed.id, **objects)
    found += rows(shifted(8.0), recipe_id="9" * 20, steps=1000, **objects)
    made = make_verdicts(board(found, recipes=bodies(shipped, changed)))
    (claim,) = (one for one in made.verdicts if one.claim.key == "table1-mean")
    assert "2 data sets (celeba64-16-float, cifar10-16)" in claim.claim.text
    assert claim.comparison.test.mean == pytest.approx(-0.2, abs=0.01)
    assert {cells.budget for cells in claim.claim.members} == {100}


def test_groups_without_a_seed_in_common_have_no_claim_together():
    def later(bits):
        return {name: {seed + 6: one for seed, one in by.items()} for name, by in bits.items()}

    of_faces = {"dataset": "celeba64-16", "variant": "float", "data_digest": "f" * 64}
    found = rows(shifted(-0.3), **of_faces) + rows(later(shifted(-0.1)), dataset="cifar10-16")
    found += rows(shifted(-0.1), dataset="cifar10-16", steps=1000, recipe_id="9" * 20)
    keys = {one.claim.key for one in make_verdicts(board(found)).verdicts}
    assert "faces" not in keys
    found += rows(shifted(-0.3), budget=10, **of_faces)[6:]
    found += rows({"LLL": shifted(-0.2)["LLL"]}, dataset="cifar10-16", budget=10)
    found += rows({"checkerboard-even": shifted(-0.2)["checkerboard-even"]}, dataset="cifar10-16")
    (one,) = (v for v in make_verdicts(board(found)).verdicts if v.claim.key == "faces")
    assert {cells.budget for cells in one.claim.members} == {10}, "the longest with common seeds"
    assert one.n == 6


def test_how_much_of_the_map_is_the_masks():
    bits = shifted(-0.1)
    shares = {("r" * 20, "d" * 64, 100): {seed: 0.9 + SPREAD[seed] for seed in range(6)}}
    low = {key: dict.fromkeys(by, 0.02) for key, by in shares.items()}
    longer = rows({"LLL": bits["LLL"]}, budget=500)
    for known, more, decision in (
        (shares, [], "supported"),
        (low, [], "refuted"),
        (shares, longer, "supported"),
    ):
        made = make_verdicts(board(rows(bits) + more), known)
        (one,) = (one for one in made.verdicts if one.claim.key == "mask-share")
        assert one.decision == decision
        assert one.claim.cells.budget == 100, "the longest whose maps are there"


@pytest.mark.parametrize(
    ("percent", "decision"), [(0.0, "supported"), (2.0, "undecided"), (4.0, "refuted")]
)
def test_a_step_that_is_slower_by_more_than_timings_differ_is_a_cost(percent, decision):
    bits = shifted(-0.1)
    own = {seed: 0.5 + 0.1 * seed for seed in range(6)}
    low = {seed: own[seed] * (1 + percent / 100 + SPREAD[seed] / 10) for seed in own}
    timed = board(rows({"checkerboard-even": own, "LLL": low}), bar=None)
    made = make_verdicts(board(rows(bits)), timed=timed.groups)
    (one,) = (one for one in made.verdicts if one.claim.key == "time")
    assert one.decision == decision
    assert one.comparison.test.mean == pytest.approx(percent - 2 + np.mean(SPREAD[:6]) * 10)
    assert "time" not in found(bits)


def test_models_that_do_not_clear_the_bars_stand_apart():
    made = make_verdicts(board(rows(shifted(-0.1)), bar=4.2))
    assert made.verdicts == ()
    assert {one.decision for one in made.apart} == {"supported"}
    assert "no verdicts on the published numbers" in shown(made)
    unknown = make_verdicts(board(rows(shifted(-0.1)), bar=None))
    assert unknown.verdicts == ()
    cleared = make_verdicts(board(rows(shifted(-0.1))))
    assert cleared.apart == ()


def test_only_the_published_recipe_on_the_whole_set_has_verdicts_on_published_numbers():
    def one(files="official", **more):
        made = make_verdicts(board(rows(shifted(-0.1), dataset="cifar10", **more), files=files))
        (found,) = (v for v in verdicts_as_dict(made)["verdicts"])
        return found

    tiny, paper = one(), one(profile="paper")
    assert (tiny["on_published"], paper["on_published"]) == (False, True)
    assert one("published counts", profile="paper")["on_published"]
    for other in ("2,000 of 60,000 images", "other files", None):
        part = one(other, profile="paper")
        assert not part["on_published"], other
        assert "-0.06, of other images: no verdict on that number" in part["sentence"]
    assert tiny["claim"]["printed"] == paper["claim"]["printed"] == pytest.approx(-0.06)
    assert "of other models: no verdict on that number" in tiny["sentence"]
    assert "no verdict on that number" not in paper["sentence"]
    assert paper["claim"]["source"] == "LCMA, Tables 1 and 2"


def test_a_claim_has_one_row_with_the_models_of_each_decision():
    recipes = [
        catalog.recipe("realnvp", "photos16", "tiny", {"training": {"steps": 250}} | changed)
        for changed in ({}, {"model": {"architecture": {"masks": "even-first"}}})
    ]
    both = zip(recipes, (-0.1, 0.1), strict=True)
    results = [one for recipe, by in both for one in rows(shifted(by), recipe_id=recipe.id)]
    judged = make_verdicts(board(results, recipes=bodies(*recipes)))
    few = "(1 on fewer than 1,000 test images)"
    assert shown(judged, notes=False).startswith(
        f"low against the usual rule, in 2 settings: better in 1 {few}, worse in 1 {few}. "
    )
    made = list_decisions(judged)
    (low,) = [row for row in made.rows if row[1] == "low-conventional"]
    assert low == (
        "low gives fewer bits/dim than conventional",
        "low-conventional",
        "realnvp tiny 250 masks=odd-first -0.100 ± 0.011 (n 6)",
        "realnvp tiny 250 masks=even-first +0.099 ± 0.011 (n 6)",
        None,
    )


def shown(made, width=100, **more):
    console = Console(width=width, file=io.StringIO())
    console.print(render_verdicts(made, **more))
    return " ".join(console.file.getvalue().split())


def test_a_sentence_says_all():
    made = make_verdicts(board(rows(shifted(-0.1))))
    text = shown(made)
    (one,) = made.verdicts
    for part in (
        "supported: low gives fewer bits/dim than conventional (checkerboard-even)",
        "photos16 (u8), realnvp, tiny, 250 steps, 3 splits, budget 100",
        "-0.1005 [-0.1115, -0.0895] bits/dim, n = 6, sign-flip p 0.031",
        f"smallest effect that 6 seeds show with 80 % power: {one.comparison.test.detectable:.4f}",
    ):
        assert part in text, part


def every_undecided():
    """A claim of each kind, and the recipes that they are about."""
    words = {word: {s: 4.0 + SPREAD[s] for s in range(3)} for word in factorizations.words(3)}
    bits = {name: {s: 4.0 + SPREAD[s] for s in range(3)} for name in DEMO} | words
    steps, rate = {"training": {"steps": 250}}, {"optimization": {"learning_rate": 0.001}}
    short, long, wide, glow = (
        catalog.recipe(flow, dataset, "tiny", settings)
        for flow, dataset, settings in (
            ("realnvp", "photos16", steps),
            ("realnvp", "photos16", {"training": {"steps": 1000}}),
            ("realnvp", "cifar10-16", steps | rate),
            ("glow", "photos16", None),
        )
    )
    found = rows(bits, recipe_id=short.id)
    found += rows({"LLL": bits["LLL"]}, budget=500, recipe_id=short.id)
    found += rows(bits, steps=1000, recipe_id=long.id)
    found += rows(bits, dataset="cifar10-16", data_digest="e" * 64, recipe_id=wide.id)
    own = {"channel": bits["random"], "LL": bits["LLL"]}
    found += rows(own, flow="glow", recipe_id=glow.id, splits=2, steps=1200)
    recipes = {recipe.id: recipe for recipe in (short, long, wide, glow)}
    made = make_verdicts(board(found, recipes={i: one.body for i, one in recipes.items()}))
    return {one.claim.key: one for one in made.verdicts}, recipes


def test_the_sweeps_that_would_decide_have_the_trials_that_are_there(in_tmp, capsys):
    claims, recipes = every_undecided()
    assert {one.decision for one in claims.values()} == {"undecided"}
    assert {"table1-mean", "table2-mean", "budget"} <= claims.keys()
    for one in claims.values():
        asked = set()
        for command in next_command(one).split(" && "):
            program, verb, *arguments = shlex.split(command)
            assert (program, verb) == ("lcma", "launch")
            with pytest.raises(SystemExit) as end:
                cli.main(["plan", *arguments, "--json"])
            assert not end.value.code, command
            planned = json.loads(capsys.readouterr().out)
            assert {cell["seed"] for cell in planned["cells"]} == set(range(one.seeds)), command
            asked |= {cell["trial_id"] for cell in planned["cells"]}
            canonical = {cell["canonical"] for cell in planned["cells"]}
            assert len(canonical) == len(one.claim.rules), command
        for cells in one.claim.members:
            recipe = recipes[cells.group.recipe_id]
            low = Trial(
                recipe=recipe,
                profile="tiny",
                dataset=cells.group.dataset,
                variant="u8",
                factorization="L" * recipe.model.splits,
                seed=0,
                budget=cells.budget,
            )
            assert low.id in asked, (one.claim.key, cells.group)


def test_what_three_seeds_would_need_is_reckoned_from_their_spread_and_said_to_be_rough():
    """At the spread of the issue that was reported: +0.015 ± 0.171 of three seeds."""
    differences = {0: 0.015 - 0.0688, 1: 0.015 + 0.0688, 2: 0.015}
    bits = {"checkerboard-even": dict.fromkeys(range(3), 4.0)}
    bits["LLL"] = {seed: 4.0 + one for seed, one in differences.items()}
    made = make_verdicts(board(rows(bits)))
    (one,) = [one for one in made.verdicts if one.claim.key == "low-conventional"]
    assert one.seeds == seeds_needed(0.015, one.comparison.test.deviation) > 100
    assert f"by the spread of these 3, a rough estimate, about {one.seeds} would" in shown(made)
    assert "At least 6 are needed" in verdicts_as_markdown(made)
    assert "at least 6 seeds; a rough number" in shown(made, notes=False)
    for seeds in (1, 4):
        assert found(shifted(-0.1, seeds))["low-conventional"].seeds == 6


def test_of_images_that_are_prepared_elsewhere_the_command_is_that_of_their_shape():
    recipe = catalog.recipe("realnvp", "photos16", "tiny", {"training": {"steps": 250}})
    results = rows(shifted(-0.1, 5), dataset="faces", recipe_id=recipe.id)
    made = make_verdicts(board(results, recipes=bodies(recipe)))
    (command,) = {next_command(one) for one in made.verdicts if one.claim.key == "low-conventional"}
    assert "--profile tiny --dataset faces" in command
    assert command.endswith("--set training.steps=250")
    unknown = found(shifted(-0.1, 5))["low-conventional"]
    assert next_command(unknown) == "6 seeds of a recipe that no profile here has"


@pytest.mark.slow
def test_error_rates_of_the_rule_at_six_seeds():
    """Of 400 databases without any effect at most 28 support anything, and of 400 with a true
    effect of two paired standard deviations at least 80 % support each claim on it."""
    rng = np.random.default_rng(20)
    deviation = 0.03

    def decisions(means):
        bits = noisy(means, 6, deviation, rng)
        longer = noisy({"LLL": means["LLL"]}, 6, deviation, rng)
        found = make_verdicts(board(rows(bits) + rows(longer, budget=50)))
        return {one.claim.key: one.decision for one in found.verdicts}

    null = [decisions(dict.fromkeys(DEMO, 4.0)) for _ in range(400)]
    assert sum("supported" in found.values() for found in null) <= 28
    choice = ("low-conventional", "low-better-phase", "low-random-local")
    for sign, word in ((-1, "supported"), (1, "refuted")):
        means = dict.fromkeys(DEMO, 4.0) | {"LLL": 4.0 + sign * 2 * deviation}
        true = [decisions(means) for _ in range(400)]
        for key in choice:
            assert sum(found[key] == word for found in true) >= 320, (key, word)
        other = "refuted" if word == "supported" else "supported"
        assert not any(found[key] == other for found in true for key in choice)
