"""`lcma verify`: a trial trained again, to see whether the same numbers come out."""

from typing import Annotated

import typer

from lcma.harness.cli.options import Data, Db, Json
from lcma.sweeps.errors import UserError


def verify(
    trial: Annotated[str, typer.Argument(help="First characters of a trial's id")],
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
    verifications. The exit code is 1 where a difference is above the tolerance.
    """
    from rich.progress import Progress
    from rich.text import Text

    from lcma.db import connect
    from lcma.harness.place import find_place
    from lcma.harness.report.verification import render_verification, verification_as_dict
    from lcma.harness.run.verification import store_verification, verify
    from lcma.harness.terminal import Console, user_name
    from lcma.harness.text import printable, to_json

    place = find_place(db, None, data)
    store, console, errors = connect(place.db, create=False), Console(), Console(stderr=True)
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as bar:
        steps = bar.add_task("training steps", total=None)

        def progress(done: int, total: int) -> None:
            bar.update(steps, completed=done, total=total)

        verified = verify(
            store, place, trial, tolerance=tolerance, user=user_name(), progress=progress
        )
    refused = None
    try:
        store_verification(store, verified)
    except UserError as error:
        refused = printable(error)
        errors.print(
            Text(f"lcma: this verification could not be stored: {refused}"), soft_wrap=True
        )
    if json:
        print(to_json(verification_as_dict(verified) | {"stored": refused is None}))
    else:
        for part in render_verification(verified).renderables:
            console.print(part, soft_wrap=isinstance(part, Text))
    if not verified.good:
        raise typer.Exit(1)
