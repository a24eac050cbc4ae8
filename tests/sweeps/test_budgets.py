"""The grid of pretraining budgets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcma.sweeps import budgets
from lcma.sweeps.errors import UserError

LONGEST = 10_000_000


def test_the_grid_begins_and_ends_as_documented() -> None:
    points = budgets.grid()
    assert points[:10] == (0, 10, 15, 20, 30, 50, 70, 100, 150, 200)
    assert points[-1] == LONGEST
    assert 1000 in points


@given(st.integers(-5, 2 * LONGEST), st.integers(-5, 2 * LONGEST))
def test_a_part_of_the_grid_is_the_grid_within_its_bounds(lo: int, hi: int) -> None:
    assert budgets.grid(lo, hi) == tuple(p for p in budgets.grid() if lo <= p <= hi)


@given(st.integers(-1000, 2 * LONGEST) | st.sampled_from(budgets.grid()))
def test_a_budget_off_the_grid_names_its_neighbours(budget: int) -> None:
    points = budgets.grid()
    if budget in points:
        assert budgets.check(budget) == budget
        return
    below = max((p for p in points if p < budget), default=None)
    above = min((p for p in points if p > budget), default=None)
    near = " or ".join(str(p) for p in (below, above) if p is not None)
    with pytest.raises(UserError) as caught:
        budgets.check(budget)
    assert str(caught.value) == f"budget {budget} is not on the grid of steps: use {near}"
