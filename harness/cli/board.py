"""`lcma board`: factorizations ranked by bits per dimension."""

from pathlib import Path
from typing import Annotated

import typer

from lcma.harness.cli.options import By, Db, Json, RowSelection, choose_rows, open_store, selecting
from lcma.harness.text import format_count, printable
from lcma.sweeps.errors import UserError
from lcma.sweeps.measures import BITS_PER_DIM


@selecting()
def board(
    table: Annotated[
        int | None,
        typer.Argument(metavar="NUMBER", min=1, help="Show this table of the overview"),
    ] = None,
    *,
    selection: RowSelection,
    by: By = BITS_PER_DIM,
    against: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Factorization to compare the others with; low@1000 names one of several budgets",
        ),
    ] = "conventional",
    notes: Annotated[
        bool, typer.Option("--notes", help="Explain the tables, and say what they were made from")
    ] = False,
    picture: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw the differences as a forest plot: png, svg or pdf"),
    ] = None,
    db: Db = None,
    json: Json = False,
) -> None:
    """Compare factorizations by bits/dim or another measure, paired by seed.

    A table has the rows that can be compared; the first one is the rule that the
    others are compared with. If there are several tables, show one line for each:
    low minus the flow's own rule.
    """
    from rich.text import Text

    from lcma.harness.results.board import (
        filter_board,
        read_board,
        read_holdout,
        take_groups,
    )
    from lcma.harness.results.lookup import require_results
    from lcma.harness.show.board import board_as_json, render_board, render_overview
    from lcma.harness.show.targets import require_picture
    from lcma.harness.terminal import Console

    if picture is not None:
        require_picture(picture)
    other_baseline = against != "conventional"
    store = open_store(db)
    sweep_id, filters = choose_rows(store, selection, without=("factorization",))
    board = read_board(store, measure=by, sweep_id=sweep_id, against=against, **filters)
    if not board.groups:
        require_results(store, sweep_id, filters, measure=by)
    if table is not None:
        if table > len(board.groups):
            tables = format_count(len(board.groups), "table")
            raise UserError(f"there is no table {table}: this board has {tables}")
        board = take_groups(board.groups[table - 1 : table])
    factorization = selection.columns["factorization"]
    if factorization:
        board = filter_board(board, factorization)
    if picture is not None:
        # Altair is an extra, and its import takes half a second.
        from lcma.harness.show.pictures import draw_forest

        draw_forest(board, picture)
    if json:
        print(board_as_json(board))
        return
    console = Console()
    if len(board.groups) > 1 and not (factorization or other_baseline or notes):
        text = render_overview(board, read_holdout(store, sweep_id=sweep_id, **filters))
    else:
        text = render_board(board, notes=notes)
    console.print(text)
    if picture is not None:
        console.print(Text(printable(str(picture))), soft_wrap=True)
    if not board.groups:
        console.print("`lcma launch demo` makes some; `lcma status` shows what runs now")
    trials = store.job_counts(sweep_id).trial
    unfinished = trials.pending + trials.running
    if unfinished and not filters:
        are, them = ("is", "it") if unfinished == 1 else ("are", "them")
        trials_left = format_count(unfinished, "trial")
        console.print(
            Text(f"Not complete: {trials_left} {are} not done; `lcma status` shows {them}.")
        )
