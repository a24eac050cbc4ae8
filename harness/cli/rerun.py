"""`lcma rerun`: putting jobs that are done back to pending."""

import sys
from typing import Annotated

import typer

from lcma.harness.cli.options import Json, OwnDb, Where
from lcma.sweeps.errors import UserError


def rerun(
    trials: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TRIAL]...", help="First characters of ids, of pretrainings and jobs too"
        ),
    ] = None,
    where: Where = None,
    with_pretraining: Annotated[
        bool,
        typer.Option("--with-pretraining", help="Run the pretrainings of the trials anew too"),
    ] = False,
    why: Annotated[
        str, typer.Option(metavar="TEXT", help="The reason, stored beside the new results")
    ] = "",
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask where more is run anew than was named")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the jobs and change nothing")
    ] = False,
    db: OwnDb = None,
    json: Json = False,
) -> None:
    """Put jobs that are done back to pending, so that the next launch runs them anew.

    What is there stays current until the new result is stored. A pretraining is
    run anew with all trials that read its maps.
    """
    from rich.text import Text

    from lcma.db import connect
    from lcma.harness.place import find_place
    from lcma.harness.report.export import parse_filters
    from lcma.harness.terminal import Console, user_name
    from lcma.harness.text import to_json
    from lcma.harness.watch.commands import relaunch_commands
    from lcma.harness.watch.rerun import choose_reruns, describe_choice, render_reruns

    store = connect(find_place(db, None, None, write=True).db, create=False)
    filters = parse_filters(where or ())
    chosen = choose_reruns(store, trials or (), filters, with_pretraining=with_pretraining)
    summary, console = describe_choice(chosen), Console()
    if chosen.more and not (yes or dry_run):
        if json or sys.stdin is None or not sys.stdin.isatty():
            raise UserError(f"{summary} would be run anew: give --yes, or look with --dry-run")
        console.print(Text(f"{summary} will be run anew"))
        if not typer.confirm("Go on?"):
            return
    commands = relaunch_commands(store, chosen.ids, db)
    put_back = 0 if dry_run else store.rerun(chosen.ids, by=user_name(), why=why)
    if json:
        more = [job.job_id for job in chosen.more]
        print(to_json({"jobs": chosen.ids, "more": more, "put_back": put_back, "next": commands}))
        return
    for line in render_reruns(chosen, commands, dry_run=dry_run):
        console.print(line, soft_wrap=True)
