"""Rows, the front and the map's stability of a budget curve, without a database."""

import dataclasses

import numpy as np
import pytest

from lcma.harness.results.budgets import BudgetRow, make_curve, measure_stability
from lcma.harness.results.map_statistics import make_kept_masks
from lcma.models import make_tables
from tests.harness.show.maps import contribution, noise


def row(budget, *holdouts, test=5.0, seconds=100.0):
    """A row of seeds 0, 1, ..., which costs a thousand images and one for each step."""
    mean, by_seed = float(np.mean(holdouts)), dict(enumerate(holdouts))
    images = 1000 + (budget or 0)
    return BudgetRow(budget, by_seed, len(by_seed), mean, test=test, seconds=seconds, images=images)


def test_holdout_chooses_and_test_is_only_reported() -> None:
    rows = [
        row(0, 4.2, 4.4, test=3.0),
        row(100, 4.0, 4.2, test=9.0, seconds=150.0),
        row(300, 4.1, 4.3, test=1.0, seconds=250.0),
    ]
    found = make_curve(rows)
    assert found.cost == "seconds"
    assert [one.on_front for one in found.rows] == [True, True, False]
    assert [one.test for one in found.rows] == [3.0, 9.0, 1.0]
    swapped = make_curve([dataclasses.replace(one, test=-one.test) for one in rows])
    assert [one.on_front for one in swapped.rows] == [True, True, False]


def test_the_conventional_row_can_be_on_the_front() -> None:
    rows = [row(0, 4.5, 5.5, 6.5), row(100, 3.9, 4.95, 5.9, seconds=110.0)]
    found = make_curve([*rows, row(None, 4.0, 5.0, 6.0)])
    (zero, hundred), base = found.rows, found.conventional
    assert base.budget is None
    assert [one.on_front for one in (zero, hundred, base)] == [False, True, True]
    assert zero.from_conventional.mean == pytest.approx(0.5)
    assert zero.from_conventional.high == pytest.approx(0.5)
    assert hundred.from_conventional.mean == pytest.approx(-0.25 / 3)
    assert hundred.from_conventional.low < hundred.from_conventional.high < 0
    assert zero.from_longest.mean == pytest.approx((0.6 + 0.55 + 0.6) / 3)
    assert base.from_longest.mean == pytest.approx(0.25 / 3)
    assert hundred.from_longest is base.from_conventional is None


def test_costs_are_images_where_seconds_are_unknown() -> None:
    found = make_curve([row(0, 4.5), row(10, 4.0, seconds=None)])
    assert found.cost == "images"
    assert [one.on_front for one in found.rows] == [True, True]
    unknown = [dataclasses.replace(one, images=None) for one in found.rows]
    assert [one.on_front for one in make_curve(unknown).rows] == [False, False]


SHAPE = (1, 16, 16)


def maps(*seeds_of_noise):
    """Maps at two splits."""
    return [contribution(noise(seed, SHAPE), split) for split, seed in enumerate(seeds_of_noise, 1)]


@pytest.mark.parametrize("factorization", ["LL", "low-global"])
def test_maps_are_compared_with_the_longest_of_their_seed(factorization: str) -> None:
    longest = {0: maps(1, 2), 1: maps(3, 4)}
    opposite = [contribution(-m.values, m.split) for m in longest[0]]
    found = measure_stability(
        {
            0: {0: maps(8, 9), 10: opposite, 100: longest[0], 1000: maps(5, 6)},
            1: {0: maps(1, 2), 10: longest[1], 100: longest[1]},
            2: {5: maps(6, 6), 10: maps(7, 7)},
        },
        factorization,
    )
    by = {(one.budget, one.split): one for one in found}
    # Only one seed of three has 1000, and seed 2 has nothing as long.
    assert set(by) == {(b, s) for b in (0, 10, 100) for s in (1, 2)}
    assert {one.longest for one in found} == {100}
    assert {one.seeds for one in found} == {2}
    for split in (1, 2):
        same = by[100, split]
        assert same.overlap == 1.0
        assert same.rank_correlation == pytest.approx(1.0)
        # Of one seed the opposite, of the other the same.
        assert by[10, split].rank_correlation == pytest.approx(0.0)
    assert by[10, 1].overlap == 0.5
    assert abs(by[0, 1].rank_correlation) < 0.2
    assert abs(by[0, 1].overlap - by[0, 1].by_chance) < 0.1


def test_maps_of_self_are_compared_where_both_have_dimensions() -> None:
    first, second = maps(1, 2)
    left = make_kept_masks(make_tables("self", SHAPE, 1, maps=[first.values]), SHAPE)[0]
    other = contribution(np.where(left, second.values, noise(9, SHAPE)), 2)
    found = measure_stability({0: {10: [first, other], 100: [first, second]}}, "self")
    assert found[1].rank_correlation == pytest.approx(1.0)
    assert found[1].overlap == 1.0


def test_a_map_that_does_not_vary_has_no_correlation() -> None:
    flat = [contribution(np.zeros(SHAPE), split) for split in (1, 2)]
    found = measure_stability({0: {0: flat, 100: maps(1, 2)}}, "LL")
    assert found[0].rank_correlation is None
    assert found[0].overlap is not None
    other = measure_stability({0: {0: maps(1, 2), 100: maps(1, 2)}}, "my-rule")
    assert other[0].overlap is None
    assert measure_stability({}, "LL") == []
