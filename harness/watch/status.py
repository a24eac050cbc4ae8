"""The states of all jobs of a database or of a sweep, read once or watched until the sweep ends."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from lcma.db import (
    JobCounts,
    JobFacts,
    Rerun,
    State,
    StopRequest,
    Store,
    Sweep,
    Unavailable,
    leases,
)
from lcma.db.jobs import in_sweep
from lcma.db.schema import attempts, events, jobs
from lcma.db.store import Order
from lcma.db.views import coverage
from lcma.harness.place import is_published_database, name_database
from lcma.harness.results.lookup import find_sweep, label_options
from lcma.harness.show.tables import Table, TableColumn, render_table
from lcma.harness.terminal import Console
from lcma.harness.text import format_count, format_duration, printable, short_id
from lcma.harness.watch.commands import format_command
from lcma.harness.watch.jobs import (
    LOST_FIELDS,
    RUNNING_FIELDS,
    describe_rerun,
    describe_step,
    format_host,
    job_as_dict,
    lease_is_over,
    lease_seconds_left,
    name_experiment,
    name_failed_job,
)

MESSAGE_LENGTH = 100
"""Characters of a failure's message that a line shows."""

MAX_RUNNING = MAX_LOST = 20
"""Most lines about running jobs, and about jobs that failed or diverged."""

POLL_SECONDS = 5.0
"""Pause between two reads of a sweep that is watched."""

BAR_LENGTH = 15
"""Characters of a bar of progress."""

CELL_COLUMNS = (
    *("flow", "dataset", "data_digest", "asked", "factorization", "budget", "map_options"),
    *("recipe_id", "planned", "done", "running", "pending", "blocked", "diverged", "failed", "why"),
)
"""The columns of the view `coverage` that a status shows of a cell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Speed of a sweep."""

    steps_per_second: float  # of training, the sum over running attempts of their means
    steps_left: int = 0  # of training, without those of lost jobs

    @property
    def seconds_left(self) -> float | None:
        """Time for the steps that are left at this speed; None while nothing runs."""
        return self.steps_left / self.steps_per_second if self.steps_per_second else None


@dataclass(frozen=True)
class SweepProgress:
    """Progress and hosts of the jobs of a sweep, or of the whole database."""

    name: str
    counts: JobCounts
    rates: Rates
    hosts: tuple[str, ...]


@dataclass(frozen=True)
class Status:
    """The jobs of a sweep, or of the whole database, at one moment."""

    sweep: Sweep | None  # None for all jobs
    now: float  # Unix seconds by the database's clock
    counts: JobCounts
    # Of the sweep; without one, of each sweep under way, else of the one launched last.
    progress: tuple[SweepProgress, ...]
    running: tuple[JobFacts, ...]  # in the order of their starts
    failures: tuple[JobFacts, ...]  # failed or diverged
    stopping: tuple[tuple[StopRequest, int], ...]  # with how many jobs the launches still hold
    reruns: Mapping[str, Rerun]  # by id, of jobs that are not done
    cells: tuple[Any, ...]  # rows of `coverage`, of the sweep
    # Sweeps replaced by a newer one of the same name, without a sweep: by id, the name and how
    # many of their trials wait that have not started and that the newer one does not plan.
    former: Mapping[str, tuple[str, int]]
    names: Mapping[str, str]  # of sweeps by id; the short id if a newer sweep has the name

    @property
    def ended(self) -> bool:
        """Whether nothing runs, and nothing is left that could start without a retry."""
        if self.sweep is not None:
            return not any(cell.running or cell.pending for cell in self.cells)
        states = self.counts.by_state
        return not (states["running"] or states["pending"])


def read_status(store: Store, sweep: Sweep | None = None) -> Status:
    """Read the states of a sweep's jobs, or of all."""
    sweep_id = None if sweep is None else sweep.id
    job_ids = None if sweep is None else set(store.job_ids(sweep.id))

    def list_jobs(states: Sequence[State], order: Order) -> tuple[JobFacts, ...]:
        return tuple(store.job_facts(sweep_id=sweep_id, states=states, order=order))

    sweeps = [sweep] if sweep is not None else store.sweeps()
    names = {stored.id: stored.name for stored in sweeps}
    running = list_jobs(["running"], "started")
    under_way: list[Sweep | None] = []
    former: dict[str, tuple[str, int]] = {}
    if sweep is None:
        under_way, former = _sort_sweeps(store, sweeps)
        stopping = list_stop_requests(store)
    else:
        request = store.stop_request(sweep.id)
        held = store.job_counts(sweep.id, held=True).total
        stopping = [] if request is None else [(request, held)]
        if find_sweep(store, sweep.name).id != sweep.id:
            names[sweep.id] = short_id(sweep.id)
    return Status(
        sweep=sweep,
        now=store.now(),
        counts=store.job_counts(sweep_id),
        progress=tuple(
            _read_progress(store, shown, running) for shown in under_way or sweeps[-1:] or [None]
        ),
        running=running,
        failures=list_jobs(("diverged", "failed"), "updated"),
        stopping=tuple(stopping),
        reruns={i: r for i, r in store.reruns().items() if job_ids is None or i in job_ids},
        cells=() if sweep is None else tuple(_list_cells(store, sweep.id)),
        former=former,
        names=names,
    )


