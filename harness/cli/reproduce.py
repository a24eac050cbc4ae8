"""`lcma reproduce`: trials trained again, to see whether the same numbers come out."""

from typing import Annotated

import typer

from lcma.harness.cli.options import (
    Data,
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
from lcma.sweeps.errors import UserError


def reproduce(
    trial: Annotated[
        str | None,
        typer.Argument(help="First characters of a trial's id"),
    ] = None,
    sweep: Sweep = None,
    flow: Flows = None,
    dataset: Datasets = None,
    factorization: Factorizations = None,
    seed: Seeds = None,
    where: Where = None,
    sample: Annotated[
        int | None,
        typer.Option("--sample", metavar="N", help="N at random of those that the options choose"),
    ] = None,
    sample_seed: Annotated[
        int, typer.Option(metavar="S", help="With --sample: the same seed chooses the same trials")
    ] = 0,
    tolerance: Annotated[
        float,
        typer.Option(metavar="BITS", help="Largest good difference if other seeds are few"),
    ] = 1e-4,
    db: Db = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Train a trial again from scratch, with its pretraining, and compare all measures.

    On the same processor, PyTorch and threads the bits must be equal, elsewhere
    bits/dim may differ by two standard deviations over the row's other seeds. The
    exit code is 1 where not. Nothing is stored.
    """
    from functools import partial

    from rich.text import Text

    from lcma.db import connect
    from lcma.harness.launch.reproduction import choose_reproducible
    from lcma.harness.launch.reproduction import reproduce as train_again
    from lcma.harness.place import find_place
    from lcma.harness.show.reproduction import render_reproduction, reproduction_as_dict
    from lcma.harness.terminal import Console, print_line, reporting_progress
    from lcma.harness.text import short_id, to_json

    chooses = sweep or flow or dataset or factorization or seed or where or sample is not None
    if (trial is None) != bool(chooses):
        raise UserError(
            "give one trial, by the first characters of its id, or choose some: --sample N, "
            "--sweep NAME"
        )
    place = find_place(db, None, data)
    store, console, errors = connect(place.db, create=False), Console(), Console(stderr=True)
    if trial is not None:
        chosen = [trial]
    else:
        sweep_id, filters = choose_rows(
            store, sweep, where, flow=flow, dataset=dataset, factorization=factorization, seed=seed
        )
        chosen = choose_reproducible(store, place, sweep_id, filters, sample, sample_seed)
    found, content = [], []
    with reporting_progress(errors) as report:
        for number, one in enumerate(chosen, start=1):
            steps = f"trial {number} of {len(chosen)} ({short_id(one)}), training steps"
            made = train_again(
                store, place, one, tolerance=tolerance, progress=partial(report, steps)
            )
            found.append(made)
            content.append(reproduction_as_dict(made))
            if not json:
                for part in render_reproduction(made).renderables:
                    console.print(part, soft_wrap=isinstance(part, Text))
    good = sum(one.good for one in found)
    if json:
        print(to_json(content[0] if trial is not None else content))
    elif trial is None:
        equal = sum(one.equal for one in found)
        print_line(f"{good} of {len(found)} came out again, {equal} of them to the last bit")
    if good < len(found):
        raise typer.Exit(1)
