"""Stopping the launches of sweeps, and taking the jobs of those that do not answer."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from lcma.db import Store, Sweep
from lcma.harness.text import printable

ANSWER_SECONDS = 20.0
"""Seconds that launches have to end in good order, before their jobs are taken from them."""

POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Stopped:
    """The jobs that launches held when they were asked to stop, and those taken in the end."""

    held: int
    taken: int


def stop_sweeps(
    store: Store, sweeps: Sequence[Sweep] | None, *, by: str, seconds: float
) -> Stopped:
    """Ask launches to end, and wait until they hold no job.

    Args:
        store: The database.
        sweeps: Whose launches to stop; those of all sweeps if None.
        by: Who asks, as USER@HOST.
        seconds: How long to wait. Jobs that are held longer are taken from their workers, which
            lose their lease and notice that at their next heartbeat.
    """
    ids = None if sweeps is None else [sweep.id for sweep in sweeps]
    each: list[str | None] = [None] if ids is None else list(ids)

    def count_held() -> int:
        return sum(store.job_counts(sweep_id, held=True).total for sweep_id in each)

    held = count_held()
    store.request_stop(ids, by=by)
    deadline = time.monotonic() + seconds
    left = held
    while left and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        left = count_held()
    taken = sum(store.release(sweep_id=sweep_id) for sweep_id in each) if left else 0
    return Stopped(held, taken)


def stop_jobs(store: Store, job_ids: Sequence[str], *, by: str, seconds: float) -> Stopped:
    """Let no launch that has begun run jobs any more, and wait until none of them runs.

    Args:
        store: The database.
        job_ids: The jobs.
        by: Who asks, as USER@HOST.
        seconds: How long to wait for their workers; then the jobs are taken from them.
    """

    def count_running() -> int:
        return sum(job.state == "running" for job in store.jobs(job_ids).values())

    held = count_running()
    store.request_stop(job_ids=job_ids, by=by)
    deadline = time.monotonic() + seconds
    left = held
    while left and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        left = count_running()
    return Stopped(held, store.release(stopped=job_ids) if left else 0)


def name_sweeps(sweeps: Sequence[Sweep] | None) -> str:
    """Return 'all sweeps' for None, or the name that the sweeps share."""
    return "all sweeps" if sweeps is None else f"the sweep {sweeps[-1].name}"


def describe_stopped(
    stopped: Stopped, sweeps: Sequence[Sweep] | None, seconds: float, title: str | None = None
) -> str:
    """Return what became of the launches, in one line.

    ``seconds`` is how long was waited. ``title`` is that of a trial or pretraining that was stopped
    in place of sweeps.
    """
    what = name_sweeps(sweeps) if title is None else title
    if stopped.taken:
        jobs = "1 job was" if stopped.taken == 1 else f"{stopped.taken} jobs were"
        why = f"since their launch did not answer in {seconds:.0f} s" if seconds else "at once"
        return printable(f"stopped {what}: {jobs} taken from workers {why}")
    if stopped.held:
        return printable(f"stopped {what}: nothing of it runs any more")
    if title is not None:
        return printable(f"stopped {what}, which did not run: no launch that has begun runs it")
    return printable(f"nothing of {what} runs; a launch that only waits ends within seconds")
