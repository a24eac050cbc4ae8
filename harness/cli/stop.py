"""`lcma stop`: end the launches of a sweep, or one trial, wherever they run."""

from typing import Annotated

import typer

from lcma.harness.cli.options import Json, OwnDb, open_store
from lcma.sweeps.errors import UserError


def stop(
    sweep: Annotated[
        str | None,
        typer.Argument(
            metavar="SWEEP|TRIAL",
            help="Name or id of a sweep (default: the one launched last), or the first characters "
            "of the id of a trial, pretraining or job",
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Stop the launches of all sweeps")
    ] = False,
    now: Annotated[
        bool, typer.Option("--now", help="Take the jobs at once; do not wait for the launches")
    ] = False,
    db: OwnDb = None,
    json: Json = False,
) -> None:
    """End the launches of a sweep, or one trial, from any machine that reaches the database.

    Running jobs keep their last checkpoint and go back to pending. A later launch
    goes on with them.
    """
    from rich.text import Text

    from lcma.harness.results.lookup import find_jobs, find_sweeps, job_title, means_jobs
    from lcma.harness.terminal import Console, read_user_name
    from lcma.harness.text import printable, to_json
    from lcma.harness.watch.commands import print_commands, relaunch_command, relaunch_commands
    from lcma.harness.watch.stop import ANSWER_SECONDS, describe_stopped, stop_launches

    if everything and sweep is not None:
        raise UserError("--all and a sweep exclude each other: leave one out")
    store = open_store(db, write=True)
    seconds = 0.0 if now else ANSWER_SECONDS
    console = Console()
    sweeps, job_ids = None, None
    if sweep is not None and means_jobs(store, sweep):
        jobs = find_jobs(store, sweep)
        name, job_ids = job_title(jobs[-1]), [job.job_id for job in jobs]
        if not any(job.state in ("pending", "running") for job in jobs):
            raise UserError(f"{name} has ended, so there is nothing to stop")
    else:
        sweeps = None if everything else find_sweeps(store, sweep)
        name = "all sweeps" if sweeps is None else f"the sweep {sweeps[-1].name}"
    with Console(stderr=json).status(printable(f"waiting for the running jobs of {name}")):
        stopped = stop_launches(
            store, sweeps, job_ids=job_ids, by=read_user_name(), seconds=seconds
        )
    if job_ids is not None:
        commands = relaunch_commands(store, job_ids, db)
    else:
        commands = [relaunch_command(store, sweeps[-1], db)] if sweeps else []
    if json:
        ids = None if sweeps is None else [sweep.id for sweep in sweeps]
        scope = {"sweeps": ids} if job_ids is None else {"jobs": job_ids}
        print(to_json({**scope, "held": stopped.held, "taken": stopped.taken, "next": commands}))
        return
    line = describe_stopped(stopped, name, seconds, jobs=job_ids is not None)
    console.print(Text(line), soft_wrap=True)
    print_commands(console, commands, "Go on with")
