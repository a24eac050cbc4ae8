"""What a launch may do, by its options and its spec: its cap, its limits of hours, its hosts."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import sqlalchemy as sa

from lcma.db import Store
from lcma.db.schema import launches

if TYPE_CHECKING:
    from lcma.harness.launch.hosts import Hosts


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
class LaunchPolicy:
    """What a launch of a sweep may do: how many tasks at once, for how long, and on which hosts.

    It began with the event of number ``begun``: earlier stop requests are not for it. At most
    ``parallel`` jobs of the sweep run at once, over all launches; None for no limit.
    """

    sweep_id: str
    begun: int = 0
    parallel: int | None = None
    limits: Limits = field(default_factory=Limits)
    hosts: "Hosts | None" = None

    def find_reached_limit(self, store: Store, owner: str) -> str:
        """Return the limit that a launch of this owner has reached, '' for none."""
        limits = self.limits
        if limits.hours is not None:
            query = sa.select(launches.c.started).where(launches.c.owner == owner)
            started: list[tuple[float]] = store.rows(query)
            if sum((store.now() - since) / 3600 for (since,) in started) >= limits.hours:
                return f"the launch ran for {limits.hours:g} h, as long as it may"
        if limits.device_hours is not None:
            spent = store.device_hours(owner=owner)
            if spent >= limits.device_hours:
                return f"the launch has taken {spent:.3g} of {limits.device_hours:g} device hours"
        if limits.sweep_device_hours is not None:
            spent = store.device_hours(sweep_id=self.sweep_id)
            if spent >= limits.sweep_device_hours:
                most = f"{limits.sweep_device_hours:g} device hours"
                allowed = "that `resources.max_device_hours` lets it take"
                return f"the sweep has taken {spent:.3g} of {most} {allowed}"
        return ""
