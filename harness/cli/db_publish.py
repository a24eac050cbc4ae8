"""`lcma db publish`: results for others to have, without what says who made them, and where."""

from pathlib import Path
from typing import Annotated

import typer

from lcma.harness.cli.options import (
    Datasets,
    Db,
    Factorizations,
    Flows,
    Json,
    Seeds,
    Where,
    choose_sweep,
)
from lcma.sweeps.errors import UserError


def publish(
    out: Annotated[
        Path,
        typer.Argument(
            metavar="OUT", help="The new file: .db or .sqlite, or .sqlite.xz for a compressed one"
        ),
    ],
    sweep: Annotated[
        list[str] | None,
        typer.Option("--sweep", metavar="NAME", help="Only this sweep, by name or id; repeatable"),
    ] = None,
    flow: Flows = None,
    dataset: Datasets = None,
    factorization: Factorizations = None,
    seed: Seeds = None,
    where: Where = None,
    db: Db = None,
    json: Json = False,
) -> None:
    """Copy results into a new SQLite database that can be given away.

    It has all trials of the selection that have ended, well or not, with every
    attempt. It has no users, hosts, arguments, messages, logs, places, files or
    weights; of a curve 60 points, of the maps those that a trial read. A manifest
    beside it has digests, versions and the licences of the data.
    """
    import tempfile

    from lcma.db import connect, publishing
    from lcma.harness.place import find_place
    from lcma.harness.results.filters import parse_filters
    from lcma.harness.shards import require_new, write_shard
    from lcma.harness.terminal import print_line, reporting_progress
    from lcma.harness.text import format_count, format_size, to_json

    out = out.expanduser()
    require_new(out)
    for one in where or ():
        name = one.partition("=")[0].strip()
        if name not in publishing.KEYS:
            raise UserError(
                f"--where {one!r}: a selection to publish is by what is known before a trial runs: "
                f"{', '.join(publishing.KEYS)}"
            )
    options = {"flow": flow, "dataset": dataset, "factorization": factorization, "seed": seed}
    filters = parse_filters(where or (), **options)
    store = connect(find_place(db, None, None).db, create=False)
    sweeps = [choose_sweep(store, name) for name in sweep or ()]
    with (
        tempfile.TemporaryDirectory(prefix="lcma-publish-") as folder,
        reporting_progress() as progress,
    ):
        made = Path(folder, "published.sqlite")
        published = publishing.publish(
            store.database,
            made,
            where=filters,
            sweep_ids=[one.id for one in sweeps],
            progress=progress,
        )
        typed = [f"{name}={one}" for name, of in options.items() for one in of or ()]
        selection = {"sweeps": [one.name for one in sweeps], "where": [*(where or ()), *typed]}
        about = write_shard(made, published, selection, out)
    if json:
        print(to_json(about))
        return
    states = ", ".join(f"{number} {state}" for state, number in published.trials.items())
    trials = format_count(sum(published.trials.values()), "trial")
    print_line(f"published {trials} ({states}) to {out}, {format_size(about['file']['bytes'])}")
    if published.unfinished:
        left = format_count(published.unfinished, "trial")
        print_line(f"{left} of the selection left out, not having ended yet")
    for one in about["data"]:
        print_line(f"licence of {one['name']}: {one['licence']}")
