"""Which rows of a board the results cannot tell apart."""

from collections.abc import Sequence
from string import ascii_uppercase

from harness.report.ranking import Row, paired

LEAST = 6
"""Pairs of seeds below which nothing is told apart."""


def groups(rows: Sequence[Row]) -> list[str]:
    """A letter for each row, best first; '' for one without a mean, or with a group of its own.

    The best row that has no letter yet leads a group. A row belongs to it while its difference
    from the leader, paired by seed, has a 95 % t-interval that holds 0, or fewer than `LEAST`
    pairs. Intervals are those of single comparisons.
    """
    found: list[int | None] = [None] * len(rows)
    leader: Row | None = None
    count = -1
    for index, row in enumerate(rows):
        if row.mean is None:
            continue
        if leader is None or _apart(row, leader):
            leader, count = row, count + 1
        found[index] = count
    sizes = [sum(one == group for one in found) for group in range(count + 1)]
    letters = {g: _letter(k) for k, g in enumerate(g for g, size in enumerate(sizes) if size > 1)}
    return ["" if group is None else letters.get(group, "") for group in found]


def _apart(row: Row, leader: Row) -> bool:
    ours = dict(zip(row.seeds, row.bits_per_dim, strict=True))
    theirs = dict(zip(leader.seeds, leader.bits_per_dim, strict=True))
    difference = paired(ours, theirs)
    if difference is None or difference.pairs < LEAST or difference.low is None:
        return False
    return difference.low > 0


def _letter(index: int) -> str:
    place, rest = divmod(index, len(ascii_uppercase))
    return ascii_uppercase[rest] + (str(place + 1) if place else "")
