"""Logs of attempts, and what is known about an attempt that ended without a report."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from lcma import db
from lcma.db import Attempt, JobFacts, Store, leases
from lcma.harness.results.lookup import job_title
from lcma.harness.terminal import Console
from lcma.harness.text import format_duration, format_time, printable, short_id
from lcma.harness.watch.commands import format_command
from lcma.harness.watch.jobs import (
    describe_progress,
    format_host,
    lease_is_over,
    lease_seconds_left,
)

POLL_SECONDS = 2.0
"""Pause between two queries for the running attempt."""

OVERLAP_LINES = 8
"""Last printed lines that are searched in a log to find where to continue."""

STYLES = {
    "done": "green",
    "diverged": "yellow",
    "oom": "red",
    "timeout": "red",
    "code_error": "red",
}


def select_attempt(attempts: Sequence[Attempt], jobs: Mapping[str, JobFacts]) -> list[Attempt]:
    """Return the last attempt: a running one, if there is one; [] for none.

    Evaluations of kept weights count only if there is nothing else.
    """
    trainings = [attempt for attempt in attempts if attempt.protocol is None] or list(attempts)
    running = [
        attempt
        for attempt in trainings
        if attempt.ended is None and jobs[attempt.job_id].state == "running"
    ]
    return (running or trainings)[-1:]


def render_attempt(
    attempt: Attempt, job: JobFacts, now: float, printed: Sequence[str] = ()
) -> RenderableType:
    """Return heading, message and log of an attempt, or what is known if there is no log.

    Lines of the log that were already ``printed`` are left out.
    """
    lines = _render_heading(attempt, job, now)
    if attempt.message.strip():
        lines += [Text(printable(line)) for line in attempt.message.strip().splitlines()]
    new = find_new_lines(_list_log_lines(attempt, job, now), printed)
    return Group(*lines, *(Text(printable(line)) for line in new))


def find_new_lines(lines: Sequence[str], printed: Sequence[str]) -> Sequence[str]:
    """Return the lines of a log after those already printed; all if these are not found in it."""
    # A log that begins as before is compared whole, since it may repeat a line.
    if list(lines[: len(printed)]) == list(printed):
        return lines[len(printed) :]
    # Else the log has lost its first lines: find the last printed ones, as near the end as can be.
    last = list(printed[-OVERLAP_LINES:])
    for end in range(len(lines) if last else 0, 0, -1):
        candidate = lines[max(0, end - len(last)) : end]
        if list(candidate) == last[-len(candidate) :]:
            return lines[end:]
    return lines


def attempt_as_dict(attempt: Attempt, job: JobFacts, now: float) -> dict[str, Any]:
    """Return an attempt as JSON values, with its job and the seconds left of its lease."""
    current = attempt.ended is None and attempt.token == job.token
    left = lease_seconds_left(job, now) if current and job.lease_until is not None else None
    subject = {
        "kind": job.kind,
        "trial_id": job.trial_id,
        "pretraining_id": job.pretraining_id,
    }
    return subject | asdict(attempt) | {"steps": job.steps, "lease_seconds_left": left}


def wait_for_attempt(
    store: Store,
    job_ids: Sequence[str],
    console: Console,
    show_line: Callable[[str], None] = lambda line: None,
    db_option: str | None = None,
) -> tuple[list[str], str | None]:
    """Wait until the running attempt at one of the jobs ends, and show its progress.

    If none runs, wait for the next, or until all jobs have ended. Also wait while the database is
    unreachable. Stop when the lease has been over for as long as it lasted.

    Args:
        store: The database.
        job_ids: The jobs of one trial or pretraining.
        console: Where to show progress: in place on a terminal, else a line for each change.
        show_line: Called with each new line of the log.
        db_option: The value of --db for the command that it names.

    Returns:
        The lines that ``show_line`` was called with, and the id of that attempt.
    """
    lines: list[str] = []
    status = console.status("") if console.is_terminal else None
    last_key, watched = "", None
    with status or nullcontext():
        while True:
            try:
                jobs, now = store.job_facts(job_ids), store.now()
                running = [job for job in jobs if job.state == "running"]
                if watched is None and running:
                    watched = running[0].attempt_id
                job = next((job for job in running if job.attempt_id == watched), None)
                if _is_over(store, job, now) if watched else _all_ended(jobs):
                    return lines, watched
                attempts = store.attempts(ids=[job.attempt_id or ""]) if job else []
                log = next((attempt.log or "" for attempt in attempts), "")
                for new in find_new_lines(log.splitlines(), lines):
                    lines.append(new)
                    show_line(new)
                line = _describe_jobs(jobs, job, now, db_option)
                # Without a terminal, a new step prints a line, and a new second of the lease none.
                key = line if job is None else f"{job_title(job)} {job.step}"
            except db.Unavailable as error:
                line = key = printable(error)
            if status is not None:
                status.update(Text(line))
            elif key != last_key:
                console.print(Text(line), soft_wrap=True)
            last_key = key
            time.sleep(POLL_SECONDS)


def _render_heading(attempt: Attempt, job: JobFacts, now: float) -> list[RenderableType]:
    kind = "attempt" if attempt.protocol is None else f"evaluation ({attempt.protocol}), attempt"
    device = attempt.device if attempt.devices is None else f"{attempt.device} ({attempt.devices})"
    outcome = attempt.outcome or "running"
    seconds = (attempt.ended if attempt.ended is not None else now) - attempt.started
    when = f"{format_time(attempt.started)}, for {format_duration(seconds)}"
    if attempt.ended is not None:
        started = format_time(attempt.started).removesuffix(" UTC")
        when = f"{started} to {format_time(attempt.ended)}, {format_duration(seconds)}"
    steps = f"steps {attempt.first_step} to {attempt.last_step} of {job.steps}"
    title = Text(printable(f"{kind} {attempt.token}: {job_title(job)}: "), style="bold")
    title.append(printable(outcome), style=STYLES.get(outcome, ""))
    parts = [format_host(attempt.host).strip(), device, f"by {attempt.owner}"]
    where = "  " + ", ".join(filter(None, parts))
    if attempt.stack_id is not None:
        where += f", in stack {attempt.stack_id}"
    return [
        title,
        Text(printable(where), style="dim"),
        Text(printable(f"  {when}; {steps}"), style="dim"),
    ]


def _list_log_lines(attempt: Attempt, job: JobFacts, now: float) -> list[str]:
    lines = attempt.log.rstrip().splitlines() if attempt.log else []
    if attempt.log is not None and attempt.cpu_seconds is not None:  # the report of its end is in
        return lines or ["(its log is empty)"]
    return [*lines, *_describe_unreported(attempt, job, now)]


def _describe_unreported(attempt: Attempt, job: JobFacts, now: float) -> list[str]:
    if attempt.protocol is not None:
        return ["(evaluations keep no log)"]
    if attempt.ended is None and attempt.token == job.token and job.lease_until is not None:
        step = f"step {attempt.last_step} was the last one reported"
        if not lease_is_over(job, now):
            return [f"(it runs: {step})"]
        return [
            f"(no report: {step}; its lease ended at {format_time(job.lease_until)}, "
            f"{format_duration(now - job.lease_until)} ago, and nobody has claimed the job since)"
        ]
    return [f"(no report: {_describe_end(attempt)})"]


def _describe_end(attempt: Attempt) -> str:
    step = f"step {attempt.last_step}{format_host(attempt.host)} was the last one reported"
    if attempt.ended is None:
        return step
    ended = format_time(attempt.ended)
    if attempt.outcome == "cancelled":
        return f"{step}; the job was given back at {ended}"
    if attempt.outcome != "node_lost":
        return f"{step}; it ended at {ended}"
    if attempt.message:
        return f"{step}; the job was free again at {ended}"
    lease = "its lease"
    if attempt.lease_seconds is not None:
        lease += f" of {format_duration(attempt.lease_seconds)}"
    return f"{step}; {lease} was over when the job was claimed again at {ended}"


def _is_over(store: Store, job: JobFacts | None, now: float) -> bool:
    if job is None or job.lease_until is None:
        return True
    if not lease_is_over(job, now):
        return False
    lease = store.attempts([job.job_id])[-1].lease_seconds
    return not leases.is_held(job.lease_until + (lease or 0.0), now)


def _all_ended(jobs: Collection[JobFacts]) -> bool:
    return all(job.state not in ("pending", "running") for job in jobs)


def _describe_jobs(
    jobs: Sequence[JobFacts], running: JobFacts | None, now: float, db_option: str | None
) -> str:
    if running is not None:
        return f"{job_title(running)}: {describe_progress(running, now)}"
    first = next(job for job in jobs if job.state == "pending")
    why = format_command("why", short_id(first.subject), db=db_option)
    return f"{job_title(first)} is pending: `{why}` says why"
