"""`lcma schema`: what the views, tables and columns of the database mean."""

from typing import Annotated

import typer

from harness.cli.options import Json


def schema(
    name: Annotated[str | None, typer.Argument(help="A view or table; default: all")] = None,
    json: Json = False,
) -> None:
    """Show views and tables: type and meaning of each column, with its unit. Opens no database."""
    from dataclasses import asdict

    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from db.describing import relations
    from harness.report.text import cell, to_json

    found = relations(name)
    if json:
        print(to_json([asdict(relation) for relation in found]))
        return
    console = Console()
    for number, relation in enumerate(found):
        if number:
            console.print()
        console.print(Text(f"{relation.kind} {relation.name}", style="bold"))
        console.print(Text(relation.meaning))
        table = Table("column", "type", "meaning", box=box.SIMPLE_HEAD, pad_edge=False)
        for column in relation.columns:
            table.add_row(cell(column.name), cell(column.type), cell(column.meaning))
        console.print(table)
