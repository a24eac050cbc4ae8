"""The history of a database: a row of `events` for each thing that happened."""

from typing import Any

import sqlalchemy as sa

from db.schema import events


def note(
    connection: sa.Connection,
    event: str,
    now: float,
    *,
    job_id: str | None = None,
    attempt_id: int | None = None,
    owner: str | None = None,
    detail: str = "",
) -> None:
    """Add an event, in the transaction of what it is about."""
    row: dict[str, Any] = {
        "time": now,
        "event": event,
        "job_id": job_id,
        "attempt_id": attempt_id,
        "owner": owner,
        "detail": detail,
    }
    connection.execute(sa.insert(events), row)
