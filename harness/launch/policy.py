"""The policy of a launch by its options and its spec: its cap, its limits of hours, its hosts."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import sqlalchemy as sa

from lcma.db import Store
from lcma.db.schema import launches

if TYPE_CHECKING:
    from lcma.harness.launch.hosts import Hosts


@dataclass(frozen=True)
class Limits:
    """Limits of hours of a launch; None for no limit. Lost attempts count too."""

    device_hours: float | None = None  # of the launch
    sweep_device_hours: float | None = None  # of all launches of its sweep
    hours: float | None = None  # wall-clock time since the launch began, by the database's clock


class LimitReachedError(Exception):
    """Raised when a launch ends at a limit, with ``left`` jobs to do."""

    def __init__(self, why: str, left: int) -> None:
        super().__init__(why)
        self.why, self.left = why, left


@dataclass(frozen=True)
class LaunchPolicy:
    """How many tasks a launch may run at once, for how long, and on which hosts."""

    sweep_id: str
    begun: int = 0  # number of the event by which it began: earlier stop requests do not count
    parallel: int | None = None  # most tasks of the sweep at once, over all launches
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
                allowed = "that `resources.max_device_hours` allows: raise that limit to go on"
                return f"the sweep has taken {spent:.3g} of {most} {allowed}"
        return ""
