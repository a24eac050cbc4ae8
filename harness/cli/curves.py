"""`lcma curves`: drawings of the curves of trainings."""

from typing import Annotated

import typer

from lcma.harness.cli.options import (
    Db,
    Json,
    Out,
    Picture,
    RowSelection,
    choose_sweep,
    name_searched_sweep,
    note_last_sweep,
    open_store,
    selecting,
)


@selecting()
def curves(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SWEEP|TRIAL",
            help="Sweeps, or trials and pretrainings by the first characters of their ids "
            "(default: the sweep launched last)",
        ),
    ] = None,
    *,
    selection: RowSelection,
    budget: Annotated[
        int | None, typer.Option(help="Only this budget, in steps, and trials without a budget")
    ] = None,
    pretraining: Annotated[
        bool, typer.Option("--pretraining", help="Also draw the sweep's pretrainings")
    ] = False,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="METRIC", help="Only this curve: holdout_bits_per_dim, ..."),
    ] = None,
    out: Out = None,
    format: Picture = None,
    db: Db = None,
    json: Json = False,
) -> None:
    """Draw the curves of trainings: bits/dim over steps, a line for each factorization.

    There is one picture for each flow, data set and recipe. It has at most 12
    lines, each the mean over the seeds that are done. A cross marks the end of a
    lost training, a ring the end of one that is not done.
    """
    from dataclasses import asdict
    from functools import partial

    from rich.text import Text

    from lcma.harness.results.curves import choose_trainings, filter_trainings, read_charts
    from lcma.harness.results.filters import parse_filters
    from lcma.harness.results.lookup import read_conventional
    from lcma.harness.show.pictures import draw_curves, tabulate_curves
    from lcma.harness.show.tables import render_table
    from lcma.harness.show.targets import picture_target
    from lcma.harness.terminal import Console
    from lcma.harness.text import to_json

    target = picture_target(out, format)
    store = open_store(db)
    sweep = None if selection.sweep is None else choose_sweep(store, selection.sweep).id
    trainings = choose_trainings(
        store, what or [], sweep, pretrainings=pretraining, find=partial(choose_sweep, option="")
    )
    searched = None if what else name_searched_sweep(store, sweep)
    conventional = read_conventional(store, {training.recipe_id for training in trainings})
    filters = parse_filters(selection.where or (), **selection.columns)
    trainings = filter_trainings(trainings, filters, budget, conventional, searched)
    charts = read_charts(store, trainings, conventional, name)
    if not what and sweep is None:
        note_last_sweep(store)
    with Console(stderr=True).status("drawing"):
        pictures = [draw_curves(chart, target) for chart in charts]
    if json:
        pairs = zip(charts, pictures, strict=True)
        print(to_json([asdict(chart) | {"picture": str(path)} for chart, path in pairs]))
        return
    console = Console()
    for chart in charts:
        console.print(render_table(tabulate_curves(chart), compact=True), Text(), highlight=False)
    for path in pictures:
        console.print(Text(str(path)), soft_wrap=True)
