"""Boards and verdicts by a measure of samples, whose truth is known."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from lcma.db import Measure
from lcma.harness.report.board import board_as_json, board_as_latex, render_board
from lcma.harness.report.verdicts import render_verdicts, summarize_verdicts
from lcma.harness.results.board import Board
from lcma.harness.results.verdicts import Verdict, Verdicts, make_verdicts
from lcma.sweeps.measures import CONTROLS, find_measure
from tests.harness.report.synthetic import DIGEST, board, bodies, noisy, rows, trained_for

SWD = find_measure("swd")
BITS = {"LLL": 4.0, "checkerboard-even": 4.2, "HHH": 4.4, "random": 4.6}


def judged(looks, bits=BITS, seeds=6, **more) -> Verdicts:
    rng = np.random.default_rng(0)
    boards = [
        board(rows(noisy(means, seeds, 0.02, rng), **more), None, kind=kind)
        for means, kind in ((looks, SWD), (bits, find_measure("bits_per_dim")))
    ]
    return make_verdicts(boards[0], kind=SWD, bits=boards[1])


def decisions(found: Verdicts) -> dict[str, str]:
    return {one.claim.key: one.decision for one in (*found.verdicts, *found.apart)}


def test_table_3_has_an_order_of_samples_of_its_own() -> None:
    in_order = {"LLL": 50.0, "checkerboard-even": 51.0, "HHH": 52.0, "random": 53.0}
    found = decisions(judged(in_order))
    assert (found["table3-order"], found["low-conventional"]) == ("supported", "supported")
    of_bits = {**in_order, "HHH": 53.0, "random": 52.0}
    assert decisions(judged(of_bits))["table3-order"] == "refuted"


@pytest.mark.parametrize(
    ("looks", "decision", "agreement"),
    [
        ({"LLL": 50, "checkerboard-even": 51, "HHH": 52, "random": 53}, "supported", 1.0),
        ({"LLL": 53, "checkerboard-even": 52, "HHH": 51, "random": 50}, "refuted", -1.0),
        ({"LLL": 51, "checkerboard-even": 50, "HHH": 52, "random": 53}, "supported", 4 / 6),
        ({"LLL": 50, "checkerboard-even": 50, "HHH": 50, "random": 50}, "undecided", None),
    ],
)
def test_fewer_bits_and_better_samples_agree_or_not(looks, decision, agreement) -> None:
    (one,) = (v for v in judged(looks).apart if v.claim.key == "agreement")
    assert (one.decision, one.n) == (decision, 6)
    if agreement is not None:
        assert one.comparison.test.mean == pytest.approx(-agreement)
    assert "with fewer bits/dim has lower swd" in one.claim.text


def agreeing(*agree: bool) -> tuple[Verdict, str]:
    """A verdict on two rules whose samples agree with bits/dim at these seeds."""
    looks = {"LLL": dict.fromkeys(range(len(agree)), 50.0), "checkerboard-even": {}}
    looks["checkerboard-even"] = {s: 51.0 if one else 49.0 for s, one in enumerate(agree)}
    bits = {name: dict.fromkeys(range(len(agree)), by) for name, by in list(BITS.items())[:2]}
    boards = [
        board(rows(by_seed), None, kind=kind)
        for by_seed, kind in ((looks, SWD), (bits, find_measure("bits_per_dim")))
    ]
    made = make_verdicts(boards[0], kind=SWD, bits=boards[1])
    (one,) = (v for v in made.apart if v.claim.key == "agreement")
    text = io.StringIO()
    Console(file=text, width=200).print(render_verdicts(replace(made, verdicts=(), apart=(one,))))
    return one, " ".join(text.getvalue().split())


def test_an_agreement_is_printed_between_its_ends_alone() -> None:
    """Four of six: a mean of 1/3 with a half-width of 1.084."""
    one, text = agreeing(True, True, True, True, False, False)
    assert one.decision == "undecided"
    assert one.comparison.test.low == pytest.approx(-1 / 3 - 1.0838, abs=1e-3), "as it is"
    assert "-0.333 [-1.000, +0.751] 6" in text
    assert "-0.33 [-1.00, +0.75] of pairs, n = 6" in text


def test_what_no_seed_differs_in_has_no_interval() -> None:
    one, text = agreeing(*[True] * 6)
    assert one.decision == "supported"
    assert "-1.000 at every seed 6" in text
    assert "-1.0000 of pairs at every seed, n = 6, sign-flip p 0.031; the" in text
    assert "±" not in text.replace("effect ± 95 %", "")


def test_too_few_seeds_decide_nothing_on_agreement() -> None:
    found = decisions(judged({name: 10 * value for name, value in BITS.items()}, seeds=5))
    assert found["agreement"] == "undecided"


def test_each_seed_agrees_over_the_same_rules() -> None:
    """A rule of few seeds weighs on none; the budget is the longest that all the others have."""
    in_order = {"LLL": 50.0, "checkerboard-even": 51.0, "HHH": 52.0}
    rng = np.random.default_rng(0)
    boards = []
    for kind, scale in ((SWD, 1.0), (find_measure("bits_per_dim"), 0.1)):
        found = rows(noisy({n: scale * v for n, v in in_order.items()}, 6, 0.001, rng))
        against = {"random": 53.0} if kind is SWD else {"random": 40.0 * scale}
        found += rows(noisy(against, 3, 0.001, rng))
        long = {"LLL": 60.0} if kind is SWD else {"LLL": 40.0 * scale}
        found += rows(noisy(long, 6, 0.001, rng), budget=1000)
        boards.append(board(found, None, kind=kind))
    made = make_verdicts(boards[0], kind=SWD, bits=boards[1])
    (one,) = (v for v in made.apart if v.claim.key == "agreement")
    assert (one.comparison.test.mean, one.n) == (-1.0, 6)
    assert one.claim.cells.budget == 100, "HHH has no longer one"


def test_a_rule_of_other_seeds_takes_no_agreement_away() -> None:
    in_order = {"LLL": 50.0, "checkerboard-even": 51.0, "HHH": 52.0}
    boards = []
    for kind, scale in ((SWD, 1.0), (find_measure("bits_per_dim"), 0.1)):
        rng = np.random.default_rng(0)
        found = rows(noisy({n: scale * v for n, v in in_order.items()}, 6, 0.001, rng))
        later = noisy({"LLL": 50.0 * scale, "random": 40.0 / scale}, 12, 0.001, rng)
        for name, by_seed in later.items():
            found += rows({name: {seed: v for seed, v in by_seed.items() if seed > 5}})
        boards.append(board(found, None, kind=kind))
    made = make_verdicts(boards[0], kind=SWD, bits=boards[1])
    (one,) = (v for v in made.apart if v.claim.key == "agreement")
    assert (one.comparison.test.mean, one.n) == (-1.0, 6), "of the three rules of seeds 0 to 5"


def test_agreement_is_of_measures_of_samples_alone() -> None:
    made = make_verdicts(board(rows({"LLL": {0: 4.0}})))
    assert "agreement" not in (*made.unmeasured, *made.not_judged, *decisions(made))
    without = make_verdicts(board(rows({"LLL": {0: 50.0}}), None, kind=SWD), kind=SWD)
    assert "agreement" in without.unmeasured


def test_several_recipes_have_a_claim_together() -> None:
    rng = np.random.default_rng(0)
    both = []
    for kind, by in ((SWD, 10), (find_measure("bits_per_dim"), 1)):
        found = [
            row
            for flow, sign in (("realnvp", 1), ("glow", -1))
            for row in rows(
                noisy(
                    {n: by * (4 + sign * (v - 4)) if kind is SWD else v for n, v in BITS.items()},
                    6,
                    0.02,
                    rng,
                ),
                flow=flow,
                recipe_id=flow * 2,
            )
        ]
        both.append(board(found, None, kind=kind))
    claims = [
        v
        for v in make_verdicts(both[0], kind=SWD, bits=both[1]).apart
        if v.claim.key == "agreement"
    ]
    means = {
        len(v.claim.members): v.comparison.test.mean for v in claims if len(v.claim.members) > 1
    }
    assert means == {2: pytest.approx(0)}
    assert sorted(v.comparison.test.mean for v in claims if len(v.claim.members) == 1) == [-1, 1]


def test_agreement_over_two_lengths_of_one_flow_is_told_from_that_of_either() -> None:
    both = []
    for kind, by in ((SWD, 10.0), (find_measure("bits_per_dim"), 1.0)):
        rng = np.random.default_rng(0)
        found = [
            row
            for steps in (250, 500)
            for row in rows(
                noisy({name: by * bits for name, bits in BITS.items()}, 6, 0.02, rng),
                recipe_id=f"{steps}" * 5,
                steps=steps,
            )
        ]
        both.append(board(found, None, kind=kind))
    made = make_verdicts(both[0], kind=SWD, bits=both[1])
    table = summarize_verdicts(made)
    names = [row[2] for row in table.rows if row[1] == "agreement"]
    assert names == ["realnvp tiny 250", "realnvp tiny 500", "realnvp 2 recipes"]


@pytest.mark.parametrize(("of_pixels", "decision"), [(5.0, "supported"), (3.0, "refuted")])
@pytest.mark.parametrize(
    ("measure", "pixels"),
    [("kid_halfway", "kid_pixels_halfway"), ("path_length", "path_length_pixels")],
)
def test_interpolations_have_to_beat_the_means_of_pixels(
    measure: str, pixels: str, of_pixels: float, decision: str
) -> None:
    kind = find_measure(measure)
    looks = noisy({"LLL": 4.0, "checkerboard-even": 4.1}, 6, 0.02, np.random.default_rng(0))
    control = Measure(pixels, of_pixels, 0.1, 500)
    beside = {("r" * 20, DIGEST, "plain"): {control.name: control}}
    made = make_verdicts(board(rows(looks), None, kind=kind), kind=kind, beside_samples=beside)
    assert decisions(made)["interpolation"] == decision


def controls(**changed: float) -> dict[str, Measure]:
    values = {"null": 30, "gaussian": 400, "blur_half": 120, "blur_1": 260, "noise_5": 40}
    values |= {"noise_20": 110} | changed
    found = {f"swd_{c}": Measure(f"swd_{c}", values[c], 2.5, 500) for c in CONTROLS}
    return found | {"swd_overflow": Measure("swd_overflow", 0.0, None, 3000)}


def board_beside(beside: dict[str, Measure]) -> Board:
    key = ("r" * 20, DIGEST, "plain")
    return board(rows({"LLL": {0: 50.0}}), None, kind=SWD, beside_samples={key: beside})


def shown(beside: dict[str, Measure]) -> str:
    text = io.StringIO()
    Console(file=text, width=400).print(render_board(board_beside(beside)))
    return text.getvalue()


def test_the_board_shows_the_controls_beside_the_rows() -> None:
    text = shown(controls())
    assert "Controls of swd on 500 images: other real images 30.0000 ± 2.5000; " in text
    assert "fails" not in text
    assert "overflowed" not in text


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"gaussian": 259.0},
            "covariance of real images are no worse than real images, blurred by one",
        ),
        ({"noise_5": 29.0}, "noise of 5 of 255 levels are no worse than other real images"),
        (
            {"noise_20": 40.0},
            "noise of 20 of 255 levels are no worse than real images with noise of 5",
        ),
        ({"blur_half": 30.0}, "blurred by half a pixel are no worse than other real images"),
        ({"blur_1": 100.0}, "blurred by one pixel are no worse than real images, blurred by half"),
    ],
)
def test_the_board_marks_a_set_on_which_the_measure_fails(changed, said: str) -> None:
    text = shown(controls(**changed))
    assert "! swd fails its controls on this data set" in text
    assert said in text


def test_the_board_counts_samples_that_overflowed() -> None:
    text = shown(controls() | {"swd_overflow": Measure("swd_overflow", 12.0, None, 3000)})
    assert "12 of 3,000 samples overflowed" in text


@pytest.mark.parametrize(
    ("after", "bits_after", "decision"),
    [(40.0, 2.0, "supported"), (60.0, 2.0, "refuted"), (60.0, 6.0, "supported")],
)
def test_samples_follow_bits_along_a_training(
    after: float, bits_after: float, decision: str
) -> None:
    rng = np.random.default_rng(0)
    boards = []
    recipes = [trained_for(steps) for steps in (250, 500)]
    for kind, values in ((SWD, (50.0, after)), (find_measure("bits_per_dim"), (4.0, bits_after))):
        found = []
        for recipe, value in zip(recipes, values, strict=True):
            both = {"LLL": value, "checkerboard-even": value}
            of_recipe = {"steps": recipe.training.steps, "recipe_id": recipe.id}
            found += rows(noisy(both, 6, 0.001, rng), **of_recipe)
        boards.append(board(found, None, kind=kind, recipes=bodies(*recipes)))
    made = make_verdicts(boards[0], kind=SWD, bits=boards[1])
    assert decisions(made)["training"] == decision
    assert "training" not in decisions(make_verdicts(boards[1]))


def test_one_length_says_nothing_of_a_training() -> None:
    made = make_verdicts(board(rows({"LLL": {0: 50.0}}), None, kind=SWD), kind=SWD)
    assert "training" in made.unmeasured


def test_a_measure_that_fails_a_control_is_marked() -> None:
    both = noisy({"LLL": 50.0, "checkerboard-even": 51.0}, 6, 0.1, np.random.default_rng(0))
    made = board(rows(both), None, kind=SWD)
    (group,) = made.groups
    failing = replace(group, notes=("! swd fails its controls on this data set",))
    for groups, marked in (((group,), False), ((failing,), True)):
        console = Console(width=80, file=io.StringIO())
        console.print(render_verdicts(make_verdicts(replace(made, groups=groups), kind=SWD)))
        text = " ".join(console.file.getvalue().split())
        assert ("low-conventional, realnvp !" in text) is marked
        assert ("swd fails a control there." in text) is marked


@pytest.mark.parametrize("whole", [True, False])
def test_a_caption_in_latex_says_that_the_measure_fails(whole) -> None:
    """Whoever takes a table without the lines below it still sees it."""
    for beside, marked in ((controls(), False), (controls(gaussian=259.0), True)):
        lines = board_as_latex(board_beside(beside), whole=whole).splitlines()
        (caption,) = (line for line in lines if line.startswith("\\caption{"))
        assert caption.endswith("; ! swd fails its controls on this data set)}") == marked
        assert any("footnotesize ! swd fails its controls" in line for line in lines) == marked
    made = json.loads(board_as_json(board_beside(controls(gaussian=259.0))))
    assert any(note.startswith("! swd fails") for note in made["groups"][0]["notes"])
