"""Show a board, verdicts and curves by budget in a notebook."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lcma.harness.results.board import Board
from lcma.harness.results.budgets import BudgetCurve
from lcma.harness.results.verdicts import Verdicts
from lcma.harness.show.board import board_table, group_table
from lcma.harness.show.budgets import budget_table, curve_title, list_sentences, list_tables
from lcma.harness.show.tables import Table, table_as_html
from lcma.harness.show.verdicts import summarize_verdicts, verdict_table
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
        return _as_frame(board_table(self.board))

    def _repr_html_(self) -> str:
        tables = (table_as_html(group_table(group)) for group in self.board.groups)
        return "\n".join(tables) or "<p>There are no results yet.</p>"


class VerdictsView:
    """Verdicts that show themselves in a notebook; ``verdicts`` holds them with their tests."""

    def __init__(self, verdicts: Verdicts) -> None:
        self.verdicts = verdicts

    def __len__(self) -> int:
        return len(self.verdicts.all)

    def __repr__(self) -> str:
        decisions = [one.decision for one in self.verdicts.all]
        counts = (f"{decisions.count(name)} {name}" for name in sorted(set(decisions)))
        return f"<{format_count(len(self), 'verdict')}: {', '.join(counts)}: .to_pandas()>"

    def to_pandas(self) -> "pd.DataFrame":
        """Return a row for each verdict, with the columns of `lcma export verdicts`."""
        return _as_frame(verdict_table(self.verdicts))

    def _repr_html_(self) -> str:
        return table_as_html(replace(summarize_verdicts(self.verdicts), title="Verdicts"))


class BudgetsView:
    """Curves by budget that show themselves in a notebook; ``curves`` holds them."""

    def __init__(self, curves: Sequence[BudgetCurve]) -> None:
        self.curves = tuple(curves)

    def __len__(self) -> int:
        return len(self.curves)

    def __repr__(self) -> str:
        budgets = sum(len(curve.rows) for curve in self.curves)
        curves = format_count(len(self), "curve")
        return f"<{curves} of {format_count(budgets, 'budget')}: .to_pandas()>"

    def to_pandas(self) -> "pd.DataFrame":
        """Return a row for each budget, and one without a budget for what is conventional.

        ``holdout``, ``test`` and differences are in ``unit``, costs in device seconds and training
        images; ``on_front``, ``knee`` and ``smallest_enough`` are 0 or 1.
        """
        return _as_frame(budget_table(self.curves))

    def _repr_html_(self) -> str:
        tables: list[str] = []
        for curve in self.curves:
            values, *others = list_tables(curve)
            answer, *more = list_sentences(curve)
            notes = (*more, *curve.notes)
            values = replace(values, title=curve_title(curve.key), under=answer, notes=notes)
            tables += map(table_as_html, (values, *others))
        return "\n".join(tables)


def _as_frame(table: Table) -> "pd.DataFrame":
    """Return a table as a data frame, in which numbers that are missing leave integers whole."""
    import pandas as pd

    names = [column.name for column in table.columns]
    frame = pd.DataFrame.from_records(list(table.rows), columns=names)
    kinds = {
        name: set(map(type, values)) - {type(None)}
        for name, values in zip(names, zip(*table.rows, strict=True), strict=False)
    }
    return frame.astype({name: "Int64" for name, found in kinds.items() if found == {int}})
