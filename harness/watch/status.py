"""The state of a database's jobs, of all or of one sweep: read once, or watched until it ends."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from lcma.db import JobCounts, JobFacts, Rerun, Store, Sweep, Unavailable
from lcma.harness.results.lookup import find_sweep, label_options
from lcma.harness.show.tables import Table, TableColumn, render_table
from lcma.harness.terminal import Console
from lcma.harness.text import format_count, format_duration, printable, short_id
from lcma.harness.watch.commands import format_command
from lcma.harness.watch.jobs import (
    LOST,
    RUNNING,
    describe_rerun,
    describe_step,
    job_as_dict,
    lease_is_over,
    lease_left,
    name_experiment,
    name_failed_job,
    on_host,
)
from lcma.harness.watch.queries import (
    DataWait,
    Rates,
    Stopping,
    Waiting,
    list_awaited_segments,
    list_cells,
    list_data_waits,
    list_stop_requests,
    read_rates,
)

LONG_WAIT = 0.02
"""Share of a step's time spent waiting for images above which a note says so."""

MESSAGE_LENGTH = 100
"""Characters of a failure's message that a line shows."""

MOST_RUNNING = MOST_LOST = 20
"""Most lines about what runs, and about what failed or diverged."""

LOOK_SECONDS = 5.0
"""Seconds between two looks at a sweep that is watched."""

BAR = 15
"""Characters of a bar of progress."""


@dataclass(frozen=True)
class SweepProgress:
    """How far the jobs of a sweep are, or of the whole database, and where they run."""

    name: str
    counts: JobCounts
    rates: Rates
    hosts: tuple[str, ...]


@dataclass(frozen=True)
class DatabaseStatus:
    """All jobs of a database at one moment; ``now`` is in Unix seconds by the database's clock."""

    now: float
    counts: JobCounts
    progress: tuple[SweepProgress, ...]
    """Of each sweep that is under way, or else of the one launched last."""
    former: dict[str, tuple[str, int]]
    """By the id of a sweep that another of its name has followed, the name and how many trials
    wait that nobody has begun."""
    running: tuple[JobFacts, ...]
    failures: tuple[JobFacts, ...]
    data_waits: tuple[DataWait, ...]
    stopping: tuple[Stopping, ...]
    sweep_names: dict[str, str]
    """Names of the sweeps by id."""
    reruns: dict[str, Rerun]
    """The jobs that are to be run anew and are not done, by id."""


def read_database_status(store: Store) -> DatabaseStatus:
    """Read the state of all jobs."""
    counts, running = store.job_counts(), store.job_facts(states=["running"], order="started")
    failures = store.job_facts(states=("diverged", "failed"), order="updated")
    data_waits, stopping = list_data_waits(store), list_stop_requests(store)
    sweeps = store.sweeps()
    names = {sweep.id: sweep.name for sweep in sweeps}
    last = {sweep.name: sweep.id for sweep in sweeps}
    former, shown = dict[str, tuple[str, int]](), list[Sweep | None]()
    for sweep in sweeps:
        states, newest = store.job_counts(sweep.id).by_state, last[sweep.name]
        if states["running"] or (states["pending"] and newest == sweep.id):
            shown.append(sweep)
        elif states["pending"]:
            own = sorted({*store.job_ids(sweep.id)} - {*store.job_ids(newest)})
            waiting = [one for one in store.jobs(own).values() if one.trial_id and not one.token]
            former |= {sweep.id: (sweep.name, len(waiting))} if waiting else {}
    return DatabaseStatus(
        now=store.now(),
        counts=counts,
        progress=tuple(
            read_progress(store, one, running) for one in shown or sweeps[-1:] or [None]
        ),
        former=former,
        running=tuple(running),
        failures=tuple(failures),
        data_waits=tuple(data_waits),
        stopping=tuple(stopping),
        sweep_names=names,
        reruns=store.reruns(),
    )


def read_progress(store: Store, sweep: Sweep | None, running: Sequence[JobFacts]) -> SweepProgress:
    """Read how far a sweep is, None for all jobs; ``running`` are all jobs that run."""
    sweep_id = None if sweep is None else sweep.id
    own = {job.job_id for job in running} if sweep is None else set(store.job_ids(sweep.id))
    hosts = dict.fromkeys(job.host or "" for job in running if job.job_id in own)
    name = "jobs" if sweep is None else sweep.name
    return SweepProgress(
        name, store.job_counts(sweep_id), read_rates(store, sweep_id), tuple(hosts)
    )


