"""The views and tables of the database, described for people and for Datasette."""

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from lcma.db import locate
from lcma.db.relations import Relation
from lcma.db.sqlite import SqliteDatabase
from lcma.harness.show.tables import Table, TableColumn, render_table
from lcma.sweeps.errors import UserError


def render_relation(relation: Relation) -> RenderableType:
    """Return a relation with its columns: type and meaning, with the unit."""
    rows = tuple((one.name, one.type, one.meaning) for one in relation.columns)
    columns = tuple(map(TableColumn, ("column", "type", "meaning")))
    heading = Text(f"{relation.kind} {relation.name}", style="bold")
    return Group(heading, Text(relation.meaning), Text(), render_table(Table(columns, rows)))


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
