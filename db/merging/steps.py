"""Transitions of jobs by what happened to them in another database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from lcma.db.jobs import TRANSITIONS, Elsewhere
from lcma.db.records import Job, State
from lcma.db.schema import jobs

ELSEWHERE: Mapping[State, Elsewhere] = {
    "done": "done_elsewhere",
    "failed": "failed_elsewhere",
    "diverged": "diverged_elsewhere",
}


def event_elsewhere(here: State, there: State) -> Elsewhere | None:
    """Return what happens to a job in one state when a database is merged where it is in another.

    Returns:
        The event, or None where the job stays as it is.
    """
    event = ELSEWHERE.get(there)
    return event if event is not None and (here, event) in TRANSITIONS else None


@dataclass(frozen=True, slots=True)
class Step:
    """A job, held in this transaction, and what becomes of it with the attempts of another
    database: `event` is None where its state stays."""

    job: Job
    event: Elsewhere | None
    token: int
    attempt_id: int | None
    done_attempt_id: int | None
    step: int


def take_steps(connection: sa.Connection, steps: Sequence[Step], now: float) -> None:
    """Take jobs, just read in this transaction, through what happened to them elsewhere."""
    if not steps:
        return
    rows = [
        {
            "the_id": one.job.id,
            "the_state": one.job.state,
            "the_token": one.job.token,
            "state": one.job.state if one.event is None else TRANSITIONS[one.job.state, one.event],
            "token": one.token,
            "attempt_id": one.attempt_id,
            "done_attempt_id": one.done_attempt_id,
            "step": one.step,
            "updated": now,
        }
        for one in steps
    ]
    statement = sa.update(jobs).where(
        jobs.c.id == sa.bindparam("the_id"),
        jobs.c.state == sa.bindparam("the_state"),
        jobs.c.token == sa.bindparam("the_token"),
    )
    changed = connection.execute(statement, rows).rowcount
    if changed != len(rows):
        raise RuntimeError(f"{len(rows) - changed} jobs changed while they were held")
