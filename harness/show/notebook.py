"""Boards, verdicts and curves by budget in a notebook."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from lcma.harness.results.board import Board
from lcma.harness.results.budgets import BudgetCurve
from lcma.harness.results.verdicts import Verdicts
from lcma.harness.show.board import board_table, group_table
from lcma.harness.show.budgets import budget_table, list_tables
from lcma.harness.show.tables import Table, table_as_html
from lcma.harness.show.verdicts import summarize_verdicts, verdict_table
from lcma.harness.text import format_count

if TYPE_CHECKING:
    import pandas as pd

R = TypeVar("R")


class View(Generic[R]):
    """Results that a notebook shows as tables for people.

    ``results`` holds them; the length is the number of rows of the board, of verdicts or of curves.
    """

    def __init__(
        self, results: R, count: int, about: str, table: Table, shown: Sequence[Table]
    ) -> None:
        self.results = results
        self._count, self._about, self._table, self._shown = count, about, table, shown

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        return f"<{self._about}: .to_pandas()>"

    def _repr_html_(self) -> str:
        return "\n".join(map(table_as_html, self._shown)) or "<p>There are no results yet.</p>"

    def to_pandas(self) -> "pd.DataFrame":
        """Return a row for each row of the board, verdict or budget, with `lcma export`'s columns.

        Rows of a board without ``n`` are its bars.

        Columns of integers stay integers where some are missing. Among curves by budget, a row
        without a budget is the conventional rule; ``holdout``, ``test`` and differences are in
        ``unit``, costs in device seconds and training images, and ``on_front`` and
        ``smallest_enough`` are 0 or 1.
        """
        import pandas as pd

        names = [column.name for column in self._table.columns]
        frame = pd.DataFrame.from_records(list(self._table.rows), columns=names)
        kinds = {
            name: set(map(type, values)) - {type(None)}
            for name, values in zip(names, zip(*self._table.rows, strict=True), strict=False)
        }
        return frame.astype({name: "Int64" for name, types in kinds.items() if types == {int}})


def view_board(board: Board) -> View[Board]:
    """Return a leaderboard for a notebook."""
    count = sum(len(group.rows) for group in board.groups)
    about = f"board of {format_count(count, 'row')} in {format_count(len(board.groups), 'table')}"
    return View(board, count, about, board_table(board), [*map(group_table, board.groups)])


def view_verdicts(verdicts: Verdicts) -> View[Verdicts]:
    """Return verdicts for a notebook."""
    count = len(verdicts.all)
    decisions = sorted(Counter(verdict.decision for verdict in verdicts.all).items())
    about = f"{format_count(count, 'verdict')}: {', '.join(f'{k} {name}' for name, k in decisions)}"
    return View(verdicts, count, about, verdict_table(verdicts), [summarize_verdicts(verdicts)])


def view_budgets(curves: Sequence[BudgetCurve]) -> View[Sequence[BudgetCurve]]:
    """Return curves by budget for a notebook."""
    budgets = format_count(sum(len(curve.rows) for curve in curves), "budget")
    about = f"{format_count(len(curves), 'curve')} of {budgets}"
    shown = [table for curve in curves for table in list_tables(curve)]
    return View(curves, len(curves), about, budget_table(curves), shown)
