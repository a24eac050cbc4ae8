"""`lcma rerun`: jobs that are done or failed go back to pending."""

import sys
from typing import Annotated

import typer

from lcma.harness.cli.options import Json, OwnDb, RowSelection, choose_rows, open_store, selecting
from lcma.sweeps.errors import UserError


@selecting("sweep", "where")
def rerun(
    trials: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TRIAL", help="First characters of the ids of trials, pretrainings or jobs"
        ),
    ] = None,
    failed: Annotated[
        bool,
        typer.Option("--failed", help="Rerun jobs that failed or diverged (default: all of them)"),
    ] = False,
    *,
    selection: RowSelection,
    why: Annotated[
        str, typer.Option(metavar="TEXT", help="Reason, stored in the history with your name")
    ] = "",
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask before rerunning more than you named")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the jobs and change nothing")
    ] = False,
    db: OwnDb = None,
    json: Json = False,
) -> None:
    """Put jobs that are done (with --failed: lost) back to pending for the next launch.

    A job that is done runs again from the start; its result stays current until
    the new one is stored. A pretraining runs again with all trials that read its
    maps. A failed job goes on from its last checkpoint, and a failed pretraining
    that it waits for goes on too.
    """
    from rich.text import Text

    from lcma.harness.results.filters import parse_filters
    from lcma.harness.terminal import Console, read_user_name
    from lcma.harness.text import to_json
    from lcma.harness.watch.commands import relaunch_commands
    from lcma.harness.watch.rerun import (
        choose_lost_jobs,
        choose_reruns,
        describe_choice,
        render_reruns,
    )

    if failed and why:
        raise UserError("--why and --failed exclude each other: leave one out")
    store = open_store(db, write=True)
    sweep_id, filters = choose_rows(store, selection)
    console = Console()
    if failed:
        # Ids are completed by results, and a lost job has none.
        filters = parse_filters(selection.where or ())
        choice = choose_lost_jobs(store, trials or (), filters, sweep_id=sweep_id)
    else:
        choice = choose_reruns(store, trials or (), filters, sweep_id=sweep_id)
    ids, more = choice.ids, [job.job_id for job in choice.more]
    if more and not (yes or dry_run):
        summary = describe_choice(choice)
        if json or sys.stdin is None or not sys.stdin.isatty():
            raise UserError(f"{summary} would be rerun: give --yes, or look with --dry-run")
        console.print(Text(f"{summary} will be rerun"))
        if not typer.confirm("Go on?"):
            return
    commands = relaunch_commands(store, ids, db)
    put_back = 0
    if not dry_run:
        put_back = store.retry(ids) if failed else store.rerun(ids, by=read_user_name(), why=why)
    if json:
        print(to_json({"jobs": ids, "more": more, "put_back": put_back, "next": commands}))
        return
    for line in render_reruns(choice, commands, db, failed=failed, dry_run=dry_run):
        console.print(line, soft_wrap=True)
