"""Views and tables of the database for people: what they are, and what their columns mean."""

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from db.describing import Relation
from harness.report.text import cell


def listed(found: Sequence[Relation]) -> RenderableType:
    """A line for each."""
    table = _table("name", "kind", "meaning")
    for relation in found:
        table.add_row(cell(relation.name), cell(relation.kind), cell(relation.meaning))
    return table


def described(relation: Relation) -> RenderableType:
    """One with its columns: type and meaning, with the unit."""
    table = _table("column", "type", "meaning")
    for column in relation.columns:
        table.add_row(cell(column.name), cell(column.type), cell(column.meaning))
    heading = Text(f"{relation.kind} {relation.name}", style="bold")
    return Group(heading, Text(relation.meaning), table)


def _table(*headings: str) -> Table:
    return Table(*headings, box=box.SIMPLE_HEAD, pad_edge=False)
