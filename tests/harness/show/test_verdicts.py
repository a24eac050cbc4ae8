"""Verdicts on results whose truth is known."""

import io
import json
import shlex
from collections import namedtuple
from dataclasses import fields

import numpy as np
import pytest
from rich.console import Console
from scipy import special, stats

from lcma import connect
from lcma.db import JobFacts
from lcma.harness.cli import main as cli
from lcma.harness.results import claims
from lcma.harness.results.claims import CLAIMS, LOOKS, PLAN
from lcma.harness.results.statistics import seeds_needed
from lcma.harness.results.verdicts import (
    LOOK_LEVEL,
    SeededContrast,
    make_verdicts,
    read_verdicts,
    repeat_p,
)
from lcma.harness.show.board import judge_low
from lcma.harness.show.verdicts import (
    describe_verdict,
    next_command,
    render_verdicts,
    verdicts_as_dict,
)
from lcma.sweeps import catalog, factorizations
from lcma.sweeps.expansion import Trial
from tests.harness.show.synthetic import BASE, DEMO, DIGEST, board, bodies, rows

SPREAD = (-0.011, 0.004, 0.017, -0.006, 0.002, -0.009, 0.008, -0.005)
"""Deviations that add up to zero, except for the last two seeds."""


effort = namedtuple(
    "effort",
    "recipe_id data_digest factorization budget map_options seed started cpu_seconds "
    "pretraining_cpu_seconds",
    defaults=(None,),
)


def deviation(seed):
    return SPREAD[seed % len(SPREAD)]


def shifted(shift, seeds=6, spread=1.0, base="checkerboard-even", first=0):
    """`low` and the conventional one, apart by a shift with the spread above."""
    some = range(first, first + seeds)
    own = {seed: 4.0 + 0.1 * seed for seed in some}
    return {base: own, "LLL": {s: own[s] + shift + spread * deviation(s) for s in some}}


def found(bits, bar=9.0, **more):
    return {one.claim.key: one for one in make_verdicts(board(rows(bits, **more), bar)).all}


@pytest.mark.parametrize(
    ("shift", "spread", "seeds", "decision", "why"),
    [
        (-0.1, 1.0, 6, "supported", "the whole interval is below zero"),
        (-0.1, 1.0, 5, "undecided", "seeds 0 to 5 decide first"),
        (0.1, 1.0, 6, "opposite", "the whole interval is above zero"),
        (-0.005, 1.0, 6, "undecided", "the interval contains zero"),
    ],
)
def test_the_rule(shift, spread, seeds, decision, why):
    one = found(shifted(shift, seeds, spread))["low-conventional"]
    assert (one.decision, one.n, one.why) == (decision, seeds, why)
    differences = [shift + spread * SPREAD[seed] for seed in range(seeds)]
    expected = stats.ttest_1samp(differences, 0.0)
    interval = expected.confidence_interval(1 - LOOK_LEVEL)
    assert one.test.mean == pytest.approx(np.mean(differences))
    assert (one.test.low, one.test.high) == pytest.approx((interval.low, interval.high))


@pytest.mark.parametrize(
    ("there", "n"),
    [(range(11), 6), (range(12), 12), (range(60), 48), (range(1, 30), 29)],
)
def test_seeds_wait_for_the_next_look(there, n):
    """Seeds beyond a look count for nothing, whatever they say; without the first none decides."""
    differences = {seed: -0.1 + deviation(seed) if seed < n else 9.0 for seed in there}
    bits = {"checkerboard-even": dict.fromkeys(there, 4.0)}
    bits["LLL"] = {seed: 4.0 + one for seed, one in differences.items()}
    one = found(bits)["low-conventional"]
    assert one.n == n
    assert one.decision == ("undecided" if there[0] else "supported")


def test_all_effects_of_a_claim_are_judged_at_the_look_that_all_its_rows_have():
    bits = shifted(-0.1, 12)
    bits["checkerboard-odd"] = {
        s: b + 0.1 + deviation(s + 1) for s, b in bits["LLL"].items() if s < 8
    }
    one = found(bits)["low-better-phase"]
    assert [len(c.by_seed) for c in one.comparisons] == [12, 8]
    assert (one.decision, one.n) == ("supported", 6)


