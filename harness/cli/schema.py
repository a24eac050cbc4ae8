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

    from rich.console import Console

    from db.describing import relations
    from harness.report import relations as shown
    from harness.report.text import to_json

    found = relations(name)
    if json:
        print(to_json([asdict(relation) for relation in found]))
        return
    console = Console()
    for number, relation in enumerate(found):
        if number:
            console.print()
        console.print(shown.described(relation))
