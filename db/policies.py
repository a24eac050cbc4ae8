"""Whether a job is run again by itself after a failure: the database knows how often it was."""

from collections.abc import Sequence

import sqlalchemy as sa

from db.records import FAILURES, Job, Outcome, Policy, Starved
from db.schema import attempts, events

RETRIED = (
    sa.select(sa.func.coalesce(sa.func.max(events.c.attempt_id), 0))
    .where(events.c.job_id == attempts.c.job_id, events.c.event == "retry")
    .correlate(attempts)
    .scalar_subquery()
)
"""The last attempt at a job before a person asked for a retry."""


def decide(
    connection: sa.Connection, job: Job, outcome: Outcome, policy: Policy
) -> tuple[bool, str]:
    """Whether a job, whose running attempt is about to end so, is to be run again by itself; and
    in words what becomes of it, '' where no policy is asked."""
    if outcome not in FAILURES:
        return False, ""
    times = policy.times(outcome)
    said = f"policy {outcome}: {'always' if times is None else times}"
    if times == 0:
        return False, f"given up: {said}"
    former = connection.execute(
        sa.select(sa.func.count()).where(
            attempts.c.job_id == job.id, attempts.c.outcome == outcome, attempts.c.id > RETRIED
        )
    ).scalar_one()
    if times is not None and former >= times:
        return False, f"given up: {said} used"
    if outcome == "oom" and policy.hopeless:
        return False, f"given up: {policy.hopeless}"
    how = f" {policy.remedy}" if outcome == "oom" and policy.remedy else ""
    return True, f"to be run again{how} ({said})"


def read_starved(connection: sa.Connection, job_ids: Sequence[str]) -> dict[str, Starved]:
    """Those of the jobs that ran out of memory since a person last asked for a retry."""
    told = sa.func.count(attempts.c.log)
    rows = connection.execute(
        sa.select(attempts.c.job_id, told, sa.func.count() - told)
        .where(
            attempts.c.job_id.in_(job_ids),
            attempts.c.outcome == "oom",
            attempts.c.id > RETRIED,
        )
        .group_by(attempts.c.job_id)
    )
    return {job_id: Starved(said, killed) for job_id, said, killed in rows}