def test_a_seed_that_diverged_counts_as_the_worst_of_its_row():
    bits = shifted(-0.1)
    del bits["LLL"][3]
    facts = {one.name: BASE.get(one.name) for one in fields(JobFacts)}
    facts |= {"state": "diverged", "outcome": "diverged", "factorization": "LLL"}
    lost = JobFacts(**{**facts, "budget": 100, "seed": 3})
    (one,) = make_verdicts(board(rows(bits), lost=[lost])).all
    assert one.decision == "undecided", "the worst of `low` is worse than its pair"
    assert one.comparison.by_seed[3] == pytest.approx(max(bits["LLL"].values()) - 4.3)
    assert (
        "Diverged, so counted as the worst value of its row: low (LLL) seed 3"
        in describe_verdict(one)
    )


def test_from_twelve_seeds_on_the_sign_flip_test_has_to_agree():
    """A seed far off on the claim's side makes t certain, and no sign-flip test."""
    steady = {seed: -0.02 + 0.001 * (seed % 3) for seed in range(12)}
    mixed = steady | {0: 0.019, 1: 0.018, 2: 0.0185}
    bits = {"checkerboard-even": dict.fromkeys(range(12), 4.0)}
    for differences, decision in ((steady, "supported"), (mixed, "undecided")):
        bits["LLL"] = {seed: 4.0 + one for seed, one in differences.items()}
        assert found(bits)["low-conventional"].decision == decision


def test_claims_of_one_choice_are_corrected_together():
    """Three claims whose p is just below the level: Holm makes it three times as much."""
    differences = np.array([-0.06, -0.05, -0.23, -0.06, -0.1, -0.15])
    bits = {name: dict.fromkeys(range(6), 4.0) for name in DEMO if name not in ("LLL", "HHH")}
    bits["LLL"] = {seed: 4.0 + d for seed, d in enumerate(differences)}
    p = stats.ttest_1samp(differences, 0.0).pvalue
    assert LOOK_LEVEL > p > 0.05 / 4
    many = found(bits)["low-random-local"]
    assert (many.p, many.holm_p, many.family_size) == pytest.approx((p, 3 * p, 3))
    bits["random-lattice"] = bits["random"]
    four = found(bits)["low-random-local"]
    assert four.holm_p == pytest.approx(4 * p)
    assert (many.decision, four.decision) == ("supported", "undecided")
    assert "What would decide it: at least 12 seeds: " in describe_verdict(four)


def test_an_interval_can_exclude_the_printed_gain():
    """RealNVP on CIFAR-10: the paper prints -0.06."""
    of = {"dataset": "cifar10-16"}
    assert found(shifted(-0.002), **of)["low-conventional"].decision == "smaller than printed"
    wide = found(shifted(-0.002, spread=8.0), **of)["low-conventional"]
    assert wide.decision == "undecided"
    assert wide.source == "our transfer of LCMA, Tables 1 and 2"
    assert found(shifted(-0.02), **of)["low-conventional"].decision == "supported"


@pytest.mark.parametrize(
    ("shift", "spread", "decision"),
    [
        (0.012, 0.3, "equal"),
        (-0.023, 1.0, "undecided"),
        (0.06, 1.0, "not equal"),
    ],
)
def test_self_is_equal_to_low_within_the_margin(shift, spread, decision):
    bits = shifted(0.0)
    bits["self"] = {seed: b + shift + spread * SPREAD[seed] for seed, b in bits["LLL"].items()}
    one = found(bits)["self-low"]
    assert one.decision == decision
    assert abs(one.test.mean) == pytest.approx(abs(shift), abs=1e-3), "the difference itself"


@pytest.mark.parametrize(
    ("shift", "lead", "low", "conventional"),
    [
        (-0.01, 0.0, "supported", "supported"),
        (-0.01, 0.07, "opposite", "opposite"),
        (-0.06, 0.0, "supported", "opposite"),
        (0.06, 0.0, "opposite", "supported"),  # by the conventional one, a pattern itself
    ],
)
def test_patterns_are_compared_with_the_margin_together(shift, lead, low, conventional):
    bits = shifted(shift, spread=0.2)
    for name, ahead in (("keep-ab", lead), ("keep-ac-bd-cd", -0.05), ("checkerboard-odd", -0.1)):
        bits[name] = {s: b - ahead + 0.2 * SPREAD[s] for s, b in bits["LLL"].items()}
    made = found(bits)
    assert made["low-patterns"].decision == low
    assert made["conventional-patterns"].decision == conventional
    assert len(made["low-patterns"].comparisons) == 4
    assert len(made["conventional-patterns"].comparisons) == 3
    del bits["keep-ab"], bits["keep-ac-bd-cd"]
    assert not {"low-patterns", "conventional-patterns"} & set(found(bits))  # none searched


