"""The end of leases: decided here alone, for records and in SQL, by the database's clock.

`now` is always the time by that clock: `Store.now()`, or `Database.clock` inside a transaction. The
clocks of workers may differ from it.

Where a database has no clock of its own (`Database.one_host`), `now` is that of whoever asks, and a
clock that is set wrong must neither take a job from a worker that lives nor keep one for a worker
that is dead. There a job is only taken over by who has watched its lease stand still for as long as
it was (`LeaseWatch`), or knows that its process is dead.
"""

import os
import socket
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    import sqlalchemy as sa

    from lcma.db.records import Job, JobFacts


@overload
def is_held(lease_until: float | None, now: float) -> bool: ...
@overload
def is_held(lease_until: "sa.ColumnElement[Any]", now: float) -> "sa.ColumnElement[bool]": ...
def is_held(lease_until: Any, now: float) -> Any:
    """Return whether a lease still holds.

    Args:
        lease_until: When it ends, Unix seconds; None for no lease. A column gives the condition
            in SQL.
        now: The time by the database's clock, Unix seconds.
    """
    return False if lease_until is None else lease_until > now


def is_over(lease_until: float, now: float) -> bool:
    """Return whether a lease has ended: the contrary of `is_held`."""
    return lease_until <= now


def seconds_left(lease_until: float, now: float) -> float:
    """Return for how many seconds a lease still holds; negative since it is over."""
    return lease_until - now


@overload
def is_credible(lease_until: float, updated: float, now: float) -> bool: ...
@overload
def is_credible(
    lease_until: "sa.ColumnElement[Any]", updated: "sa.ColumnElement[Any]", now: Any
) -> "sa.ColumnElement[bool]": ...
def is_credible(lease_until: Any, updated: Any, now: Any) -> Any:
    """Return whether a lease was written by a clock that is ahead by no more than the lease.

    Args:
        lease_until: When it ends, Unix seconds, or the column.
        updated: When it was written, by the same clock, Unix seconds, or the column.
        now: The time by the database's clock, Unix seconds.
    """
    return updated - now <= lease_until - updated


def may_take(job: "Job", now: float, expired: float | None, *, one_host: bool) -> bool:
    """Return whether a claim may take over a running job.

    Args:
        job: The job.
        now: The time by the database's clock, Unix seconds.
        expired: The end of a lease of which the claim's launch has seen that it is over.
        one_host: Whether `now` is of this process alone, see `Database.one_host`.
    """
    assert job.lease_until is not None
    if not one_host:
        return is_over(job.lease_until, now)
    return job.lease_until == expired or _is_abandoned(job, now)


class LeaseWatch:
    """The leases of running jobs, as a process sees them move by its own monotonic clock."""

    def __init__(self, *, one_host: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._one_host, self._clock = one_host, clock
        self._seen: dict[str, tuple[float, float]] = {}

    def update(self, running: Iterable["JobFacts"]) -> None:
        """Look at all running jobs, as they were just read."""
        now, before = self._clock(), self._seen
        self._seen = {}
        for job in running:
            assert job.lease_until is not None
            until, since = before.get(job.job_id, (None, now))
            self._seen[job.job_id] = job.lease_until, since if until == job.lease_until else now

    def seconds_still(self, job_id: str) -> float:
        """Return for how long the lease of a running job has not been seen to move."""
        return self._clock() - self._seen[job_id][1]

    def is_held(self, job: "JobFacts", now: float) -> bool:
        """Return whether the lease of a job still holds, `now` by the database's clock."""
        if not self._one_host:
            return is_held(job.lease_until, now)
        assert job.lease_until is not None
        still = self.seconds_still(job.job_id) >= job.lease_until - job.updated
        return not still and not _is_abandoned(job, now)


def _is_abandoned(job: "Job | JobFacts", now: float) -> bool:
    # Whether its process is dead, and its lease over or not to be believed. The clock is asked too,
    # since a process of another container that has this host's name cannot be seen.
    assert job.lease_until is not None
    believed = is_held(job.lease_until, now) and is_credible(job.lease_until, job.updated, now)
    # Whoever claims a job does not work on it any more.
    dead = job.pid is None or job.pid == os.getpid() or not is_alive(job.pid)
    return not believed and job.host == socket.gethostname() and dead


def is_alive(pid: int) -> bool:
    """Return whether this host has a process of a number, anybody's."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
