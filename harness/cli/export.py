"""`lcma export`: the board or the single results, for papers and spreadsheets."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import Db, Json
from sweeps.errors import UserError


class What(StrEnum):
    """What is exported."""

    board = "board"
    results = "results"


class Format(StrEnum):
    """In which form."""

    csv = "csv"
    json = "json"
    md = "md"


def export(
    what: Annotated[What, typer.Argument(help="The board, or every result")] = What.board,
    db: Db = None,
    format: Annotated[Format, typer.Option("--format", help="The form of the output")] = Format.csv,
    out: Annotated[str, typer.Option("--out", metavar="PATH", help="A file; '-': print it")] = "-",
    tensorboard: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Instead the curves of a sweep, for TensorBoard"),
    ] = None,
    sweep: Annotated[
        str | None, typer.Option(help="The sweep of --tensorboard, by name or id [the newest]")
    ] = None,
    json: Json = False,
) -> None:
    """Write the board, or every single result, as CSV, JSON or Markdown; or curves.

    The same database gives the same bytes. A file is replaced whole or not at all.
    """
    import sys

    from rich.console import Console
    from rich.text import Text

    from db import connect
    from harness import place
    from harness.report import board as boards
    from harness.report import rows
    from harness.report.files import write
    from harness.report.text import to_json

    if sweep is not None and tensorboard is None:
        raise UserError("--sweep says whose curves --tensorboard DIR is to have: give that too")
    format = Format.json if json else format
    store = connect(place.find(db, None, None).db, create=False)
    if tensorboard is not None:
        from harness.report.lookup import find_sweep
        from harness.run.plotting import write as write_curves

        runs = write_curves(tensorboard, store, store.job_ids(find_sweep(store, sweep).id))
        told = f"{runs} runs in {tensorboard}: tensorboard --logdir {tensorboard}"
        Console(stderr=True).print(Text(told), soft_wrap=True)
        return
    if what is What.board:
        board = boards.read(store)
        if format is Format.csv:
            text = boards.as_csv(board)
        elif format is Format.json:
            text = to_json(boards.as_dict(board)) + "\n"
        else:
            text = boards.as_markdown(board)
    else:
        results = store.rows("trial_results")
        if format is Format.csv:
            text = rows.as_csv(results)
        elif format is Format.json:
            text = rows.as_json(results) + "\n"
        else:
            text = rows.as_markdown(results)
    if out == "-":
        sys.stdout.write(text)
        return
    path = write(Path(out).expanduser(), text.encode())
    Console(stderr=True).print(Text(f"Wrote {path}"), soft_wrap=True)
