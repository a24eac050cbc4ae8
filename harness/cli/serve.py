"""`lcma serve`: the site live from the database, on this machine alone."""

from typing import Annotated

import typer

from lcma.harness.cli.options import Db, Runs


def serve(
    db: Db = None,
    runs: Runs = None,
    host: Annotated[
        str, typer.Option(help="This machine's own address; another one is refused")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one")] = 8000,
    sweep: Annotated[str | None, typer.Option(help="Only this sweep's trials")] = None,
) -> None:
    """Show the pages of `lcma export --format html` live, read-only, until Ctrl-C.

    A page looks again by itself while jobs run.
    """
    from rich.console import Console
    from rich.text import Text

    from lcma.db import connect
    from lcma.harness.place import find_place
    from lcma.harness.report.site import Site, SiteOptions
    from lcma.harness.report.site.serving import Server, require_loopback
    from lcma.harness.results.lookup import find_sweep

    require_loopback(host)
    where = find_place(db, runs, None)
    store = connect(where.db, create=False)
    sweep_id = None if sweep is None else find_sweep(store, sweep).id
    options = SiteOptions(sweep_id=sweep_id, samples=False, live=True)
    Site(store, where, options)  # a missing extra ends it here
    said = Console(stderr=True)

    def tell(line: str) -> None:
        said.print(Text(line), soft_wrap=True)

    with Server(lambda: Site(store, where, options), port, tell) as server:
        Console().print(Text(f"{server.url} (read-only, this machine alone; Ctrl-C ends it)"))
        server.serve_forever(poll_interval=0.2)