def in_order(names, gap, seeds=6):
    return {
        name: {seed: 4 + gap * k + 0.05 * seed + SPREAD[(seed + k) % 8] for seed in range(seeds)}
        for k, name in enumerate(names)
    }


def test_orders_of_tables_three_and_four():
    third = ("LLL", "checkerboard-even", "random", "HHH")
    assert found(in_order(third, 0.1))["table3-order"].decision == "supported"
    other = ("LLL", "random", "checkerboard-even", "HHH")
    one = found(in_order(other, 0.1))["table3-order"]
    assert (one.decision, one.comparison.name) == ("opposite", "conventional - random")
    words = tuple(reversed(factorizations.words(3)))
    assert found(in_order(words, 0.1))["table4-order"].decision == "supported"
    assert found(in_order(words, 0.001))["table4-order"].decision == "undecided"
    assert "table4-order" not in found(in_order(words[:-1], 0.1))


def test_which_split_carries_the_gap():
    def words(effects):
        return {
            word: {
                seed: 4
                + sum(e * (c == "H") for e, c in zip(effects, word, strict=True))
                + SPREAD[(seed + k) % 8] / 10
                for seed in range(6)
            }
            for k, word in enumerate(factorizations.words(3))
        }

    one = found(words((0.3, 0.05, 0.0)))["first-split"]
    assert one.decision == "supported"
    effects = [c.by_seed for c in one.comparisons]
    assert [np.mean(list(e.values())) for e in effects] == pytest.approx(
        [-0.3, -0.25, -0.3], abs=5e-3
    )


def test_low_is_taken_at_the_best_budget_by_holdout():
    """Of those under which all rows of a claim have results; and none with fewer seeds."""
    bits = shifted(-0.1, 12) | {"random": {seed: 4.5 + 0.1 * seed for seed in range(12)}}
    bits["HHH"] = {seed: one + 0.9 for seed, one in bits["LLL"].items()}
    long = {"LLL": {seed: one - 0.1 for seed, one in bits["LLL"].items()}}
    results = rows(bits) + rows(long, budget=500)

    def held(better, seeds=6):
        values = {b: dict.fromkeys(range(seeds), 4.0 + (b != better)) for b in (100, 500)}
        holdout = board([row for b, one in values.items() for row in rows({"LLL": one}, budget=b)])
        return {group.key: group for group in holdout.groups}

    def judged(results, *better):
        made = make_verdicts(board(results), held(*better))
        return {one.claim.key: one for one in made.all}

    assert judged(results, 500)["low-conventional"].cells.budget == 500
    said = [judge_low(board(results).groups[0], held(better))[1] for better in (100, 500)]
    assert ["after 100 pre" in one for one in said] == [True, False]
    assert judged(results, 100)["low-conventional"].cells.budget == 100
    assert judged(results, 500)["table3-order"].cells.budget == 100, "where all have results"
    assert judged(results, 100, 5)["low-conventional"].cells.budget == 500
    fewer = [row for row in results if row["budget"] != 500 or row["seed"] < 6]
    one = judged(fewer, 500)["low-conventional"]
    assert (one.decision, one.why) == (
        "undecided",
        "low after 100 pretraining steps has more seeds",
    )
    assert one.next.seeds == 12


def test_whether_faces_gain_more():
    one = rows(shifted(-0.3), dataset="celeba64-16", data_digest="f" * 64)
    other = rows(shifted(-0.1, spread=0.5), dataset="cifar10-16")
    of_large = {"dataset": "cifar10", "data_digest": "e" * 64, "size": 32, "recipe_id": "9" * 20}
    made = make_verdicts(board(one + other + rows(shifted(0.0), **of_large)))
    (claim,) = (one for one in made.all if one.claim.key == "faces")
    assert claim.decision == "supported"
    assert claim.test.mean == pytest.approx(-0.2, abs=0.01)
    assert [cells.group.size for cells in claim.members] == [16, 16], "only of one size"


