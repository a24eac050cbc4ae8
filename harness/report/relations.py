"""Views and tables of the database for people: what they are, and what their columns mean."""

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lcma.db import locate
from lcma.db.relations import Relation
from lcma.db.sqlite import SqliteDatabase
from lcma.harness.report.text import cell
from lcma.sweeps.errors import UserError


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


def datasette(found: Sequence[Relation], url: str) -> dict[str, Any]:
    """The metadata with which Datasette says beside each view, table and column what it means.

    Datasette knows a database by its file's name without the suffix. Raises UserError where the
    URL means no file, since it opens nothing else.
    """
    database = locate(url)
    if not isinstance(database, SqliteDatabase):
        raise UserError(
            f"Datasette opens SQLite files alone, and {database.name} is none: give --db FILE"
        )
    tables = {
        relation.name: {
            "description": relation.meaning,
            "columns": {column.name: column.meaning for column in relation.columns},
        }
        for relation in found
    }
    return {"databases": {database.path.stem: {"tables": tables}}}


def _table(*headings: str) -> Table:
    return Table(*headings, box=box.SIMPLE_HEAD, pad_edge=False)
