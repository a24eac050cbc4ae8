"""Suggested next commands, as a user would type them."""

import os
import shlex
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import TypedDict

import sqlalchemy as sa
from rich.text import Text

from lcma.db import JobFacts, Store, Sweep, locate
from lcma.db.schema import launches
from lcma.harness.place import REFERENCE, Place, is_published_database, name_database
from lcma.harness.results.lookup import parse_object
from lcma.harness.terminal import Console, read_user_name
from lcma.harness.text import printable
from lcma.harness.urls import hide_secrets, is_url
from lcma.sweeps import catalog, plugins, spec
from lcma.sweeps.architectures import REGISTERED
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
    """Return a command of `lcma` as a user types it in a shell.

    Args:
        *words: The command and its arguments.
        db: Value of --db, without its password; None or '' leaves the option out.
        runs: Value of --runs, likewise.
        data: Value of --data, likewise.
        plugins: Files of plug-ins that the command needs. They are added unless the environment
            names them all.
    """
    paths = os.environ.get(PLUGINS_VARIABLE, "").split(os.pathsep)
    variable = ""
    if not set(plugins) <= {str(resolve_path(Path(path))) for path in paths}:
        variable = f"{PLUGINS_VARIABLE}={shlex.quote(os.pathsep.join(plugins))} "
    options = []
    if db:
        path = db if db == REFERENCE else _absolute(db)
        options += ["--db", locate(db).shown_url if is_url(db) else path]
    if runs:
        options += ["--runs", hide_secrets(runs) if is_url(runs) else _absolute(runs)]
    if data:
        options += ["--data", _absolute(data)]
    return printable(variable + shlex.join(["lcma", *words, *options]))


def format_measure_command(
    measure: str,
    trials: Iterable[JobFacts],
    *,
    db: str | None = None,
    runs: str | None = None,
    data: Path | None = None,
) -> str:
    """Return the command that takes a measure of the kept weights of trials."""
    trials = list(trials)
    recipes = sorted({trial.recipe_id for trial in trials})
    where = [word for recipe in recipes for word in ("--where", f"recipe_id={recipe}")]
    names = {kind.plugin for kind in plugin_measures() if kind.name == measure}
    names |= {REGISTERED[trial.flow].plugin for trial in trials if trial.flow in REGISTERED}
    files = [plugin.path for plugin in plugins.loaded() if plugin.path and plugin.name in names]
    return format_command("measure", measure, *where, db=db, runs=runs, data=data, plugins=files)


class Located(TypedDict):
    """The sweep, the checkpoints and the data of a command, valid in any folder."""

    spec: str
    runs: str | None
    data: Path


def choose_writable(db: str | None) -> str | None:
    """Return the option --db for a launch: the given one, unless that is a published database,
    which is never written."""
    if not is_published_database(name_database(db)):
        return db
    return "lcma.db" if is_published_database(name_database(None)) else None


def locate_arguments(spec: str, place: Place) -> Located:
    """Return a sweep and the places of a command as they can be typed in any folder.

    A URL with secrets is left to the environment, which it came from.
    """
    runs = str(place.runs)
    secret = not isinstance(place.runs, Path) and hide_secrets(runs) != runs
    is_own = spec not in catalog.shipped_specs() and Path(spec).is_file()
    return {
        "spec": str(Path(spec).absolute()) if is_own else spec,
        "runs": None if secret else runs,
        "data": place.data,
    }


def _absolute(path: str | Path) -> str:
    return str(Path(path).expanduser().absolute())


def render_commands(commands: Iterable[str], lead: str = "Next") -> Iterator[Text]:
    """Yield a line for each command, the first one after the word ``lead``."""
    for number, command in enumerate(commands):
        before = f"{lead}: " if number == 0 else " " * len(f"{lead}: ")
        yield Text(before).append(command, style="bold")


def print_commands(console: Console, commands: Iterable[str], lead: str = "Next") -> None:
    """Print commands as `render_commands` shows them."""
    for line in render_commands(commands, lead):
        console.print(line, soft_wrap=True)  # so that a command can be copied whole


def relaunch_command(store: Store, sweep: Sweep, db: str | None) -> str:
    """Return the command that launches a sweep or study again.

    It is the last that this user typed on this host. If there is none, it is made from the
    stored sweep, which has neither the path of its file nor the options of its launch: a comment
    says what the user has to add.

    Args:
        store: The database with the sweep.
        sweep: The sweep or study.
        db: Value of --db of the command.
    """
    user, _, host = read_user_name().rpartition("@")
    words = _split_arguments(_read_last_arguments(store, sweep.id, user, host))
    if words:
        return format_command(*words, db=db)
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
    # Only this user's: a merged database may contain commands of others, which must not be run.
    launch = {"sweep_id": sweep_id, "launched_by": user, "host": host}
    newest = sa.select(launches.c.arguments).filter_by(**launch).order_by(launches.c.started.desc())
    return next((str(row.arguments or "") for row in store.rows(newest.limit(1))), "")


def _split_arguments(arguments: str) -> list[str]:
    """Return the words after `lcma`; [] if they are unknown, as of a launch from Python."""
    try:
        words = shlex.split(arguments)
    except ValueError:
        return []
    return words[1:] if words[:2] in (["lcma", "launch"], ["lcma", "tune"]) else []


def relaunch_commands(store: Store, job_ids: Collection[str], db: str | None) -> list[str]:
    """Return the commands that launch these jobs again, those of the newest sweeps with them.

    Sweeps that this user launched come before those of others, such as a merge brings.

    If a job is in no sweep, the last command has a comment that names one such job.
    """
    remaining = set(job_ids)
    launched = sa.select(launches.c.sweep_id).filter_by(launched_by=read_user_name().split("@")[0])
    own = {row.sweep_id for row in store.rows(launched)}
    sweeps = sorted(
        store.sweeps(), key=lambda sweep: (sweep.id in own, sweep.created or 0.0, sweep.id)
    )
    commands = []
    for sweep in reversed(sweeps):
        jobs = store.job_facts(remaining, sweep_id=sweep.id) if remaining else []
        if jobs:
            remaining -= {job.job_id for job in jobs}
            commands.append(relaunch_command(store, sweep, db))
    if remaining:
        job = printable(min(remaining))[:8]
        commands.append(f"{format_command('launch', 'SWEEP', db=db)}  # a sweep with job {job}")
    return commands