def render_database_status(status: DatabaseStatus, *, db: str | None = None) -> Group:
    """Return progress, running jobs, stop requests, the last failures, long waits.

    ``db`` is the database as it was given, for the commands.
    """
    parts: list[RenderableType] = [_render_progress(one) for one in status.progress]
    if status.running:
        parts += _render_running(status.running, status.now)
    for former, (name, waits) in status.former.items():
        trials = "1 trial waits" if waits == 1 else f"{waits} trials wait"
        drop = format_command("forget", short_id(former), db=db)
        parts.append(
            Text(printable(f"older: {trials} of a former {name}: `{drop}` drops what nobody began"))
        )
    parts += [Text(line) for line in _describe_reruns(status.reruns)]
    for one in status.stopping:
        sweep_id = one.request.sweep_id
        what = "all sweeps" if sweep_id is None else f"the sweep {status.sweep_names[sweep_id]}"
        parts.append(Text(_describe_stopping(what, one, status.now), style="bold"))
    if status.failures:
        parts += [
            Text(),
            *(Text(_describe_failure(job, status.reruns)) for job in status.failures[:MOST_LOST]),
        ]
        if len(status.failures) > MOST_LOST:
            rest = f"and {len(status.failures) - MOST_LOST} more: --json lists them"
            parts.append(Text(rest))
    long = [wait for wait in status.data_waits if wait.mean > LONG_WAIT]
    if long:
        parts += [Text(), *map(_render_data_wait, long)]
    return Group(*parts)


def database_status_as_dict(status: DatabaseStatus) -> dict[str, Any]:
    """Return the state of all jobs as JSON values."""
    return {
        "jobs": asdict(status.counts),
        "running": [
            job_as_dict(job, RUNNING) | {"lease_seconds_left": lease_left(job, status.now)}
            for job in status.running
        ],
        "failures": [job_as_dict(failure, LOST) for failure in status.failures],
        "data_waits": [asdict(wait) for wait in status.data_waits],
        "stopping": [asdict(one.request) | {"held": one.held} for one in status.stopping],
        "reruns": [asdict(one) for one in status.reruns.values()],
    }


@dataclass(frozen=True)
class SweepStatus:
    """The jobs of a sweep at one moment; ``now`` is in Unix seconds by the database's clock."""

    sweep: Sweep
    name: str
    """What a command finds the sweep by: its name, or its id where a newer one has the name."""
    now: float
    progress: SweepProgress
    cells: tuple[Any, ...]
    running: tuple[JobFacts, ...]
    waiting: tuple[Waiting, ...]
    stop: Stopping | None
    """A request to stop that is newer than all launches of the sweep, and what they hold."""
    reruns: dict[str, Rerun]
    """The jobs that are to be run anew and are not done, by id."""

    @property
    def ended(self) -> bool:
        """Return whether nothing runs, and nothing is left that could start without a retry."""
        return not any(cell.running or cell.pending for cell in self.cells)

    @property
    def lost(self) -> int:
        """Return how many trials and segments failed or diverged."""
        states = self.progress.counts.by_state
        return states["failed"] + states["diverged"]


def read_sweep_status(store: Store, sweep: Sweep) -> SweepStatus:
    """Read the state of a sweep's jobs."""
    own, now, request = set(store.job_ids(sweep.id)), store.now(), store.stop_request(sweep.id)
    running = store.job_facts(states=["running"], order="started")
    running = [job for job in running if job.job_id in own]
    held = store.job_counts(sweep.id, held=True).total
    is_found = find_sweep(store, sweep.name).id == sweep.id
    return SweepStatus(
        sweep=sweep,
        name=sweep.name if is_found else short_id(sweep.id),
        now=now,
        progress=read_progress(store, sweep, running),
        cells=tuple(list_cells(store, sweep.id)),
        running=tuple(running),
        waiting=tuple(list_awaited_segments(store, sweep.id)),
        stop=None if request is None else Stopping(request, held),
        reruns={job_id: rerun for job_id, rerun in store.reruns().items() if job_id in own},
    )


def render_sweep_status(status: SweepStatus, *, db: str | None = None) -> Group:
    """Return progress, what runs, leases that are over, and cells, those that are done at last.

    ``db`` is the database as it was given, for the commands.
    """
    parts: list[RenderableType] = [_render_progress(status.progress)]
    if status.running:
        parts += _render_running(status.running, status.now)
    parts += [Text(line) for line in _describe_reruns(status.reruns)]
    parts += [Text(), _render_cells(status.cells)]
    if end := _describe_end(status, db):
        parts += [Text(), *(Text(line, style="bold") for line in end)]
    return Group(*parts)


