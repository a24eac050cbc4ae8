"""`lcma export --format html`: the site as a folder."""

from pathlib import Path

from lcma.harness.place import Place
from lcma.sweeps.errors import UserError


def publish(where: Place, out: str, sweep: str | None, *, samples: bool) -> None:
    """Write the site of a database, or of one sweep, and say where it is.

    Raises UserError without a folder to write to, and as `site.write_site` does.
    """
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.text import Text

    from lcma.db import connect
    from lcma.harness.report import site
    from lcma.harness.report.lookup import find_sweep

    if out == "-":
        raise UserError("a site is a folder of pages: give --out DIR")
    store = connect(where.db, create=False)
    sweep_id = None if sweep is None else find_sweep(store, sweep).id
    options = site.Options(sweep_id=sweep_id, samples=samples)
    said = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    quiet = not said.is_terminal
    with Progress(*columns, console=said, transient=True, disable=quiet) as progress:
        task = progress.add_task("reading results", total=None)

        def step(what: str) -> None:
            progress.update(task, description=f"drawing {what}")

        files = site.write_site(store, where, Path(out), options, step)
    page = Path(out).expanduser().absolute() / "index.html"
    said.print(Text(f"Wrote {files} files: open {page}"), soft_wrap=True)
