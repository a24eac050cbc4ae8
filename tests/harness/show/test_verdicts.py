"""Verdicts on results whose truth is known."""

import json
import shlex
from collections import namedtuple
from dataclasses import fields, replace

import numpy as np
import pytest
from scipy import special, stats

from lcma import connect
from lcma.db import JobFacts
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
from lcma.harness.show.verdicts import (
    describe_reach,
    describe_verdict,
    next_command,
    render_verdicts,
    verdicts_as_dict,
)
from lcma.sweeps import catalog, factorizations
from lcma.sweeps.expansion import Trial
from lcma.sweeps.measures import KID, SHIPPED
from tests.harness.cli.conftest import output_of
from tests.harness.show.synthetic import BASE, DEMO, DIGEST, board, bodies, print_text, rows

SPREAD = (-0.011, 0.004, 0.017, -0.006, 0.002, -0.009, 0.008, -0.005)
"""Deviations by seed."""

Effort = namedtuple(
    "Effort",
    "recipe_id data_digest factorization budget map_options seed started cpu_seconds "
    "pretraining_cpu_seconds state",
    defaults=(None, "running"),
)


def deviation(seed):
    return SPREAD[seed % len(SPREAD)]


def shifted(shift, seeds=6, spread=1.0, first=0):
    """`low` and the conventional rule, apart by a shift with the spread above."""
    even = {seed: 4.0 + 0.1 * seed for seed in range(first, first + seeds)}
    low = {seed: bits + shift + spread * deviation(seed) for seed, bits in even.items()}
    return {"checkerboard-even": even, "LLL": low}


def by_claim(verdicts):
    return {verdict.claim.key: verdict for verdict in verdicts.all}


def judge(bits, bar=9.0, **columns):
    """The verdicts on the bits/dim by claim."""
    return by_claim(make_verdicts(board(rows(bits, **columns), bar)))


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
    verdict = judge(shifted(shift, seeds, spread))["low-conventional"]
    assert (verdict.decision, verdict.n, verdict.why) == (decision, seeds, why)
    differences = [shift + spread * SPREAD[seed] for seed in range(seeds)]
    interval = stats.ttest_1samp(differences, 0.0).confidence_interval(1 - LOOK_LEVEL)
    test = verdict.test
    assert test.mean == pytest.approx(np.mean(differences))
    assert (test.low, test.high) == pytest.approx((interval.low, interval.high))


@pytest.mark.parametrize(
    ("seeds", "n"),
    [(range(11), 6), (range(12), 12), (range(60), 48), (range(1, 30), 29)],
)
def test_seeds_wait_for_the_next_look(seeds, n):
    """Seeds after a look count for nothing, whatever their values; without seed 0 none decides."""
    bits = {"checkerboard-even": dict.fromkeys(seeds, 4.0)}
    bits["LLL"] = {seed: 3.9 + deviation(seed) if seed < n else 13.0 for seed in seeds}
    verdict = judge(bits)["low-conventional"]
    assert verdict.n == n
    assert verdict.decision == ("undecided" if seeds[0] else "supported")


def test_all_effects_of_a_claim_are_judged_at_the_look_that_all_its_rows_have():
    bits = shifted(-0.1, 12)
    bits["checkerboard-odd"] = {
        s: b + 0.1 + deviation(s + 1) for s, b in bits["LLL"].items() if s < 8
    }
    verdict = judge(bits)["low-better-phase"]
    assert [len(comparison.by_seed) for comparison in verdict.comparisons] == [12, 8]
    assert (verdict.decision, verdict.n) == ("supported", 6)


