"""`lcma schema`: what the views, tables and columns of the database mean."""

from enum import StrEnum
from typing import Annotated

import typer

from lcma.harness.cli.options import Db, Json


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

    from lcma.db.relations import find_relations
    from lcma.harness import place
    from lcma.harness.report import relations as shown
    from lcma.harness.report.text import to_json

    found = find_relations(name)
    if json or format is Format.json:
        print(to_json([asdict(relation) for relation in found]))
        return
    if format is Format.datasette:
        print(to_json(shown.datasette(found, place.find(db, None, None).db)))
        return
    console = Console()
    for number, relation in enumerate(found):
        if number:
            console.print()
        console.print(shown.described(relation))
