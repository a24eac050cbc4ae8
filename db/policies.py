"""Whether a job is run again by itself after a failure: the database knows how often it was."""

from collections.abc import Sequence

import sqlalchemy as sa

from lcma.db.records import FAILURES, Job, Outcome, Policy, Starved
from lcma.db.schema import attempts, events

_asked = events.alias("asked")

SINCE_ASKED = events.c.id > (
    sa.select(sa.func.coalesce(sa.func.max(_asked.c.id), 0))
    .where(_asked.c.job_id == events.c.job_id, _asked.c.event == "retry")
    .correlate(events)
    .scalar_subquery()
)
"""Whether an event came after a person last asked for a retry of its job. Attempts that a merge
brought have none, and do not count."""


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
            events.c.job_id == job.id, events.c.event == outcome, SINCE_ASKED
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
        sa.select(events.c.job_id, told, sa.func.count() - told)
        .join_from(events, attempts, attempts.c.id == events.c.attempt_id)
        .where(events.c.job_id.in_(job_ids), events.c.event == "oom", SINCE_ASKED)
        .group_by(events.c.job_id)
    )
    return {job_id: Starved(said, killed) for job_id, said, killed in rows}
