"""`lcma stop`: the launches of a sweep are to end, wherever they run."""

from typing import Annotated

import typer

from lcma.harness.cli.options import Db, Json
from lcma.sweeps.errors import UserError


def stop(
    sweep: Annotated[
        str | None, typer.Argument(metavar="[SWEEP]", help="By name or id [the newest]")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="The launches of all sweeps")] = False,
    now: Annotated[
        bool, typer.Option("--now", help="Take the jobs at once, whether launches answer or not")
    ] = False,
    db: Db = None,
    json: Json = False,
) -> None:
    """End the launches of a sweep in good order, from any machine that reaches the database.

    What runs goes back to pending and keeps its last checkpoint. A later launch goes on.
    """
    import getpass
    import socket

    from rich.console import Console
    from rich.text import Text

    from lcma.db import connect
    from lcma.harness.place import find_place
    from lcma.harness.text import printable, to_json
    from lcma.harness.watch.commands import relaunch_command
    from lcma.harness.watch.stop import ANSWER_SECONDS, find_sweeps, stop_sweeps

    if everything and sweep is not None:
        raise UserError("--all and a sweep exclude each other: leave one out")
    store = connect(find_place(db, None, None).db, create=False)
    found = None if everything else find_sweeps(store, sweep)
    by = f"{getpass.getuser()}@{socket.gethostname()}"
    seconds = 0.0 if now else ANSWER_SECONDS
    console = Console()
    what = "all sweeps" if found is None else f"the sweep {found[-1].name}"
    with console.status(printable(f"waiting for the launches of {what}")):
        done = stop_sweeps(store, found, by=by, seconds=seconds)
    commands = [] if found is None else [relaunch_command(one) for one in found[-1:]]
    if json:
        ids = None if found is None else [one.id for one in found]
        content = {"sweeps": ids, "held": done.held, "taken": done.taken, "next": commands}
        print(to_json(content))
        return
    if done.taken:
        why = "at once" if now else f"since their launch did not answer in {seconds:.0f} s"
        line = f"stopped {what}: {_jobs(done.taken)} taken from workers {why}"
    elif done.held:
        line = f"stopped {what}: nothing of it runs any more"
    else:
        line = f"nothing of {what} runs; a launch that only waits ends within seconds"
    console.print(Text(printable(line)), soft_wrap=True)
    for command in commands:
        console.print(Text("Go on with: ").append(command, style="bold"), soft_wrap=True)


def _jobs(number: int) -> str:
    return f"{number} job was" if number == 1 else f"{number} jobs were"
