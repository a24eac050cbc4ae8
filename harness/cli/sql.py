"""`lcma sql`: read-only queries, and what the views and tables mean."""

import re
import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lcma.harness.cli.options import Db, Json
from lcma.sweeps.errors import UserError

if TYPE_CHECKING:
    from lcma.db import QueryResult

_SYNONYM = re.compile(
    r"""factorization["\])\s]*(?:[=<>!]+|\b(?:i?like|(?:not\s+)?in)\b)[\s(]*"""
    r"""(?:'[^']*'\s*,\s*)*'(?:low|high|conventional|checkerboard)'""",
    re.IGNORECASE,
)
"""A comparison of a factorization with a name under which none is stored."""

STORED = (
    "Factorizations are stored by one name: low and high by their letters (LL, LLL; HH, HHH), "
    "conventional by the pattern that it is; these are listed by: "
    "select distinct factorization from results"
)


def sql(
    query: Annotated[
        str | None,
        typer.Argument(
            metavar="[QUERY|NAME]",
            help="One SELECT statement; - reads it from stdin. With --schema: a view or table",
        ),
    ] = None,
    schema: Annotated[
        bool,
        typer.Option("--schema", help="Describe views, tables and columns; opens no database"),
    ] = False,
    db: Db = None,
    format: Annotated[
        Literal["table", "csv", "json"],
        typer.Option(
            "--format",
            help="How to print the rows",
        ),
    ] = "table",
    limit: Annotated[int, typer.Option(min=0, help="Most rows to print; 0 for all")] = 1000,
    timeout: Annotated[float, typer.Option(help="Seconds after which to give up")] = 30.0,
    json: Json = False,
) -> None:
    """Query the database with SQL. Nothing can be changed that way.

    Without a query, read it from stdin: lcma sql < query.sql.

    board has what lcma board prints, results a row for each result; --schema
    describes all views and tables. Bytes are shown by their length in a table, in
    hexadecimal digits elsewhere.
    """
    from lcma.db import run_sql
    from lcma.harness.place import find_place

    form = "json" if json else format
    if schema:
        _print_schema(query, form)
        return
    statement = _read_stdin() if query is None or query == "-" else query
    found = run_sql(find_place(db, None, None).db, statement, limit=limit or None, timeout=timeout)
    _print_rows(found, form)
    if not found.rows and not found.truncated and form != "json" and _SYNONYM.search(statement):
        print(STORED, file=sys.stderr)


def _print_schema(name: str | None, form: str) -> None:
    from dataclasses import asdict

    from rich.text import Text

    from lcma.db.relations import find_relations
    from lcma.harness.show.tables import TableColumn, render_table, tabulate
    from lcma.harness.terminal import Console
    from lcma.harness.text import to_json

    found = find_relations(name)
    if form == "json":
        print(to_json([asdict(relation) for relation in found]))
    elif form == "csv":
        raise UserError("--schema is no CSV: give --format table or json")
    else:
        console = Console()
        columns = TableColumn("name", "column"), TableColumn("type"), TableColumn("meaning")
        for number, relation in enumerate(found):
            heading = Text(f"{relation.kind} {relation.name}", style="bold")
            console.print(*([""] * bool(number)), heading, Text(relation.meaning), "", sep="\n")
            console.print(render_table(tabulate(relation.columns, *columns)))


def _print_rows(found: "QueryResult", form: str) -> None:
    from rich.text import Text

    from lcma.harness.show.tables import make_table, render_rows, table_as_csv, table_as_json
    from lcma.harness.terminal import Console
    from lcma.harness.text import format_count

    table = make_table(found)
    if form == "json":
        print(table_as_json(table))
        return
    if form == "csv":
        print(table_as_csv(table), end="")
    else:
        console = Console()
        console.print(render_rows(table, console), soft_wrap=True)
    # Remarks go to stderr, so that stdout holds rows alone.
    if found.truncated:
        shown = format_count(len(found.rows), "row")
        note = f"There is more than these {shown} (--limit, or 64 MiB): --limit 0 shows the rest."
        Console(stderr=True).print(Text(note))
    elif not found.rows:
        Console(stderr=True).print(Text("0 rows"))


def _read_stdin() -> str:
    if sys.stdin is not None and sys.stdin.isatty():
        raise UserError('there is no query: lcma sql "SELECT ...", or lcma sql < FILE')
    try:
        return sys.stdin.read().removeprefix("\N{BYTE ORDER MARK}") if sys.stdin else ""
    except UnicodeDecodeError as error:
        raise UserError(f"stdin is no text: {error}; give SQL in UTF-8") from None
