"""`lcma schema`: the meaning of the database's views, tables and columns."""

from typing import Annotated, Literal

import typer

from lcma.harness.cli.options import Db, Json


def schema(
    name: Annotated[str | None, typer.Argument(help="A view or table; default: all")] = None,
    format: Annotated[
        Literal["table", "json", "datasette"],
        typer.Option("--format", help="datasette: the file for its option --metadata"),
    ] = "table",
    db: Db = None,
    json: Json = False,
) -> None:
    """Show views and tables: type and meaning of each column, with its unit. Opens no database.

    With --format datasette, --db says which file Datasette will open.
    """
    from dataclasses import asdict

    from lcma.db.relations import find_relations
    from lcma.harness.place import find_place
    from lcma.harness.report.relations import datasette_metadata, render_relation
    from lcma.harness.terminal import Console
    from lcma.harness.text import to_json

    found = find_relations(name)
    if json or format == "json":
        print(to_json([asdict(relation) for relation in found]))
        return
    if format == "datasette":
        print(to_json(datasette_metadata(found, find_place(db, None, None).db)))
        return
    console = Console()
    for number, relation in enumerate(found):
        if number:
            console.print()
        console.print(render_relation(relation))