def _sort_sweeps(
    store: Store, sweeps: Sequence[Sweep]
) -> tuple[list[Sweep | None], dict[str, tuple[str, int]]]:
    """Return the sweeps under way, and `Status.former`."""
    last = {sweep.name: sweep.id for sweep in sweeps}
    former, under_way = dict[str, tuple[str, int]](), list[Sweep | None]()
    for sweep in sweeps:
        states, newest = store.job_counts(sweep.id).by_state, last[sweep.name]
        if states["running"] or (states["pending"] and newest == sweep.id):
            under_way.append(sweep)
        elif states["pending"]:
            dropped = sorted({*store.job_ids(sweep.id)} - {*store.job_ids(newest)})
            jobs = store.jobs(dropped).values()
            # The first claim gives a token, so a job without a token has not started.
            waiting = sum(bool(job.trial_id and not job.token) for job in jobs)
            former |= {sweep.id: (sweep.name, waiting)} if waiting else {}
    return under_way, former


def _read_progress(store: Store, sweep: Sweep | None, running: Sequence[JobFacts]) -> SweepProgress:
    sweep_id = None if sweep is None else sweep.id
    job_ids = {job.job_id for job in running} if sweep is None else set(store.job_ids(sweep.id))
    hosts = dict.fromkeys(job.host or "" for job in running if job.job_id in job_ids)
    name = "jobs" if sweep is None else sweep.name
    return SweepProgress(
        name, store.job_counts(sweep_id), read_rates(store, sweep_id), tuple(hosts)
    )


def _list_cells(store: Store, sweep_id: str) -> list[Any]:
    """List the rows of `coverage` of a sweep, by data set, flow and factorization."""
    order = ("dataset", "flow", "asked", "budget", "recipe_id", "map_options", "data_digest")
    query = (
        sa.select(*(coverage.c[name] for name in CELL_COLUMNS))
        .where(coverage.c.sweep_id == sweep_id)
        .order_by(*(coverage.c[name].asc().nulls_first() for name in order))
    )
    return store.rows(query)


def list_stop_requests(store: Store) -> list[tuple[StopRequest, int]]:
    """List the requests to stop whose launches still hold jobs, and how many, oldest first.

    Of several requests for one sweep, or for all sweeps, only the last one is listed.
    """
    stop, launch = events.alias("stop"), events.alias("launch")
    same_sweep = sa.or_(stop.c.sweep_id.is_(None), stop.c.sweep_id == launch.c.sweep_id)
    query = (
        sa.select(stop.c.id, stop.c.time, stop.c.owner, stop.c.sweep_id, sa.func.count())
        .join_from(stop, launch, sa.and_(launch.c.id < stop.c.id, same_sweep))
        .join(jobs, jobs.c.owner == launch.c.owner)
        .where(stop.c.event == "stop", stop.c.job_id.is_(None))
        .where(launch.c.event == "launch", jobs.c.state == "running")
        .group_by(stop.c.id, stop.c.time, stop.c.owner, stop.c.sweep_id)
        .order_by(stop.c.id)
    )
    last = {
        sweep_id: (StopRequest(event, time, by or "somebody", sweep_id), held)
        for event, time, by, sweep_id, held in store.rows(query)
    }
    return sorted(last.values(), key=lambda request_and_held: request_and_held[0].event)


def read_rates(store: Store, sweep_id: str | None = None, *, now: float | None = None) -> Rates:
    """Read the speed of a sweep, and the steps that are left.

    Args:
        store: The database.
        sweep_id: The sweep; None for all jobs.
        now: Unix seconds; None for the database's clock.
    """
    clock = store.now() if now is None else now
    selected = sa.true() if sweep_id is None else in_sweep(sweep_id)
    reached = sa.case((jobs.c.state == "done", jobs.c.steps), else_=jobs.c.step)
    # Grouped by training: a segment of a pretraining goes on from the segment before, so the steps
    # of segments must not be added.
    unfinished = (
        sa.select((sa.func.max(jobs.c.steps) - sa.func.max(reached)).label("steps"))
        .where(jobs.c.state.in_(("pending", "running", "done")), selected)
        .group_by(sa.func.coalesce(jobs.c.pretraining_id, jobs.c.trial_id), jobs.c.data_digest)
        .subquery()
    )
    steps = attempts.c.last_step, attempts.c.first_step
    running = store.rows(
        sa.select(*steps, attempts.c.started, jobs.c.updated)
        .join_from(jobs, attempts, attempts.c.id == jobs.c.attempt_id)
        .where(jobs.c.state == "running", leases.is_held(jobs.c.lease_until, clock), selected)
    )
    ((steps_left,),) = store.rows(sa.select(sa.func.sum(unfinished.c.steps)))
    return Rates(
        steps_per_second=sum(
            (last - first) / (updated - started)
            for last, first, started, updated in running
            if updated > started
        ),
        steps_left=int(steps_left or 0),
    )


