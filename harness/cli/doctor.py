"""lcma doctor"""

from typing import Annotated

import typer

from lcma.harness.cli.options import Data, Db, Json, Runs


def doctor(
    db: Db = None,
    runs: Runs = None,
    data: Data = None,
    ray: Annotated[
        str | None, typer.Option("--ray", metavar="ADDRESS", help="A running Ray cluster")
    ] = None,
    json: Json = False,
) -> None:
    """Check this installation, the database, the folders, the devices and a cluster."""
    import json as jsons

    from rich.console import Console
    from rich.markup import escape

    from lcma.harness.place import find_place
    from lcma.harness.watch.doctor import run_checks

    findings = run_checks(find_place(db, runs, data), ray)
    if json:
        print(jsons.dumps([vars(f) for f in findings], indent=2))
    else:
        marks = {"good": "[green]good[/]", "note": "[yellow]note[/]", "bad": "[red]bad[/] "}
        for finding in findings:
            Console().print(f"{marks[finding.verdict]}  {finding.what}: {escape(finding.said)}")
    if any(f.verdict == "bad" for f in findings):
        raise typer.Exit(1)
