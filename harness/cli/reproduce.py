"""`lcma reproduce`: trials trained again, to see whether the same numbers come out."""

from typing import Annotated

import typer

from lcma.harness.cli.options import Data, Db, Json, RowSelection, choose_rows, selecting
from lcma.sweeps.errors import UserError


@selecting()
def reproduce(
    trial: Annotated[
        str | None,
        typer.Argument(metavar="TRIAL", help="First characters of a trial's id"),
    ] = None,
    *,
    selection: RowSelection,
    sample: Annotated[
        int | None,
        typer.Option(
            "--sample", metavar="N", min=1, help="N of the selected trials, chosen at random"
        ),
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option(
            metavar="BITS",
            min=0.0,
            help="Accepted difference where the row has too few other seeds",
        ),
    ] = 1e-4,
    db: Db = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Train a trial again from scratch, with its pretraining, and compare its measures.

    With the same processor, PyTorch and threads, all bits must be equal. Elsewhere
    bits/dim may differ by two standard deviations over the row's other seeds. Exit
    code 1 if a trial differs by more. Nothing is stored.
    """
    from functools import partial

    from rich.text import Text

    from lcma.db import connect
    from lcma.harness.place import find_place
    from lcma.harness.results.lookup import find_trial_id
    from lcma.harness.terminal import Console, print_line, reporting_progress
    from lcma.harness.text import short_id, to_json

    selects = selection or sample is not None
    if (trial is None) != bool(selects):
        raise UserError(
            "give either one trial, by the first characters of its id, or options that select "
            "trials, such as --sweep NAME or --sample N"
        )
    place = find_place(db, None, data)
    store, console, errors = connect(place.db, create=False), Console(), Console(stderr=True)
    trial_ids = [] if trial is None else [find_trial_id(store, trial)]
    sweep_id, filters = choose_rows(store, selection)

    from lcma.harness.launch.reproduction import choose_reproducible
    from lcma.harness.launch.reproduction import reproduce as train_again
    from lcma.harness.show.reproduction import render_reproduction, reproduction_as_dict

    if trial is None:
        trial_ids = choose_reproducible(store, place, sweep_id, filters, sample)
    reproductions = []
    with reporting_progress(errors) as report:
        for number, trial_id in enumerate(trial_ids, start=1):
            part = f"trial {number} of {len(trial_ids)} ({short_id(trial_id)}), training steps"
            reproduction = train_again(
                store, place, trial_id, tolerance=tolerance, progress=partial(report, part)
            )
            reproductions.append(reproduction)
            if not json:  # each as it ends, since a training takes long
                for text in render_reproduction(reproduction).renderables:
                    console.print(text, soft_wrap=isinstance(text, Text))
    good = sum(reproduction.verified for reproduction in reproductions)
    if json:
        records = list(map(reproduction_as_dict, reproductions))
        print(to_json(records[0] if trial is not None else records))
    elif trial is None:
        equal = sum(reproduction.equal for reproduction in reproductions)
        print_line(
            f"{good} of {len(reproductions)} were reproduced, {equal} of them to the last bit"
        )
    if good < len(reproductions):
        raise typer.Exit(1)
