"""The Pareto front and its knee, against a reading of their definitions point by point."""

from hypothesis import given
from hypothesis import strategies as st

from lcma.harness.results.budgets import find_knee, pareto_front

NUMBERS = st.integers(-5, 5).map(float) | st.floats(-1e3, 1e3)
POINTS = st.lists(st.tuples(NUMBERS, NUMBERS), max_size=12)


def beats(one, other) -> bool:
    return one[0] <= other[0] and one[1] <= other[1] and one != other


@given(POINTS)
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


def test_a_knee_that_is_known() -> None:
    points = [(0.0, 10.0), (1.0, 2.0), (5.0, 1.5), (10.0, 1.0), (5.0, 9.0)]
    assert pareto_front(points) == [True, True, True, True, False]
    assert find_knee(points) == 1
    assert find_knee(points[:1]) is None
    alike = [(0.0, 1.0), (0.5, 0.25), (0.25, 0.5), (1.0, 0.0)]
    assert find_knee(alike) == 2, "the one cheapest in the first cost"
    assert find_knee([(0.0, 1.0), (1.0, 0.0)]) is None