def sweep_status_as_dict(status: SweepStatus) -> dict[str, Any]:
    """Return the state of a sweep as JSON values."""
    of = status.progress.rates
    rates = asdict(of) | {"trials_per_hour": of.trials_per_hour}
    return {
        "sweep": {"id": status.sweep.id, "name": status.sweep.name},
        "ended": status.ended,
        "jobs": asdict(status.progress.counts),
        "cells": [dict(cell._mapping) for cell in status.cells],
        "rates": rates,
        "waiting": [job_as_dict(one.segment) | {"trials": one.trials} for one in status.waiting],
        "stop": None if status.stop is None else asdict(status.stop.request),
        "reruns": [asdict(one) for one in status.reruns.values()],
        "stale": [
            job_as_dict(job, RUNNING) | {"overdue": -lease_left(job, status.now)}
            for job in status.running
            if lease_is_over(job, status.now)
        ],
        "troubled": [
            job_as_dict(job, (*RUNNING, "message")) for job in status.running if job.message
        ],
    }


def print_status(status: Group, console: Console) -> None:
    """Print a rendered status. Lines of text are not wrapped."""
    for part in status.renderables:
        console.print(part, soft_wrap=isinstance(part, Text))


def watch_sweep(store: Store, sweep: Sweep, console: Console, db: str | None) -> None:
    """Show a sweep every few seconds until it has ended.

    A terminal is redrawn in place, as far as it has room; elsewhere one status follows the other.
    While the database is unreachable, the last status is shown with the reason.
    """
    live = Live(console=console, auto_refresh=False) if console.is_terminal else None
    with ExitStack() as stack:
        if live is not None:
            stack.enter_context(live)
        last = Group()
        while True:
            ended = False
            try:
                status = read_sweep_status(store, sweep)
                shown = last = render_sweep_status(status, db=db)
                ended = status.ended
            except Unavailable as error:
                shown = Group(Text(printable(error), style="yellow"), *last.renderables)
            if live is not None:
                live.update(shown, refresh=True)
            else:
                print_status(shown, console)
            if ended:
                return
            if live is None:
                console.print()
            time.sleep(LOOK_SECONDS)


def _render_progress(of: SweepProgress) -> Text:
    states, total = of.counts.by_state, sum(of.counts.by_state.values())
    done, lost, running = states["done"], states["failed"] + states["diverged"], states["running"]
    filled = BAR * done // max(total, 1)
    said = [f"{lost} lost"] if lost else []
    if running:
        left = of.rates.seconds_left
        said += [f"about {format_duration(left)} left"] if left and left >= 1 else []
        where = of.hosts[0] if len(of.hosts) == 1 else format_count(len(of.hosts), "host")
        speed = f"{of.rates.steps_per_second:.2g} steps/s " if left else ""
        said.append(f"{speed}on {where}")
    elif states["pending"]:
        said.append("nothing runs")
    bar = f"{'#' * filled}{'-' * (BAR - filled)}"
    line = f"{of.name}   {done}/{format_count(total, 'job')}  {bar}  {', '.join(said)}"
    return Text(printable(line.rstrip()), style="bold")


def _render_running(running: Sequence[JobFacts], now: float) -> list[RenderableType]:
    subjects = {(job.flow, job.dataset) for job in running}
    heading = f"runs, {' '.join(subjects.pop())}" if len(subjects) == 1 else ""
    columns = (
        TableColumn(heading or "runs", cut=True),  # a job takes one line, as a cell does
        TableColumn("step", right=True),
        TableColumn("bits/dim", kind="number", places=2),
        TableColumn("id"),
    )
    rows = []
    for job in running[:MOST_RUNNING]:
        budget = "" if job.budget is None else f" @{job.budget}"
        what = "pretrain" if job.kind == "pretraining" else job.factorization
        name = f"{what}{budget} seed {job.seed}"
        name = name if heading else f"{job.flow} {job.dataset} {name}"
        step = f"{job.step}/{job.steps}" if job.step < job.steps else describe_step(job)
        rows.append((name, step, job.bits_per_dim, short_id(job.subject)))
    parts: list[RenderableType] = [render_table(Table(columns, tuple(rows)), compact=True)]
    if len(running) > MOST_RUNNING:
        parts.append(Text(f"and {len(running) - MOST_RUNNING} more run", style="dim"))
    return [*parts, *(Text(one, style="red") for one in _describe_troubles(running, now))]


def _describe_reruns(reruns: Mapping[str, Rerun]) -> list[str]:
    failed = sum(one.state in ("failed", "diverged") for one in reruns.values())
    left = len(reruns) - failed
    found = []
    if left:
        found.append(
            f"{format_count(left, 'job')} to be run anew; the former results stay until then"
        )
    if failed:
        found.append(f"{format_count(failed, 'job')} failed when run anew; the former results stay")
    return found


