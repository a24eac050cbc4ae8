"""What a status shows of jobs and does not follow from their facts, a query each."""

import math
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from lcma.db import JobFacts, StopRequest, Store, leases
from lcma.db.jobs import in_sweep
from lcma.db.schema import attempts, data_sets, events, jobs, sweep_trials, trials
from lcma.db.views import coverage

RECENT = 3600.0
"""Seconds over which the rates of a sweep are taken."""

SHORTEST = 60.0
"""Seconds from which on a number of trials makes a rate."""

LATEST = 5000
"""Events that are looked at for what happened recently."""

CELL = (
    *("flow", "dataset", "data_digest", "asked", "factorization", "budget", "map_options"),
    *("recipe_id", "planned", "done", "running", "pending", "blocked", "diverged", "failed", "why"),
)
"""The columns of the view `coverage` that a status shows of a cell."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A segment that is not done, and how many pending trials read maps at its end."""

    segment: JobFacts
    trials: int


@dataclass(frozen=True, slots=True)
class Stopping:
    """A request to stop, and how many jobs its launches still hold."""

    request: StopRequest
    held: int


@dataclass(frozen=True)
class DataWait:
    """The share of training steps that attempts on one set and kind of device waited for images.

    `mean` is over attempts, `largest` the largest of them, 0 to 1.
    """

    dataset: str
    variant: str
    device: str
    attempts: int
    mean: float
    largest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Speed of a sweep.

    Attributes:
        trials: Trials done in the last `seconds`.
        seconds: An hour, or the time since work began in it.
        steps_per_second: Training steps over all attempts that run, each since it started.
        steps_left: Training steps that are not made, without those of lost jobs.
    """

    trials: int
    seconds: float
    steps_per_second: float
    steps_left: int = 0

    @property
    def trials_per_hour(self) -> float:
        """How many trials would be done in an hour as fast as this."""
        return 3600.0 * self.trials / max(self.seconds, SHORTEST)

    @property
    def seconds_left(self) -> float | None:
        """How long the steps that are left take as fast as this; None while none is made."""
        return self.steps_left / self.steps_per_second if self.steps_per_second else None


def list_cells(store: Store, sweep_id: str) -> list[Any]:
    """List what each cell of a sweep has and lacks, by data set, flow and factorization."""
    order = ("dataset", "flow", "asked", "budget", "recipe_id", "map_options", "data_digest")
    query = (
        sa.select(*(coverage.c[name] for name in CELL))
        .where(coverage.c.sweep_id == sweep_id)
        .order_by(*(coverage.c[name].asc().nulls_first() for name in order))
    )
    return store.rows(query)


def list_data_waits(store: Store) -> list[DataWait]:
    """List how long attempts waited for images, by data set, variant and device."""
    query = (
        sa.select(data_sets.c.name, data_sets.c.variant, attempts.c.device, attempts.c.data_wait)
        .join_from(attempts, jobs, jobs.c.id == attempts.c.job_id)
        .join(data_sets, data_sets.c.digest == jobs.c.data_digest)
        .where(attempts.c.data_wait.is_not(None))
    )
    shares: dict[tuple[str, str, str], list[float]] = {}
    for dataset, variant, device, share in store.rows(query):
        shares.setdefault((dataset, variant, device), []).append(share)
    # Summed here and exactly, so that both engines give the same mean.
    return [
        DataWait(*group, attempts=len(of), mean=math.fsum(of) / len(of), largest=max(of))
        for group, of in sorted(shares.items())
    ]


def list_awaited_segments(store: Store, sweep_id: str) -> list[Waiting]:
    """List the segments that pending trials of a sweep wait for, most awaited first."""
    segment = jobs.alias("segment")
    members = sa.select(sweep_trials.c.trial_id).where(sweep_trials.c.sweep_id == sweep_id)
    query = (
        sa.select(segment.c.id, sa.func.count())
        .join_from(jobs, trials, trials.c.id == jobs.c.trial_id)
        .join(
            segment,
            sa.and_(
                segment.c.pretraining_id == trials.c.pretraining_id,
                segment.c.budget == trials.c.budget,
                segment.c.data_digest == jobs.c.data_digest,
            ),
        )
        .where(jobs.c.state == "pending", segment.c.state != "done", trials.c.id.in_(members))
        .group_by(segment.c.id)
    )
    counted = dict[str, int](store.rows(query))
    found = [Waiting(one, counted[one.job_id]) for one in store.job_facts(counted)]
    return sorted(found, key=lambda waiting: -waiting.trials)


def list_stop_requests(store: Store) -> list[Stopping]:
    """List the requests to stop whose launches still hold jobs, oldest first.

    Of several requests for one sweep, or for all, it is the last one.
    """
    stop, launch = events.alias("stop"), events.alias("launch")
    meant = sa.or_(stop.c.sweep_id.is_(None), stop.c.sweep_id == launch.c.sweep_id)
    query = (
        sa.select(stop.c.id, stop.c.time, stop.c.owner, stop.c.sweep_id, sa.func.count())
        .join_from(stop, launch, sa.and_(launch.c.id < stop.c.id, meant))
        .join(jobs, jobs.c.owner == launch.c.owner)
        .where(stop.c.event == "stop", stop.c.job_id.is_(None))
        .where(launch.c.event == "launch", jobs.c.state == "running")
        .group_by(stop.c.id, stop.c.time, stop.c.owner, stop.c.sweep_id)
        .order_by(stop.c.id)
    )
    last = {
        sweep_id: Stopping(StopRequest(event, time, by or "somebody", sweep_id), held)
        for event, time, by, sweep_id, held in store.rows(query)
    }
    return sorted(last.values(), key=lambda one: one.request.event)


def read_rates(store: Store, sweep_id: str | None = None, *, now: float | None = None) -> Rates:
    """Read how fast a sweep went in the last hour, None for all jobs, and what is left."""
    clock = store.now() if now is None else now
    own = sa.true() if sweep_id is None else in_sweep(sweep_id)
    reached = sa.case((jobs.c.state == "done", jobs.c.steps), else_=jobs.c.step)
    left = (  # segments of a pretraining go on from one another
        sa.select((sa.func.max(jobs.c.steps) - sa.func.max(reached)).label("steps"))
        .where(jobs.c.state.in_(("pending", "running", "done")), own)
        .group_by(sa.func.coalesce(jobs.c.pretraining_id, jobs.c.trial_id), jobs.c.data_digest)
        .subquery()
    )
    latest = sa.select(events).order_by(events.c.id.desc()).limit(LATEST).subquery()
    happened = store.rows(
        sa.select(latest.c.time, latest.c.event, jobs.c.kind)
        .join_from(latest, jobs, jobs.c.id == latest.c.job_id)
        .where(latest.c.time > clock - RECENT, own)
    )
    steps = attempts.c.last_step, attempts.c.first_step
    running = store.rows(
        sa.select(*steps, attempts.c.started, jobs.c.updated)
        .join_from(jobs, attempts, attempts.c.id == jobs.c.attempt_id)
        .where(jobs.c.state == "running", leases.is_held(jobs.c.lease_until, clock), own)
    )
    ((steps_left,),) = store.rows(sa.select(sa.func.sum(left.c.steps)))
    return Rates(
        trials=sum((event, kind) == ("done", "trial") for _, event, kind in happened),
        seconds=clock - min((time for time, _, _ in happened), default=clock),
        steps_per_second=sum(
            (last - first) / (updated - started)
            for last, first, started, updated in running
            if updated > started
        ),
        steps_left=int(steps_left or 0),
    )
