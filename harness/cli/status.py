"""`lcma status`: the states of jobs, in the database or in a sweep."""

from typing import Annotated

import typer

from lcma.harness.cli.options import Db, Json, Sweep, choose_sweep, open_store
from lcma.sweeps.errors import UserError


def status(
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Refresh the status of a sweep until it has ended")
    ] = False,
    sweep: Sweep = None,
    db: Db = None,
    json: Json = False,
) -> None:
    """Show how many jobs are in each state, what runs where, and why jobs failed.

    With --sweep or --watch, show the cells of one sweep (default: the one launched
    last).
    """
    from lcma.harness.terminal import Console
    from lcma.harness.text import to_json
    from lcma.harness.watch.status import (
        print_status,
        read_status,
        render_status,
        status_as_dict,
        watch_sweep,
    )

    if watch and json:
        raise UserError(
            "--watch and --json exclude each other: --sweep NAME --json prints one report"
        )
    store = open_store(db)
    if watch:
        watch_sweep(store, choose_sweep(store, sweep), Console(), db)
        return
    status = read_status(store, None if sweep is None else choose_sweep(store, sweep))
    if json:
        print(to_json(status_as_dict(status)))
    else:
        print_status(render_status(status, db=db), Console())
