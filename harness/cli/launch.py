"""`lcma launch`: running a sweep, or the rest of one that was interrupted."""

from pathlib import Path
from typing import Annotated

import typer

from lcma.harness.cli.options import Data, MaxDeviceHours, MaxHours, OwnDb, Runs
from lcma.harness.cli.plan import (
    Budget,
    Dataset,
    Factorization,
    Flow,
    Profile,
    Seeds,
    Settings,
    Spec,
)


def launch(
    spec: Spec,
    flow: Flow = None,
    dataset: Dataset = None,
    factorization: Factorization = None,
    profile: Profile = None,
    seeds: Seeds = None,
    budget: Budget = None,
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
        typer.Option(min=1, metavar="N", help="Most jobs of the sweep at once, over all launches"),
    ] = None,
    max_device_hours: MaxDeviceHours = None,
    max_hours: MaxHours = None,
    retry: Annotated[
        bool, typer.Option("--retry", help="Run failed and diverged jobs again")
    ] = False,
    skip_invalid: Annotated[
        bool, typer.Option("--skip-invalid", help="Run the rest where cells cannot be run")
    ] = False,
    wait_nodes: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="With --ray: wait up to five minutes for N nodes of the cluster, the head too",
        ),
    ] = None,
    any_code: Annotated[
        bool, typer.Option("--any-code", help="Run on hosts with other code than here too")
    ] = False,
    pictures: Annotated[
        Path, typer.Option(metavar="DIR", help="Where to draw maps, tables and samples")
    ] = Path("lcma-pictures"),
    no_pictures: Annotated[bool, typer.Option("--no-pictures", help="Draw nothing")] = False,
    tensorboard: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where to write the curves for TensorBoard, as they come"),
    ] = None,
    db: OwnDb = None,
    runs: Runs = None,
    data: Data = None,
) -> None:
    """Run a sweep. Launched again, it runs only what is missing and goes on where it stopped."""
    from lcma.harness.cli.launching import LaunchCommand, run_launch
    from lcma.harness.cli.planning import Overrides
    from lcma.harness.run.sweep import LaunchOptions

    drawn = None if no_pictures else pictures
    options = LaunchOptions(
        local=local,
        ray=ray,
        gpus=gpus,
        parallel=parallel,
        max_device_hours=max_device_hours,
        max_hours=max_hours,
        retry=retry,
        skip_invalid=skip_invalid,
        wait_nodes=wait_nodes,
        any_code=any_code,
        tensorboard=tensorboard,
        folders=(("pictures", drawn),),
    )
    overrides = Overrides(flow, dataset, factorization, profile, seeds, budget, tuple(set_ or ()))
    run_launch(LaunchCommand(spec, overrides, options, drawn, db, runs, data))
