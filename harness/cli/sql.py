"""`lcma sql`: a read-only query."""

from enum import StrEnum
from typing import Annotated

import typer

from harness.cli.options import Db, Json


class Format(StrEnum):
    """How rows are printed."""

    table = "table"
    csv = "csv"
    json = "json"


def sql(
    query: Annotated[str, typer.Argument(help="One SELECT statement")],
    db: Db = None,
    format: Annotated[Format, typer.Option("--format", help="How to print the rows")] = (
        Format.table
    ),
    limit: Annotated[int, typer.Option(min=0, help="Most rows to print")] = 1000,
    every: Annotated[bool, typer.Option("--all", help="Print all rows, however many")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds after which to give up")] = 30.0,
    json: Json = False,
) -> None:
    """Query the database with SQL. Nothing can be changed that way.

    docs/database.md describes tables and views; trial_results has a row for each result.
    Bytes are shown by their length in a table, in hexadecimal digits elsewhere.
    """
    from rich.console import Console
    from rich.text import Text

    from db import query as queries
    from harness import place
    from harness.report import rows

    found = queries.run(
        place.find(db, None, None).db, query, limit=None if every else limit, timeout=timeout
    )
    if json or format is Format.json:
        print(rows.as_json(found))
        return
    if format is Format.csv:
        print(rows.as_csv(found), end="")
    else:
        console = Console()
        console.print(rows.render(found, console), soft_wrap=True)
    if found.truncated:
        note = f"There are more than these {limit} rows: --limit N or --all shows them."
        Console(stderr=True).print(Text(note))
