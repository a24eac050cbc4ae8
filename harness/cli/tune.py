"""`lcma tune`: searching for the budget or the patterns that are worth their cost."""

from typing import Annotated

import typer

from lcma.harness.cli.options import Data, Json, MaxDeviceHours, MaxHours, OwnDb, Runs
from lcma.harness.cli.plan import Dataset, Flow, Profile, Seeds, Settings, Spec


def tune(
    spec: Spec,
    flow: Flow = None,
    dataset: Dataset = None,
    profile: Profile = None,
    seeds: Seeds = None,
    set_: Settings = None,
    local: Annotated[bool, typer.Option("--local", help="Processes here, without Ray")] = False,
    ray: Annotated[
        str | None, typer.Option("--ray", metavar="ADDRESS", help="A running Ray cluster")
    ] = None,
    gpus: Annotated[
        float | None, typer.Option(help="GPUs for each trial (0 to 1) in place of the spec's")
    ] = None,
    parallel: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Budgets, or parts of a rung, at once"),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(min=2, metavar="N", help="Budgets to ask for, in place of the spec's"),
    ] = None,
    max_device_hours: MaxDeviceHours = None,
    max_hours: MaxHours = None,
    any_code: Annotated[
        bool, typer.Option("--any-code", help="Run on hosts with other code than here too")
    ] = False,
    db: OwnDb = None,
    runs: Runs = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Search how much pretraining is worth its cost, or the best patterns.

    Killed and launched again, it goes on.
    """
    from lcma.harness.cli.planning import Overrides
    from lcma.harness.cli.tuning import TuneCommand, run_study

    run_study(
        TuneCommand(
            spec=spec,
            overrides=Overrides(flow, dataset, None, profile, seeds, None, tuple(set_ or ())),
            local=local,
            ray=ray,
            gpus=gpus,
            parallel=parallel,
            trials=trials,
            max_device_hours=max_device_hours,
            max_hours=max_hours,
            any_code=any_code,
            json=json,
            db=db,
            runs=runs,
            data=data,
        )
    )
