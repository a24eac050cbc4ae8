"""`lcma launch`: running a sweep, or the rest of one that was interrupted."""

from pathlib import Path
from typing import Annotated, Unpack

import typer

from lcma.harness.cli.options import Data, OwnDb, Runs, Spec, add_options
from lcma.sweeps.options import LaunchOptions


@add_options(LaunchOptions)
def launch(
    spec: Spec,
    pictures: Annotated[
        Path, typer.Option(metavar="DIR", help="Where to draw maps, tables and samples")
    ] = Path("lcma-pictures"),
    no_pictures: Annotated[bool, typer.Option("--no-pictures", help="Draw nothing")] = False,
    db: OwnDb = None,
    runs: Runs = None,
    data: Data = None,
    **options: Unpack[LaunchOptions],
) -> None:
    """Run a sweep. Launched again, it runs only what is missing and goes on where it stopped."""
    from lcma.harness.cli.launching import LaunchCommand, run_launch

    drawn = None if no_pictures else pictures
    run_launch(LaunchCommand(spec, options, drawn, db, runs, data))