def test_a_seed_that_diverged_counts_as_the_worst_of_its_row():
    bits = shifted(-0.1)
    del bits["LLL"][3]
    facts = {field.name: BASE.get(field.name) for field in fields(JobFacts)}
    facts |= {"state": "diverged", "outcome": "diverged", "factorization": "LLL"}
    lost = [JobFacts(**(facts | {"budget": 100, "seed": seed})) for seed in (3, 7)]
    (former,) = make_verdicts(board(rows(bits), lost=lost)).all
    for by_seed in bits.values():
        by_seed[6] = 13.0  # it waits for the next look
    (verdict,) = make_verdicts(board(rows(bits), lost=lost)).all
    assert verdict.comparison.values == former.comparison.values
    assert verdict.decision == "undecided", "the worst of `low` is worse than its pair"
    worst = max(value for seed, value in bits["LLL"].items() if seed < 6)
    assert verdict.comparison.by_seed[3] == pytest.approx(worst - 4.3)
    note = "Diverged, so counted as the worst value of its row: low (LLL) seed 3."
    assert note in describe_verdict(verdict)


def test_a_seed_before_the_first_of_a_plan_is_not_the_worst_of_its_row():
    part = next(part for part in PLAN if part.name == "B")
    bits = shifted(-0.1, 24, first=12)
    bits["random-lattice"] = dict(bits["checkerboard-even"])
    bits["LLL"][0] = bits["random-lattice"][0] = 13.0
    del bits["LLL"][20]
    columns = {"recipe_id": part.recipe + "0" * 12, "dataset": "cifar10-16", "budget": 1000}
    facts = {field.name: BASE.get(field.name) for field in fields(JobFacts)}
    facts |= {"state": "diverged", "outcome": "diverged", "factorization": "LLL", "seed": 20}
    results = board(rows(bits, **columns), lost=[JobFacts(**(facts | columns))])
    verdict = by_claim(make_verdicts(results))["low-random-lattice"]
    worst = max(value for seed, value in bits["LLL"].items() if seed >= 12)
    assert verdict.comparison.by_seed[20] == pytest.approx(worst - bits["random-lattice"][20])


def test_from_twelve_seeds_on_the_sign_flip_test_has_to_agree():
    """Few seeds against the claim leave t certain, but not the sign-flip test."""
    steady = {seed: -0.02 + 0.001 * (seed % 3) for seed in range(12)}
    mixed = steady | {0: 0.019, 1: 0.018, 2: 0.0185}
    bits = {"checkerboard-even": dict.fromkeys(range(12), 4.0)}
    for differences, decision in ((steady, "supported"), (mixed, "undecided")):
        bits["LLL"] = {seed: 4.0 + difference for seed, difference in differences.items()}
        assert judge(bits)["low-conventional"].decision == decision


def test_claims_of_one_choice_are_corrected_together():
    """Holm's correction multiplies the p of three claims, just below the level, by three."""
    differences = np.array([-0.06, -0.05, -0.23, -0.06, -0.1, -0.15])
    bits = {name: dict.fromkeys(range(6), 4.0) for name in DEMO if name not in ("LLL", "HHH")}
    bits["LLL"] = {seed: 4.0 + d for seed, d in enumerate(differences)}
    p = stats.ttest_1samp(differences, 0.0).pvalue
    assert LOOK_LEVEL > p > 0.05 / 4
    of_three = judge(bits)["low-random-local"]
    assert (of_three.p, of_three.holm_p, of_three.family_size) == pytest.approx((p, 3 * p, 3))
    bits["random-lattice"] = bits["random"]
    of_four = judge(bits)["low-random-local"]
    assert of_four.holm_p == pytest.approx(4 * p)
    assert (of_three.decision, of_four.decision) == ("supported", "undecided")
    assert "What would decide it: at least 12 seeds: " in describe_verdict(of_four)


def test_an_interval_can_exclude_the_printed_gain():
    """RealNVP on CIFAR-10: the paper prints -0.06."""

    def judge_shift(shift, **spread):
        return judge(shifted(shift, **spread), dataset="cifar10-16")["low-conventional"]

    assert judge_shift(-0.002).decision == "smaller than printed"
    wide = judge_shift(-0.002, spread=8.0)
    assert (wide.decision, wide.source) == ("undecided", "our transfer of LCMA, Tables 1 and 2")
    assert judge_shift(-0.02).decision == "supported"


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
    verdict = judge(bits)["self-low"]
    assert verdict.decision == decision
    assert abs(verdict.test.mean) == pytest.approx(abs(shift), abs=1e-3), "the difference itself"


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
    of_low, of_conventional = (judge(bits)[f"{rule}-patterns"] for rule in ("low", "conventional"))
    assert (of_low.decision, of_conventional.decision) == (low, conventional)
    assert (len(of_low.comparisons), len(of_conventional.comparisons)) == (4, 3)
    del bits["keep-ab"], bits["keep-ac-bd-cd"]
    assert not {"low-patterns", "conventional-patterns"} & set(judge(bits))  # none searched


