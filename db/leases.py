"""The end of leases, decided only here, for records and in SQL, by the database's clock.

`now` is always the time by that clock: `Store.now()`, or `Database.clock` inside a transaction. The
clocks of workers may differ from it.

A file has no clock of its own (`Database.one_host`), so `now` is the clock of the process that
asks. A clock that is set wrong must neither take a job from a live worker nor keep it for a dead
worker. So a process takes over a job only if it has watched the lease stand still for
as long as the lease was (`LeaseWatch`), or knows that the worker's process is dead.
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


@overload
def is_credible(lease_until: float, updated: float, now: float) -> bool: ...
@overload
def is_credible(
    lease_until: "sa.ColumnElement[Any]", updated: "sa.ColumnElement[Any]", now: Any
) -> "sa.ColumnElement[bool]": ...
def is_credible(lease_until: Any, updated: Any, now: Any) -> Any:
    """Return whether the clock that wrote a lease was ahead by at most the length of the lease.

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
        expired: The end of the lease that the claiming launch has seen to be over.
        one_host: Whether `now` is the clock of this process, see `Database.one_host`.
    """
    assert job.lease_until is not None
    if not one_host:
        return not is_held(job.lease_until, now)
    return job.lease_until == expired or _is_abandoned(job, now)


class LeaseWatch:
    """The leases of running jobs, as a process sees them move by its own monotonic clock."""

    def __init__(self, *, one_host: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._one_host, self._clock = one_host, clock
        self._seen: dict[str, tuple[float, float]] = {}  # by job its lease, and since when

    def update(self, running: Iterable["JobFacts"]) -> None:
        """Note the leases of all running jobs, which were just read."""
        now, before = self._clock(), self._seen
        self._seen = {}
        for job in running:
            assert job.lease_until is not None
            until, since = before.get(job.job_id, (None, now))
            self._seen[job.job_id] = job.lease_until, since if until == job.lease_until else now

    def seconds_still(self, job_id: str) -> float:
        """Return for how many seconds the lease of a running job has not moved."""
        return self._clock() - self._seen[job_id][1]

    def is_held(self, job: "JobFacts", now: float) -> bool:
        """Return whether the lease of a job still holds, `now` by the database's clock."""
        if not self._one_host:
            return is_held(job.lease_until, now)
        assert job.lease_until is not None
        still = self.seconds_still(job.job_id) >= job.lease_until - job.updated
        return not still and not _is_abandoned(job, now)


def _is_abandoned(job: "Job | JobFacts", now: float) -> bool:
    # The clock counts too: a process in another container of the same host name is invisible.
    assert job.lease_until is not None
    holds = is_held(job.lease_until, now) and is_credible(job.lease_until, job.updated, now)
    # A process that claims a job no longer works on it.
    dead = job.pid is None or job.pid == os.getpid() or not _is_alive(job.pid)
    return not holds and job.host == socket.gethostname() and dead


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is another user's
        pass
    return True
