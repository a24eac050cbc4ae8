"""What people ask of launches, and what launches keep to: stops, and caps on what runs at once."""

from collections.abc import Sequence

import sqlalchemy as sa

from lcma.db.following import of_sweep
from lcma.db.happenings import note
from lcma.db.inserting import lock
from lcma.db.jobs import release_where
from lcma.db.records import Cap, Stopping, StopRequest
from lcma.db.schema import events, jobs

_LAUNCH = sa.select(events.c.owner).where(events.c.event == "launch", events.c.owner.is_not(None))


def begin(connection: sa.Connection, owner: str, sweep_id: str, now: float) -> int:
    """Note that a launch begins; the number of the event."""
    note(connection, "launch", now, owner=owner, sweep_id=sweep_id)
    own = events.c.event == "launch", events.c.owner == owner
    return int(connection.execute(sa.select(sa.func.max(events.c.id)).where(*own)).scalar_one())


def ask_to_stop(
    connection: sa.Connection, sweep_ids: Sequence[str | None], by: str, now: float
) -> None:
    """Note that the launches of these sweeps are to end; None stands for all sweeps."""
    for sweep_id in sweep_ids:
        note(connection, "stop", now, owner=by, sweep_id=sweep_id)


def read_stop(connection: sa.Connection, sweep_id: str, after: int) -> StopRequest | None:
    """The last request, after an event, that the launches of a sweep end."""
    row = connection.execute(
        sa.select(events.c.id, events.c.time, events.c.owner, events.c.sweep_id)
        .where(
            events.c.id > after,
            events.c.event == "stop",
            sa.or_(events.c.sweep_id == sweep_id, events.c.sweep_id.is_(None)),
        )
        .order_by(events.c.id.desc())
        .limit(1)
    ).first()
    return None if row is None else StopRequest(row[0], row[1], row[2] or "somebody", row[3])


def read_stopping(connection: sa.Connection) -> list[Stopping]:
    """The last request for each sweep, and for all, whose launches still hold jobs."""
    stop, launch = events.alias("stop"), events.alias("launch")
    asked = sa.or_(stop.c.sweep_id.is_(None), stop.c.sweep_id == launch.c.sweep_id)
    rows = connection.execute(
        sa.select(stop.c.id, stop.c.time, stop.c.owner, stop.c.sweep_id, sa.func.count())
        .join_from(stop, launch, sa.and_(launch.c.id < stop.c.id, asked))
        .join(jobs, jobs.c.owner == launch.c.owner)
        .where(stop.c.event == "stop", launch.c.event == "launch", jobs.c.state == "running")
        .group_by(stop.c.id, stop.c.time, stop.c.owner, stop.c.sweep_id)
        .order_by(stop.c.id)
    )
    last = {
        sweep_id: Stopping(StopRequest(event, time, by or "somebody", sweep_id), held)
        for event, time, by, sweep_id, held in rows
    }
    return sorted(last.values(), key=lambda one: one.request.event)


def read_last_launch(connection: sa.Connection, sweep_id: str) -> int:
    """The number of the event with which the last launch of a sweep began; 0 for none."""
    last = sa.select(sa.func.max(events.c.id)).where(
        events.c.event == "launch", events.c.sweep_id == sweep_id
    )
    return connection.execute(last).scalar() or 0


def launched_by(sweep_id: str) -> sa.ColumnElement[bool]:
    """Whether a running job is held by a launch of the sweep; one that did not say what it
    launches is taken for such where the job is in the sweep."""
    known = jobs.c.owner.in_(_LAUNCH.where(events.c.sweep_id == sweep_id))
    unknown = sa.and_(jobs.c.owner.not_in(_LAUNCH), of_sweep(sweep_id))
    return sa.or_(known, unknown)


def count_held(connection: sa.Connection, sweep_id: str | None) -> int:
    """How many jobs the launches of a sweep, or of all, hold."""
    which = sa.true() if sweep_id is None else launched_by(sweep_id)
    query = sa.select(sa.func.count()).select_from(jobs).where(jobs.c.state == "running", which)
    return connection.execute(query).scalar_one()


def release(connection: sa.Connection, sweep_id: str | None, now: float) -> int:
    """Put what the launches of a sweep, or of all, hold back to pending; how many."""
    return release_where(connection, sa.true() if sweep_id is None else launched_by(sweep_id), now)


def is_full(connection: sa.Connection, cap: Cap, now: float) -> bool:
    """Whether as many jobs of a sweep run as may. Nobody else finds out until the transaction
    ends, so that two do not take the last place."""
    lock(connection, "parallel", cap.sweep_id)
    running = (jobs.c.state == "running", jobs.c.lease_until > now, of_sweep(cap.sweep_id))
    query = sa.select(sa.func.count()).select_from(jobs).where(*running)
    return connection.execute(query).scalar_one() >= cap.parallel
