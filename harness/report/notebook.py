"""Show a board in a notebook."""

from html import escape
from typing import TYPE_CHECKING

from lcma.harness.report.board import board_rows, format_titles, list_lines_below
from lcma.harness.results.board import Board, Group, factorization_label
from lcma.harness.text import format_number, printable

if TYPE_CHECKING:
    import pandas as pd


class BoardView:
    """A leaderboard that shows itself in a notebook; ``board`` holds its groups and rows."""

    def __init__(self, board: Board) -> None:
        self.board = board

    def __len__(self) -> int:
        return sum(len(group.rows) for group in self.board.groups)

    def __repr__(self) -> str:
        tables = "table" if len(self.board.groups) == 1 else "tables"
        return f"<board of {len(self)} rows in {len(self.board.groups)} {tables}: .to_pandas()>"

    def to_pandas(self) -> "pd.DataFrame":
        """Return a row for each row of the board, with the columns of `lcma export`."""
        import pandas as pd

        found = board_rows(self.board)
        return pd.DataFrame.from_records(list(found.rows), columns=list(found.columns))

    def _repr_html_(self) -> str:
        return "\n".join(map(_table, self.board.groups)) or "<p>There are no results yet.</p>"


def _table(group: Group) -> str:
    title, apart = format_titles(group)
    heads = ("factorization", "budget", "n", "bits/dim", "difference", "± 95 %", "rank")
    rows = []
    for row in group.rows:
        difference = row.difference
        cells = (
            factorization_label(row.factorization),
            "-" if row.budget is None else str(row.budget),
            str(row.n),
            format_number(row.mean),
            "-" if difference is None else format_number(difference.mean, sign=True),
            format_number(None if difference is None else difference.half_width),
            "-" if row.rank is None else str(row.rank),
        )
        rows.append("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in cells) + "</tr>")
    notes = "".join(f"<br>{_text(line)}" for line in list_lines_below(group))
    head = "".join(f"<th>{_text(name)}</th>" for name in heads)
    return (
        f"<p><b>{_text(title)}</b><br>{_text(apart)}</p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        f"<p><small>{notes.removeprefix('<br>')}</small></p>"
    )


def _text(value: str) -> str:
    return escape(printable(value))
