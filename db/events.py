"""The history of a database: a row of `events` for each thing that happened."""

import sqlalchemy as sa

from lcma.db.engine import Statement
from lcma.db.schema import events

_ADD = Statement(lambda _: sa.insert(events))


def add_event(
    connection: sa.Connection,
    event: str,
    now: float,
    *,
    job_id: str | None = None,
    attempt_id: str | None = None,
    owner: str | None = None,
    detail: str = "",
    sweep_id: str | None = None,
) -> None:
    """Add an event, in the transaction of what it is about."""
    row = {
        "time": now,
        "event": event,
        "job_id": job_id,
        "attempt_id": attempt_id,
        "owner": owner,
        "detail": detail,
        "sweep_id": sweep_id,
    }
    _ADD.run(connection, row)
