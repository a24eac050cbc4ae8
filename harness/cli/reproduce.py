"""`lcma reproduce`: trials trained again, to see whether the same numbers come out."""

from typing import Annotated

import typer

from lcma.harness.cli.options import Data, Db, Json
from lcma.sweeps.errors import UserError


def reproduce(
    trial: Annotated[
        str | None,
        typer.Argument(help="First characters of a trial's id, unless --sample is given"),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option("--sample", metavar="N", help="N trials with a result, chosen at random"),
    ] = None,
    seed: Annotated[
        int, typer.Option(metavar="S", help="With --sample: the same seed chooses the same trials")
    ] = 0,
    tolerance: Annotated[
        float,
        typer.Option(metavar="BITS", help="Largest difference in bits/dim that is good"),
    ] = 1e-4,
    db: Db = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Train a trial again from scratch, with its pretraining, and compare all measures.

    The result and its job stay as they are. What came out is stored in the table
    verifications, unless the database is the reference. The exit code is 1 where
    a difference is above the tolerance.
    """
    from functools import partial

    from rich.text import Text

    from lcma.db import connect
    from lcma.harness.place import find_place, is_published_database, name_database
    from lcma.harness.report.verification import render_verification, verification_as_dict
    from lcma.harness.run.verification import choose_sample, store_verification, verify
    from lcma.harness.terminal import Console, print_line, reporting_progress, user_name
    from lcma.harness.text import printable, short_id, to_json

    if (trial is None) == (sample is None):
        raise UserError("give one trial, by the first characters of its id, or --sample N")
    place = find_place(db, None, data)
    store, console, errors = connect(place.db, create=False), Console(), Console(stderr=True)
    chosen = [trial] if trial is not None else choose_sample(store, place, sample or 0, seed)
    found, content = [], []
    with reporting_progress(errors) as report:
        for number, one in enumerate(chosen, start=1):
            steps = f"trial {number} of {len(chosen)} ({short_id(one)}), training steps"
            verified = verify(
                store,
                place,
                one,
                tolerance=tolerance,
                user=user_name(),
                progress=partial(report, steps),
            )
            refused = None
            try:
                if is_published_database(name_database(db)):
                    raise UserError(
                        "a published database is never written; `lcma db merge "
                        f"{name_database(db)}` brings its results into yours"
                    )
                store_verification(store, verified)
            except UserError as error:
                refused = printable(error)
            found.append(verified)
            content.append(verification_as_dict(verified) | {"stored": refused is None})
            if refused is not None and len(found) == 1:
                errors.print(
                    Text(f"lcma: this verification could not be stored: {refused}"), soft_wrap=True
                )
            if not json:
                for part in render_verification(verified).renderables:
                    console.print(part, soft_wrap=isinstance(part, Text))
    good = sum(one.good for one in found)
    if json:
        print(to_json(content[0] if sample is None else content))
    elif sample is not None:
        equal = sum(one.verification.equal for one in found)
        print_line(f"{good} of {len(found)} came out again, {equal} of them to the last bit")
    if good < len(found):
        raise typer.Exit(1)
