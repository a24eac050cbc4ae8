"""The rows of one group of the board that claims are about."""

from collections.abc import Iterable
from dataclasses import dataclass

from lcma.harness.report.ranking import Group, Row
from lcma.sweeps import factorizations


@dataclass(frozen=True)
class Cells:
    """A group's rows under one budget, those that need no map included.

    Rows with options of the map are left out: they are experiments of their own.
    """

    group: Group
    budget: int | None
    rows: dict[str, Row]

    @property
    def conventional(self) -> Row | None:
        """The flow's own factorization, where it has results."""
        return next((row for row in self.rows.values() if row.conventional), None)

    @property
    def low(self) -> Row | None:
        """`low`, where it has results and is not the conventional one."""
        row = self.rows.get("L" * self.group.splits)
        return None if row is None or row.conventional else row

    @property
    def words(self) -> dict[str, Row] | None:
        """All 2^splits words in the order of Table 4 from the best to the worst, or None."""
        words = tuple(reversed(factorizations.words(self.group.splits)))
        if not self.group.splits or any(word not in self.rows for word in words):
            return None
        return {word: self.rows[word] for word in words}


def cells_of(group: Group) -> Cells:
    """The rows under the group's longest budget, whatever their results say."""
    budgets = budgets_of(group)
    return cells_at(group, budgets[-1] if budgets else None)


def budgets_of(group: Group) -> list[int]:
    """The budgets of `low`, shortest first."""
    low = "L" * group.splits
    return sorted(
        row.budget
        for row in _plain(group)
        if row.factorization == low and row.seeds and row.budget is not None
    )


def cells_at(group: Group, budget: int | None) -> Cells:
    """The rows under one budget."""
    rows = {
        row.factorization: row
        for row in _plain(group)
        if row.seeds and row.budget in (None, budget)
    }
    return Cells(group, budget, rows)


def bits_by_seed(row: Row) -> dict[int, float]:
    """Bits/dim by seed."""
    return dict(zip(row.seeds, row.bits_per_dim, strict=True))


def all_cleared(rows: Iterable[Row]) -> bool | None:
    """Whether all clear the bars; None where that is not known."""
    found = {row.cleared for row in rows}
    if False in found:
        return False
    return None if None in found else True


def count_lost(rows: Iterable[Row]) -> int:
    """How many of their trials diverged or failed."""
    return sum(row.diverged + row.failed for row in rows)


def _plain(group: Group) -> list[Row]:
    return [row for row in group.rows if row.map_options is None]
