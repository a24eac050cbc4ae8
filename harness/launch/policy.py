"""What a launch may do, by its options and its spec: its cap, its limits, its hosts.

At a limit of device hours or of time it ends in good order.
"""

import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import sqlalchemy as sa

from lcma.db import Store, Unavailable
from lcma.db.schema import launches

if TYPE_CHECKING:
    from lcma.harness.launch.hosts import Hosts

LOOK_SECONDS = 2.0
"""Interval between two looks at the hours that are spent."""

END_SECONDS = 60.0
"""Time that attempts have to end at a limit, such as for an evaluation; then they are killed, and
keep their last checkpoint."""


@dataclass(frozen=True)
class Limits:
    """Limits of hours of a launch; None for no limit.

    ``device_hours`` are those of the launch, ``sweep_device_hours`` those of all launches of its
    sweep, each with attempts that were lost. ``hours`` is the time of the launch by the wall, from
    its begin in the database, by whose clock all of its processes go.
    """

    device_hours: float | None = None
    sweep_device_hours: float | None = None
    hours: float | None = None


class LimitReachedError(Exception):
    """A launch has ended at a limit with ``left`` of its jobs to do."""

    def __init__(self, why: str, left: int) -> None:
        super().__init__(why)
        self.why, self.left = why, left


@dataclass(frozen=True)
class Policy:
    """What a launch of a sweep may do: how many tasks at once, for how long, and on which hosts.

    It began with the event of number ``begun``: earlier stop requests are not for it. At most
    ``parallel`` jobs of the sweep run at once, over all launches; None for no limit.
    """

    sweep_id: str
    begun: int = 0
    parallel: int | None = None
    limits: Limits = field(default_factory=Limits)
    hosts: "Hosts | None" = None


class LimitWatch:
    """A watch that ends a launch at its limits."""

    def __init__(self, store: Store, owner: str, policy: Policy) -> None:
        self._store, self._owner, self._policy = store, owner, policy
        self._next_look = time.monotonic()
        self._reached, self._reached_at = "", 0.0

    def permits(self, running: int, left: int) -> bool:
        """Return whether the launch may start jobs; tell its workers to end if it may not.

        Raises LimitReachedError once nothing of the launch runs any more, or for too long.

        Args:
            running: How many of its jobs run.
            left: How many of its jobs have not ended.
        """
        now = time.monotonic()
        if not self._reached and now >= self._next_look:
            self._next_look = now + LOOK_SECONDS
            with suppress(Unavailable):
                self._reached, self._reached_at = self._find_reached(), now
        if not self._reached:
            return True
        with suppress(Unavailable):
            self._store.end_launch(self._owner, why=self._reached)
            if not running or now > self._reached_at + END_SECONDS:
                raise LimitReachedError(self._reached, left)
        return False

    def _find_reached(self) -> str:
        """Return the limit that is reached, '' for none."""
        limits, sweep_id = self._policy.limits, self._policy.sweep_id
        if limits.hours is not None and self._read_hours() >= limits.hours:
            return f"the launch ran for {limits.hours:g} h, as long as it may"
        if limits.device_hours is not None:
            spent = self._store.device_hours(owner=self._owner)
            if spent >= limits.device_hours:
                return f"the launch has taken {spent:.3g} of {limits.device_hours:g} device hours"
        if limits.sweep_device_hours is not None:
            spent = self._store.device_hours(sweep_id=sweep_id)
            if spent >= limits.sweep_device_hours:
                most = f"{limits.sweep_device_hours:g} device hours"
                allowed = "that `resources.max_device_hours` lets it take"
                return f"the sweep has taken {spent:.3g} of {most} {allowed}"
        return ""

    def _read_hours(self) -> float:
        query = sa.select(launches.c.started).where(launches.c.owner == self._owner)
        started: list[tuple[float]] = self._store.rows(query)
        return sum((self._store.now() - since) / 3600 for (since,) in started)