def _describe_failure(failure: JobFacts, reruns: Mapping[str, Rerun]) -> str:
    lines = (failure.message or "").strip().splitlines() or ["no message"]
    message = lines[-1].strip()  # of a traceback, the line that says what it was
    if len(message) > MESSAGE_LENGTH:
        message = message[: MESSAGE_LENGTH - 3] + "..."
    where = f" on {failure.host}" if failure.host else ""
    line = (
        f"{short_id(failure.subject)} {failure.state} ({failure.outcome or 'no attempt'}) "
        f"at step {failure.step}/{failure.steps}{where}: {name_failed_job(failure)}: {message}"
    )
    if failure.decision is not None:
        line += f" ({failure.decision})"
    if failure.job_id in reruns:
        line += f" ({describe_rerun(reruns[failure.job_id])})"
    return printable(line)


def _render_data_wait(wait: DataWait) -> Text:
    line = (
        f"waiting for images, {wait.dataset} ({wait.variant}) on {wait.device}: "
        f"{wait.mean:.2%} of a step, at most {wait.largest:.2%} "
        f"({format_count(wait.attempts, 'attempt')})"
    )
    return Text(printable(line), style="yellow" if wait.largest > LONG_WAIT else "")


def _render_cells(cells: Sequence[Any]) -> RenderableType:
    several_recipes = len({cell.recipe_id for cell in cells}) > 1
    subjects = {(cell.flow, cell.dataset) for cell in cells}
    several_contents = len({(cell.dataset, cell.data_digest) for cell in cells}) > len(
        {cell.dataset for cell in cells}
    )
    heading = " ".join(subjects.pop()) if len(subjects) == 1 else ""
    columns = (
        TableColumn(heading or "cell", cut=True),
        TableColumn("done", right=True),
        *(TableColumn(name, kind="number") for name in ("runs", "waits", "lost")),
        TableColumn("why", cut=True),
    )
    rows, styles = [], {}
    for i, cell in enumerate(sorted(cells, key=lambda cell: cell.done == cell.planned)):
        lost = cell.diverged + cell.failed
        if cell.done == cell.planned:
            styles[i, 1] = "green"
        if lost:
            styles[i, 4] = "red"
        name = _name_cell(cell, subject=not heading, recipe=several_recipes, data=several_contents)
        numbers = (cell.running or None, cell.pending + cell.blocked or None, lost or None)
        rows.append((name, f"{cell.done}/{cell.planned}", *numbers, cell.why or ""))
    return render_table(Table(columns, tuple(rows), styles=styles))


def _name_cell(cell: Any, *, subject: bool, recipe: bool, data: bool) -> str:
    words = [cell.flow, cell.dataset] if subject else []
    words.append(cell.asked)
    if cell.budget is not None:
        words.append(str(cell.budget))
    if cell.map_options is not None:
        words.append(label_options(cell.map_options))
    if recipe:
        words.append(f"({cell.recipe_id[:6]})")
    if data:
        words.append(f"(data {cell.data_digest[:6]})" if cell.data_digest else "(no data)")
    return " ".join(words)


def _describe_troubles(running: Sequence[JobFacts], now: float) -> list[str]:
    """Return lines about leases that are over, and about what jobs cannot do at present."""
    return [
        *(
            _name_running(job, f"lease over since {format_duration(-lease_left(job, now))}")
            for job in running
            if lease_is_over(job, now)
        ),
        *(_name_running(job, job.message) for job in running if job.message),
    ]


def _name_running(job: JobFacts, said: str) -> str:
    name = f"{name_experiment(job)} seed {job.seed} ({short_id(job.subject)})"
    return printable(f"{name}{on_host(job.host)}: {said}")


def _describe_stopping(what: str, one: Stopping, now: float) -> str:
    since = format_duration(now - one.request.time)
    jobs = f"{format_count(one.held, 'job')} still run{'s' if one.held == 1 else ''}"
    return printable(
        f"{what} was asked to stop {since} ago by {one.request.by}: "
        f"{jobs if one.held else 'nothing of it runs'}"
    )


def _describe_end(status: SweepStatus, db: str | None) -> list[str]:
    if not status.ended and status.stop is not None:
        return [_describe_stopping("it", status.stop, status.now)]
    if not status.ended:
        return []
    if status.lost:
        lost = "1 job was" if status.lost == 1 else f"{status.lost} jobs were"
        command = format_command("rerun", "--failed", "--sweep", status.name, db=db)
        return [f"ended; {lost} lost: {command}"]
    return [f"all done: {format_command('board', db=db)}"]
