"""Rows, the front and the map's stability of a budget curve, without a database."""

import dataclasses

import numpy as np
import pytest

from lcma.harness.results.budgets import BudgetRow, make_curve, measure_stability
from lcma.harness.results.map_statistics import make_kept_masks
from lcma.models import make_tables
from tests.harness.show.conftest import contribution


def row(budget, *holdouts, test=5.0, seconds=100.0):
    """A row of seeds 0, 1, ... It costs a thousand images plus one for each step."""
    mean, by_seed = float(np.mean(holdouts)), dict(enumerate(holdouts))
    images = 1000 + (budget or 0)
    return BudgetRow(budget, by_seed, len(by_seed), mean, test=test, seconds=seconds, images=images)


def on_front(curve):
    return [row.on_front for row in curve.rows]


def test_holdout_chooses_and_test_is_only_reported() -> None:
    rows = [
        row(0, 4.2, 4.4, test=3.0),
        row(100, 4.0, 4.2, test=9.0, seconds=150.0),
        row(300, 4.1, 4.3, test=1.0, seconds=250.0),
    ]
    curve = make_curve(rows)
    assert curve.cost == "seconds"
    assert on_front(curve) == [True, True, False]
    assert [row.test for row in curve.rows] == [3.0, 9.0, 1.0]
    swapped = make_curve([dataclasses.replace(row, test=-row.test) for row in rows])
    assert on_front(swapped) == [True, True, False]


def test_costs_are_images_where_seconds_are_unknown() -> None:
    curve = make_curve([row(0, 4.5), row(10, 4.0, seconds=None)])
    assert curve.cost == "images"
    assert on_front(curve) == [True, True]
    unknown = [dataclasses.replace(row, images=None) for row in curve.rows]
    assert on_front(make_curve(unknown)) == [False, False]
    assert make_curve([row(0, 4.5)], alike=False).cost == "images", "of several kinds of device"


SHAPE = (1, 16, 16)


def noise(seed):
    return np.random.default_rng(seed).normal(size=SHAPE)


def maps(*seeds):
    """Maps of noise at splits 1, 2, ..."""
    return [contribution(noise(seed), split) for split, seed in enumerate(seeds, 1)]


@pytest.mark.parametrize("factorization", ["LL", "low-global"])
def test_maps_are_compared_with_the_longest_of_their_seed(factorization: str) -> None:
    longest = {0: maps(1, 2), 1: maps(3, 4)}
    opposite = [contribution(-m.values, m.split) for m in longest[0]]
    stability = measure_stability(
        {
            0: {0: maps(8, 9), 10: opposite, 100: longest[0], 1000: maps(5, 6)},
            1: {0: maps(1, 2), 10: longest[1], 100: longest[1]},
            2: {5: maps(6, 6), 10: maps(7, 7)},
        },
        factorization,
    )
    by_key = {(row.budget, row.split): row for row in stability}
    # Only one seed of three has 1000, and seed 2 has nothing as long.
    assert set(by_key) == {(b, s) for b in (0, 10, 100) for s in (1, 2)}
    assert {(row.longest, row.seeds) for row in stability} == {(100, 2)}
    for split in (1, 2):
        same, half = by_key[100, split], by_key[10, split]
        assert same.overlap == 1.0
        assert same.rank_correlation == pytest.approx(1.0)
        # One seed has the opposite map, the other the same.
        assert half.rank_correlation == pytest.approx(0.0)
    assert by_key[10, 1].overlap == 0.5
    unrelated = by_key[0, 1]
    assert abs(unrelated.rank_correlation) < 0.2
    assert abs(unrelated.overlap - unrelated.by_chance) < 0.1


def test_maps_of_self_are_compared_where_both_have_dimensions() -> None:
    first, second = maps(1, 2)
    kept = make_kept_masks(make_tables("self", SHAPE, 1, maps=[first.values]), SHAPE)[0]
    other = contribution(np.where(kept, second.values, noise(9)), 2)
    stability = measure_stability({0: {10: [first, other], 100: [first, second]}}, "self")
    assert stability[1].rank_correlation == pytest.approx(1.0)
    assert stability[1].overlap == 1.0


def test_a_map_that_does_not_vary_has_no_correlation_and_an_unknown_rule_no_overlap() -> None:
    flat = [contribution(np.zeros(SHAPE), split) for split in (1, 2)]
    row, *_ = measure_stability({0: {0: flat, 100: maps(1, 2)}}, "LL")
    assert row.rank_correlation is None
    assert row.overlap is not None
    row, *_ = measure_stability({0: {0: maps(1, 2), 100: maps(1, 2)}}, "my-rule")
    assert row.overlap is None
    assert measure_stability({}, "LL") == []