def in_order(names, gap):
    return {
        name: {seed: 4 + gap * k + 0.05 * seed + deviation(seed + k) for seed in range(6)}
        for k, name in enumerate(names)
    }


def test_orders_of_tables_three_and_four():
    order = ("LLL", "checkerboard-even", "random", "HHH")
    assert judge(in_order(order, 0.1))["table3-order"].decision == "supported"
    other = ("LLL", "random", "checkerboard-even", "HHH")
    verdict = judge(in_order(other, 0.1))["table3-order"]
    assert (verdict.decision, verdict.comparison.name) == ("opposite", "conventional - random")
    words = tuple(reversed(factorizations.words(3)))
    assert judge(in_order(words, 0.1))["table4-order"].decision == "supported"
    assert judge(in_order(words, 0.001))["table4-order"].decision == "undecided"
    assert "table4-order" not in judge(in_order(words[:-1], 0.1))


def test_which_split_carries_the_gap():
    costs = (0.3, 0.05, 0.0)  # of H at each split
    bits = {}
    for k, word in enumerate(factorizations.words(3)):
        mean = 4 + sum(cost for cost, letter in zip(costs, word, strict=True) if letter == "H")
        bits[word] = {seed: mean + deviation(seed + k) / 10 for seed in range(6)}
    verdict = judge(bits)["first-split"]
    assert verdict.decision == "supported"
    means = [np.mean(list(comparison.by_seed.values())) for comparison in verdict.comparisons]
    assert means == pytest.approx([-0.3, -0.25, -0.3], abs=5e-3)


def test_low_is_taken_at_the_best_budget_by_holdout():
    """Of those at which all rows of a claim have results, and none with fewer seeds."""
    bits = shifted(-0.1, 12) | {"random": {seed: 4.5 + 0.1 * seed for seed in range(12)}}
    bits["HHH"] = {seed: value + 0.9 for seed, value in bits["LLL"].items()}
    long = {"LLL": {seed: value - 0.1 for seed, value in bits["LLL"].items()}}
    results = rows(bits) + rows(long, budget=500)

    def read_holdout(better, seeds=6):
        values = {b: dict.fromkeys(range(seeds), 4.0 + (b != better)) for b in (100, 500)}
        holdout = [row for b, by_seed in values.items() for row in rows({"LLL": by_seed}, budget=b)]
        return {group.trainings: group for group in board(holdout).groups}

    def judge_by(better, results=results, **seeds):
        return by_claim(make_verdicts(board(results), read_holdout(better, **seeds)))

    assert judge_by(500)["low-conventional"].cells.budget == 500
    assert judge_by(100)["low-conventional"].cells.budget == 100
    other = [row | {"protocol": "published"} for row in results]
    assert judge_by(100, other)["low-conventional"].cells.budget == 100, "by any protocol"
    assert judge_by(500)["table3-order"].cells.budget == 100, "where all have results"
    assert judge_by(100, seeds=5)["low-conventional"].cells.budget == 500
    fewer = [row for row in results if row["budget"] != 500 or row["seed"] < 6]
    verdict = judge_by(500, fewer)["low-conventional"]
    assert verdict.decision == "undecided"
    assert verdict.why == "low after 100 pretraining steps has more seeds"
    assert verdict.next.seeds == 12


