"""`lcma tune`: searching for the budget or the patterns that are worth their cost."""

from typing import Unpack

from lcma.harness.cli.options import Data, Json, OwnDb, Runs, Spec, add_options
from lcma.sweeps.options import TuneOptions


@add_options(TuneOptions, without=("factorization", "budget"))
def tune(
    spec: Spec,
    db: OwnDb = None,
    runs: Runs = None,
    data: Data = None,
    json: Json = False,
    **options: Unpack[TuneOptions],
) -> None:
    """Search how much pretraining is worth its cost, or the best patterns.

    Killed and launched again, it goes on.
    """
    from lcma.harness.cli.tuning import TuneCommand, run_study

    run_study(TuneCommand(spec, options, json, db, runs, data))
