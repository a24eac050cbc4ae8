"""`lcma board`: factorizations ranked by bits per dimension."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from lcma.harness.cli.options import (
    By,
    Datasets,
    Db,
    Factorizations,
    Flows,
    Json,
    Seeds,
    Sweep,
    Where,
    choose_rows,
)
from lcma.harness.text import format_count, printable
from lcma.sweeps.errors import UserError
from lcma.sweeps.measures import BITS_PER_DIM


def board(
    table: Annotated[
        int | None,
        typer.Argument(metavar="[NUMBER]", min=1, help="Show this table of the overview"),
    ] = None,
    sweep: Sweep = None,
    flow: Flows = None,
    dataset: Datasets = None,
    factorization: Factorizations = None,
    seed: Seeds = None,
    where: Where = None,
    by: By = BITS_PER_DIM,
    against: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="The factorization that others are compared with, such as low@1000 where it has "
            "several budgets",
        ),
    ] = "conventional",
    effects: Annotated[
        bool,
        typer.Option(
            "--effects", help="Show which split makes the difference: effects of the letters"
        ),
    ] = False,
    rules: Annotated[
        bool, typer.Option("--rules", help="Say what each rule is, with a picture of it")
    ] = False,
    notes: Annotated[
        bool, typer.Option("--notes", help="Say how to read the tables, and what they are from")
    ] = False,
    picture: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw the differences as a forest plot: png, svg or pdf"),
    ] = None,
    db: Db = None,
    json: Json = False,
) -> None:
    """Compare factorizations by bits/dim or another measure, paired by seed.

    Of several settings show a line for each: low minus the flow's own rule. A table
    has what can be compared, the rule that others are compared with on top.
    """
    from rich.text import Text

    from lcma.db import connect
    from lcma.harness.place import find_place
    from lcma.harness.results.board import filter_board, read_board, read_holdout
    from lcma.harness.results.effects import compute_effects
    from lcma.harness.results.lookup import require_results
    from lcma.harness.show.board import board_as_json, render_board, render_overview
    from lcma.harness.show.effects import effects_as_dict, render_effects
    from lcma.harness.show.targets import require_picture
    from lcma.harness.terminal import Console
    from lcma.harness.text import to_json

    if rules:
        _show_rules(json=json)
        return
    if picture is not None:
        require_picture(picture)
    compared = against != "conventional"
    unused = {"--factorization": factorization, "--picture": picture, "--against": compared}
    for option in (name for name, given in unused.items() if effects and given):
        raise UserError(f"--effects is a table of all words alone: leave {option} out")
    store = connect(find_place(db, None, None).db, create=False)
    sweep_id, filters = choose_rows(store, sweep, where, flow=flow, dataset=dataset, seed=seed)
    found = read_board(store, measure=by, sweep_id=sweep_id, against=against, **filters)
    if not found.groups:
        require_results(store, sweep_id, filters)
    if effects:
        letters = compute_effects(found)
        if json:
            print(to_json(effects_as_dict(letters)))
        else:
            Console().print(render_effects(letters))
        return
    if table is not None:
        if table > len(found.groups):
            raise UserError(f"there is no table {table}: there are {len(found.groups)} here")
        found = replace(found, groups=found.groups[table - 1 : table])
    if factorization:
        found = filter_board(found, factorization)
    if picture is not None:
        # Altair is an extra, and takes half a second.
        from lcma.harness.show.pictures import draw_forest

        draw_forest(found, picture)
    if json:
        print(board_as_json(found))
        return
    console = Console()
    if len(found.groups) > 1 and not (factorization or compared or notes):
        shown = render_overview(found, read_holdout(store, sweep_id=sweep_id, **filters))
    else:
        shown = render_board(found, notes=notes)
    console.print(shown)
    if picture is not None:
        console.print(Text(printable(str(picture))), soft_wrap=True)
    if not found.groups:
        console.print("Make some: `lcma launch demo`; what runs now: `lcma status`")
    trials = store.job_counts(sweep_id).trial
    unfinished = trials.pending + trials.running
    if unfinished:
        are, them = ("is", "it") if unfinished == 1 else ("are", "them")
        trials_left = format_count(unfinished, "trial")
        console.print(
            Text(f"Not complete: {trials_left} {are} not done; `lcma status` shows {them}.")
        )


def _show_rules(*, json: bool) -> None:
    from dataclasses import asdict

    from lcma.harness.show.rules import list_rules, render_rules
    from lcma.harness.terminal import Console
    from lcma.harness.text import to_json

    found = list_rules()
    if json:
        print(to_json([asdict(one) for one in found]))
    else:
        Console().print(render_rules(found))
