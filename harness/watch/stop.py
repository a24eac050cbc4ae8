"""Stop the launches of sweeps, and take the jobs of launches that do not answer."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from lcma.db import Store, Sweep
from lcma.harness.text import printable

ANSWER_SECONDS = 20.0
"""Time that launches have to end in good order before their jobs are taken from them."""

POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Stopped:
    """What became of the jobs of stopped launches."""

    held: int  # when the launches were asked to stop
    taken: int  # from launches that did not answer


def stop_launches(
    store: Store,
    sweeps: Sequence[Sweep] | None,
    *,
    job_ids: Sequence[str] | None = None,
    by: str,
    seconds: float,
) -> Stopped:
    """Ask launches to end, or to give up some jobs, and wait until they hold none.

    Args:
        store: The database.
        sweeps: Sweeps whose launches to stop; None for all.
        job_ids: Jobs to give up; the launches themselves go on.
        by: Who asks, as USER@HOST.
        seconds: How long to wait. Jobs that are held longer are taken from their workers, which
            notice at their next heartbeat that they have lost the lease.
    """
    ids = None if sweeps is None else [sweep.id for sweep in sweeps]
    sweep_ids: list[str | None] = [None] if ids is None else list(ids)

    def count_held() -> int:
        if job_ids is not None:
            return sum(job.state == "running" for job in store.jobs(job_ids).values())
        counts = (store.job_counts(sweep_id, held=True, before=request) for sweep_id in sweep_ids)
        return sum(count.total for count in counts)

    request: int | None = None
    held = left = count_held()
    request = store.request_stop(ids, job_ids=job_ids, by=by)
    deadline = time.monotonic() + seconds
    while left and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        left = count_held()
    if not left:
        return Stopped(held, 0)
    if job_ids is not None:
        return Stopped(held, store.release(stopped=job_ids))
    taken = (store.release(sweep_id=sweep_id, before=request) for sweep_id in sweep_ids)
    return Stopped(held, sum(taken))


def describe_stopped(stopped: Stopped, name: str, seconds: float, *, jobs: bool) -> str:
    """Return the outcome of `stop_launches` in one line.

    Args:
        stopped: The outcome.
        name: Name of the sweeps or of the jobs.
        seconds: How long the launches had to answer.
        jobs: Whether jobs were stopped, not whole launches.
    """
    if stopped.taken:
        taken = "1 job was" if stopped.taken == 1 else f"{stopped.taken} jobs were"
        why = f"since their launch did not answer in {seconds:.0f} s" if seconds else "at once"
        return printable(f"stopped {name}: {taken} taken from workers {why}")
    if stopped.held:
        return printable(f"stopped {name}: no job of it runs any more")
    if jobs:
        return printable(f"stopped {name}: it did not run, and only a later launch will run it")
    return printable(f"no job of {name} runs; a launch that only waits ends within seconds")
