"""`lcma doctor`: checks of an installation."""

from typing import Annotated

import typer

from lcma.harness.cli.options import Data, Db, Json, Runs


def doctor(
    db: Db = None,
    runs: Runs = None,
    data: Data = None,
    ray: Annotated[
        str | None,
        typer.Option("--ray", metavar="ADDRESS", help="Also check a running Ray cluster"),
    ] = None,
    json: Json = False,
) -> None:
    """Check this installation, the database, the folders, the devices, and a cluster.

    Exit code 1 if a launch would fail.
    """
    from rich.markup import escape

    from lcma.harness.place import find_place
    from lcma.harness.terminal import Console
    from lcma.harness.text import to_json
    from lcma.harness.watch.doctor import run_checks

    results = run_checks(find_place(db, runs, data), ray)
    if json:
        print(to_json([vars(result) for result in results]))
    else:
        console = Console()
        marks = {"good": "[green]good[/]", "note": "[yellow]note[/]", "bad": "[red]bad[/] "}
        for result in results:
            console.print(f"{marks[result.verdict]}  {result.what}: {escape(result.said)}")
    if any(result.verdict == "bad" for result in results):
        raise typer.Exit(1)
