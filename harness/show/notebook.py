"""Show a board, verdicts and curves by budget in a notebook."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

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


class _View:
    """Results that show themselves in a notebook by tables for people.

    ``_table`` is for programs.
    """

    def __init__(self, table: Table, shown: Sequence[Table], about: str) -> None:
        self._table, self._shown, self._about = table, shown, about

    def __repr__(self) -> str:
        return f"<{self._about}: .to_pandas()>"

    def _repr_html_(self) -> str:
        return "\n".join(map(table_as_html, self._shown)) or "<p>There are no results yet.</p>"

    def to_pandas(self) -> "pd.DataFrame":
        """Return a row for each row, verdict or budget, with the columns of `lcma export`.

        Integers stay whole where some are missing.
        """
        import pandas as pd

        names = [column.name for column in self._table.columns]
        frame = pd.DataFrame.from_records(list(self._table.rows), columns=names)
        kinds = {
            name: set(map(type, values)) - {type(None)}
            for name, values in zip(names, zip(*self._table.rows, strict=True), strict=False)
        }
        return frame.astype({name: "Int64" for name, found in kinds.items() if found == {int}})


class BoardView(_View):
    """A leaderboard that shows itself in a notebook; ``board`` holds its groups and rows."""

    def __init__(self, board: Board) -> None:
        self.board = board
        tables = format_count(len(board.groups), "table")
        about = f"board of {format_count(len(self), 'row')} in {tables}"
        super().__init__(board_table(board), [*map(group_table, board.groups)], about)

    def __len__(self) -> int:
        return sum(len(group.rows) for group in self.board.groups)


class VerdictsView(_View):
    """Verdicts that show themselves in a notebook; ``verdicts`` holds them with their tests."""

    def __init__(self, verdicts: Verdicts) -> None:
        self.verdicts = verdicts
        counts = sorted(Counter(one.decision for one in verdicts.all).items())
        words = ", ".join(f"{count} {decision}" for decision, count in counts)
        about = f"{format_count(len(self), 'verdict')}: {words}"
        super().__init__(verdict_table(verdicts), [summarize_verdicts(verdicts)], about)

    def __len__(self) -> int:
        return len(self.verdicts.all)


class BudgetsView(_View):
    """Curves by budget that show themselves in a notebook; ``curves`` holds them.

    Of the data frame a row without a budget is what is conventional. ``holdout``, ``test`` and
    differences are in ``unit``, costs in device seconds and training images; ``on_front`` and
    ``smallest_enough`` are 0 or 1.
    """

    def __init__(self, curves: Sequence[BudgetCurve]) -> None:
        self.curves = tuple(curves)
        budgets = format_count(sum(len(curve.rows) for curve in curves), "budget")
        about = f"{format_count(len(self), 'curve')} of {budgets}"
        shown = [table for curve in self.curves for table in list_tables(curve)]
        super().__init__(budget_table(self.curves), shown, about)

    def __len__(self) -> int:
        return len(self.curves)