def render_status(status: Status, *, db: str | None = None) -> Group:
    """Return progress, running jobs, stop requests, and a sweep's cells or else all failures.

    Args:
        status: The status.
        db: Value of --db of the commands.
    """
    parts: list[RenderableType] = [_render_progress(progress) for progress in status.progress]
    if status.running:
        parts += _render_running(status.running, status.now)
    for former, (name, waiting) in status.former.items():
        trials = "1 trial waits" if waiting == 1 else f"{waiting} trials wait"
        drop = format_command("forget", short_id(former), db=db)
        parts.append(
            Text(printable(f"older: {trials} of a former {name}: `{drop}` drops unstarted trials"))
        )
    parts += [Text(line) for line in _describe_reruns(status.reruns)]
    if not (status.sweep and status.ended):
        for request, held in status.stopping:
            parts.append(Text(_describe_stopping(status, request, held), style="bold"))
    if status.sweep is not None:
        parts += [Text(), _render_cells(status.cells)]
        if status.ended:
            parts += [Text(), Text(_describe_end(status, status.sweep, db), "bold")]
        return Group(*parts)
    if status.failures:
        failures = status.failures[:MAX_LOST]
        parts += [Text(), *(Text(_describe_failure(job, status.reruns)) for job in failures)]
        if len(status.failures) > MAX_LOST:
            rest = f"and {len(status.failures) - MAX_LOST} more: --json lists them"
            parts.append(Text(rest))
    return Group(*parts)


def status_as_dict(status: Status) -> dict[str, Any]:
    """Return a status as JSON values."""
    sweep = status.sweep
    return {
        "sweep": None if sweep is None else {"id": sweep.id, "name": sweep.name},
        "ended": status.ended,
        "jobs": asdict(status.counts),
        "progress": [
            {"name": part.name, "jobs": asdict(part.counts), "hosts": part.hosts}
            | asdict(part.rates)
            for part in status.progress
        ],
        "cells": [dict(cell._mapping) for cell in status.cells],
        "running": [
            job_as_dict(job, RUNNING_FIELDS)
            | {"lease_seconds_left": lease_seconds_left(job, status.now)}
            for job in status.running
        ],
        "failures": [job_as_dict(failure, LOST_FIELDS) for failure in status.failures],
        "stopping": [asdict(request) | {"held": held} for request, held in status.stopping],
        "reruns": [asdict(rerun) for rerun in status.reruns.values()],
    }


def print_status(status: Group, console: Console) -> None:
    """Print a rendered status; tables are fitted to the console, lines of text are not wrapped."""
    for part in status.renderables:
        console.print(part, soft_wrap=isinstance(part, Text))


def watch_sweep(store: Store, sweep: Sweep, console: Console, db: str | None) -> None:
    """Show a sweep every few seconds until it has ended.

    A terminal is redrawn in place, as far as it has room; without a terminal, each status follows
    the last. While the database is unreachable, the last status is shown with the reason.
    """
    live = Live(console=console, auto_refresh=False) if console.is_terminal else None
    with ExitStack() as stack:
        if live is not None:
            stack.enter_context(live)
        last = Group()
        while True:
            ended = False
            try:
                status = read_status(store, sweep)
                screen = last = render_status(status, db=db)
                ended = status.ended
            except Unavailable as error:
                screen = Group(Text(printable(error), style="yellow"), *last.renderables)
            if live is not None:
                live.update(screen, refresh=True)
            else:
                print_status(screen, console)
            if ended:
                return
            if live is None:
                console.print()
            time.sleep(POLL_SECONDS)


