"""`lcma logs`: the logs of attempts at a trial or pretraining."""

from typing import Annotated

import typer

from lcma.harness.cli.options import Db, Json, Work, open_store


def logs(
    trial: Work = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Print the log as it grows, until the end")
    ] = False,
    all_: Annotated[
        bool, typer.Option("--all", help="Show every attempt, not only the last")
    ] = False,
    db: Db = None,
    json: Json = False,
) -> None:
    """Show the log of the last attempt at a trial or pretraining, whichever node it ran on.

    The log of a running attempt is some seconds behind. If an attempt has no log,
    show what is known about the attempt.
    """
    from rich.text import Text

    from lcma.harness.results.lookup import job_title
    from lcma.harness.terminal import Console, print_error
    from lcma.harness.text import printable, short_id, to_json
    from lcma.harness.watch.commands import format_command
    from lcma.harness.watch.jobs import find_named_jobs
    from lcma.harness.watch.logs import (
        attempt_as_dict,
        render_attempt,
        select_attempt,
        wait_for_attempt,
    )

    store = open_store(db)
    named_jobs, note = find_named_jobs(store, trial)
    if note:
        print_error(note)
    jobs = {job.job_id: job for job in named_jobs}
    console = Console()
    printed, watched = list[str](), None
    if follow:

        def show_line(line: str) -> None:
            if not json:
                console.print(Text(printable(line)), soft_wrap=True)

        printed, watched = wait_for_attempt(store, list(jobs), Console(stderr=True), show_line, db)
        jobs = {job.job_id: job for job in store.job_facts(jobs)}
    attempts = store.attempts(list(jobs))
    followed = [each for each in attempts if each.id == watched]
    if not all_:
        attempts = followed or select_attempt(attempts, jobs)
    now = store.now()
    if json:
        records = [attempt_as_dict(attempt, jobs[attempt.job_id], now) for attempt in attempts]
        print(to_json(records))
        return
    for number, attempt in enumerate(attempts):
        if number:
            console.print()
        skipped = printed if attempt in followed else ()
        console.print(render_attempt(attempt, jobs[attempt.job_id], now, skipped), soft_wrap=True)
    if not attempts:
        names = ", ".join(dict.fromkeys(job_title(job) for job in jobs.values()))
        why = format_command("why", short_id(named_jobs[0].subject), db=db)
        console.print(f"no attempt yet at {names}: `{why}` says why", markup=False)
