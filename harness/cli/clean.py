"""`lcma clean`: removing checkpoints and weights that are no longer needed."""

from typing import TYPE_CHECKING, Annotated

import typer

from lcma.harness.cli.options import Json, OwnDb, Runs, Sweep
from lcma.harness.text import format_count

if TYPE_CHECKING:
    from lcma.harness.work.garbage import What

DESCRIPTIONS: dict["What", str] = {
    "checkpoints": "checkpoints of trials that are done",
    "snapshots": "checkpoints of pretrainings that are done",
    "lost": "checkpoints of what failed or diverged",
    "temporary": "files of writers that were killed",
    "unnamed": "weights of attempts that were lost",
    "named": "weights of trials that are done",
}


def clean(
    sweep: Sweep = None,
    older: Annotated[
        float | None, typer.Option(min=0, metavar="DAYS", help="Remove only files older than this")
    ] = None,
    lost: Annotated[
        bool, typer.Option("--lost", help="Remove checkpoints of jobs that failed or diverged too")
    ] = False,
    weights: Annotated[
        bool, typer.Option("--weights", help="Remove the weights of trials that are done too")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be removed, and change nothing")
    ] = False,
    db: OwnDb = None,
    runs: Runs = None,
    json: Json = False,
) -> None:
    """Remove checkpoints and weights that nobody needs, even while workers run.

    Checkpoints of what is done go, except those that `keep` of the sweep names
    and the longest snapshot of a pretraining. So do files of writers that were
    killed, and weights of attempts that were lost. What a job could go on from
    stays.
    """
    from rich.text import Text

    from lcma.db import connect
    from lcma.harness import storage
    from lcma.harness.place import find_place
    from lcma.harness.show.tables import Table, TableColumn, render_table
    from lcma.harness.terminal import Console
    from lcma.harness.text import format_size, printable, to_json
    from lcma.harness.work.garbage import GarbageFilter, find_garbage, remove_garbage

    place = find_place(db, runs, None, write=True)
    store = connect(place.db, create=False)
    found = find_garbage(store, place.runs, GarbageFilter(sweep, older, lost, weights))
    removed = found.waste if dry_run else remove_garbage(store, place.runs, found)
    rows = [
        (what, len(sizes), sum(sizes))
        for what in DESCRIPTIONS
        if (sizes := [one.file.bytes for one in removed if one.what == what])
    ]
    total = len(removed), sum(one.file.bytes for one in removed)
    unknown = len(found.unknown), sum(file.bytes for file in found.unknown)
    name = storage.open_folder(place.runs).name
    if json:
        content = {
            "place": name,
            "dry_run": dry_run,
            "removed": [{"what": what, "files": n, "bytes": size} for what, n, size in rows],
            "total": {"files": total[0], "bytes": total[1]},
            "unknown": {"files": unknown[0], "bytes": unknown[1]},
        }
        print(to_json(content))
        return
    console = Console()
    if rows:
        columns = (
            TableColumn("what"),
            TableColumn("files", kind="number"),
            TableColumn("size", right=True),
        )
        described = [*((DESCRIPTIONS[what], n, size) for what, n, size in rows), ("total", *total)]
        lines = tuple((text, n, format_size(size)) for text, n, size in described)
        console.print(render_table(Table(columns, lines)))
        console.print()
    freed = f"{'would free' if dry_run else 'freed'} {format_size(total[1])} in {printable(name)}"
    console.print(Text(freed), soft_wrap=True)
    if unknown[0]:
        left = (
            f"left alone: {format_count(unknown[0], 'file')} ({format_size(unknown[1])}) of runs "
            "that this database does not know"
        )
        console.print(Text(left), soft_wrap=True)
