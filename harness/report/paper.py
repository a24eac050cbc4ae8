"""The tables of the LCMA paper beside ours."""

from lcma.harness.report.tables import Column, Table
from lcma.harness.results.paper import PaperTable, PaperValue
from lcma.harness.text import format_number


def paper_table(found: PaperTable, *, in_full: bool) -> Table:
    """Return the table; for people with two decimals as printed, and four of ours."""

    def show(whose: str, value: PaperValue) -> PaperValue:
        if in_full or not isinstance(value, float):
            return value
        places = 2 if whose == "paper" else 4
        return format_number(value, places, sign=whose.startswith("difference"))

    columns = (Column("row"), Column("bits_per_dim", "bits/dim"), *map(Column, found.columns))
    rows = tuple(
        (name, whose, *(show(whose, value) for value in values))
        for name, whose, values in found.rows
    )
    return Table(columns, rows, found.title)