def _render_progress(progress: SweepProgress) -> Text:
    states, rates, hosts = progress.counts.by_state, progress.rates, progress.hosts
    done, lost, total = states["done"], states["failed"] + states["diverged"], sum(states.values())
    facts = [f"{lost} lost"] if lost else []
    if states["running"]:
        seconds = rates.seconds_left
        facts += [f"about {format_duration(seconds)} left"] if seconds and seconds >= 1 else []
        host = hosts[0] if len(hosts) == 1 else format_count(len(hosts), "host")
        speed = f"{rates.steps_per_second:.2g} steps/s " if seconds else ""
        facts.append(f"{speed}on {host}")
    elif states["pending"]:
        facts.append("nothing runs")
    filled = BAR_LENGTH * done // max(total, 1)
    bar = f"{'#' * filled}{'-' * (BAR_LENGTH - filled)}"
    line = f"{progress.name}   {done}/{format_count(total, 'job')}  {bar}  {', '.join(facts)}"
    return Text(printable(line.rstrip()), style="bold")


def _render_running(running: Sequence[JobFacts], now: float) -> list[RenderableType]:
    subjects = {(job.flow, job.dataset) for job in running}
    heading = f"runs, {' '.join(subjects.pop())}" if len(subjects) == 1 else ""
    columns = (
        TableColumn(heading or "runs", cut=True),
        TableColumn("step", right=True),
        TableColumn("bits/dim", kind="number", places=2),
        TableColumn("id"),
    )
    rows = []
    for job in running[:MAX_RUNNING]:
        budget = "" if job.budget is None else f" @{job.budget}"
        rule = "pretrain" if job.kind == "pretraining" else job.factorization
        name = f"{rule}{budget} seed {job.seed}"
        name = name if heading else f"{job.flow} {job.dataset} {name}"
        step = f"{job.step}/{job.steps}" if job.step < job.steps else describe_step(job)
        rows.append((name, step, job.bits_per_dim, short_id(job.subject)))
    parts: list[RenderableType] = [render_table(Table(columns, tuple(rows)), compact=True)]
    if len(running) > MAX_RUNNING:
        parts.append(Text(f"and {len(running) - MAX_RUNNING} more run", style="dim"))
    return [*parts, *(Text(line, style="red") for line in _describe_troubles(running, now))]


def _describe_reruns(reruns: Mapping[str, Rerun]) -> list[str]:
    failed = sum(rerun.state in ("failed", "diverged") for rerun in reruns.values())
    left = len(reruns) - failed
    lines = []
    if left:
        lines.append(f"{format_count(left, 'job')} to be rerun; the former results stay until then")
    if failed:
        lines.append(f"{format_count(failed, 'job')} failed when rerun; the former results stay")
    return lines


def _describe_failure(failure: JobFacts, reruns: Mapping[str, Rerun]) -> str:
    lines = (failure.message or "").strip().splitlines() or ["no message"]
    message = lines[-1].strip()  # the last line of a traceback names the error
    if len(message) > MESSAGE_LENGTH:
        message = message[: MESSAGE_LENGTH - 3] + "..."
    step = f"step {failure.step}/{failure.steps}{format_host(failure.host)}"
    line = (
        f"{short_id(failure.subject)} {failure.state} ({failure.outcome or 'no attempt'}) "
        f"at {step}: {name_failed_job(failure)}: {message}"
    )
    if failure.decision is not None:
        line += f" ({failure.decision})"
    if failure.job_id in reruns:
        line += f" ({describe_rerun(reruns[failure.job_id])})"
    return printable(line)


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
    """Return lines about leases that are over, and about what running jobs report as failing."""
    troubles = [
        (job, f"lease over since {format_duration(-lease_seconds_left(job, now))}")
        for job in running
        if lease_is_over(job, now)
    ]
    troubles += [(job, job.message) for job in running if job.message]
    return [
        printable(
            f"{name_experiment(job)} seed {job.seed} ({short_id(job.subject)})"
            f"{format_host(job.host)}: {trouble}"
        )
        for job, trouble in troubles
    ]


def _describe_stopping(status: Status, request: StopRequest, held: int) -> str:
    sweep_id = request.sweep_id
    launches = "the launches of " + (
        "all sweeps" if sweep_id is None else f"the sweep {status.names[sweep_id]}"
    )
    since = format_duration(status.now - request.time)
    jobs = f"{format_count(held, 'job')} still run{'s' if held == 1 else ''}"
    return printable(
        f"{launches} were asked to stop {since} ago by {request.by}: "
        f"{jobs if held else 'none of their jobs runs'}"
    )


def _describe_end(status: Status, sweep: Sweep, db: str | None) -> str:
    if status.failures:
        count = len(status.failures)
        lost = "1 job was" if count == 1 else f"{count} jobs were"
        command = format_command("rerun", "--failed", "--sweep", status.names[sweep.id], db=db)
        published = is_published_database(name_database(db))  # it is never written
        return f"ended; {lost} lost" + ("" if published else f": {command}")
    return f"all done: {format_command('board', db=db)}"
