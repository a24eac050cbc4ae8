"""Verdicts, budget curves and curves by other measures than bits/dim."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from lcma import db
from lcma.sweeps import plugins
from tests.harness.cli.conftest import Lcma, refused, words_of
from tests.harness.show.conftest import STEPS, Filler

pytestmark = pytest.mark.usefixtures("by_default")

PAGE = Path(__file__).parents[3] / "docs" / "measures.md"
BRIGHT = PAGE.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
SHINE = BRIGHT.replace("brightness", "shine").replace('"lower"', '"higher"')

SEEDS = range(6)
WORDS = {"LL": -0.5, "LH": -0.1, "HL": 0.1, "HH": 0.4}
"""Brightness of a word minus that of `checkerboard-even`; `shine` has the other sign."""
BUDGETS = {0: 0.3, 100: 0.001, 1000: 0.0}
"""Brightness of a budget of LL minus that of the longest."""


def finish(filler: Filler, name: str, seed: int, budget: int | None = None) -> None:
    noise = 1e-3 * ((5 * seed + 3 * len(name) + (budget or 0) // 100) % 7)
    brightness = 5 + seed + WORDS.get(name, 0.0) + noise
    if name == "LL":
        brightness += BUDGETS[budget]
    filler.finish(
        filler.plan(name, seed, budget=budget, sweep="s1"),
        4.0,
        brightness=brightness + 1,
        holdout_brightness=brightness,
        shine=-brightness - 1,
        holdout_shine=-brightness,
        seconds_per_step=0.25 + 0.001 * seed + (0.01 if name == "HH" else 0.0),
        metrics=[db.Metric("train_bits_per_dim", step, 4.0) for step in (1, STEPS)],
    )


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """All words, the conventional factorization and three budgets of LL, with three measures."""
    folder = tmp_path_factory.mktemp("measured")
    for name, source in (("brightness", BRIGHT), ("shine", SHINE)):
        (folder / f"{name}.py").write_text(source, encoding="utf-8")
        plugins.load_file(folder / f"{name}.py")
    filler = Filler(folder)
    filler.data()
    for seed in SEEDS:
        finish(filler, "checkerboard-even", seed)
        for name in WORDS:
            for budget in BUDGETS if name == "LL" else (1000,):
                finish(filler, name, seed, budget)
    filler.store.close()
    plugins.unload()  # commands find the measures in the database
    return filler.url


def read_verdicts(lcma: Lcma, *arguments: str) -> dict[str, Any]:
    record = json.loads(lcma("verdicts", "--json", *arguments)[1])
    assert record["verdicts"] == []  # bars are of bits/dim
    return {verdict["claim"]: verdict for verdict in record["apart"]} | {"all": record}


@pytest.mark.parametrize(("name", "direction"), [("brightness", "lower"), ("shine", "higher")])
def test_verdicts_follow_the_direction_of_a_measure(lcma: Lcma, name: str, direction: str) -> None:
    record = read_verdicts(lcma, "--by", name)
    facts = {key: record["all"][key] for key in ("measure", "unit", "direction")}
    assert facts == {"measure": name, "unit": "levels", "direction": direction}
    order = record["table4-order"]
    assert order["decision"] == "supported"
    verb = "falls" if direction == "higher" else "rises"
    assert order["text"].startswith(f"{name} {verb} in the order of the words")
    low = record["low-conventional"]
    assert low["decision"] == "supported"
    assert f"low gives {direction} {name} than the flow's own rule" in low["text"]
    assert " levels, n = 6" in low["sentence"]
    assert low["mean"] == pytest.approx(-0.5, abs=0.01)
    assert (low["source"], low["printed"]) == ("ours", None)
    assert record["budget"]["decision"] == "supported"
    assert record["first-split"]["decision"] == "supported"


def test_verdicts_by_time_say_what_is_not_judged(lcma: Lcma) -> None:
    record = read_verdicts(lcma, "--by", "seconds_per_step")
    assert record["low-conventional"]["decision"] == "undecided"  # both take the same time
    text = words_of(lcma("verdicts", "--by", "seconds_per_step"))
    assert "self-low" not in text
    assert "No results here for: table3-order" in text
    text = words_of(lcma("verdicts", "table4-order", "--by", "seconds_per_step"))
    assert "by seconds_per_step, where lower is better" in text
    assert "bits/dim rise" not in text
    rows = list(csv.DictReader(lcma("export", "verdicts", "--by", "shine")[1].splitlines()))
    assert {(row["measure"], row["direction"], row["unit"]) for row in rows} == {
        ("shine", "higher", "levels")
    }


@pytest.mark.parametrize(("name", "sign"), [("brightness", 1), ("shine", -1)])
def test_budgets_are_compared_by_a_measure_on_holdout(lcma: Lcma, name: str, sign: int) -> None:
    options = ("--factorization", "low", "--by", name, "--margin", "0.05", "--format", "png")
    (record,) = json.loads(lcma("budgets", "--json", *options)[1])
    facts = [record[key] for key in ("measure", "unit", "direction", "chosen_by")]
    assert facts == [name, "levels", "lower" if sign == 1 else "higher", f"holdout_{name}"]
    assert record["smallest"]["budget"] == 100
    assert record["smallest"]["failed"] == 0
    zero, hundred, longest = record["rows"]
    assert zero["from_longest"]["mean"] == pytest.approx(0.3 * sign, abs=0.01)
    assert zero["test"] == pytest.approx(zero["holdout"] + sign)
    # Without a pretraining LL is better than conventional, which costs as many images.
    front = [row["on_front"] for row in (zero, hundred, record["conventional"])]
    assert front == [True, True, False]
    assert "100 steps are enough" in record["answer"]
    assert longest["from_conventional"]["mean"] == pytest.approx(-0.5 * sign, abs=0.01)


@pytest.mark.usefixtures("no_pictures")
def test_without_a_margin_no_budget_of_another_unit_is_enough(lcma: Lcma) -> None:
    low = ("budgets", "--factorization", "LL", "--by")
    (record,) = json.loads(lcma(*low, "shine", "--json")[1])
    assert record["smallest"] is None
    text = words_of(lcma(*low, "seconds_per_step"))
    assert "`lcma budgets --by seconds_per_step --margin NUMBER`, in seconds" in text
    assert "by seconds_per_step, seconds: lower is better. Differences are" in text
    assert "bits/dim" not in text.lower()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("verdicts --by log_det", "cannot be ranked by 'log_det'"),
        ("budgets --by colour", "cannot be ranked by 'colour'"),
        ("board --by colour", "'colour': choose among "),
        ("serve --by colour --port=0", "cannot be ranked by 'colour'"),
        ("board --against low@999", "no results of low@999 here; there are "),
        ("board --against low@", "low@: give NAME@BUDGET in steps, such as low@1000"),
        ("board --against low@1e3", "give NAME@BUDGET in steps"),
        ("board --against low@dead", "give NAME@BUDGET in steps"),
        ("budgets --by bound_bits_per_dim", "has bound_bits_per_dim"),
        ("export results --by shine", "--by names the measure of the board"),
    ],
)
def test_mistakes_are_one_line(lcma: Lcma, command: str, message: str) -> None:
    refused(lcma(*command.split()), message)
