"""`lcma tune`: searching for the budget that is worth its cost."""

from typing import Unpack

from lcma.harness.cli.options import Data, Json, OwnDb, Runs, Spec, add_options
from lcma.sweeps.options import TuneOptions


@add_options(TuneOptions, without=("budget", "local"))
def tune(
    spec: Spec,
    db: OwnDb = None,
    runs: Runs = None,
    data: Data = None,
    json: Json = False,
    **options: Unpack[TuneOptions],
) -> None:
    """Search how much pretraining is worth its cost.

    Killed and launched again, it goes on.
    """
    from lcma.harness.cli.tuning import TuneCommand, run_study

    run_study(TuneCommand(spec, options, json, db, runs, data))
