"""What to type to go on with a sweep."""

import shlex
from collections.abc import Collection

from lcma.db import Store, Sweep
from lcma.harness.results.lookup import parse_object
from lcma.harness.text import printable
from lcma.sweeps import catalog, spec
from lcma.sweeps.errors import UserError


def relaunch_command(sweep: Sweep) -> str:
    """The command that launches a sweep, or a study, again.

    The database has what was asked for, not the file it stood in: a sweep that is none of the
    shipped ones as they stand is launched by the command it was first launched with.
    """
    name = printable(sweep.name)
    verb = "tune" if parse_object(sweep.spec).get("tune") else "launch"
    if sweep.name in catalog.shipped_specs():
        try:
            as_shipped = spec.load(sweep.name).body == sweep.spec
        except UserError:
            as_shipped = False
        options = "" if as_shipped else "  (with the options that it had)"
        return f"lcma {verb} {shlex.quote(name)}{options}"
    return f"lcma {verb} {shlex.quote(name + '.yaml')}  (the file of the sweep {name})"


def relaunch_commands(store: Store, job_ids: Collection[str]) -> list[str]:
    """The commands for the newest sweeps that have these jobs between them; what to look at where
    a job is in no sweep."""
    sweeps = {sweep.id: sweep for sweep in store.sweeps()}
    left = set(job_ids)
    found = []
    for sweep_id, members in reversed(store.jobs_by_sweep(sorted(left)).items()):
        if left & members:
            left -= members
            found.append(relaunch_command(sweeps[sweep_id]))
    if left:
        found.append(
            f"lcma launch, of a sweep with job {printable(min(left))[:8]}, which is in none here"
        )
    return found
