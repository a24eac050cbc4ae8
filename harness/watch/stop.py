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


def stop_launches(
    store: Store,
    sweeps: Sequence[Sweep] | None,
    *,
    job_ids: Sequence[str] | None = None,
    by: str,
    seconds: float,
) -> Stopped:
    """Ask launches to end, or not to run some jobs any more, and wait until they hold none.

    Args:
        store: The database.
        sweeps: Whose launches to stop; those of all sweeps if None.
        job_ids: The jobs that are not to be run any more, in place of whole launches.
        by: Who asks, as USER@HOST.
        seconds: How long to wait. Jobs that are held longer are taken from their workers, which
            lose their lease and notice that at their next heartbeat.
    """
    ids = None if sweeps is None else [sweep.id for sweep in sweeps]
    each: list[str | None] = [None] if ids is None else list(ids)

    def count_held() -> int:
        if job_ids is not None:
            return sum(job.state == "running" for job in store.jobs(job_ids).values())
        return sum(store.job_counts(sweep_id, held=True).total for sweep_id in each)

    held = left = count_held()
    store.request_stop(ids, job_ids=job_ids, by=by)
    deadline = time.monotonic() + seconds
    while left and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        left = count_held()
    if not left:
        return Stopped(held, 0)
    if job_ids is not None:
        return Stopped(held, store.release(stopped=job_ids))
    return Stopped(held, sum(store.release(sweep_id=sweep_id) for sweep_id in each))


def describe_stopped(stopped: Stopped, what: str, seconds: float, *, jobs: bool) -> str:
    """Return what became of the launches of what was stopped, in one line.

    ``seconds`` is how long was waited. ``jobs``: it was a trial or pretraining, no sweep.
    """
    if stopped.taken:
        taken = "1 job was" if stopped.taken == 1 else f"{stopped.taken} jobs were"
        why = f"since their launch did not answer in {seconds:.0f} s" if seconds else "at once"
        return printable(f"stopped {what}: {taken} taken from workers {why}")
    if stopped.held:
        return printable(f"stopped {what}: nothing of it runs any more")
    if jobs:
        return printable(f"stopped {what}, which did not run: no launch that has begun runs it")
    return printable(f"nothing of {what} runs; a launch that only waits ends within seconds")