def test_an_effect_above_its_limit_does_not_refute_a_claim_of_several_alone():
    bits = shifted(0.0175)
    bits["random"] = {seed: bits + 0.5 + deviation(seed + 1) for seed, bits in bits["LLL"].items()}
    bits["HHH"] = {seed: bits + 0.5 + deviation(seed + 3) for seed, bits in bits["random"].items()}
    verdict = judge(bits)["table3-order"]
    assert verdict.decision == "undecided"
    assert verdict.why == "the interval is not above zero at the level for one of 3 effects"


def test_whether_faces_gain_more():
    faces = rows(shifted(-0.3), dataset="celeba64-16", data_digest="f" * 64)
    objects = rows(shifted(-0.1, spread=0.5), dataset="cifar10-16")
    of_large = {"dataset": "cifar10", "data_digest": "e" * 64, "size": 32, "recipe_id": "9" * 20}
    verdicts = make_verdicts(board(faces + objects + rows(shifted(0.0), **of_large)))
    verdict = by_claim(verdicts)["faces"]
    assert verdict.decision == "supported"
    assert verdict.test.mean == pytest.approx(-0.2, abs=0.01)
    assert [cells.group.size for cells in verdict.members] == [16, 16], "of one size only"


def test_a_part_of_a_plan_compares_two_sets_once():
    few = rows(shifted(-0.3, 12), dataset="cifar10-800", data_digest="f" * 64, budget=1000)
    many = rows(shifted(-0.1, 12, spread=0.5), dataset="cifar10-45000", budget=1000)
    recipe = {"recipe_id": next(part.recipe for part in PLAN if part.name == "C") + "0" * 12}
    verdict = by_claim(make_verdicts(board([row | recipe for row in few + many])))["few-images"]
    assert (verdict.decision, verdict.n, verdict.family_size) == ("supported", 12, 1)
    assert verdict.test.mean == pytest.approx(-0.2, abs=0.01)
    assert verdict.comparison.name == "low - conventional on cifar10-800 minus on cifar10-45000"


def test_a_part_of_a_plan_is_judged_on_its_own_seeds():
    part = next(part for part in PLAN if part.name == "B")
    bits = shifted(0.5, 12) | {"random-lattice": shifted(0.5, 12)["LLL"]}
    later = shifted(-0.1, 24, first=12)
    for name, by_seed in later.items():
        bits[name] |= by_seed
    bits["random-lattice"] |= {s: b + 0.1 + deviation(s + 1) for s, b in later["LLL"].items()}
    bits["HHH"] = {s: b + deviation(s + 1) for s, b in bits["LLL"].items()}
    recipe_id = part.recipe + "0" * 12
    verdicts = judge(bits, budget=1000, recipe_id=recipe_id, dataset="cifar10-16")
    of_part, of_all = verdicts["low-random-lattice"], verdicts["low-conventional"]
    assert (of_part.decision, of_part.n, of_part.comparison.first) == ("supported", 24, 12)
    assert "n = 24 from seed 12 on" in describe_verdict(of_part)
    assert (of_all.n, of_all.comparison.first) == (24, 0)
    assert of_all.family != of_part.family
    assert of_part.family_size == len(part.claims) == 4, "low-tied is not trained yet"
    assert of_part.holm_p == pytest.approx(4 * of_part.p)
    assert verdicts["ranking"].decision == "undecided"
    assert "more seeds than the 24 of its plan" in describe_verdict(verdicts["ranking"])


def test_a_verdict_is_confirmatory_where_all_trainings_began_after_the_claim():
    results = board(rows(shifted(-0.1, 7)))

    def is_confirmatory(*starts):
        efforts = [
            Effort("r" * 20, DIGEST, name, budget, None, seed, start, 36.0)
            for seed, start in enumerate(starts)
            for name, budget in (("LLL", 100), ("checkerboard-even", None))
        ]
        (verdict,) = make_verdicts(results, efforts=efforts).all
        return verdict.confirmatory

    before, after = claims.CLAIMS_TIME - 1, claims.CLAIMS_TIME + 1
    assert is_confirmatory(*[after] * 6, before), "the seventh seed does not count yet"
    assert not is_confirmatory(*[after] * 5, before)
    assert not is_confirmatory(), "nothing is known of its trainings"
    results = board(rows(shifted(-0.1, 3, first=20)))
    assert is_confirmatory(*[before] * 20, *[after] * 3), "of these seeds alone"


