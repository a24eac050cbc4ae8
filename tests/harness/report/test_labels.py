"""Labels of points: which place each takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcma.harness.report.labels import Box, choose_boxes, shared_area

RIGHT, LEFT, ABOVE = (20.0, 0.0, 10.0, 5.0), (-20.0, 0.0, 10.0, 5.0), (0.0, 20.0, 10.0, 5.0)


def _at(box: Box, x: float) -> Box:
    return (box[0] + x, *box[1:])


@pytest.mark.parametrize(
    ("drawn", "place"),
    [
        ([], 0),
        ([(0.0, 0.0, 5.0, 5.0)], 0),
        ([(25.0, 4.0, 1.0, 1.0)], 1),
        ([(30.0, 0.0, 0.1, 0.1), (-20.0, 5.0, 0.1, 0.1)], 2),
        ([(20.0, 0.0, 1.0, 1.0), (-20.0, 0.0, 1.0, 2.0), (0.0, 20.0, 2.0, 1.1)], 0),
        ([(31.0, 0.0, 1.0, 1.0), (20.0, 6.0, 1.0, 1.0)], 0),  # at its edges
        ([(0.0, 0.0, 100.0, 100.0)], 0),  # all cover it
    ],
)
def test_a_label_takes_the_first_place_that_covers_least(drawn: list[Box], place: int) -> None:
    assert choose_boxes([(RIGHT, LEFT, ABOVE)], drawn) == [place]


def test_labels_make_room_for_those_that_have_one_place() -> None:
    """The first would take what the second needs."""
    other = [_at(box, 30.0) for box in (RIGHT, LEFT)]
    assert choose_boxes([(RIGHT, LEFT), (other[1],)], []) == [1, 0]
    assert choose_boxes([(RIGHT, LEFT), other], []) == [0, 0]
    assert choose_boxes([(RIGHT, LEFT), [_at(box, 5.0) for box in (RIGHT, LEFT)]], []) == [0, 1]


def test_the_area_that_two_boxes_share() -> None:
    assert shared_area((0.0, 0.0, 10.0, 5.0), (8.0, 3.0, 4.0, 4.0)) == 6.0 * 6.0
    assert shared_area((0.0, 0.0, 10.0, 5.0), (1.0, -1.0, 2.0, 1.0)) == 8.0  # one in the other
    assert shared_area((0.0, 0.0, 1.0, 1.0), (3.0, 3.0, 1.0, 1.0)) == 0.0


numbers = st.integers(-20, 20).map(float)
boxes = st.tuples(numbers, numbers, st.just(6.0), st.just(3.0))


@given(st.lists(st.lists(boxes, min_size=1, max_size=4), min_size=1, max_size=6), st.lists(boxes))
def test_the_last_label_has_no_better_place(labels: list[list[Box]], drawn: list[Box]) -> None:
    places = choose_boxes(labels, drawn)
    *others, last = [own[place] for own, place in zip(labels, places, strict=True)]

    def covered(box: Box) -> float:
        return sum(shared_area(box, other) for other in (*drawn, *others))

    assert covered(last) == min(covered(box) for box in labels[-1])
