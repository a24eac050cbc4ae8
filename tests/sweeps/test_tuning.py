"""The grid of pretraining budgets, and the section `tune` of a sweep file."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcma.sweeps import spec as specs
from lcma.sweeps.expansion import Expansion, expand
from lcma.sweeps.identity import content_id
from lcma.sweeps.tuning import budget_grid, check_budget
from tests.harness.conftest import SMALL, merged
from tests.refusals import catch_refusal

TUNE: dict[str, Any] = {"budget": {"low": 10, "high": 100}}


def check(tune: dict[str, Any] | None) -> specs.Spec:
    return specs.check(SMALL if tune is None else merged(SMALL, {"tune": tune}), "test")


@pytest.mark.parametrize(
    ("low", "high", "budgets"),
    [(10, 100, (0, 10, 15, 20, 30, 50, 70, 100)), (0, 15, (0, 10, 15))],
)
def test_points_are_those_of_the_fixed_grid_and_zero(
    low: int, high: int, budgets: tuple[int, ...]
) -> None:
    tune = check({"budget": {"low": low, "high": high}}).tune
    assert tune is not None
    assert tune.budgets == budgets


def test_numbers_of_trials_are_no_part_of_the_identity_of_a_study() -> None:
    plain = check(TUNE)
    assert check(TUNE | {"trials": 7, "parallel": 3}).body == plain.body
    assert check(TUNE | {"factorization": "high"}).body != plain.body


def test_sweeps_without_the_section_keep_their_ids() -> None:
    assert '"tune"' not in check(None).body
    assert content_id("sweep", {"spec": specs.load("table4").body}) == "3955cf314d17a5daa561"


def test_an_expansion_passes_the_points_below_its_budgets() -> None:
    plan = expand(specs.check(merged(SMALL, {"matrix": {"budget": [10, 50]}}), "test"))
    (plain,) = plan.pretrainings.values()
    (passing,) = Expansion(plan.spec, plan.cells, (0, 10, 20, 70)).pretrainings.values()
    assert plain[1] == (10, 50)
    assert passing[1] == (0, 10, 20, 50)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "empty": ({"budget": {"low": 10, "high": 10}}, "the range from 10 to 10 is empty"),
    "reversed": ({"budget": {"low": 100, "high": 10}}, "give low below high"),
    "off the grid": ({"budget": {"low": 10, "high": 99}}, "use 70 or 100"),
    "negative": ({"budget": {"low": -10, "high": 10}}, "greater than or equal to 0"),
    "no range": ({"trials": 7}, "the key `tune.budget` is missing"),
    "few trials": (TUNE | {"trials": 1}, "greater than or equal to 2"),
    "several": (TUNE | {"factorization": "words"}, "stands for several"),
    "unknown": (TUNE | {"factorization": "lo"}, "unknown factorization 'lo'"),
}


@pytest.mark.parametrize(("tune", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_section_is_refused_in_one_line(tune: dict[str, Any], message: str) -> None:
    catch_refusal(lambda: check(tune), message, "tune")


LONGEST = 10_000_000


def test_the_grid_ends_as_documented() -> None:
    assert budget_grid()[-1] == LONGEST


@given(st.integers(-1000, 2 * LONGEST) | st.sampled_from(budget_grid()))
def test_a_budget_off_the_grid_names_its_neighbours(budget: int) -> None:
    points = budget_grid()
    if budget in points:
        assert check_budget(budget) == budget
        return
    below = max((p for p in points if p < budget), default=None)
    above = min((p for p in points if p > budget), default=None)
    near = " or ".join(str(p) for p in (below, above) if p is not None)
    message = f"budget {budget} is not on the grid of steps: use {near}"
    assert str(catch_refusal(lambda: check_budget(budget))) == message