def test_the_next_look_or_out_of_reach():
    efforts = [Effort("r" * 20, DIGEST, "LLL", 100, None, 0, 0.0, 1800.0, 600.0)]
    near = shifted(-0.006)
    (verdict,) = make_verdicts(board(rows(near)), efforts=efforts).all
    assert 24 < seeds_needed(verdict.test.mean, verdict.test.deviation, LOOK_LEVEL) <= 48
    look = verdict.next
    assert (look.seeds, look.trainings, look.hours) == (48, 84, 49.0)
    assert "it: 48 seeds: 84 trainings more, about 49.0 core-hours" in describe_verdict(verdict)
    high = {"HHH": dict.fromkeys(range(48), 4.5)}  # which has read the same maps
    both = make_verdicts(board(rows(near | high)), efforts=efforts)
    assert by_claim(both)["low-conventional"].next.hours == 42.0
    far = judge(shifted(-0.003))["low-conventional"]
    assert far.next is None
    assert "out of reach" in describe_verdict(far)
    assert next_command(far) is None
    assert judge(shifted(-0.1, 4))["low-conventional"].next.seeds == 6
    ranking = judge(shifted(-0.1) | {"HHH": {0: 4.5}})["ranking"]
    assert (ranking.next.seeds, ranking.next.trainings) == (6, 5)


def test_trained_seeds_that_lack_the_measure_are_no_trainings():
    def list_efforts(seeds, state):
        facts = ("LLL", 100), ("checkerboard-even", None)
        costs = 0.0, 1800.0, 600.0, state
        return [
            Effort("r" * 20, DIGEST, *rule, None, seed, *costs) for rule in facts for seed in seeds
        ]

    def judge_near(efforts):
        return make_verdicts(board(rows(near), kind=kind), kind=kind, efforts=efforts).all[0]

    kind = next(kind for kind in SHIPPED if kind.name == KID)
    near = shifted(-0.006)
    trained = judge_near(list_efforts(range(48), "done"))
    assert (trained.next.seeds, trained.next.trainings) == (48, 0)
    assert "`lcma measure kid` takes it of kept weights" in describe_verdict(trained)
    assert next_command(trained) is None
    half = judge_near(list_efforts(range(24), "done"))
    assert half.next.trainings == 48
    assert judge_near(list_efforts(range(48), "failed")).next.trainings == 84


def test_models_that_miss_their_bars_are_apart():
    verdicts = make_verdicts(board(rows(shifted(-0.1)), bar=4.2))
    assert verdicts.verdicts == ()
    assert {verdict.decision for verdict in verdicts.apart} == {"supported"}
    assert "no verdicts on the published numbers" in show(verdicts, "low-conventional")
    assert make_verdicts(board(rows(shifted(-0.1)), bar=None)).verdicts == ()
    assert make_verdicts(board(rows(shifted(-0.1)))).apart == ()


def test_only_the_published_recipe_on_the_whole_set_has_verdicts_on_published_numbers():
    def judge_cifar(files="official", **columns):
        results = rows(shifted(-0.1), dataset="cifar10", **columns)
        (verdict,) = verdicts_as_dict(make_verdicts(board(results, files=files)))["verdicts"]
        return verdict

    tiny, paper = judge_cifar(), judge_cifar(profile="paper")
    assert (tiny["on_published"], paper["on_published"]) == (False, True)
    for files in ("2,000 of 60,000 images", "other files", None):
        part = judge_cifar(files, profile="paper")
        assert not part["on_published"], files
        assert "-0.06 for other images, so this is no verdict on that number" in part["sentence"]
        assert part["source"].startswith("our transfer of LCMA")
    assert tiny["printed"] == paper["printed"] == pytest.approx(-0.06)
    assert "no verdict on that number" not in paper["sentence"]
    assert paper["source"] == "LCMA, Tables 1 and 2"
    recipe = catalog.recipe("realnvp", "cifar10", "paper")
    training = recipe.training.model_copy(update={"steps": 100})
    short = recipe.model_copy(update={"training": training})
    (group,) = board(rows(shifted(-0.1), dataset="cifar10", profile="paper")).groups
    assert replace(group, recipe=recipe.model_dump_json()).published_recipe
    assert not replace(group, recipe=short.model_dump_json()).published_recipe


