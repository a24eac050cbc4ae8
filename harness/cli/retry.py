"""`lcma retry`: putting lost jobs back to pending."""

from typing import Annotated

import typer

from lcma.harness.cli.options import Json, OwnDb


def retry(
    trials: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TRIAL]...",
            help="First characters of ids, of pretrainings and jobs too (default: all lost jobs)",
        ),
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class", metavar="CLASS", help="Only oom, timeout, code_error or diverged; repeatable"
        ),
    ] = None,
    sweep: Annotated[
        str | None, typer.Option("--sweep", help="Only jobs of this sweep, by name or id")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the jobs and change nothing")
    ] = False,
    host: Annotated[
        str | None,
        typer.Option("--host", help="Only take back this host, to which launches give no trials"),
    ] = None,
    db: OwnDb = None,
    json: Json = False,
) -> None:
    """Put jobs that failed or diverged back to pending, so that the next launch runs them again.

    With a trial that waits for a lost pretraining, put that pretraining back too.
    """
    from rich.text import Text

    from lcma.db import connect
    from lcma.harness.place import find_place
    from lcma.harness.terminal import Console
    from lcma.harness.text import printable, to_json
    from lcma.harness.watch.commands import print_commands, relaunch_commands
    from lcma.harness.watch.retry import (
        choose_lost_jobs,
        count_classes,
        describe_lost_job,
        take_host_back,
    )
    from lcma.sweeps.errors import UserError

    store = connect(find_place(db, None, None, write=True).db, create=False)
    if host is not None:
        if trials or classes or sweep or dry_run:
            raise UserError("--host takes no jobs: give it alone")
        taken = take_host_back(store, host)
        if json:
            print(to_json({"host": taken}))
        else:
            Console().print(Text(printable(f"host {taken} is asked again")), soft_wrap=True)
        return
    jobs = choose_lost_jobs(store, classes or (), sweep, trials or ())
    ids = [job.job_id for job in jobs]
    commands = relaunch_commands(store, ids, db)
    put_back = 0 if dry_run else store.retry(ids)
    if json:
        print(to_json({"jobs": ids, "put_back": put_back, "next": commands}))
        return
    console = Console()
    if not jobs:
        console.print(Text("nothing to retry: no such job has failed or diverged"))
        return
    if dry_run:
        for job in jobs:
            console.print(Text(printable(describe_lost_job(job))), soft_wrap=True)
        console.print(Text(f"{count_classes(jobs)} would be put back to pending"))
        return
    console.print(Text(f"{count_classes(jobs)} put back to pending"))
    print_commands(console, commands)