def test_a_part_of_a_plan_compares_two_sets_once():
    few = rows(shifted(-0.3, 12), dataset="cifar10-800", data_digest="f" * 64, budget=1000)
    many = rows(shifted(-0.1, 12, spread=0.5), dataset="cifar10-45000", budget=1000)
    recipe = {"recipe_id": next(part.recipe for part in PLAN if part.name == "C") + "0" * 12}
    made = make_verdicts(board([row | recipe for row in few + many]))
    (verdict,) = (verdict for verdict in made.all if verdict.claim.key == "few-images")
    assert (verdict.decision, verdict.n, verdict.family_size) == ("supported", 12, 1)
    assert verdict.test.mean == pytest.approx(-0.2, abs=0.01)
    assert verdict.comparison.name == ("low - conventional on cifar10-800 minus on cifar10-45000")


def test_a_part_of_a_plan_is_judged_on_its_own_seeds():
    part = next(one for one in PLAN if one.name == "B")
    bits = shifted(0.5, 12) | {"random-lattice": shifted(0.5, 12)["LLL"]}
    later = shifted(-0.1, 24, first=12)
    for name, by_seed in later.items():
        bits[name] |= by_seed
    bits["random-lattice"] |= {s: b + 0.1 + deviation(s + 1) for s, b in later["LLL"].items()}
    more = {"recipe_id": part.recipe + "0" * 12, "dataset": "cifar10-16"}
    made = make_verdicts(board(rows(bits, budget=1000, **more)))
    one = next(one for one in made.all if one.claim.key == "low-random-lattice")
    assert (one.decision, one.n, one.comparison.first) == ("supported", 24, 12)
    assert "n = 24 from seed 12 on" in describe_verdict(one)
    own = next(one for one in made.all if one.claim.key == "low-conventional")
    assert (own.n, own.comparison.first) == (24, 0)
    assert own.family != one.family
    assert one.family_size == len(part.claims) == 4, "low-tied is not trained yet"
    assert one.holm_p == pytest.approx(4 * one.p)


def test_a_verdict_is_confirmatory_where_all_trainings_began_after_the_claim():
    made = board(rows(shifted(-0.1, 7)))

    def judged(starts):
        efforts = [
            effort("r" * 20, DIGEST, name, budget, None, seed, start, 36.0)
            for seed, start in enumerate(starts)
            for name, budget in (("LLL", 100), ("checkerboard-even", None))
        ]
        (one,) = make_verdicts(made, efforts=efforts).all
        return one.confirmatory

    assert judged([claims.CLAIMS_TIME + 1] * 6 + [0.0]), "the seventh seed does not count yet"
    assert not judged([claims.CLAIMS_TIME + 1] * 5 + [claims.CLAIMS_TIME - 1])
    assert not make_verdicts(made).all[0].confirmatory, "nothing is known of its trainings"


def test_the_next_look_or_out_of_reach():
    efforts = [effort("r" * 20, DIGEST, "LLL", 100, None, 0, 0.0, 1800.0, 600.0)]
    made = board(rows(shifted(-0.006)))
    (one,) = make_verdicts(made, efforts=efforts).all
    needed = seeds_needed(one.test.mean, one.test.deviation, LOOK_LEVEL)
    assert 24 < needed <= 48
    assert (one.next.seeds, one.next.trainings, one.next.hours) == (48, 84, 49.0)
    assert "it: 48 seeds: 84 trainings more, about 49.0 core-hours" in describe_verdict(one)
    high = {"HHH": dict.fromkeys(range(48), 4.5)}  # which has read the same maps
    both = make_verdicts(board(rows(shifted(-0.006) | high)), efforts=efforts).all
    assert next(one.next.hours for one in both if one.claim.key == "low-conventional") == 42.0
    (far,) = make_verdicts(board(rows(shifted(-0.003)))).all
    assert far.next is None
    assert "out of reach" in describe_verdict(far)
    assert next_command(far) is None
    (few,) = make_verdicts(board(rows(shifted(-0.1, 4)))).all
    assert few.next.seeds == 6
    by_shine = make_verdicts(board(rows(shifted(-0.1) | {"HHH": {0: 4.5}})))
    ranking = next(one for one in by_shine.all if one.claim.key == "ranking")
    assert (ranking.next.seeds, ranking.next.trainings) == (6, 5)


