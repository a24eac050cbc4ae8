"""Rows, costs, the front and the map's stability of a budget curve, without a database."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcma.harness.results.budgets import (
    BudgetCurve,
    CurveKey,
    SeedResult,
    difference_of_sums,
    find_knee,
    make_rows,
    measure_stability,
    pareto_front,
)
from lcma.harness.results.map_statistics import make_kept_masks
from lcma.harness.show.budgets import list_notes
from lcma.models import make_tables
from tests.harness.show.maps import contribution, noise


def seeds(*holdouts, test=5.0, training=100.0, pretraining=0.0):
    """Results of seeds 0, 1, ...; ten images a second of pretraining."""
    seconds, images = None if training is None else training + pretraining, int(pretraining * 10)
    return [
        SeedResult(seed, holdout, test, seconds, 1000 + images, pretraining, images)
        for seed, holdout in enumerate(holdouts)
    ]


def test_holdout_chooses_and_test_is_only_told() -> None:
    by_budget = {
        0: seeds(4.2, 4.4, test=3.0),
        100: seeds(4.0, 4.2, test=9.0, pretraining=50.0),
        300: seeds(4.1, 4.3, test=1.0, pretraining=150.0),
    }
    found, _, over = make_rows(by_budget, [], {}, "seconds")
    assert over == "seconds"
    assert [row.on_front for row in found] == [True, True, False]
    assert [row.test for row in found] == [3.0, 9.0, 1.0]
    assert [(row.front_seeds, row.front_of) for row in found] == [(2, 2), (2, 2), (0, 2)]
    swapped = {
        budget: [dataclasses.replace(one, test=-one.test) for one in some]
        for budget, some in by_budget.items()
    }
    again, _, _ = make_rows(swapped, [], {}, "seconds")
    assert [row.on_front for row in again] == [row.on_front for row in found]


def test_the_conventional_is_on_the_front_too_and_differences_are_paired() -> None:
    by_budget = {0: seeds(4.5, 5.5, 6.5), 100: seeds(3.9, 4.95, 5.9, pretraining=10.0)}
    found, base, _ = make_rows(by_budget, seeds(4.0, 5.0, 6.0), {}, "seconds")
    assert base.budget is None
    assert base.on_front
    assert [row.on_front for row in found] == [False, True]
    assert found[0].from_conventional.mean == pytest.approx(0.5)
    assert found[0].from_conventional.high == pytest.approx(0.5)
    assert found[1].from_conventional.mean == pytest.approx(-0.25 / 3)
    assert found[1].from_conventional.low < found[1].from_conventional.high < 0
    assert found[0].from_longest.mean == pytest.approx((0.6 + 0.55 + 0.6) / 3)
    assert base.from_longest.mean == pytest.approx(0.25 / 3)
    assert found[1].from_longest is base.from_conventional is None


def test_unknown_seconds_leave_images_to_compare() -> None:
    by_budget = {0: seeds(4.5), 10: seeds(4.0, training=None, pretraining=10.0)}
    found, _, over = make_rows(by_budget, [], {10: 3.0}, "seconds")
    assert over == "images"
    assert found[1].seconds is None
    assert found[1].images == 1100
    assert found[1].saved == 3.0
    assert [row.on_front for row in found] == [True, True]
    key = CurveKey(**{one.name: "x" for one in dataclasses.fields(CurveKey)})
    curve = BudgetCurve(key, found, None, None, over, lost=2)
    said = " ".join(list_notes(curve))
    assert "Seconds are not all known: the front is over images." in said
    assert "2 results have no finite number" in said
    devices = ("a CPU", "b\x1bGPU")
    (said,) = list_notes(dataclasses.replace(curve, devices=devices, lost=0))
    assert "Seconds are of 2 kinds of device (a CPU, b\\x1bGPU): " in said


def test_what_sharing_saved_is_never_below_nothing_nor_made_up() -> None:
    assert difference_of_sums([10.0, 10.0, 10.0], [10.0]) == 20.0
    assert difference_of_sums([10.0], [10.000001]) == 0.0
    assert difference_of_sums([10.0, None], [10.0]) is None


NUMBERS = st.integers(-5, 5).map(float) | st.floats(-1e3, 1e3)


def beats(one, other) -> bool:
    return one[0] <= other[0] and one[1] <= other[1] and one != other


@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=12))
def test_on_the_front_is_what_nothing_beats(points) -> None:
    assert pareto_front(points) == [not any(beats(b, a) for b in points) for a in points]


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=10))
def test_the_knee_lies_furthest_below_the_line_between_the_ends(points) -> None:
    found = find_knee(points)
    on = [p for p in points if not any(beats(b, p) for b in points)]
    if not on:
        assert found is None
        return
    left, right = min(on), max(on)
    wide, tall = right[0] - left[0], left[1] - right[1]

    def below(point) -> int:
        """Twice the area under the line, a whole number."""
        return tall * (right[0] - point[0]) - wide * (point[1] - right[1])

    best = max(below(p) for p in on)
    if found is None:
        assert best <= 0
    else:
        assert points[found] in on
        assert below(points[found]) == best > 0


def test_of_several_knees_it_is_the_one_cheapest_in_the_first_cost() -> None:
    assert find_knee([(0.0, 1.0), (0.5, 0.25), (0.25, 0.5), (1.0, 0.0)]) == 2


SHAPE = (1, 16, 16)


def maps(*seeds_of_noise):
    """Maps at two splits."""
    return [contribution(noise(seed, SHAPE), split) for split, seed in enumerate(seeds_of_noise, 1)]


@pytest.mark.parametrize("factorization", ["LL", "low-global"])
def test_maps_are_held_against_the_longest_of_their_own_seed(factorization: str) -> None:
    longest = {0: maps(1, 2), 1: maps(3, 4)}
    opposite = [contribution(-m.values, m.split) for m in longest[0]]
    found = measure_stability(
        {
            0: {0: maps(8, 9), 10: opposite, 100: longest[0], 1000: maps(5, 6)},
            1: {0: maps(1, 2), 10: longest[1], 100: longest[1]},
            2: {5: maps(6, 6), 10: maps(7, 7)},
            **{seed: {10: maps(7, 7)} for seed in (3, 4, 5, 6)},  # which say nothing here
        },
        factorization,
    )
    by = {(one.budget, one.split): one for one in found}
    # 1000 is of one seed of three alone, and seed 2 has nothing as long.
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
    said = measure_stability({0: {10: [first, other], 100: [first, second]}}, "LL")
    assert said[1].rank_correlation < 0.9


def test_a_map_that_does_not_vary_has_no_correlation() -> None:
    flat = [contribution(np.zeros(SHAPE), split) for split in (1, 2)]
    found = measure_stability({0: {0: flat, 100: maps(1, 2)}}, "LL")
    assert found[0].rank_correlation is None
    assert found[0].overlap is not None
    other = measure_stability({0: {0: maps(1, 2), 100: maps(1, 2)}}, "my-rule")
    assert other[0].overlap is None
    assert measure_stability({}, "LL") == []
    alone = measure_stability({0: {100: maps(1, 2)}, 1: {100: maps(3, 4)}}, "LL")
    assert [(one.budget, one.seeds, one.overlap) for one in alone] == [(100, 2, 1.0)] * 2
