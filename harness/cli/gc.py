"""`lcma gc`: what nobody needs any more of checkpoints and weights."""

from typing import TYPE_CHECKING, Annotated

import typer

from lcma.harness.cli.options import Db, Json, Runs

if TYPE_CHECKING:
    from lcma.harness.run.gc import What

NAMES: dict["What", str] = {
    "checkpoints": "checkpoints of trials that are done",
    "snapshots": "checkpoints of pretrainings that are done",
    "lost": "checkpoints of what failed or diverged",
    "temporary": "files of writers that were killed",
    "unnamed": "weights of attempts that were lost",
    "named": "weights of trials that are done",
}


def gc(
    sweep: Annotated[
        str | None, typer.Option("--sweep", help="Only what jobs of this sweep left, by name or id")
    ] = None,
    older: Annotated[
        float | None, typer.Option(min=0, metavar="DAYS", help="Only files older than this")
    ] = None,
    lost: Annotated[
        bool, typer.Option("--lost", help="Also checkpoints of jobs that failed or diverged")
    ] = False,
    weights: Annotated[
        bool, typer.Option("--weights", help="Also the weights of trials that are done")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go, and change nothing")
    ] = False,
    db: Db = None,
    runs: Runs = None,
    json: Json = False,
) -> None:
    """Remove checkpoints and weights that nobody needs, beside running workers too."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from lcma.db import connect
    from lcma.harness import storage
    from lcma.harness.place import find_place
    from lcma.harness.run.gc import Asked, find_garbage, remove_garbage
    from lcma.harness.text import format_size, printable, to_json

    where = find_place(db, runs, None)
    store = connect(where.db, create=False)
    asked = Asked(sweep, older, lost, weights)
    found = find_garbage(store, where.runs, asked)
    gone = found.waste if dry_run else remove_garbage(store, where.runs, found)
    rows = [
        (what, len(files), sum(files))
        for what in NAMES
        if (files := [one.file.bytes for one in gone if one.what == what])
    ]
    total = len(gone), sum(one.file.bytes for one in gone)
    unknown = len(found.unknown), sum(file.bytes for file in found.unknown)
    name = storage.open_folder(where.runs).name
    if json:
        told = [{"what": what, "files": files, "bytes": length} for what, files, length in rows]
        both = {
            key: {"files": files, "bytes": length}
            for key, (files, length) in (("total", total), ("unknown", unknown))
        }
        print(to_json({"place": name, "dry_run": dry_run, "removed": told, **both}))
        return
    console = Console()
    if rows:
        table = Table("what", "files", "size", box=box.SIMPLE_HEAD)
        for column in table.columns[1:]:
            column.justify = "right"
        for title, count, length in (*((NAMES[w], n, s) for w, n, s in rows), ("total", *total)):
            table.add_row(title, str(count), format_size(length))
        console.print(table)
    said = f"{'would free' if dry_run else 'freed'} {format_size(total[1])} in {printable(name)}"
    console.print(Text(said), soft_wrap=True)
    if unknown[0]:
        console.print(
            Text(
                f"left alone: {unknown[0]} files ({format_size(unknown[1])}) of runs that "
                "this database "
                "does not know"
            ),
            soft_wrap=True,
        )
