"""`lcma curves`: drawings of the curves of trainings."""

from typing import Annotated

import typer

from lcma.harness.cli.options import (
    Datasets,
    Db,
    Factorizations,
    Flows,
    Json,
    Out,
    Picture,
    Seeds,
    Sweep,
    Where,
    choose_sweep,
    name_searched_sweep,
    note_last_sweep,
)


def curves(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SWEEP|TRIAL",
            help="Sweeps, or trials and pretrainings by the first characters of their ids "
            "(default: the sweep launched last)",
        ),
    ] = None,
    sweep: Sweep = None,
    flow: Flows = None,
    dataset: Datasets = None,
    factorization: Factorizations = None,
    seed: Seeds = None,
    where: Where = None,
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

    from rich.text import Text

    from lcma.db import connect
    from lcma.harness.place import find_place
    from lcma.harness.results.curves import choose_trainings, filter_trainings, read_charts
    from lcma.harness.results.filters import parse_filters
    from lcma.harness.results.lookup import read_conventional
    from lcma.harness.show.pictures import draw_curves, tabulate_curves
    from lcma.harness.show.tables import render_table
    from lcma.harness.show.targets import picture_target
    from lcma.harness.terminal import Console
    from lcma.harness.text import to_json

    target = picture_target(out, format)
    store = connect(find_place(db, None, None).db, create=False)
    sweep = None if sweep is None else choose_sweep(store, sweep).id
    trainings = choose_trainings(store, what or [], sweep, pretrainings=pretraining)
    searched = None if what else name_searched_sweep(store, sweep)
    conventional = read_conventional(store, {training.recipe_id for training in trainings})
    filters = parse_filters(
        where or (), flow=flow, dataset=dataset, factorization=factorization, seed=seed
    )
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
