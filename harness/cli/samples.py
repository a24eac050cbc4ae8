"""`lcma samples`: drawing samples from trained flows."""

from typing import Annotated

import typer

from lcma.harness.cli.options import (
    Data,
    Db,
    Json,
    OutFolder,
    PictureInFolder,
    Runs,
    Sweep,
    Trial,
    Where,
)
from lcma.harness.report.targets import FigureWidth


def samples(
    trial: Trial = None,
    where: Where = None,
    sweep: Sweep = None,
    db: Db = None,
    runs: Runs = None,
    data: Data = None,
    out: OutFolder = None,
    format: PictureInFolder = None,
    count: Annotated[int, typer.Option(help="How many images a grid has")] = 64,
    temperature: Annotated[float, typer.Option(help="Factor on the noise of the priors")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of the noise")] = 0,
    together: Annotated[
        bool,
        typer.Option("--together", help="One figure of all factorizations beside real images"),
    ] = False,
    sets: Annotated[
        bool,
        typer.Option(
            "--sets",
            help="With --together: one figure of all data sets, without images of them",
        ),
    ] = False,
    width: Annotated[
        FigureWidth | None, typer.Option(help="Width of that figure in print: page or column")
    ] = None,
    json: Json = False,
) -> None:
    """Draw samples from trained flows, a grid for each, into --out (lcma-pictures).

    Without a trial, draw every one that --where chooses, or each factorization
    of the sweep (launched last) at its own first trained seed.
    """

    from functools import partial

    from rich.text import Text

    from lcma.db import connect
    from lcma.harness.place import find_place
    from lcma.harness.report.gallery import draw_samples_by_trial, draw_samples_together
    from lcma.harness.report.targets import picture_folder
    from lcma.harness.results.filters import parse_filters
    from lcma.harness.results.trials import choose_drawn_trials, describe_trial, trial_as_dict
    from lcma.harness.run.weights import require_weights
    from lcma.harness.terminal import Console, print_error
    from lcma.harness.text import printable, to_json
    from lcma.sweeps.errors import UserError

    if width is not None and not together:
        raise UserError("--width is that of the figure of all: give --together too")
    if sets and not together:
        raise UserError("--sets is of the figure of all: give --together too")
    filters = parse_filters(where or ())
    place = find_place(db, runs, data)
    target = picture_folder(out, format)
    store = connect(place.db, create=False)
    chosen, not_drawn = choose_drawn_trials(store, trial, sweep, filters)
    if not_drawn:
        print_error(not_drawn)
    for one in chosen:  # before the first is drawn
        require_weights(store, place, one)
    draw = partial(draw_samples_together, width=width or FigureWidth.page, sets=sets)
    drawn = (draw if together else draw_samples_by_trial)(
        store, place, chosen, target, count=count, temperature=temperature, seed=seed
    )
    if json:
        options = {"count": count, "temperature": temperature, "sample_seed": seed}
        print(to_json([trial_as_dict(one) | options | {"grid": str(path)} for one, path in drawn]))
        return
    console = Console()
    for one, path in drawn:
        console.print(Text(f"{printable(describe_trial(one))}: {path}"), soft_wrap=True)
