"""The tables of the LCMA paper in its layout: its numbers, ours, and the difference."""

from collections.abc import Sequence
from dataclasses import dataclass

from lcma.harness.results.board import Board, Group, Row
from lcma.sweeps import published
from lcma.sweeps.published import Number

SOURCE = "LCMA"

LAYOUTS = {
    "1": ("factorization", "dataset"),
    "2": ("factorization", "flow"),
    "3": ("flow", "factorization"),
    "4": ("factorization", "dataset"),
}
"""Of which fact of a number the rows of a table are, and its columns."""

OURS = ("ours", "difference", "sd", "n", "steps", "budget", "data")
"""What is said of each cell of ours; the difference is ours less the paper's, and the data are the
whole set or not."""

Value = float | int | str | None


@dataclass(frozen=True)
class PaperTable:
    """``rows`` are (row, whose, one value for each of ``columns``), None where there is none."""

    number: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[Value, ...]], ...]

    @property
    def title(self) -> str:
        """`Table 1 of the LCMA paper`."""
        return f"Table {self.number} of the {SOURCE} paper: bits/dim as printed, ours, difference"


def compare_with_paper(board: Board, table: str) -> PaperTable:
    """The paper's table of that number, beside what the board has of the same cells.

    Ours are told apart by profile, protocol and precision. Of several recipes or budgets of one
    cell the longest training, then the longest budget stands there, whatever its number is.
    """
    row_fact, column_fact = LAYOUTS[table]
    printed = [n for n in published.numbers() if (n.source, n.table) == (SOURCE, table)]
    names = list(dict.fromkeys(getattr(n, row_fact) for n in printed))
    columns = list(dict.fromkeys(getattr(n, column_fact) for n in printed))
    by_place = {(getattr(n, row_fact), getattr(n, column_fact)): n for n in printed}
    found = _ours(board, table)
    scales = sorted({scale for scale, _ in found})
    rows: list[tuple[str, str, tuple[Value, ...]]] = []
    for name in names:
        cells = [by_place.get((name, column)) for column in columns]
        rows.append((name, "paper", tuple(None if n is None else n.bits_per_dim for n in cells)))
        for scale in scales:
            ours = [None if n is None else found.get((scale, n)) for n in cells]
            if any(ours):
                rows += _lines(name, scale, cells, ours)
    return PaperTable(table, tuple(columns), tuple(rows))


def _ours(board: Board, table: str) -> dict[tuple[str, Number], tuple[Group, Row]]:
    found: dict[tuple[str, Number], tuple[Group, Row]] = {}
    for group in board.groups:
        scale = ", ".join((group.profile, group.protocol, group.precision))
        for row in group.rows:
            if row.mean is None or row.map_options is not None:
                continue
            for one in row.published:
                if (one.source, one.table) != (SOURCE, table):
                    continue
                held = found.get((scale, one))
                if held is None or _length(group, row) > _length(*held):
                    found[scale, one] = group, row
    return found


def _length(group: Group, row: Row) -> tuple[int, int, str, str]:
    return group.steps, row.budget or 0, group.recipe_id, group.data_digest


def _lines(
    name: str,
    scale: str,
    printed: Sequence[Number | None],
    ours: Sequence[tuple[Group, Row] | None],
) -> list[tuple[str, str, tuple[Value, ...]]]:
    lines: dict[str, list[Value]] = {what: [] for what in OURS}
    for one, cell in zip(printed, ours, strict=True):
        values: tuple[Value, ...] = (None,) * len(OURS)
        if cell is not None and one is not None:
            group, row = cell
            assert row.mean is not None
            difference = row.mean - one.bits_per_dim
            data = "whole" if group.whole else "not the whole set"
            values = (row.mean, difference, row.deviation, row.n, group.steps, row.budget, data)
        for what, value in zip(OURS, values, strict=True):
            lines[what].append(value)
    return [(name, f"{what} ({scale})", tuple(values)) for what, values in lines.items()]
