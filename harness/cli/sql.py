"""`lcma sql`: read-only queries, one or at a prompt."""

import sys
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from lcma.harness.cli.options import Db, Json
from lcma.sweeps.errors import UserError

if TYPE_CHECKING:
    from lcma.db import QueryResult


class Format(StrEnum):
    """How rows are printed."""

    table = "table"
    csv = "csv"
    json = "json"


def sql(
    query: Annotated[
        str | None, typer.Argument(help="One SELECT statement; - reads it from stdin")
    ] = None,
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

    Without a query a terminal shows a prompt, where Tab completes names; .help says more. What is
    not a terminal is read as the query: lcma sql < query.sql.

    docs/database.md describes tables and views; trial_results has a row for each result.
    Bytes are shown by their length in a table, in hexadecimal digits elsewhere.
    """
    from lcma.db.query import run_sql
    from lcma.harness.place import find_place

    url = find_place(db, None, None).db
    form = Format.json if json else format

    def answer(statement: str) -> None:
        found = run_sql(url, statement, limit=None if every else limit, timeout=timeout)
        _show(found, form, count=asking)

    asking = query is None and sys.stdin is not None and sys.stdin.isatty()
    if asking:
        _prompt(url, answer)
    else:
        answer(_stdin() if query is None or query == "-" else query)


def _show(found: "QueryResult", form: Format, *, count: bool) -> None:
    """Print the rows on stdout; on stderr what is to be said of them."""
    from rich.console import Console
    from rich.text import Text

    from lcma.harness.report.tables import render_rows, rows_as_csv, rows_as_json

    if form is Format.json:
        print(rows_as_json(found))
        return
    if form is Format.csv:
        print(rows_as_csv(found), end="")
    else:
        console = Console()
        console.print(render_rows(found, console), soft_wrap=True)
    if found.truncated:
        note = f"There are more than these {len(found.rows)} rows: --limit N or --all shows them."
        Console(stderr=True).print(Text(note))
    elif count and form is Format.table:
        number = len(found.rows)
        Console(stderr=True).print(Text("1 row" if number == 1 else f"{number} rows"))


def _stdin() -> str:
    try:
        return sys.stdin.read().removeprefix("\N{BYTE ORDER MARK}") if sys.stdin else ""
    except UnicodeDecodeError as error:
        raise UserError(f"stdin is no text: {error}; give SQL in UTF-8") from None


def _prompt(url: str, answer: Callable[[str], None]) -> None:
    from prompt_toolkit.application import create_app_session
    from prompt_toolkit.output.defaults import create_output

    from lcma.db.query import find_database
    from lcma.db.schema import REVISIONS
    from lcma.harness.prompt.loop import run_prompt

    database = find_database(url)
    revision = database.identify().revision
    older = "" if revision == REVISIONS[-1] else f", schema {revision} (newer: lcma db upgrade)"
    heading = (
        f"{database.engine}, read-only: {database.name}{older}\n"
        "A ; or an empty line ends a query; .help says more."
    )
    # Where rows go to a file, the prompt still stands on the terminal.
    with create_app_session(output=create_output(always_prefer_tty=True)):
        run_prompt(answer, heading)
