"""The tables of the LCMA paper beside ours."""

from lcma.harness.report.tables import Table, TableColumn
from lcma.harness.results.paper import PaperTable, PaperValue
from lcma.harness.text import format_number


def paper_table(found: PaperTable, *, in_full: bool) -> Table:
    """Return the table; for people with two decimals as printed, and four of ours."""

    def show(of: str, value: PaperValue) -> PaperValue:
        if in_full or not isinstance(value, float):
            return value
        places = 2 if of == "paper" else 4
        return format_number(value, places, sign=of.startswith("difference"))

    columns = (
        TableColumn("row"),
        TableColumn("bits_per_dim", "bits/dim"),
        *map(TableColumn, found.columns),
    )
    rows = tuple(
        (name, of, *(show(of, value) for value in values)) for name, of, values in found.rows
    )
    return Table(columns, rows, found.title)