def test_models_that_miss_their_bars_are_apart():
    made = make_verdicts(board(rows(shifted(-0.1)), bar=4.2))
    assert made.verdicts == ()
    assert {one.decision for one in made.apart} == {"supported"}
    assert "no verdicts on the published numbers" in shown(made, "low-conventional")
    assert make_verdicts(board(rows(shifted(-0.1)), bar=None)).verdicts == ()
    assert make_verdicts(board(rows(shifted(-0.1)))).apart == ()


def test_only_the_published_recipe_on_the_whole_set_has_verdicts_on_published_numbers():
    def one(files="official", **more):
        made = make_verdicts(board(rows(shifted(-0.1), dataset="cifar10", **more), files=files))
        (found,) = (v for v in verdicts_as_dict(made)["verdicts"])
        return found

    tiny, paper = one(), one(profile="paper")
    assert (tiny["on_published"], paper["on_published"]) == (False, True)
    for other in ("2,000 of 60,000 images", "other files", None):
        part = one(other, profile="paper")
        assert not part["on_published"], other
        assert "-0.06 for other images, so this is no verdict on that number" in part["sentence"]
        assert part["source"].startswith("our transfer of LCMA")
    assert tiny["printed"] == paper["printed"] == pytest.approx(-0.06)
    assert "no verdict on that number" not in paper["sentence"]
    assert paper["source"] == "LCMA, Tables 1 and 2"


def shown(made, claim=None, width=100):
    console = Console(width=width, file=io.StringIO())
    console.print(render_verdicts(made, claim))
    return " ".join(console.file.getvalue().split())


def test_counts_by_claim_and_one_claim_in_full():
    recipes = [
        catalog.recipe("realnvp", "photos16", "tiny", {"training": {"steps": 250}} | changed)
        for changed in ({}, {"model": {"architecture": {"masks": "even-first"}}})
    ]
    both = zip(recipes, (-0.1, 0.1), strict=True)
    results = [one for recipe, by in both for one in rows(shifted(by), recipe_id=recipe.id)]
    made = make_verdicts(board(results, recipes=bodies(*recipes)))
    counts = shown(made)
    assert "own rule (low-conventional) supported 1 (100 test images), opposite 1" in counts
    assert "2 of 2 verdicts are exploratory" in counts
    said = shown(made, "low-conventional")
    assert "photos16 realnvp masks=odd-first 250 ~ -0.100 ± 0.015 6" in said
    for part in (
        "photos16 (u8), realnvp, tiny: 250 steps, 3 splits, 16x16 pixels, 100 test images, budget",
        "low - conventional: -0.1005 [-0.1159, -0.0851] bits/dim, n = 6, sign-flip p 0.031: ",
    ):
        assert part in said, part
    assert "lcma launch words" in shown(made, "table4-order")


@pytest.mark.integration
def test_deciding_launches_include_existing_trials(in_tmp, capsys):
    """A claim of each kind with three seeds: the launch plans the same trials, to the next look."""
    words = {word: {s: 4.0 + SPREAD[s] for s in range(3)} for word in factorizations.words(3)}
    more = ("random-lattice", "low-tied", "low-global", "self", "online", "rows")
    bits = {name: {s: 4.0 + SPREAD[s] for s in range(3)} for name in (*DEMO, *more)} | words
    recipe = catalog.recipe("realnvp", "photos16", "tiny", {"training": {"steps": 250}})
    reading = {"low-tied", "low-global", "self"}
    results = rows(bits, recipe_id=recipe.id)
    results = [r | ({"budget": 100} if r["factorization"] in reading else {}) for r in results]
    results += rows({"LLL": bits["LLL"]}, budget=500, recipe_id=recipe.id)
    made = make_verdicts(board(results, recipes=bodies(recipe)))
    keys = {one.claim.key for one in made.all}
    assert keys == set(CLAIMS) - {
        *("low-variance-low", "low-patterns", "conventional-patterns", "faces", "few-images"),
    }
    for one in made.all:
        assert one.decision == "undecided"
        (command,) = next_command(one).split(" && ")
        program, verb, *arguments = shlex.split(command)
        assert (program, verb) == ("lcma", "launch")
        with pytest.raises(SystemExit) as end:
            cli.main(["plan", *arguments, "--json"])
        assert not end.value.code, command
        planned = json.loads(capsys.readouterr().out)["cells"]
        rules = {claims.name_rule(row) for _, row in one.rows}
        assert {cell["seed"] for cell in planned} == set(range(6)), command
        assert len({cell["canonical"] for cell in planned}) == len(rules), command
        low = Trial(
            recipe=recipe,
            profile="tiny",
            dataset="photos16",
            variant="u8",
            factorization="LLL",
            seed=0,
            budget=one.cells.budget,
        )
        there = {cell["trial_id"] for cell in planned}
        assert low.id in there or "low" not in rules, command


