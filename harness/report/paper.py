"""The tables of the LCMA paper beside ours, as rows for every format."""

from lcma.db import QueryResult
from lcma.harness.results.paper import PaperTable, Value
from lcma.harness.text import format_number


def paper_rows(table: PaperTable) -> QueryResult:
    """The table as it stands, for the forms of rows."""
    rows = tuple((name, whose, *values) for name, whose, values in table.rows)
    return QueryResult(("row", "bits_per_dim", *table.columns), rows, truncated=False)


def paper_as_text(table: PaperTable) -> QueryResult:
    """The table for people: two decimals as printed, four of ours, '-' for none."""

    def shown(whose: str, value: Value) -> str:
        if not isinstance(value, float):
            return "-" if value is None else str(value)
        return format_number(
            value, 2 if whose == "paper" else 4, sign=whose.startswith("difference")
        )

    rows = tuple(
        (name, whose, *(shown(whose, value) for value in values))
        for name, whose, values in table.rows
    )
    return QueryResult(("row", "bits/dim", *table.columns), rows, truncated=False)
