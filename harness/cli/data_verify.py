"""`lcma data verify`: comparing every byte of a prepared set with its manifest."""

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
    """Hash the files of prepared data sets again and compare them with their manifests.

    Exit code 2 if a file is damaged.
    """
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TaskID,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    import lcma.harness.data
    from lcma.harness.place import find_place
    from lcma.harness.terminal import Console, print_line
    from lcma.harness.text import to_json
    from lcma.sweeps.errors import UserError

    root = find_place(None, None, data).data
    known = [k.name for k in lcma.harness.data.names(root) if (root / k.name).exists()]
    names = [name] if name else known
    if not names:
        raise UserError(f"no data set is prepared in {root}: run: lcma data list")
    console = Console(stderr=True)
    intact, damaged = [], []
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        for one in names:
            task = bar.add_task(one)

            def progress(
                file: str, done: int, total: int, one: str = one, task: TaskID = task
            ) -> None:
                bar.update(task, completed=done, total=total, description=f"{one}: {file}")

            try:
                prepared = lcma.harness.data.load(one, root)
                prepared.verify(progress)
            except UserError as error:
                damaged.append(str(error))
            else:
                intact.append({"name": one, "digest": prepared.manifest.digest})
    if json:
        print(to_json({"intact": intact, "damaged": damaged}))
    else:
        for found in intact:
            print_line(f"{found['name']} is intact: {found['digest']}")
    if damaged:
        raise UserError("; ".join(damaged))
