"""Where labels of points go, so that they cover little."""

import math
from collections.abc import Sequence

Box = tuple[float, float, float, float]
"""Centre (x, y), half of the width and half of the height, in pixels."""


def choose_boxes(labels: Sequence[Sequence[Box]], drawn: Sequence[Box]) -> list[int]:
    """Choose one of the boxes that each label can be in: the one that covers least of what is drawn
    and of the other labels, and the first of equal ones.

    Each label is looked at twice, as what comes later may have taken the better place.

    Returns:
        For each label the index of its box.
    """
    chosen: dict[int, int] = {}
    for _ in range(2):
        for k, boxes in enumerate(labels):
            others = [labels[j][own] for j, own in chosen.items() if j != k]
            covered = [sum(shared_area(box, other) for other in (*drawn, *others)) for box in boxes]
            chosen[k] = covered.index(min(covered))
    return [chosen[k] for k in range(len(labels))]


def shared_area(one: Box, other: Box) -> float:
    """Return the area that two boxes share, in square pixels."""
    sides = (
        min(one[k] + one[k + 2], other[k] + other[k + 2])
        - max(one[k] - one[k + 2], other[k] - other[k + 2])
        for k in (0, 1)
    )
    return math.prod(max(side, 0.0) for side in sides)
