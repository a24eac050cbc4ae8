"""`lcma status`: the state of jobs, of the database or of a sweep."""

from typing import Annotated

import typer

from lcma.harness.cli.options import Db, Json, Sweep, choose_sweep
from lcma.sweeps.errors import UserError


def status(
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Show a sweep again and again until it has ended")
    ] = False,
    sweep: Sweep = None,
    db: Db = None,
    json: Json = False,
) -> None:
    """Show the state of jobs: how many are in each state, what runs where, and what was lost why.

    With --sweep or --watch, show one sweep (launched last), cell by cell.
    """
    from lcma.db import connect
    from lcma.harness.place import find_place
    from lcma.harness.terminal import Console
    from lcma.harness.text import to_json
    from lcma.harness.watch.status import (
        database_status_as_dict,
        print_status,
        read_database_status,
        read_sweep_status,
        render_database_status,
        render_sweep_status,
        sweep_status_as_dict,
        watch_sweep,
    )

    if watch and json:
        raise UserError(
            "--watch and --json exclude each other: --sweep NAME --json reports it once"
        )
    store = connect(find_place(db, None, None).db, create=False)
    if watch:
        watch_sweep(store, choose_sweep(store, sweep), Console(), db)
    elif sweep is not None:
        of_sweep = read_sweep_status(store, choose_sweep(store, sweep))
        if json:
            print(to_json(sweep_status_as_dict(of_sweep)))
        else:
            print_status(render_sweep_status(of_sweep, db=db), Console())
    else:
        of_all = read_database_status(store)
        if json:
            print(to_json(database_status_as_dict(of_all)))
        else:
            print_status(render_database_status(of_all, db=db), Console())
