"""`lcma schema`: what the views, tables and columns of the database mean."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lcma.db import locate
from lcma.db.relations import Relation
from lcma.db.sqlite import SqliteDatabase
from lcma.harness.cli.options import Db, Json
from lcma.harness.text import text_cell
from lcma.sweeps.errors import UserError

# Views and tables of the database for people: what they are, and what their columns mean


def render_relations(found: Sequence[Relation]) -> RenderableType:
    """A line for each."""
    table = _table("name", "kind", "meaning")
    for relation in found:
        table.add_row(
            text_cell(relation.name), text_cell(relation.kind), text_cell(relation.meaning)
        )
    return table


def render_relation(relation: Relation) -> RenderableType:
    """One with its columns: type and meaning, with the unit."""
    table = _table("column", "type", "meaning")
    for column in relation.columns:
        table.add_row(text_cell(column.name), text_cell(column.type), text_cell(column.meaning))
    heading = Text(f"{relation.kind} {relation.name}", style="bold")
    return Group(heading, Text(relation.meaning), table)


def datasette_metadata(found: Sequence[Relation], url: str) -> dict[str, Any]:
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


class Format(StrEnum):
    """How the schema is printed."""

    table = "table"
    json = "json"
    datasette = "datasette"


def schema(
    name: Annotated[str | None, typer.Argument(help="A view or table; default: all")] = None,
    format: Annotated[
        Format, typer.Option("--format", help="datasette: the file for its option --metadata")
    ] = Format.table,
    db: Db = None,
    json: Json = False,
) -> None:
    """Show views and tables: type and meaning of each column, with its unit. Opens no database.

    With --format datasette, --db says which file Datasette will open.
    """
    from dataclasses import asdict

    from rich.console import Console

    from lcma.db.relations import list_relations
    from lcma.harness.place import find_place
    from lcma.harness.text import to_json

    found = list_relations(name)
    if json or format is Format.json:
        print(to_json([asdict(relation) for relation in found]))
        return
    if format is Format.datasette:
        print(to_json(datasette_metadata(found, find_place(db, None, None).db)))
        return
    console = Console()
    for number, relation in enumerate(found):
        if number:
            console.print()
        console.print(render_relation(relation))
