"""`lcma serve`: the site, live from the database, only on this machine."""

from typing import Annotated

import typer

from lcma.harness.cli.options import By, Db, Sweep, choose_sweep, open_store
from lcma.sweeps.measures import BITS_PER_DIM


def serve(
    db: Db = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes any free one")
    ] = 8000,
    sweep: Sweep = None,
    by: By = BITS_PER_DIM,
) -> None:
    """Serve the site of `lcma export --format html`, live and read-only, until Ctrl-C.

    New results appear after some ten seconds, later if the database is large. Only
    this machine can open it.
    """
    import threading

    from rich.text import Text

    from lcma.harness.extras import require_extra
    from lcma.harness.results.board import find_ranked_measure
    from lcma.harness.terminal import Console

    require_extra("pictures")

    from lcma.harness.show.site.serving import LiveSite, Server

    store = open_store(db)
    sweep_id = None if sweep is None else choose_sweep(store, sweep).id
    find_ranked_measure(store, by)  # refuses another one before the port is taken
    errors = Console(stderr=True)

    def report(line: str) -> None:
        errors.print(Text(line), soft_wrap=True)

    site = LiveSite(store, report, sweep_id=sweep_id, measure=by)
    with Server(site, port, report) as server:
        # Reads the first page now, so that the first visitor does not wait for it.
        threading.Thread(target=server.warm, daemon=True).start()
        Console().print(Text(f"{server.url} (read-only, only on this machine; Ctrl-C ends it)"))
        server.serve_forever(poll_interval=0.2)
