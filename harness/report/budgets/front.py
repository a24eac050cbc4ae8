"""The Pareto front of two costs, both of which should be small."""

from collections.abc import Sequence

Point = tuple[float, float]


def pareto_front(points: Sequence[Point]) -> list[bool]:
    """Which points no other beats: is at most as high in both, and lower in one.

    Points that are equal stand or fall together.
    """
    order = sorted(range(len(points)), key=lambda i: points[i])
    on = [False] * len(points)
    lowest: float | None = None
    last: Point | None = None
    for i in order:
        if points[i] == last:
            on[i] = True
        elif lowest is None or points[i][1] < lowest:
            on[i], lowest, last = True, points[i][1], points[i]
    return on


def find_knee(points: Sequence[Point]) -> int | None:
    """Which point of the front lies furthest below the line from its one end to the other.

    Both costs are scaled to the front's ends. Of several the cheapest in the first cost; None
    where no point of the front lies below that line.
    """
    on = pareto_front(points)
    ends = sorted(point for point, is_on in zip(points, on, strict=True) if is_on)
    if not ends or ends[0][0] == ends[-1][0]:
        return None
    (x0, y0), (x1, y1) = ends[0], ends[-1]
    below = [
        (1 - (x - x0) / (x1 - x0) - (y - y1) / (y0 - y1), -x, -i) if is_on else (0.0, -x, -i)
        for i, ((x, y), is_on) in enumerate(zip(points, on, strict=True))
    ]
    best = max(below)
    return -best[2] if best[0] > 1e-9 else None
