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

MAX_PICTURES = 24
"""Most pictures that are drawn if no option selects any; of more, only the last sweep's."""


@selecting()
def curves(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SWEEP|TRIAL",
            help="Sweeps, or trials and pretrainings by the first characters of their ids "
            "(default: all)",
        ),
    ] = None,
    *,
    selection: RowSelection,
    budget: Annotated[
        int | None, typer.Option(help="Only this budget, in steps, and trials without a budget")
    ] = None,
    pretraining: Annotated[
        bool, typer.Option("--pretraining", help="Also draw pretrainings")
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
    lines, each the mean over the seeds that are done. If no option selects any and
    there are more than 24 pictures, draw those of the sweep launched last.
    """
    from dataclasses import asdict
    from functools import partial

    from rich.text import Text

    from lcma.harness.results.curves import (
        choose_trainings,
        count_charts,
        filter_trainings,
        read_charts,
    )
    from lcma.harness.results.filters import parse_filters
    from lcma.harness.results.lookup import find_sweep, read_conventional
    from lcma.harness.show.pictures import draw_curves, tabulate_curves
    from lcma.harness.show.tables import render_table
    from lcma.harness.show.targets import picture_target
    from lcma.harness.terminal import Console
    from lcma.harness.text import to_json

    target = picture_target(out, format)
    store = open_store(db)
    sweep = None if selection.sweep is None else choose_sweep(store, selection.sweep).id
    choose = partial(
        choose_trainings,
        store,
        what or [],
        pretrainings=pretraining,
        find=partial(choose_sweep, option=""),
    )
    trainings = choose(sweep)
    selected = what or selection or budget is not None
    only_last_sweep = not selected and count_charts(trainings) > MAX_PICTURES
    if only_last_sweep:
        sweep = find_sweep(store, None).id
        trainings = choose(sweep)
    searched = None if sweep is None else name_searched_sweep(store, sweep)
    conventional = read_conventional(store, {training.recipe_id for training in trainings})
    filters = parse_filters(selection.where or (), **selection.columns)
    trainings = filter_trainings(trainings, filters, budget, conventional, searched)
    charts = read_charts(store, trainings, conventional, name)
    if only_last_sweep:
        note_last_sweep(store)
    shown = what or ([] if selection.sweep is None else [selection.sweep])
    with Console(stderr=True).status("drawing"):
        pictures = [draw_curves(chart, target, shown) for chart in charts]
    if json:
        pairs = zip(charts, pictures, strict=True)
        print(to_json([asdict(chart) | {"picture": str(path)} for chart, path in pairs]))
        return
    console = Console()
    for chart in charts:
        console.print(render_table(tabulate_curves(chart), compact=True), Text(), highlight=False)
    for path in pictures:
        console.print(Text(str(path)), soft_wrap=True)
