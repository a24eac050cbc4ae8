"""Commands to type to go on with a sweep."""

import shlex
from collections.abc import Collection, Sequence

from rich.text import Text

from lcma.db import Store, Sweep
from lcma.harness.results.lookup import parse_object
from lcma.harness.text import printable
from lcma.sweeps import catalog, spec
from lcma.sweeps.errors import UserError


def relaunch_command(sweep: Sweep) -> str:
    """Return the command that launches a sweep, or a study, again.

    A remark in brackets follows where the user has to add something: the database stores the
    content of a sweep, not the path of its file or the options of its launch.
    """
    name = printable(sweep.name)
    command = "tune" if parse_object(sweep.spec).get("tune") else "launch"
    if sweep.name in catalog.shipped_specs():
        try:
            as_shipped = spec.load(sweep.name).body == sweep.spec
        except UserError:
            as_shipped = False
        options = "" if as_shipped else "  (with the options that it had)"
        return f"lcma {command} {shlex.quote(name)}{options}"
    return f"lcma {command} {shlex.quote(name + '.yaml')}  (the file of the sweep {name})"


def render_next(commands: Sequence[str]) -> list[Text]:
    """Return the commands to type next, a line each."""
    return [
        Text("      " if number else "Next: ").append(command, style="bold")
        for number, command in enumerate(commands)
    ]


def relaunch_commands(store: Store, job_ids: Collection[str]) -> list[str]:
    """Return the commands that launch these jobs again: of the newest sweeps that cover them.

    A last line names a job that is in no sweep, if there is one.
    """
    sweeps = {sweep.id: sweep for sweep in store.sweeps()}
    left = set(job_ids)
    commands = []
    for sweep_id, members in reversed(store.jobs_by_sweep(sorted(left)).items()):
        if left & members:
            left -= members
            commands.append(relaunch_command(sweeps[sweep_id]))
    if left:
        commands.append(
            f"lcma launch, of a sweep with job {printable(min(left))[:8]}, which is in none here"
        )
    return commands
