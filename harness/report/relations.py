"""The views and tables of the database, described for people and for Datasette."""

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lcma.db import locate
from lcma.db.relations import Relation
from lcma.db.sqlite import SqliteDatabase
from lcma.harness.terminal import text_cell
from lcma.sweeps.errors import UserError


def render_relations(found: Sequence[Relation]) -> RenderableType:
    """Return a table with a line for each relation: name, kind and meaning."""
    table = _table("name", "kind", "meaning")
    for relation in found:
        table.add_row(
            text_cell(relation.name), text_cell(relation.kind), text_cell(relation.meaning)
        )
    return table


def render_relation(relation: Relation) -> RenderableType:
    """Return a relation with its columns: type and meaning, with the unit."""
    table = _table("column", "type", "meaning")
    for column in relation.columns:
        table.add_row(text_cell(column.name), text_cell(column.type), text_cell(column.meaning))
    heading = Text(f"{relation.kind} {relation.name}", style="bold")
    return Group(heading, Text(relation.meaning), table)


def datasette_metadata(found: Sequence[Relation], url: str) -> dict[str, Any]:
    """Return Datasette's metadata: the meanings that it shows beside views, tables and columns.

    Raises UserError if the URL names no SQLite file, since Datasette opens nothing else.
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
    # Datasette knows a database by its file's name without the suffix.
    return {"databases": {database.path.stem: {"tables": tables}}}


def _table(*headings: str) -> Table:
    return Table(*headings, box=box.SIMPLE_HEAD, pad_edge=False)
