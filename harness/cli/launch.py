"""`lcma launch`: running a sweep, or the rest of one that was interrupted."""

from typing import Unpack

from lcma.harness.cli.options import Data, OwnDb, Runs, Spec, add_options
from lcma.sweeps.options import LaunchOptions


@add_options(LaunchOptions)
def launch(
    spec: Spec,
    db: OwnDb = None,
    runs: Runs = None,
    data: Data = None,
    **options: Unpack[LaunchOptions],
) -> None:
    """Run a sweep. Launched again, it runs only what is missing and goes on where it stopped."""
    from lcma.harness.cli.launching import LaunchCommand, run_launch

    run_launch(LaunchCommand(spec, options, db, runs, data))
