"""`lcma logs`: the logs of attempts at a trial or a pretraining."""

from typing import Annotated

import typer

from lcma.harness.cli.options import Db, Json, Work


def logs(
    trial: Work = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Show it as it comes, to the attempt's end")
    ] = False,
    all_: Annotated[
        bool, typer.Option("--all", help="Show every attempt, not only the last")
    ] = False,
    db: Db = None,
    json: Json = False,
) -> None:
    """Show the log of the last attempt at a trial or a pretraining, on whatever node it ran.

    Without a name it is the trial that changed last. While an attempt runs, its
    log is seconds behind. Without a log, show what is known of the attempt.
    """
    from rich.text import Text

    from lcma.db import connect
    from lcma.harness.place import find_place
    from lcma.harness.results.lookup import job_title
    from lcma.harness.terminal import Console, print_error
    from lcma.harness.text import printable, short_id, to_json
    from lcma.harness.watch.jobs import find_named_jobs
    from lcma.harness.watch.logs import (
        attempt_as_dict,
        render_attempt,
        select_attempts,
        wait_for_attempt,
    )

    store = connect(find_place(db, None, None).db, create=False)
    found, note = find_named_jobs(store, trial)
    if note:
        print_error(note)
    jobs = {job.job_id: job for job in found}
    console = Console()
    shown: list[str] = []
    if follow:

        def show_line(line: str) -> None:
            if not json:
                console.print(Text(printable(line)), soft_wrap=True)

        shown = wait_for_attempt(store, list(jobs), Console(stderr=True), show_line)
        jobs = {one.job_id: one for one in store.job_facts(jobs)}
    attempts = select_attempts(store.attempts(list(jobs)), jobs, every=all_)
    now = store.now()
    if json:
        print(to_json([attempt_as_dict(one, jobs[one.job_id], now) for one in attempts]))
        return
    for number, attempt in enumerate(attempts):
        if number:
            console.print()
        before = shown if number == len(attempts) - 1 else ()
        console.print(render_attempt(attempt, jobs[attempt.job_id], now, before), soft_wrap=True)
    if not attempts:
        names = ", ".join(dict.fromkeys(job_title(job) for job in jobs.values()))
        console.print(
            f"no attempt yet at {names}: `lcma why {short_id(found[0].subject)}` says why",
            markup=False,
        )
