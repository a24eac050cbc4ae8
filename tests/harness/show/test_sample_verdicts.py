"""Boards and verdicts by a measure of samples, whose truth is known."""

import json
from dataclasses import replace

import numpy as np

from lcma.db import Measurement
from lcma.harness.results.board import Board
from lcma.harness.results.verdicts import make_verdicts
from lcma.harness.show.board import board_as_json, board_as_latex, render_board
from lcma.harness.show.verdicts import render_verdicts
from lcma.sweeps.measures import CONTROLS, find_measure
from tests.harness.show.synthetic import DIGEST, board, noisy, print_text, rows

SWD = find_measure("swd")


def decide(means: dict[str, float]) -> dict[str, str]:
    """The decisions on noisy values around these means by claim."""
    results = rows(noisy(means, 6, 0.02, np.random.default_rng(0)))
    verdicts = make_verdicts(board(results, None, kind=SWD), kind=SWD)
    return {verdict.claim.key: verdict.decision for verdict in verdicts.all}


def test_table_3_has_its_own_order_for_samples() -> None:
    in_order = {"LLL": 50.0, "checkerboard-even": 51.0, "HHH": 52.0, "random": 53.0}
    decisions = decide(in_order)
    assert (decisions["table3-order"], decisions["low-conventional"]) == ("supported", "supported")
    of_bits = {**in_order, "HHH": 53.0, "random": 52.0}
    assert decide(of_bits)["table3-order"] == "opposite"


def controls(**changed: float) -> dict[str, Measurement]:
    values = {"null": 30, "gaussian": 400, "blur_half": 120, "blur_1": 260, "noise_5": 40}
    values |= {"noise_20": 110} | changed
    measured = {f"swd_{c}": Measurement(f"swd_{c}", values[c], 2.5, 500) for c in CONTROLS}
    return measured | {"swd_overflow": Measurement("swd_overflow", 0.0, None, 3000)}


def board_with(measured: dict[str, Measurement]) -> Board:
    key = ("r" * 20, DIGEST, "plain")
    return board(rows({"LLL": {0: 50.0}}), None, kind=SWD, sample_controls={key: measured})


def show(measured: dict[str, Measurement]) -> str:
    return print_text(render_board(board_with(measured)), 400)


def test_the_board_shows_the_controls_beside_the_rows() -> None:
    text = show(controls())
    assert "Controls of swd on 500 images: other real images 30.0000 ± 2.5000; " in text
    assert "fails" not in text
    assert "overflowed" not in text
    text = show(controls() | {"swd_overflow": Measurement("swd_overflow", 12.0, None, 3000)})
    assert "12 of 3,000 samples overflowed" in text


def test_the_board_marks_a_set_on_which_the_measure_fails() -> None:
    text = show(controls(noise_20=40.0, blur_half=30.0))
    assert "!: swd fails its controls on this data set" in text
    assert "noise of 20 of 255 levels are no worse than real images with noise of 5" in text
    assert "blurred by half a pixel are no worse than other real images" in text


def test_a_measure_that_fails_a_control_is_marked() -> None:
    both = noisy({"LLL": 50.0, "checkerboard-even": 51.0}, 6, 0.1, np.random.default_rng(0))
    (group,) = board(rows(both), None, kind=SWD).groups
    for measured, marked in (({}, False), (controls(noise_20=40.0), True)):
        verdicts = make_verdicts(Board((replace(group, sample_controls=measured),)), kind=SWD)
        text = " ".join(print_text(render_verdicts(verdicts, "low-conventional")).split())
        assert ("photos16 realnvp 250 ! ~ †" in text) is marked
        assert ("swd fails a control on this data set." in text) is marked


def test_a_caption_in_latex_says_that_the_measure_fails() -> None:
    """A table that is copied without the lines below it still says so."""
    for measured, marked in ((controls(), False), (controls(gaussian=259.0), True)):
        lines = board_as_latex(board_with(measured)).splitlines()
        (caption,) = (line for line in lines if line.startswith("\\caption{"))
        assert caption.endswith("; ! swd fails its controls on this data set)}") == marked
        assert any("footnotesize !: swd fails its controls" in line for line in lines) == marked
    (group,) = json.loads(board_as_json(board_with(controls(gaussian=259.0))))["groups"]
    assert any(note.startswith("!: swd fails") for note in group["notes"])
