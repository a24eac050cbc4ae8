"""Show a board in a notebook."""

from typing import TYPE_CHECKING

from lcma.harness.report.board import board_table, group_table
from lcma.harness.results.board import Board
from lcma.harness.tables import table_as_html
from lcma.harness.text import format_count

if TYPE_CHECKING:
    import pandas as pd


class BoardView:
    """A leaderboard that shows itself in a notebook; ``board`` holds its groups and rows."""

    def __init__(self, board: Board) -> None:
        self.board = board

    def __len__(self) -> int:
        return sum(len(group.rows) for group in self.board.groups)

    def __repr__(self) -> str:
        tables = format_count(len(self.board.groups), "table")
        return f"<board of {format_count(len(self), 'row')} in {tables}: .to_pandas()>"

    def to_pandas(self) -> "pd.DataFrame":
        """Return a row for each row of the board, with the columns of `lcma export`."""
        import pandas as pd

        found = board_table(self.board)
        names = [column.name for column in found.columns]
        return pd.DataFrame.from_records(list(found.rows), columns=names)

    def _repr_html_(self) -> str:
        tables = (table_as_html(group_table(group)) for group in self.board.groups)
        return "\n".join(tables) or "<p>There are no results yet.</p>"
