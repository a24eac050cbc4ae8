"""The tables of the LCMA paper in its layout: its numbers, ours, and the difference."""

from collections.abc import Sequence
from dataclasses import dataclass

from lcma.harness.results.board import Board, BoardRow, Group
from lcma.sweeps import published
from lcma.sweeps.published import Number

SOURCE = "LCMA"

LAYOUTS = {
    "1": ("factorization", "dataset"),
    "2": ("factorization", "flow"),
    "3": ("flow", "factorization"),
    "4": ("factorization", "dataset"),
}
"""The fact of a number that makes the rows of a table, and the one that makes its columns."""

OURS = ("ours", "difference", "sd", "n", "steps", "budget", "data")
"""Rows of each cell of ours. The difference is ours minus the paper's; the data are the whole set
or not."""

PaperValue = float | int | str | None


@dataclass(frozen=True)
class PaperTable:
    """A table of the paper beside ours.

    ``rows`` are (row, whose, one value for each of ``columns``), None where there is none.
    """

    number: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[PaperValue, ...]], ...]

    @property
    def title(self) -> str:
        """Title, with the table's number and what its rows are."""
        return f"Table {self.number} of the {SOURCE} paper: bits/dim as printed, ours, difference"


def compare_with_paper(board: Board, table: str) -> PaperTable:
    """Return the paper's table of that number, beside what the board has of the same cells.

    Ours are separate rows by profile, protocol and precision. Of several recipes or budgets of one
    cell the longest training, then the longest budget is taken, whatever its number is.
    """
    row_fact, column_fact = LAYOUTS[table]
    printed = [n for n in published.numbers() if (n.source, n.table) == (SOURCE, table)]
    names = list(dict.fromkeys(getattr(n, row_fact) for n in printed))
    columns = list(dict.fromkeys(getattr(n, column_fact) for n in printed))
    by_place = {(getattr(n, row_fact), getattr(n, column_fact)): n for n in printed}
    found = _our_cells(board, table)
    scales = sorted({scale for scale, _ in found})
    rows: list[tuple[str, str, tuple[PaperValue, ...]]] = []
    for name in names:
        cells = [by_place.get((name, column)) for column in columns]
        rows.append((name, "paper", tuple(None if n is None else n.bits_per_dim for n in cells)))
        for scale in scales:
            ours = [None if n is None else found.get((scale, n)) for n in cells]
            if any(ours):
                rows += _our_lines(name, scale, cells, ours)
    return PaperTable(table, tuple(columns), tuple(rows))


def _our_cells(board: Board, table: str) -> dict[tuple[str, Number], tuple[Group, BoardRow]]:
    found: dict[tuple[str, Number], tuple[Group, BoardRow]] = {}
    for group in board.groups:
        scale = ", ".join((group.profile, group.protocol, group.precision))
        for row in group.rows:
            if row.mean is None or row.map_options is not None:
                continue
            for one in row.published:
                if (one.source, one.table) != (SOURCE, table):
                    continue
                held = found.get((scale, one))
                if held is None or _training_length(group, row) > _training_length(*held):
                    found[scale, one] = group, row
    return found


def _training_length(group: Group, row: BoardRow) -> tuple[int, int, str, str]:
    return group.steps, row.budget or 0, group.recipe_id, group.data_digest


def _our_lines(
    name: str,
    scale: str,
    printed: Sequence[Number | None],
    ours: Sequence[tuple[Group, BoardRow] | None],
) -> list[tuple[str, str, tuple[PaperValue, ...]]]:
    lines: dict[str, list[PaperValue]] = {what: [] for what in OURS}
    for one, cell in zip(printed, ours, strict=True):
        values: tuple[PaperValue, ...] = (None,) * len(OURS)
        if cell is not None and one is not None:
            group, row = cell
            assert row.mean is not None
            difference = row.mean - one.bits_per_dim
            data = "whole" if group.whole else "not the whole set"
            values = (row.mean, difference, row.deviation, row.n, group.steps, row.budget, data)
        for what, value in zip(OURS, values, strict=True):
            lines[what].append(value)
    return [(name, f"{what} ({scale})", tuple(values)) for what, values in lines.items()]
