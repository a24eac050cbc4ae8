"""What the seeds of a plan could show, from earlier results whose spread is known."""

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.power import TTestPower

from lcma.harness import shards
from lcma.harness.results.power import Power, describe_power, pool_pairs
from tests.db.inspecting import execute
from tests.harness.cli.history import SWEEP, History
from tests.harness.conftest import merged

pytestmark = pytest.mark.slow_on("postgresql")

SHIPPED = shards.EVIDENCE_FOLDER

WORDS = merged(
    SWEEP,
    {
        "matrix": {"factorization": ["conventional", "random-local", "words"]},
        "recipe": {"model": {"splits": 2}},
        "seeds": 7,
    },
)
"""Two factorizations without maps, and four words at two budgets each."""

ROWS = [
    *(("checkerboard-even", None), ("random-local", None)),
    *((a + b, budget) for a, b in itertools.product("LH", repeat=2) for budget in (10, 20)),
]


def spread_bits(factorization: str, budget: int | None, seed: int) -> float:
    """Return bits/dim with noise of the seed, and further noise of each row."""
    name = [*factorization.encode(), budget or 0]
    shared = np.random.default_rng(seed).normal(scale=0.3)
    return float(4 + shared + np.random.default_rng([seed, *name]).normal(scale=0.02))


def list_power(history: History, *options: str) -> list[dict[str, Any]]:
    return history.plan(*options)["power"]


def test_seeds_show_differences_by_the_spread_of_all_pairs_of_rows_of_the_recipe(
    history: History,
) -> None:
    history.add_results(WORDS, spread_bits)
    (power,) = list_power(history)
    table = np.array([[spread_bits(*row, seed) for seed in range(7)] for row in ROWS])
    rest = table - table.mean(0) - table.mean(1)[:, None] + table.mean()
    deviation = math.sqrt(2 * (rest**2).sum() / (9 * 6))
    assert power["spread"] == pytest.approx(deviation)
    assert power["source"] == "here, tiny on photos8 after 20 steps, 10 rows with 7 seeds"
    assert (power["flow"], power["dataset"], power["seeds"]) == ("realnvp", "photos8", 7)
    # As statsmodels has it, for a paired t-test at 5 % and 80 %.
    spread, t_test = power["spread"], TTestPower()
    assert t_test.power(power["detectable"] / spread, 7, 0.05) == pytest.approx(0.8, abs=1e-6)
    exact = t_test.solve_power(0.01 / spread, alpha=0.05, power=0.8)
    assert power["needed"] == max(6, math.ceil(exact))
    (of_five,) = list_power(history, "--seeds", "5")
    assert of_five["detectable"] is None, "fewer than six decide nothing"
    line = f"7 seeds show {power['detectable']:.2g} bits/dim; 0.01 takes more than 48"
    assert f"\nPower   {line}\n" in history.text()
    history.write(merged(WORDS, {"matrix": {"factorization": "conventional"}}))
    assert list_power(history) == [], "nothing is compared"
    assert "\nPower" not in history.text()


def test_the_spread_is_that_of_the_nearest_results_of_the_flow(history: History) -> None:
    """They have another length, since two seeds are too few of this length."""
    history.add_results(WORDS, spread_bits)
    longer = merged(WORDS, {"recipe": {"training": {"steps": 60}}})
    history.add_results(
        merged(longer, {"seeds": 2, "matrix": {"factorization": "low"}}), spread_bits
    )
    wider = merged(WORDS, {"recipe": {"model": {"architecture": {"width": 8}}}})
    history.add_results(wider, lambda *row: 10 * spread_bits(*row))
    history.write(longer)
    (power,) = list_power(history)
    assert "after 20 steps, 10 rows with 7 seeds" in power["source"]
    assert power["spread"] < 0.1
    glow = {"flow": "glow", "dataset": "photos8", "factorization": ["channel", "random"]}
    history.write({"name": "other", "matrix": glow})
    (power,) = list_power(history, "--profile", "tiny")
    assert (power["spread"], power["needed"]) == (None, None)
    line = "not known: too few results to tell how far seeds spread"
    assert f"\nPower   {line}\n" in history.text()