def test_a_command_for_images_prepared_elsewhere_has_their_shape():
    recipe = catalog.recipe("realnvp", "photos16", "tiny", {"training": {"steps": 250}})
    results = rows(shifted(-0.1, 5), dataset="faces", recipe_id=recipe.id)
    (one,) = make_verdicts(board(results, recipes=bodies(recipe))).all
    command = next_command(one)
    assert "--profile tiny --dataset faces" in command
    assert command.endswith("--set training.steps=250")
    unknown = found(shifted(-0.1, 5))["low-conventional"]
    assert next_command(unknown) == "6 seeds of a recipe that no profile here makes"


# How often the rule is wrong


def campaigns(draw, count, rng):
    """Paired differences of so many campaigns, and the p of each look."""
    differences = draw(rng, (count, LOOKS[-1]))
    p, means = [], []
    for n in LOOKS:
        some = differences[:, :n]
        mean = some.mean(axis=1)
        t = mean / some.std(axis=1, ddof=1) * np.sqrt(n)
        p.append(2 * special.stdtr(n - 1, -np.abs(t)))
        means.append(mean)
    return differences, np.array(p), np.array(means)


@pytest.mark.integration
def test_four_looks_together_have_a_level_of_five_percent():
    rng = np.random.default_rng(5)
    _, p, _ = campaigns(np.random.Generator.standard_normal, 400_000, rng)
    rate = (p.min(axis=0) <= LOOK_LEVEL).mean()
    assert rate == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / 400_000))
    for looks in (2, 3, 4):
        least = p[:looks].min(axis=0)
        for one in (0.3, 0.05, LOOK_LEVEL, 0.002):
            expected = (least <= one).mean()
            error = 3 * np.sqrt(expected / 400_000)
            assert repeat_p(one, looks) == pytest.approx(expected, abs=error + 0.002 * expected)


def draw_heavy(rng, shape):
    return rng.standard_t(3, shape)


def draw_reference(rng, shape):
    """All differences of the reference with twelve seeds or more, centred, drawn anew."""
    known = {}
    for one in read_verdicts(connect("reference")).all:
        for comparison in one.comparisons if one.unit == "bits/dim" else ():
            if comparison.last_look >= 12:
                values = np.array(list(comparison.by_seed.values()))
                around = (values - values.mean()) / values.std(ddof=1)
                known[tuple(around.round(6))] = around
    return rng.choice(np.concatenate(list(known.values())), shape)


@pytest.mark.integration
@pytest.mark.parametrize("draw", [np.random.Generator.standard_normal, draw_heavy, draw_reference])
def test_false_support_is_rare_however_often_one_looks(draw):
    """20,000 campaigns, looked at after every seed from 6 to 60: the looks are the same four."""
    rng = np.random.default_rng(11)
    count = 20_000
    differences, p, means = campaigns(draw, count, rng)
    shown = (p <= LOOK_LEVEL) & (means < 0)

    def supported(index, n):
        seen = SeededContrast("", dict(enumerate(differences[index, :n])))
        return seen.upper_end < 0 and seen.flips_agree

    # By look and not by campaign, since the signs of one number of seeds are drawn once.
    false = {
        index
        for n, some in zip(LOOKS, shown, strict=True)
        for index in np.flatnonzero(some)
        if supported(index, n)
    }
    assert len(false) / count <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / count)
    chosen = {*sorted(false)[:5], *range(20)}
    ever = {i for n in range(6, LOOKS[-1] + 1) for i in chosen if supported(i, n)}
    assert ever == false & chosen
