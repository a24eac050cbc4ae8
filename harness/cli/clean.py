"""`lcma clean`: removal of checkpoints and weights that are no longer needed."""

from typing import TYPE_CHECKING, Annotated

import typer

from lcma.harness.cli.options import Json, OwnDb, Runs, Sweep, choose_sweep
from lcma.harness.text import format_count

if TYPE_CHECKING:
    from lcma.harness.work.garbage import What

DESCRIPTIONS: dict["What", str] = {
    "checkpoints": "checkpoints of trials that are done",
    "snapshots": "checkpoints of pretrainings that are done",
    "lost": "checkpoints of jobs that failed or diverged",
    "temporary": "files of writers that were killed",
    "unnamed": "weights of attempts that were lost",
    "named": "weights of trials that are done",
}


def clean(
    sweep: Sweep = None,
    lost: Annotated[
        bool, typer.Option("--lost", help="Also remove checkpoints of failed and diverged jobs")
    ] = False,
    weights: Annotated[
        bool, typer.Option("--weights", help="Also remove the weights of trials that are done")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be removed, and change nothing")
    ] = False,
    db: OwnDb = None,
    runs: Runs = None,
    json: Json = False,
) -> None:
    """Remove checkpoints and weights that nobody needs, even while workers run.

    This removes checkpoints of jobs that are done, files of writers that were
    killed, and weights of lost attempts. It keeps checkpoints that a job could
    resume from, and those that `keep` of the sweep names: by default the longest
    snapshot of each pretraining.
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
    sweep_id = None if sweep is None else choose_sweep(store, sweep).id
    garbage = find_garbage(store, place.runs, GarbageFilter(sweep_id, lost, weights))
    removed = garbage.waste if dry_run else remove_garbage(store, place.runs, garbage)
    rows = [
        (what, len(sizes), sum(sizes))
        for what in DESCRIPTIONS
        if (sizes := [waste.file.bytes for waste in removed if waste.what == what])
    ]
    total = len(removed), sum(waste.file.bytes for waste in removed)
    unknown = len(garbage.unknown), sum(file.bytes for file in garbage.unknown)
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
        lines = [*((DESCRIPTIONS[what], n, size) for what, n, size in rows), ("total", *total)]
        cells = tuple((text, n, format_size(size)) for text, n, size in lines)
        console.print(render_table(Table(columns, cells)))
        console.print()
    freed = f"{'would free' if dry_run else 'freed'} {format_size(total[1])} in {printable(name)}"
    console.print(Text(freed), soft_wrap=True)
    if unknown[0]:
        line = (
            f"kept: {format_count(unknown[0], 'file')} ({format_size(unknown[1])}) of runs that "
            "this database does not know"
        )
        console.print(Text(line), soft_wrap=True)
