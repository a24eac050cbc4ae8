"""`lcma forget`: removal of planned trials that have not started."""

from typing import Annotated

import typer

from lcma.harness.cli.options import Json, OwnDb, open_store
from lcma.sweeps.errors import UserError


def forget(
    sweep: Annotated[
        str,
        typer.Argument(metavar="SWEEP", help="Id of a sweep, or a name (all sweeps of that name)"),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be dropped, and change nothing")
    ] = False,
    db: OwnDb = None,
    json: Json = False,
) -> None:
    """Drop the trials of a sweep that have not started, and its name if none is left and it was
    never launched.

    Trials that have started stay with all their results, and so do trials that
    another sweep plans too. A later launch of the sweep plans the others again.
    """
    from dataclasses import asdict

    from lcma.harness.results.lookup import find_sweeps
    from lcma.harness.terminal import print_line
    from lcma.harness.text import format_count, printable, to_json
    from lcma.harness.watch.commands import format_command

    store = open_store(db, write=True)
    sweeps = find_sweeps(store, sweep)
    ids = [sweep.id for sweep in sweeps]
    held = sum(store.job_counts(sweep_id, held=True).total for sweep_id in ids)
    if held:
        running = format_count(held, "running job")
        stop = format_command("stop", sweep, db=db)
        raise UserError(f"a launch of {sweep} has {running}: end it first with `{stop}`")
    dropped = store.forget(ids, dry_run=dry_run)
    if json:
        print(to_json({"sweeps": ids, "dry_run": dry_run, **asdict(dropped)}))
        return
    counts = [format_count(dropped.trials, "trial")]
    if dropped.segments:
        counts.append(format_count(dropped.segments, "pretraining segment"))
    name = printable(sweeps[-1].name)
    verb = "would drop" if dry_run else "dropped"
    line = f"{verb} {' and '.join(counts)} of {name}"
    if dropped.sweeps == len(ids):
        line += ", and its name"
    elif dropped.kept:
        line += f"; kept {format_count(dropped.kept, 'trial')} that had started"
    print_line(line)
