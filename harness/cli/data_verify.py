"""`lcma data verify`: whether every byte is as it was prepared."""

from typing import Annotated

import typer

from lcma.harness.cli.options import Data, Json


def verify(
    name: Annotated[
        str | None, typer.Argument(help="A prepared set; default: all below the root")
    ] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Hash the files of prepared data sets again and compare with their manifests."""
    import json as jsons

    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    import lcma.harness.data
    from lcma.harness.place import find_place
    from lcma.sweeps.errors import UserError

    root = find_place(None, None, data).data
    known = [k.name for k in lcma.harness.data.names(root) if (root / k.name).exists()]
    names = [name] if name else known
    if not names:
        raise UserError(f"no data set is prepared in {root}: run: lcma data list")
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    intact, damaged = [], []
    with Progress(
        *(*columns, TransferSpeedColumn(), TimeRemainingColumn()),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        for one in names:
            task = bar.add_task(one)

            def read(file: str, done: int, total: int, one: str = one, task: object = task) -> None:
                bar.update(task, completed=done, total=total, description=f"{one}: {file}")  # type: ignore[arg-type]

            try:
                prepared = lcma.harness.data.load(one, root)
                prepared.verify(read)
            except UserError as error:
                damaged.append(str(error))
            else:
                intact.append({"name": one, "digest": prepared.manifest.digest})
    if json:
        print(jsons.dumps({"intact": intact, "damaged": damaged}, indent=2))
    else:
        for found in intact:
            print(f"{found['name']} is intact: {found['digest']}")
    if damaged:
        raise UserError("; ".join(damaged))
