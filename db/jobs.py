"""The state machine of jobs: who may work on what, and what becomes of it.

A job is claimed for a lease. Each claim raises its token by one, and every write by a worker holds
only while the job is running under that worker's token: one that was paused, cut off or given up
for dead changes nothing when it comes back.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, cast

import sqlalchemy as sa

from db.happenings import note
from db.records import Claim, Job, Outcome, State
from db.schema import attempts, jobs

Elsewhere = Literal["done_elsewhere", "failed_elsewhere", "diverged_elsewhere"]
"""How a job ended by attempts in another database, whose evidence is merged into this one."""

Event = Outcome | Literal["claim", "retry"] | Elsewhere

TRANSITIONS: Mapping[tuple[State, Event], State] = {
    ("pending", "claim"): "running",
    ("running", "done"): "done",
    ("running", "diverged"): "diverged",
    ("running", "oom"): "failed",
    ("running", "timeout"): "failed",
    ("running", "code_error"): "failed",
    ("running", "pruned"): "pending",
    ("running", "preempted"): "pending",
    ("running", "node_lost"): "pending",
    ("running", "cancelled"): "pending",
    ("failed", "retry"): "pending",
    ("diverged", "retry"): "pending",
    ("pending", "done_elsewhere"): "done",
    ("failed", "done_elsewhere"): "done",
    ("diverged", "done_elsewhere"): "done",
    ("pending", "failed_elsewhere"): "failed",
    ("pending", "diverged_elsewhere"): "diverged",
}
"""All that can happen to a job. What is not here leaves it as it is."""

HOLDER = ("owner", "host", "pid", "lease_until")
"""The columns that say who runs a job, null unless it runs."""


def read_job(connection: sa.Connection, job_id: str) -> Job | None:
    """The job as it stands; in a writer's transaction, nobody changes it until the end."""
    row = connection.execute(sa.select(jobs).where(jobs.c.id == job_id).with_for_update()).first()
    return None if row is None else to_job(row)


def to_job(row: sa.Row[Any]) -> Job:
    """A row of `jobs` as a record."""
    return Job(**row._mapping)


def move(
    connection: sa.Connection, job: Job, event: Event, now: float, **columns: Any
) -> Job | None:
    """Take a job, just read in this transaction, through one transition; None if there is none.

    A job that stops running has no holder any more, and its attempt is ended with that outcome.
    """
    state = TRANSITIONS.get((job.state, event))
    if state is None:
        return None
    changed = {**columns, "state": state, "updated": now}
    if job.state == "running":
        changed |= dict.fromkeys(HOLDER)
        connection.execute(
            sa.update(attempts)
            .where(attempts.c.id == job.attempt_id)
            .values(ended=now, outcome=event)
        )
    row = connection.execute(
        sa.update(jobs)
        .where(jobs.c.id == job.id, jobs.c.state == job.state, jobs.c.token == job.token)
        .values(changed)
        .returning(*jobs.c)
    ).first()
    if row is None:
        return None
    moved = to_job(row)
    note(
        connection,
        event,
        now,
        job_id=job.id,
        attempt_id=moved.attempt_id,
        owner=moved.owner or job.owner,
    )
    return moved


def claim(
    connection: sa.Connection,
    job_id: str,
    *,
    owner: str,
    host: str,
    pid: int,
    environment_id: str,
    device: str,
    devices: str | None,
    threads: int,
    lease_seconds: float,
    now: float,
) -> Claim | Job:
    """Take a pending job, or a running one whose lease is over; else the job as it is."""
    job = read_job(connection, job_id)
    if job is None:
        raise LookupError(f"no job {job_id}")
    if job.state == "running" and job.lease_until is not None and job.lease_until <= now:
        job = move(connection, job, "node_lost", now) or job
    if job.state != "pending":
        return job
    token = job.token + 1
    attempt_id: int = connection.execute(
        sa.insert(attempts)
        .values(
            job_id=job_id,
            token=token,
            owner=owner,
            host=host,
            environment_id=environment_id,
            device=device,
            devices=devices,
            threads=threads,
            lease_seconds=lease_seconds,
            started=now,
            message="",
            first_step=job.step,
            last_step=job.step,
        )
        .returning(attempts.c.id)
    ).scalar_one()
    move(
        connection,
        job,
        "claim",
        now,
        token=token,
        attempt_id=attempt_id,
        owner=owner,
        host=host,
        pid=pid,
        lease_until=now + lease_seconds,
    )
    return Claim(job_id=job_id, attempt_id=attempt_id, token=token, step=job.step)


def held(connection: sa.Connection, claim: Claim) -> Job | None:
    """The job, if it still runs under this claim."""
    job = read_job(connection, claim.job_id)
    if job is None or job.state != "running" or job.token != claim.token:
        return None
    return job


def heartbeat(
    connection: sa.Connection,
    claim: Claim,
    *,
    step: int,
    lease_seconds: float,
    first_step: int | None,
    now: float,
) -> bool:
    """Report progress and extend the lease; False, with nothing changed, if it was lost."""
    if held(connection, claim) is None:
        return False
    connection.execute(
        sa.update(jobs)
        .where(jobs.c.id == claim.job_id)
        .values(step=step, lease_until=now + lease_seconds, updated=now)
    )
    reached: dict[str, int] = {"last_step": step}
    if first_step is not None:
        reached["first_step"] = first_step
    connection.execute(sa.update(attempts).where(attempts.c.id == claim.attempt_id).values(reached))
    return True


def release(connection: sa.Connection, owner: str, now: float) -> int:
    """Put all running jobs of a launch back to pending; their attempts end as cancelled."""
    return _move_all(
        connection, sa.and_(jobs.c.state == "running", jobs.c.owner == owner), "cancelled", now
    )


def retry(connection: sa.Connection, job_ids: Sequence[str], now: float) -> int:
    """Put those of the jobs that failed or diverged back to pending."""
    ordered = chunks(sorted(job_ids))
    return sum(_move_all(connection, jobs.c.id.in_(some), "retry", now) for some in ordered)


def chunks(ids: Sequence[str], size: int = 500) -> Iterator[Sequence[str]]:
    """Cut a list for IN: SQLite takes 32766 values, PostgreSQL plans long lists slowly."""
    for start in range(0, len(ids), size):
        yield ids[start : start + size]


def _move_all(
    connection: sa.Connection, which: sa.ColumnElement[bool], event: Event, now: float
) -> int:
    # In one order, so that two who take several jobs do not wait for each other.
    several = sa.select(jobs).where(which).order_by(jobs.c.id).with_for_update()
    rows = connection.execute(several).all()
    return sum(move(connection, to_job(row), event, now) is not None for row in rows)


def ended_as(connection: sa.Connection, claim: Claim, outcome: Outcome) -> bool:
    """Whether this very claim's attempt has ended already, and with this outcome."""
    found = connection.execute(
        sa.select(attempts.c.outcome).where(
            attempts.c.id == claim.attempt_id,
            attempts.c.job_id == claim.job_id,
            attempts.c.token == claim.token,
        )
    ).scalar()
    return cast("str | None", found) == outcome
