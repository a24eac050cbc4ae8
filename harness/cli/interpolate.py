"""`lcma interpolate`: images between two test images, by way of a trained flow's latents."""

from typing import Annotated

import typer

from lcma.harness.cli.options import Data, Db, Json, Out, Picture, Runs, Sweep, Trial


def interpolate(
    trial: Trial = None,
    sweep: Sweep = None,
    db: Db = None,
    runs: Runs = None,
    data: Data = None,
    out: Out = None,
    format: Picture = None,
    first: Annotated[int, typer.Option("--from", metavar="I", help="First test image, from 0")] = 0,
    last: Annotated[
        int | None,
        typer.Option("--to", metavar="J", help="Last test image [the middle one of the part]"),
    ] = None,
    steps: Annotated[int, typer.Option(help="Images in the row, with both ends")] = 9,
    spherical: Annotated[
        bool, typer.Option("--spherical", help="Along an arc, not along a straight line")
    ] = False,
    json: Json = False,
) -> None:
    """Draw the way between two test images in the latents of trained flows, a row for each.

    Without a trial: each factorization of the sweep (the newest), at its first trained seed.
    """
    from dataclasses import asdict

    from rich.console import Console
    from rich.text import Text

    from lcma.db import connect
    from lcma.harness.place import find_place
    from lcma.harness.report.formats import picture_folder
    from lcma.harness.report.gallery import choose_trials, describe_trial, draw_interpolations
    from lcma.harness.text import printable, to_json

    where = find_place(db, runs, data)
    target = picture_folder(out, format)
    store = connect(where.db, create=False)
    sheets = draw_interpolations(
        store,
        where,
        choose_trials(store, trial, sweep),
        target,
        first=first,
        last=last,
        steps=steps,
        spherical=spherical,
    )
    if json:
        rows = [
            asdict(s.trial)
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
