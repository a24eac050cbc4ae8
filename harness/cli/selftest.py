"""`lcma selftest`: killing a sweep and comparing it with one left alone."""

from pathlib import Path
from typing import Annotated

import typer

from lcma.harness.cli.options import Json


def selftest(
    kill: Annotated[int, typer.Option("--kill", metavar="N", help="How many kills to make")] = 20,
    seed: Annotated[int, typer.Option(help="Seed of what is killed when")] = 0,
    local: Annotated[bool, typer.Option("--local", help="Run processes here, without Ray")] = False,
    ray: Annotated[
        str | None, typer.Option("--ray", metavar="ADDRESS", help="A running Ray cluster")
    ] = None,
    db: Annotated[
        str | None,
        typer.Option(
            "--db", metavar="URL", help="An empty database to use (default: SQLite files)"
        ),
    ] = None,
    runs: Annotated[
        Path | None,
        typer.Option("--runs", metavar="DIR", help="Where to make its folder (default: temporary)"),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the folder and the databases")] = False,
    json: Json = False,
) -> None:
    """Run a small sweep, kill its processes, and compare it with one that is left alone.

    Exit code 1 if their results differ in any bit.
    """
    from lcma.harness.selftest.running import SelftestOptions, run_selftest

    code = run_selftest(
        SelftestOptions(
            kills=kill, seed=seed, local=local, ray=ray, db=db, runs=runs, keep=keep, json=json
        )
    )
    raise typer.Exit(code)
