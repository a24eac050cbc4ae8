"""`lcma forget`: dropping what a sweep plans and nobody has begun."""

from typing import Annotated

import typer

from lcma.harness.cli.options import Json, OwnDb
from lcma.sweeps.errors import UserError


def forget(
    sweep: Annotated[
        str, typer.Argument(metavar="SWEEP", help="Name of a sweep, for all of this name, or an id")
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be dropped, and change nothing")
    ] = False,
    db: OwnDb = None,
    json: Json = False,
) -> None:
    """Drop the trials of a sweep that nobody has begun, and its name if none is left.

    What has begun stays with all its results, and so does what another sweep plans
    too. A launch of the sweep plans it anew.
    """
    from dataclasses import asdict

    from lcma.db import connect
    from lcma.harness.place import find_place
    from lcma.harness.results.lookup import find_sweeps
    from lcma.harness.terminal import print_line
    from lcma.harness.text import format_count, printable, to_json

    store = connect(find_place(db, None, None, write=True).db, create=False)
    found = find_sweeps(store, sweep)
    ids = [one.id for one in found]
    held = sum(store.job_counts(one, held=True).total for one in ids)
    if held:
        running = format_count(held, "running job")
        raise UserError(f"a launch of {sweep} has {running}: end it first with `lcma stop {sweep}`")
    dropped = store.forget(ids, dry_run=dry_run)
    if json:
        print(to_json({"sweeps": ids, "dry_run": dry_run, **asdict(dropped)}))
        return
    what = [format_count(dropped.trials, "trial")]
    if dropped.segments:
        what.append(format_count(dropped.segments, "pretraining segment"))
    name = printable(found[-1].name)
    verb = "would drop" if dry_run else "dropped"
    line = f"{verb} {' and '.join(what)} of {name}"
    if dropped.sweeps == len(ids):
        line += ", and its name"
    elif dropped.kept:
        line += f"; what had begun stays: {format_count(dropped.kept, 'trial')}"
    print_line(line)
