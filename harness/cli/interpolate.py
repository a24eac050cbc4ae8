"""`lcma interpolate`: drawing the images between two test images in the latents of flows."""

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


def interpolate(
    trial: Trial = None,
    where: Where = None,
    sweep: Sweep = None,
    db: Db = None,
    runs: Runs = None,
    data: Data = None,
    out: OutFolder = None,
    format: PictureInFolder = None,
    first: Annotated[
        int, typer.Option("--from", metavar="I", help="Number of the first test image, from 0")
    ] = 0,
    last: Annotated[
        int | None,
        typer.Option(
            "--to", metavar="J", help="Number of the last test image (default: the middle one)"
        ),
    ] = None,
    steps: Annotated[int, typer.Option(help="How many images the row has, with both ends")] = 9,
    spherical: Annotated[
        bool, typer.Option("--spherical", help="Go along an arc, not a straight line")
    ] = False,
    json: Json = False,
) -> None:
    """Draw the way between two test images in the latents of trained flows, a row for each.

    Without a trial, draw every one that --where chooses, or each factorization
    of the sweep (launched last) at its own first trained seed.
    """

    from rich.text import Text

    from lcma.db import connect
    from lcma.harness.place import find_place
    from lcma.harness.report.gallery import draw_interpolations
    from lcma.harness.report.targets import picture_folder
    from lcma.harness.results.filters import parse_filters
    from lcma.harness.results.trials import choose_drawn_trials, describe_trial, trial_as_dict
    from lcma.harness.run.weights import require_weights
    from lcma.harness.terminal import Console, print_error
    from lcma.harness.text import printable, to_json

    filters = parse_filters(where or ())
    place = find_place(db, runs, data)
    target = picture_folder(out, format)
    store = connect(place.db, create=False)
    chosen, not_drawn = choose_drawn_trials(store, trial, sweep, filters)
    if not_drawn:
        print_error(not_drawn)
    for one in chosen:  # before the first is drawn
        require_weights(store, place, one)
    sheets = draw_interpolations(
        store,
        place,
        chosen,
        target,
        first=first,
        last=last,
        steps=steps,
        spherical=spherical,
    )
    if json:
        rows = [
            trial_as_dict(s.trial)
            | {"from": s.first, "to": s.last, "steps": steps, "spherical": spherical}
            | {"row": str(s.row), "inverse_iterations": s.iterations, "settled": s.settled}
            for s in sheets
        ]
        print(to_json(rows))
        return
    console = Console()
    for sheet in sheets:
        line = f"{printable(describe_trial(sheet.trial))}: {sheet.row}"
        if sheet.iterations is not None:
            how = "at most" if sheet.settled else "stopped after"
            line += f" (inverse: {how} {sheet.iterations} iterations)"
        console.print(Text(line), soft_wrap=True)