def show(verdicts, claim=None):
    return " ".join(print_text(render_verdicts(verdicts, claim), 100).split())


def test_counts_by_claim_and_one_claim_in_full():
    recipes = [
        catalog.recipe("realnvp", "photos16", "tiny", {"training": {"steps": 250}} | changed)
        for changed in ({}, {"model": {"architecture": {"masks": "even-first"}}})
    ]
    results = rows(shifted(-0.1), recipe_id=recipes[0].id)
    results += rows(shifted(0.1), recipe_id=recipes[1].id)
    verdicts = make_verdicts(board(results, recipes=bodies(*recipes)))
    counts = show(verdicts)
    assert "own rule (low-conventional) supported 1 (100 test images), opposite 1" in counts
    assert "Exploratory: 2 of 2 verdicts" in counts
    text = show(verdicts, "low-conventional")
    for part in (
        "photos16 realnvp masks=odd-first 250 ~ -0.100 ± 0.015 6",
        "photos16 (u8), realnvp, tiny: 250 steps, 3 splits, 16x16 pixels, 100 test images, budget",
        "low - conventional: -0.1005 [-0.1159, -0.0851] bits/dim, n = 6, sign-flip p 0.031: ",
    ):
        assert part in text
    assert "lcma launch words" in show(verdicts, "table4-order")


@pytest.mark.integration
def test_a_claim_on_another_rule_by_maps_needs_no_low():
    even = {seed: 4.0 + SPREAD[seed] for seed in range(6)}
    results = rows({"checkerboard-even": even, "checkerboard-odd": even})
    results += [
        row | {"budget": 100}
        for row in rows(
            {"low-tied": {seed: bits - 0.1 - seed / 1000 for seed, bits in even.items()}}
        )
    ]
    assert by_claim(make_verdicts(board(results)))["tied-better-phase"].decision == "supported"


def test_deciding_launches_include_existing_trials(lcma):
    """The launch that a claim asks for plans the same trials, up to the next look."""
    rules = (*DEMO, "random-lattice", "low-tied", "low-global", "self", "online", "rows")
    by_seed = {seed: 4.0 + SPREAD[seed] for seed in range(3)}
    bits = dict.fromkeys((*rules, *factorizations.words(3)), by_seed)
    recipe = catalog.recipe("realnvp", "photos16", "tiny", {"training": {"steps": 250}})
    results = rows(bits, recipe_id=recipe.id)
    for row in results:
        if row["factorization"] in ("low-tied", "low-global", "self"):
            row["budget"] = 100
    results += rows({"LLL": by_seed}, budget=500, recipe_id=recipe.id)
    verdicts = by_claim(make_verdicts(board(results, recipes=bodies(recipe))))
    unasked = {"low-variance-low", "low-patterns", "conventional-patterns", "faces", "few-images"}
    assert set(verdicts) == set(CLAIMS) - unasked
    for verdict in verdicts.values():
        assert verdict.decision == "undecided"
        (command,) = next_command(verdict).split(" && ")
        program, verb, *arguments = shlex.split(command)
        assert (program, verb) == ("lcma", "launch")
        cells = json.loads(output_of(lcma("plan", *arguments, "--json")))["cells"]
        rules = {claims.name_rule(row) for _, row in verdict.rows}
        assert {cell["seed"] for cell in cells} == set(range(6)), command
        assert len({cell["canonical"] for cell in cells}) == len(rules), command
        low = Trial(
            recipe=recipe,
            profile="tiny",
            dataset="photos16",
            variant="u8",
            factorization="LLL",
            seed=0,
            budget=verdict.cells.budget,
        )
        assert "low" not in rules or low.id in {cell["trial_id"] for cell in cells}, command