@pytest.mark.integration
@pytest.mark.parametrize("history", ["sqlite"], indirect=True)
def test_a_first_plan_has_its_spread_from_the_reference(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "EVIDENCE_FOLDER", SHIPPED)
    (power,) = list_power(history, "--dataset", "cifar10-16", "--profile", "tiny")
    assert power["source"].startswith("reference, tiny on cifar10-16 after 1200 steps, ")
    history.add_results(WORDS, spread_bits)
    (power,) = list_power(history)
    assert power["source"].startswith("here, "), "its own results are nearer"


@pytest.mark.parametrize(
    ("numbers", "line"),
    [
        ([(6, 0.021, 37)], "6 seeds show 0.03 bits/dim; 0.01 takes about 37"),
        (
            [(6, None, None), (6, 0.021, 37), (6, 0.03, 73)],
            "6 seeds show 0.03 to 0.043 bits/dim; 0.01 takes more than 48",
        ),
        ([(8, 0.0001, 6)], "8 seeds show 0.00012 bits/dim"),
        ([(2, 0.021, 37)], "2 seeds decide nothing; 6 show 0.03 bits/dim; 0.01 takes about 37"),
    ],
)
def test_several_flows_are_described_by_a_range(numbers: list[Any], line: str) -> None:
    powers = [
        Power("realnvp", "photos8", "", seeds, spread, "here", None, needed)
        for seeds, spread, needed in numbers
    ]
    assert describe_power(powers) == line


@pytest.mark.parametrize("history", ["sqlite"], indirect=True)
def test_no_launch_into_a_published_database_is_offered(
    history: History, in_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "EVIDENCE_FOLDER", SHIPPED)
    file = in_tmp / "small.yaml"
    merge = f"\nNext    lcma db merge reference && lcma launch {file}\n"
    assert merge in history.text("--db", "reference")
    monkeypatch.setenv("LCMA_DB", "reference")
    own = f"--db {in_tmp / 'lcma.db'}"
    assert f"lcma db merge reference {own} && lcma launch {file} {own}\n" in history.text()
    monkeypatch.setenv("LCMA_DATA", str(in_tmp / "elsewhere"))
    prepare = f"\nNext    lcma data prepare photos8 && lcma plan {file} --db reference\n"
    assert prepare in history.text("--db", "reference")


def test_the_spread_has_a_degree_of_freedom_for_each_row_and_seed() -> None:
    table = np.random.default_rng(0).normal(size=(4, 8))
    rows = [dict(enumerate(row)) for row in table.tolist()]
    assert pool_pairs(rows)[1] == pytest.approx(3 * 7)


@given(st.integers(0, 2**32), st.integers(1, 8), st.integers(1, 7), st.floats(0, 1))
def test_the_spread_is_pooled_over_all_pairs_of_rows(
    entropy: int, count: int, seeds: int, gaps: float
) -> None:
    random = np.random.default_rng(entropy)
    table = 4 + random.normal(size=(count, 1)) + random.normal(scale=0.01, size=(count, seeds))
    table[random.random(table.shape) < gaps * 0.7] = math.nan
    rows = [
        {seed: value for seed, value in enumerate(row) if entropy % 2 or math.isfinite(value)}
        for row in table.tolist()
    ]
    pairs = table[:, None] - table
    pairs = pairs[np.triu_indices(count, 1)]
    pairs = pairs[np.isfinite(pairs).sum(axis=1) >= 2]
    deviation, freedom = pool_pairs(rows)
    if not len(pairs):
        assert (deviation, freedom) == (0, 0)
        return
    n = np.isfinite(pairs).sum(axis=1)
    squares = float((np.nanvar(pairs, axis=1) * n).sum())
    kept = int((np.isfinite(table).sum(axis=1) >= 2).sum())
    assert freedom == pytest.approx(2 * (n - 1).sum() / kept)
    assert deviation == pytest.approx(math.sqrt(squares / (n - 1).sum()), rel=1e-9)


def test_recipes_of_another_form_are_left_out_of_the_spread(history: History) -> None:
    history.add_results(WORDS, spread_bits)
    execute(history.place.db, "UPDATE recipes SET body = '{}'")
    (power,) = list_power(history)
    assert power["spread"] is None
