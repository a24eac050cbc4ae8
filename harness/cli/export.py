"""`lcma export`: the board, single results, verdicts or a site as files."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from lcma.harness.cli.options import By, Db, Json, RowSelection, choose_sweep, selecting
from lcma.harness.place import Place
from lcma.harness.text import format_count
from lcma.sweeps.errors import UserError
from lcma.sweeps.measures import BITS_PER_DIM


@selecting()
def export(
    what: Annotated[
        Literal["board", "results", "verdicts"],
        typer.Argument(metavar="WHAT", help="board, results (every single one) or verdicts"),
    ] = "board",
    format: Annotated[
        Literal["csv", "json", "md", "latex", "parquet", "html"],
        typer.Option("--format", help="Format of the file; html makes a site"),
    ] = "csv",
    *,
    selection: RowSelection,
    by: By = BITS_PER_DIM,
    paper: Annotated[
        Literal["table1", "table2", "table3", "table4"] | None,
        typer.Option(
            help="Export a table of the paper instead: its numbers, ours, and the difference"
        ),
    ] = None,
    out: Annotated[
        str,
        typer.Option("--out", metavar="PATH", help="File, or - for stdout; a folder with html"),
    ] = "-",
    db: Db = None,
    json: Json = False,
) -> None:
    """Write the board, every single result, or the verdicts as a file.

    With --format html, write a site of all results, and the database itself, into
    the folder --out.

    The same database gives the same bytes. A file is replaced whole or not at
    all. A manifest beside it has the schema, the query, the version and the digest
    of the file.
    """
    import sys

    from rich.text import Text

    from lcma.harness.place import find_place

    if json and format not in ("csv", "json"):
        raise UserError(f"--json and --format {format} exclude each other: leave one out")
    if format == "html":
        if what != "board" or paper or replace(selection, sweep=None):
            raise UserError(
                "--format html writes a site of all results: of the options that select, it takes "
                "only --sweep and --by"
            )
        _write_site(find_place(db, None, None), out, selection.sweep, by)
        return
    if format == "parquet" and out == "-" and sys.stdout.isatty():
        raise UserError("Parquet is binary, not text for a terminal: give --out PATH")
    place = find_place(db, None, None)

    from lcma.db import connect
    from lcma.harness.files import require_replaceable, write_file
    from lcma.harness.show.export import SUFFIX, ExportQuery, make_export, make_manifest
    from lcma.harness.terminal import Console

    path = Path(out).expanduser()
    manifest = path.parent / (path.name + SUFFIX)
    if out != "-":
        require_replaceable(path)
        require_replaceable(manifest)
    store = connect(place.db, create=False)
    options = {**selection.columns}
    factorization = options.pop("factorization")
    query = ExportQuery(
        what=what,
        where=(
            *(selection.where or ()),
            *(f"{name}={value}" for name, values in options.items() for value in values or ()),
        ),
        factorization=tuple(factorization or ()),
        paper=None if paper is None else paper.removeprefix("table"),
        measure=by,
        sweep=selection.sweep,
    )
    if selection.sweep is not None:
        choose_sweep(store, selection.sweep)  # prints a note if several sweeps have the name
    form = "json" if json else format
    content = make_export(store, query, form)
    if out == "-":
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    write_file(path, content)
    write_file(manifest, make_manifest(content, query, form).encode())
    Console(stderr=True).print(Text(f"Wrote {path} and {manifest}"), soft_wrap=True)


def _write_site(place: Place, out: str, sweep: str | None, measure: str) -> None:
    from rich.text import Text

    from lcma.db import connect
    from lcma.harness.show.site import write_site
    from lcma.harness.terminal import Console

    if out == "-":
        raise UserError("a site is a folder of files: give --out DIR")
    store = connect(place.db, create=False)
    sweep_id = None if sweep is None else choose_sweep(store, sweep).id
    errors = Console(stderr=True)
    with errors.status("reading results") as status:
        files = write_site(store, Path(out), sweep_id=sweep_id, measure=measure, step=status.update)
    page = Path(out).expanduser().absolute() / "index.html"
    errors.print(Text(f"Wrote {format_count(files, 'file')}: open {page}"), soft_wrap=True)
