"""The tables of the LCMA paper: each printed number, with ours beside it."""

from dataclasses import dataclass

from lcma.harness.results.board import Board, BoardRow, Group
from lcma.sweeps import published
from lcma.sweeps.published import Number

SOURCE = "LCMA"


@dataclass(frozen=True)
class PaperRow:
    """A printed number, and a row of a board for it, None where there is none."""

    number: Number
    group: Group | None = None
    row: BoardRow | None = None

    @property
    def difference(self) -> float | None:
        """Ours minus the printed one."""
        if self.row is None or self.row.mean is None:
            return None
        return self.row.mean - self.number.bits_per_dim


def compare_with_paper(board: Board, table: str) -> list[PaperRow]:
    """Return the numbers of the paper's table, each with ours by profile, protocol and precision.

    Of several recipes or budgets of one number the longest training, then the longest budget is
    taken, whatever its result is.
    """
    found: list[PaperRow] = []
    for number in published.numbers():
        if (number.source, number.table) != (SOURCE, table):
            continue
        ours: dict[tuple[str, ...], PaperRow] = {}
        for group in sorted(board.groups, key=lambda one: (one.steps, one.recipe_id)):
            rows = [row for row in group.rows if row.mean is not None and row.map_options is None]
            rows = [row for row in rows if number in row.published]
            if rows:
                longest = max(rows, key=lambda row: row.budget or 0)
                scale = (group.profile, group.protocol, group.precision)
                ours[scale] = PaperRow(number, group, longest)
        found += [ours[scale] for scale in sorted(ours)] or [PaperRow(number)]
    return found
