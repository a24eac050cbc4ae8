"""`lcma sql`: read-only queries, and the meanings of views and tables."""

import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lcma.harness.cli.options import Db, Json
from lcma.sweeps.errors import UserError

if TYPE_CHECKING:
    from lcma.db import QueryResult


def sql(
    query: Annotated[
        str | None,
        typer.Argument(
            metavar="QUERY|NAME",
            help="One SELECT statement; - reads it from stdin. With --schema: a view or table",
        ),
    ] = None,
    schema: Annotated[
        bool,
        typer.Option("--schema", help="Describe views, tables and columns; opens no database"),
    ] = False,
    db: Db = None,
    format: Annotated[
        Literal["table", "csv", "json"], typer.Option("--format", help="Format of the rows")
    ] = "table",
    limit: Annotated[int, typer.Option(min=0, help="Most rows to print; 0 for all")] = 1000,
    timeout: Annotated[float, typer.Option(help="Seconds after which the query is ended")] = 30.0,
    json: Json = False,
) -> None:
    """Query the database with SQL, read-only.

    Without a query, read it from stdin: lcma sql < query.sql.

    The view `board` has the rows of `lcma board` in bits/dim, without map options;
    `results` has a row for each result; --schema describes all views and tables.
    A table shows the length of bytes, the other formats show hexadecimal digits.
    """
    from lcma.db import run_sql
    from lcma.harness.place import find_place

    form = "json" if json else format
    if schema:
        _print_schema(query, form)
        return
    statement = _read_stdin() if query is None or query == "-" else query
    result = run_sql(find_place(db, None, None).db, statement, limit=limit or None, timeout=timeout)
    _print_rows(result, form)


def _print_schema(name: str | None, form: str) -> None:
    from dataclasses import asdict

    from rich.text import Text

    from lcma.db.relations import find_relations
    from lcma.harness.show.tables import TableColumn, render_table, tabulate
    from lcma.harness.terminal import Console
    from lcma.harness.text import to_json

    relations = find_relations(name)
    if form == "json":
        print(to_json([asdict(relation) for relation in relations]))
    elif form == "csv":
        raise UserError("--schema cannot be printed as CSV: give --format table or json")
    else:
        console = Console()
        columns = TableColumn("name", "column"), TableColumn("type"), TableColumn("meaning")
        for number, relation in enumerate(relations):
            heading = Text(f"{relation.kind} {relation.name}", style="bold")
            console.print(*([""] * bool(number)), heading, Text(relation.meaning), "", sep="\n")
            console.print(render_table(tabulate(relation.columns, *columns)))


def _print_rows(result: "QueryResult", form: str) -> None:
    from rich.text import Text

    from lcma.harness.show.tables import make_table, render_rows, table_as_csv, table_as_json
    from lcma.harness.terminal import Console
    from lcma.harness.text import format_count

    table = make_table(result)
    if form == "json":
        print(table_as_json(table))
        return
    if form == "csv":
        print(table_as_csv(table), end="")
    else:
        console = Console()
        console.print(render_rows(table, console), soft_wrap=True)
    # Notes go to stderr, so that stdout has nothing but rows.
    if result.truncated:
        shown = format_count(len(result.rows), "row")
        note = f"There is more than these {shown} (--limit, or 64 MiB): --limit 0 shows the rest."
        Console(stderr=True).print(Text(note))
    elif not result.rows:
        Console(stderr=True).print(Text("0 rows"))


def _read_stdin() -> str:
    if sys.stdin is not None and sys.stdin.isatty():
        raise UserError('there is no query: lcma sql "SELECT ...", or lcma sql < FILE')
    try:
        # Its bytes, since without a locale the text has escapes in place of what is no UTF-8.
        text = sys.stdin.buffer.read().decode() if sys.stdin else ""
    except UnicodeDecodeError as error:
        raise UserError(f"stdin is not text: {error}; give SQL in UTF-8") from None
    return text.removeprefix("\N{BYTE ORDER MARK}")
