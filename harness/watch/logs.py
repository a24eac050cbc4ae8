"""What attempts said, and what is known of one that ended without a word."""

import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.text import Text

from lcma import db
from lcma.db import Attempt, JobFacts, Store
from lcma.harness.results.lookup import job_title
from lcma.harness.text import format_duration, format_time, printable

STYLE = {"done": "green", "diverged": "yellow", "oom": "red", "timeout": "red", "code_error": "red"}


def render_attempt(attempt: Attempt, job: JobFacts, now: float) -> RenderableType:
    """Heading, message and log of an attempt at a job; what is known where there is no log."""
    lines = [*_heading(attempt, job, now)]
    if attempt.message.strip():
        lines += [Text(printable(line)) for line in attempt.message.strip().splitlines()]
    lines += [Text(printable(line)) for line in _said(attempt, job, now)]
    return Group(*lines)


def attempt_as_dict(attempt: Attempt, job: JobFacts, now: float) -> dict[str, Any]:
    """The same for programs."""
    current = attempt.ended is None and attempt.token == job.token
    left = job.lease_until - now if current and job.lease_until is not None else None
    what = {"kind": job.kind, "trial_id": job.trial_id, "pretraining_id": job.pretraining_id}
    steps = {"steps": job.steps, "lease_seconds_left": left}
    return what | asdict(attempt) | steps


def describe_progress(job: JobFacts, now: float) -> str:
    """How far a running job is, in a line."""
    assert job.lease_until is not None
    left = job.lease_until - now
    lease = (
        f"lease {format_duration(left)} left"
        if left > 0
        else f"lease over since {format_duration(-left)}"
    )
    return printable(f"step {job.step}/{job.steps} on {job.host}, {lease}")


def select_attempts(
    attempts: Sequence[Attempt], jobs: Mapping[str, JobFacts], *, every: bool
) -> list[Attempt]:
    """All of them, or the last: without evaluations of kept weights, if there is another."""
    if every:
        return list(attempts)
    own = [one for one in attempts if one.protocol is None] or list(attempts)
    running = [one for one in own if one.ended is None and jobs[one.job_id].state == "running"]
    return (running or own)[-1:]


def _heading(attempt: Attempt, job: JobFacts, now: float) -> list[Text]:
    kind = "attempt" if attempt.protocol is None else f"evaluation ({attempt.protocol}), attempt"
    device = attempt.device if attempt.devices is None else f"{attempt.device} ({attempt.devices})"
    outcome = attempt.outcome or "running"
    took = format_duration((attempt.ended if attempt.ended is not None else now) - attempt.started)
    when = f"{format_time(attempt.started)}, for {took}"
    if attempt.ended is not None:
        started = format_time(attempt.started).removesuffix(" UTC")
        when = f"{started} to {format_time(attempt.ended)}, {took}"
    steps = f"steps {attempt.first_step} to {attempt.last_step} of {job.steps}"
    first = Text(printable(f"{kind} {attempt.token}: {job_title(job)}: "), style="bold")
    first.append(printable(outcome), style=STYLE.get(outcome, ""))
    where = f"  on {attempt.host}, {device}, by {attempt.owner}"
    return [first, *(Text(printable(line), style="dim") for line in (where, f"  {when}; {steps}"))]


def _said(attempt: Attempt, job: JobFacts, now: float) -> list[str]:
    if attempt.log is not None:
        return attempt.log.rstrip().split("\n") if attempt.log.strip() else ["(it said nothing)"]
    if attempt.protocol is not None:
        return ["(evaluations keep no log)"]
    if attempt.ended is None and attempt.token == job.token and job.lease_until is not None:
        left = job.lease_until - now
        known = f"at step {attempt.last_step} when last heard of"
        if left > 0:
            return [f"(it runs: {known}; its log comes with its end)"]
        return [
            f"(no report: {known}; its lease ended at {format_time(job.lease_until)}, "
            f"{format_duration(-left)} ago, and nobody has claimed the job since)"
        ]
    return [f"(no report: {_last_known(attempt)})"]


def _last_known(attempt: Attempt) -> str:
    at = f"at step {attempt.last_step} on {attempt.host} when last heard of"
    if attempt.ended is None:
        return at
    ended = format_time(attempt.ended)
    if attempt.outcome == "cancelled":
        return f"{at}; its launch gave the job back at {ended}"
    if attempt.outcome != "node_lost":
        return f"{at}; it ended at {ended}"
    lease = (
        "its lease"
        if attempt.lease_seconds is None
        else (f"its lease of {format_duration(attempt.lease_seconds)}")
    )
    return f"{at}; {lease} was over when the job was claimed anew at {ended}"


# Waiting for the end of an attempt, with its progress


def wait_for_attempt(
    store: Store, job_ids: Sequence[str], console: Console, interval: float
) -> None:
    """Return when the attempt that runs at one of the jobs has ended, or its lease is over since
    as long as it was.

    Where none runs the next is waited for, unless all jobs have ended. Looks every ``interval``
    seconds; a database that is away is waited for.
    """
    status = console.status("") if console.is_terminal else None
    shown, mine = "", None
    with status or nullcontext():
        while True:
            try:
                jobs, now = store.job_facts(job_ids), store.now()
                running = [job for job in jobs.values() if job.state == "running"]
                if mine is None and running:
                    mine = running[0].job_id, running[0].token
                held = next((job for job in running if (job.job_id, job.token) == mine), None)
                if _over(store, held, now) if mine else _ended(jobs.values()):
                    return
                line = _line(list(jobs.values()), held, now)
                key = line if held is None else f"{job_title(held)} {held.step}"
            except db.Unavailable as error:
                line = key = printable(error)
            if status is not None:
                status.update(Text(line))
            elif key != shown:
                console.print(Text(line), soft_wrap=True)
            shown = key
            time.sleep(interval)


def _over(store: Store, held: JobFacts | None, now: float) -> bool:
    if held is None or held.lease_until is None:
        return True
    late = now - held.lease_until
    if late <= 0:
        return False
    lease = store.job_attempts([held.job_id])[-1].lease_seconds
    return late > (lease or 0.0)


def _ended(jobs: Collection[JobFacts]) -> bool:
    return all(job.state not in ("pending", "running") for job in jobs)


def _line(jobs: Sequence[JobFacts], held: JobFacts | None, now: float) -> str:
    if held is not None:
        return f"{job_title(held)}: {describe_progress(held, now)}"
    first = next(job for job in jobs if job.state == "pending")
    return f"{job_title(first)} is pending: `lcma why {printable(first.job_id)[:8]}` says why"
