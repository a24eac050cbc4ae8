"""`lcma board`: which factorization gives the fewest bits per dimension."""

from typing import Annotated

import typer

from lcma.harness.cli.options import Db, Json
from lcma.sweeps.errors import UserError


def board(
    db: Db = None,
    flow: Annotated[str | None, typer.Option(help="Only this flow")] = None,
    dataset: Annotated[str | None, typer.Option(help="Only this data set")] = None,
    factorization: Annotated[
        list[str] | None, typer.Option(help="Only this one and the conventional; repeatable")
    ] = None,
    profile: Annotated[str | None, typer.Option(help="Only this profile of the recipes")] = None,
    sweep: Annotated[str | None, typer.Option(help="Only this sweep's trials")] = None,
    against: Annotated[
        str, typer.Option(metavar="NAME", help="The factorization that differences are from")
    ] = "conventional",
    effects: Annotated[
        bool, typer.Option("--effects", help="Which split carries a gap: effects of the letters")
    ] = False,
    json: Json = False,
) -> None:
    """Rank factorizations by bits/dim, with differences paired by seed.

    Only results that can be compared stand in one table.
    """
    from rich.console import Console
    from rich.text import Text

    from lcma.db import connect
    from lcma.harness import place
    from lcma.harness.report import board as boards
    from lcma.harness.report import contents, lookup
    from lcma.harness.report import effects as letter_effects
    from lcma.harness.report.choices import require_results
    from lcma.harness.report.text import to_json

    store = connect(place.find(db, None, None).db, create=False)
    sweep_id = None if sweep is None else lookup.find_sweep(store, sweep).id
    filters = {"flow": flow, "dataset": dataset, "profile": profile}
    wanted = {name: value for name, value in filters.items() if value is not None}
    if sweep_id is None and not json and not effects and not factorization:
        tables = contents.of(store, wanted)
        if tables is not None:
            Console().print(contents.render(tables))
            return
    found = boards.read(store, sweep_id=sweep_id, against=against, **wanted)
    if not found.groups:
        require_results(store, sweep_id, wanted)
    if effects:
        if factorization:
            raise UserError("--effects needs all words: leave --factorization out")
        letters = letter_effects.of(found)
        if json:
            print(to_json(letter_effects.as_dict(letters)))
        else:
            Console().print(letter_effects.render(letters))
        return
    if factorization:
        found = boards.only(found, factorization)
    if json:
        print(boards.as_json(found))
        return
    console = Console()
    console.print(boards.render(found))
    trials = store.job_counts(sweep_id).trial
    unfinished = trials.pending + trials.running
    if unfinished:
        console.print(
            Text(f"Not complete: {unfinished} trials are not done; `lcma status` shows them.")
        )
    if found.groups:
        console.print(Text("Next: lcma maps | lcma samples | lcma export --format md"))
    else:
        console.print(Text("Next: lcma status | lcma launch demo"))
