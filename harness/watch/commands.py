"""Commands to type to go on with."""

import os
import shlex
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import sqlalchemy as sa
from rich.text import Text

from lcma.db import JobFacts, Store, Sweep, locate
from lcma.db.schema import launches
from lcma.harness.place import REFERENCE
from lcma.harness.results.lookup import parse_object
from lcma.harness.terminal import Console, user_name
from lcma.harness.text import printable
from lcma.harness.urls import hide_secrets, is_url
from lcma.sweeps import catalog, plugins, spec
from lcma.sweeps.errors import UserError
from lcma.sweeps.input_files import resolve_path
from lcma.sweeps.measures import plugin_measures

PLUGINS_VARIABLE = "LCMA_PLUGINS"


def format_command(
    *words: str,
    db: str | None = None,
    runs: str | None = None,
    data: Path | None = None,
    plugins: Collection[str] = (),
) -> str:
    """Return a command of `lcma` as it is typed in a shell.

    Args:
        *words: The command and its arguments.
        db: The database that was given, None for that of the environment. A password is left out.
        runs: The same of the place of checkpoints.
        data: The same of the folder of data sets.
        plugins: The files of plug-ins that it needs and that the environment may not name.
    """
    present = os.environ.get(PLUGINS_VARIABLE, "").split(os.pathsep)
    variable = ""
    if not set(plugins) <= {str(resolve_path(Path(one))) for one in present}:
        variable = f"{PLUGINS_VARIABLE}={shlex.quote(os.pathsep.join(plugins))} "
    options = []
    if db is not None:
        named = db == REFERENCE
        options += ["--db", db if named else locate(db).shown_url if is_url(db) else _absolute(db)]
    if runs is not None:
        options += ["--runs", hide_secrets(runs) if is_url(runs) else _absolute(runs)]
    if data is not None:
        options += ["--data", _absolute(data)]
    return printable(variable + shlex.join(["lcma", *words, *options]))


def format_measure_command(
    measure: str, trials: Iterable[JobFacts], *, db: str | None = None, runs: str | None = None
) -> str:
    """Return the command that takes a measure of the kept weights of trials."""
    recipes = sorted({one.recipe_id for one in trials})
    where = [word for recipe in recipes for word in ("--where", f"recipe_id={recipe}")]
    of = {one.plugin for one in plugin_measures() if one.name == measure}
    files = [one.path for one in plugins.loaded() if one.path and one.name in of]
    return format_command("measure", measure, *where, db=db, runs=runs, plugins=files)


def _absolute(path: str | Path) -> str:
    return str(Path(path).expanduser().absolute())


def render_commands(commands: Iterable[str], lead: str = "Next") -> Iterator[Text]:
    """Yield commands behind a word, each as a line of its own that can be copied whole."""
    for number, command in enumerate(commands):
        before = f"{lead}: " if number == 0 else " " * len(f"{lead}: ")
        yield Text(before).append(command, style="bold")


def print_commands(console: Console, commands: Iterable[str], lead: str = "Next") -> None:
    """Print commands as `render_commands` shows them."""
    for line in render_commands(commands, lead):
        console.print(line, soft_wrap=True)


def relaunch_command(store: Store, sweep: Sweep, db: str | None) -> str:
    """Return the command that launches a sweep, or a study, again, on the database that was given.

    It is the one that this user typed last on this host. Else a comment follows where the user
    has to add something: the content of a sweep holds neither the path of its file nor the options
    of its launch.
    """
    user, _, host = user_name().rpartition("@")
    typed = _split(_read_last_arguments(store, sweep.id, user, host))
    if typed:
        return format_command(*typed, db=db)
    command = "tune" if parse_object(sweep.spec).get("tune") else "launch"
    if sweep.name not in catalog.shipped_specs():
        comment = printable(f"  # the file of the sweep {sweep.name}")
        return format_command(command, f"{sweep.name}.yaml", db=db) + comment
    try:
        as_shipped = spec.load(sweep.name).body == sweep.spec
    except UserError:
        as_shipped = False
    comment = "" if as_shipped else "  # with the options that it had"
    return format_command(command, sweep.name, db=db) + comment


def _read_last_arguments(store: Store, sweep_id: str, user: str, host: str) -> str:
    # What others typed may have come with a merged database, and is nobody's to repeat here.
    own = {"sweep_id": sweep_id, "launched_by": user, "host": host}
    newest = sa.select(launches.c.arguments).filter_by(**own).order_by(launches.c.started.desc())
    return next((str(row.arguments or "") for row in store.rows(newest.limit(1))), "")


def _split(arguments: str) -> list[str]:
    # What was typed after `lcma`; [] where that is not known, as of a launch from Python.
    try:
        words = shlex.split(arguments)
    except ValueError:
        return []
    return words[1:] if words[:2] in (["lcma", "launch"], ["lcma", "tune"]) else []


def relaunch_commands(store: Store, job_ids: Collection[str], db: str | None) -> list[str]:
    """Return the commands that launch these jobs again: of the newest sweeps that cover them.

    A last line names a job that is in no sweep, if there is one.
    """
    left = set(job_ids)
    by_sweep = _group_by_sweep(store, left)
    commands = []
    for sweep in sorted(store.sweeps(), key=lambda one: (one.created or 0.0, one.id), reverse=True):
        if left & by_sweep[sweep.id]:
            left -= by_sweep[sweep.id]
            commands.append(relaunch_command(store, sweep, db))
    if left:
        job = printable(min(left))[:8]
        commands.append(f"{format_command('launch', 'SWEEP', db=db)}  # one with job {job}")
    return commands


def _group_by_sweep(store: Store, job_ids: Collection[str]) -> dict[str, set[str]]:
    """Return which of the jobs each sweep has; it has the segments that its trials need."""
    found = store.job_facts(job_ids)
    segments = [one for one in found if one.kind == "pretraining"]
    readers = store.job_facts(
        pretraining_ids={one.pretraining_id or "" for one in segments}, kind="trial"
    )
    needed = {one.trial_id or "": {one.job_id} for one in found if one.kind == "trial"}
    by_pretraining = defaultdict[str | None, list[JobFacts]](list)
    for one in segments:
        by_pretraining[one.pretraining_id].append(one)
    for reader in readers:
        for one in by_pretraining[reader.pretraining_id]:
            if (one.budget or 0) <= (reader.budget or 0):
                needed.setdefault(reader.trial_id or "", set()).add(one.job_id)
    by_sweep = defaultdict[str, set[str]](set)
    for member in store.memberships(needed):
        by_sweep[member.sweep_id] |= needed[member.trial_id]
    return by_sweep
