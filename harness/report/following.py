"""Waiting for the end of an attempt, with its progress."""

import time
from collections.abc import Collection, Sequence
from contextlib import nullcontext

from rich.console import Console
from rich.text import Text

from lcma import db
from lcma.db import JobFacts, Store
from lcma.harness.report import attempts
from lcma.harness.report.lookup import title
from lcma.harness.report.text import plain


def wait(store: Store, job_ids: Sequence[str], console: Console, interval: float) -> None:
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
                key = line if held is None else f"{title(held)} {held.step}"
            except db.Unavailable as error:
                line = key = plain(error)
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
        return f"{title(held)}: {attempts.progress(held, now)}"
    first = next(job for job in jobs if job.state == "pending")
    return f"{title(first)} is pending: `lcma why {plain(first.job_id)[:8]}` says why"
