"""`lcma export`: the board, single results or verdicts, for papers and spreadsheets."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lcma.harness.cli.options import Data, Db, Json, Runs
from lcma.harness.place import Place
from lcma.sweeps.errors import UserError

# `lcma export --format html`: the site as a folder


def publish(where: Place, out: str, sweep: str | None, *, samples: bool) -> None:
    """Write the site of a database, or of one sweep, and say where it is.

    Raises UserError without a folder to write to, and as `site.write_site` does.
    """
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.text import Text

    from lcma.db import connect
    from lcma.harness.report import site
    from lcma.harness.results.lookup import find_sweep

    if out == "-":
        raise UserError("a site is a folder of pages: give --out DIR")
    store = connect(where.db, create=False)
    sweep_id = None if sweep is None else find_sweep(store, sweep).id
    options = site.SiteOptions(sweep_id=sweep_id, samples=samples)
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


class What(StrEnum):
    """What is exported."""

    board = "board"
    results = "results"
    verdicts = "verdicts"


class Format(StrEnum):
    """In which form."""

    csv = "csv"
    json = "json"
    md = "md"
    latex = "latex"
    parquet = "parquet"
    html = "html"


class Paper(StrEnum):
    """A table of the paper."""

    table1 = "table1"
    table2 = "table2"
    table3 = "table3"
    table4 = "table4"


def export(
    what: Annotated[
        What, typer.Argument(help="The board, every result, or the verdicts")
    ] = What.board,
    db: Db = None,
    format: Annotated[Format, typer.Option("--format", help="The form of the output")] = Format.csv,
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Only results with this; repeatable"),
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMNS", help="Sum results up by these columns of trial_results"),
    ] = None,
    stat: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAMES", help="n, mean, std, low, high, min, median, max [first five]"
        ),
    ] = None,
    paper: Annotated[
        Paper | None,
        typer.Option(help="Instead a table of the paper, with ours and the difference"),
    ] = None,
    out: Annotated[
        str, typer.Option("--out", metavar="PATH", help="A file, '-': print it; of html a folder")
    ] = "-",
    manifest: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Where to write the manifest [beside --out]"),
    ] = None,
    tensorboard: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Instead the curves of a sweep, for TensorBoard"),
    ] = None,
    sweep: Annotated[
        str | None,
        typer.Option(help="Of --tensorboard [the newest] or html [all results]: by name or id"),
    ] = None,
    samples: Annotated[
        bool, typer.Option("--samples/--no-samples", help="In html: draw from kept weights")
    ] = True,
    runs: Runs = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Write the board, every single result, or the verdicts, in one of five forms; or curves.

    As html: a site of all that the database holds, into the folder --out.

    The same database gives the same bytes. A file is replaced whole or not at all, and a manifest
    beside it says of what schema, by which query and version it was made, and its digest.
    """
    import sys

    from rich.console import Console
    from rich.text import Text

    from lcma.db import connect
    from lcma.harness.place import find_place

    if format is Format.html and tensorboard is None and not json:
        if what is not What.board or where or by or stat or paper or manifest:
            raise UserError("--format html is a site of all there is: choose by --sweep alone")

        publish(find_place(db, runs, data), out, sweep, samples=samples)
        return
    if sweep is not None and tensorboard is None:
        raise UserError("--sweep says whose curves --tensorboard DIR is to have: give that too")
    if tensorboard is None and format is Format.parquet and out == "-" and sys.stdout.isatty():
        raise UserError("Parquet is no text for a terminal: give --out PATH")
    store = connect(find_place(db, None, None).db, create=False)
    if tensorboard is not None:
        from lcma.harness.results.lookup import find_sweep
        from lcma.harness.run.tensorboard import write_curves

        written = write_curves(tensorboard, store, store.job_ids(find_sweep(store, sweep).id))
        told = f"{written} runs in {tensorboard}: tensorboard --logdir {tensorboard}"
        Console(stderr=True).print(Text(told), soft_wrap=True)
        return
    from lcma.harness.files import write_file
    from lcma.harness.report import export
    from lcma.harness.report.export import SUFFIX, make_manifest

    form = export.ExportFormat.json if json else export.ExportFormat(str(format))
    query = export.ExportQuery(
        what=export.ExportContent(str(what)),
        where=tuple(where or ()),
        by=export.split_list(by or ()),
        statistics=export.split_list(stat or ()),
        paper=None if paper is None else paper.removeprefix("table"),
    )
    content = export.make_export(store, query, form)
    about = make_manifest(content, query.as_dict(form)).encode()
    if out == "-":
        if manifest is not None:
            write_file(manifest.expanduser(), about)
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    path = write_file(Path(out).expanduser(), content)
    beside = manifest or path.with_name(path.name + SUFFIX)
    write_file(beside.expanduser(), about)
    Console(stderr=True).print(Text(f"Wrote {path} and {beside}"), soft_wrap=True)