def test_a_command_for_images_prepared_elsewhere_has_their_shape():
    recipe = catalog.recipe("realnvp", "photos16", "tiny", {"training": {"steps": 250}})
    results = rows(shifted(-0.1, 5), dataset="faces", recipe_id=recipe.id)
    (verdict,) = make_verdicts(board(results, recipes=bodies(recipe))).all
    command = next_command(verdict)
    assert "--profile tiny --dataset faces" in command
    assert command.endswith("--set training.steps=250")
    unknown = judge(shifted(-0.1, 5))["low-conventional"]
    assert next_command(unknown) is None
    assert describe_reach(unknown).endswith("of a recipe that no profile here makes")


# How often the rule is wrong


def draw_campaigns(draw, count, rng):
    """Paired differences of so many campaigns, and the p and the mean at each look."""
    differences = draw(rng, (count, LOOKS[-1]))
    p, means = [], []
    for n in LOOKS:
        mean = differences[:, :n].mean(axis=1)
        t = mean / differences[:, :n].std(axis=1, ddof=1) * np.sqrt(n)
        p.append(2 * special.stdtr(n - 1, -np.abs(t)))
        means.append(mean)
    return differences, np.array(p), np.array(means)


@pytest.mark.integration
def test_four_looks_together_have_a_level_of_five_percent():
    rng = np.random.default_rng(5)
    _, p, _ = draw_campaigns(np.random.Generator.standard_normal, 400_000, rng)
    rate = (p.min(axis=0) <= LOOK_LEVEL).mean()
    assert rate == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / 400_000))
    for looks in (2, 3, 4):
        least = p[:looks].min(axis=0)
        for level in (0.3, 0.05, LOOK_LEVEL, 0.002):
            expected = (least <= level).mean()
            error = 3 * np.sqrt(expected / 400_000)
            assert repeat_p(level, looks) == pytest.approx(expected, abs=error + 0.002 * expected)


def draw_heavy(rng, shape):
    return rng.standard_t(3, shape)


def draw_reference(rng, shape):
    """All differences of the reference with twelve seeds or more, centred, drawn anew."""
    centred = {}
    for verdict in read_verdicts(connect("reference")).all:
        for comparison in verdict.comparisons if verdict.unit == "bits/dim" else ():
            if comparison.last_look >= 12:
                values = np.array(list(comparison.by_seed.values()))
                values = (values - values.mean()) / values.std(ddof=1)
                centred[tuple(values.round(6))] = values
    return rng.choice(np.concatenate(list(centred.values())), shape)


@pytest.mark.integration
@pytest.mark.parametrize(
    ("draw", "share"),  # docs/verdicts.md; some differences of the reference are skewed
    [(np.random.Generator.standard_normal, 0.025), (draw_heavy, 0.025), (draw_reference, 0.03)],
)
def test_false_support_is_rare_however_often_one_looks(draw, share):
    """20,000 campaigns, looked at after every seed from 6 to 60: the looks are the same four."""
    count = 20_000
    differences, p, means = draw_campaigns(draw, count, np.random.default_rng(11))

    def is_supported(campaign, n):
        contrast = SeededContrast("", dict(enumerate(differences[campaign, :n])))
        return contrast.upper_end < 0 and contrast.flips_agree

    # By look and not by campaign, since the signs of one number of seeds are drawn once.
    false = {
        campaign
        for n, significant in zip(LOOKS, (p <= LOOK_LEVEL) & (means < 0), strict=True)
        for campaign in np.flatnonzero(significant)
        if is_supported(campaign, n)
    }
    assert len(false) / count <= share + 3 * np.sqrt(share * (1 - share) / count)
    chosen = {*sorted(false)[:5], *range(20)}
    ever = {c for n in range(6, LOOKS[-1] + 1) for c in chosen if is_supported(c, n)}
    assert ever == false & chosen
