"""The state machine of jobs: claims, leases, and the transitions between states.

A job is claimed for a lease. Each claim raises the job's token by one, and a worker's write counts
only while the job runs under that worker's token. A worker that was paused, cut off or given up for
dead changes nothing when it comes back.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, Literal

import sqlalchemy as sa

from lcma.db import leases
from lcma.db.records import (
    FAILURES,
    Claim,
    Cost,
    Heartbeat,
    Job,
    Outcome,
    Policy,
    State,
    content_hash,
)
from lcma.db.schema import (
    attempts,
    events,
    jobs,
    launches,
    metrics,
    sweep_trials,
    sweeps,
    trials,
)
from lcma.db.statements import Statement, escape_text

Event = Outcome | Literal["claim", "retry", "rerun", "again", "give_up"]

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
    ("running", "crowded"): "pending",
    ("failed", "retry"): "pending",
    ("diverged", "retry"): "pending",
    ("done", "rerun"): "pending",
    ("failed", "again"): "pending",
    ("diverged", "again"): "pending",
    ("pending", "give_up"): "failed",
}
"""All transitions of a job, except those that `lcma.db.merge` derives. Any other event leaves it as
it is."""

HOLDER_COLUMNS = ("owner", "host", "pid", "lease_until")
"""The columns that say who runs a job, null unless it runs."""

JOB_COLUMNS = tuple(field.name for field in fields(Job))

TRANSITION_COLUMNS = (
    *("state", "step", "token", "attempt_id", "done_attempt_id", "updated"),
    *HOLDER_COLUMNS,
)
"""The columns that a transition may change."""

REPORT_COLUMNS = ("message", "log", "last_step", *(field.name for field in fields(Cost)))
"""The columns of an attempt's report."""

# Heartbeats keep these columns up to date, but not `cpu_seconds`, which come only with the report.
COST_COLUMNS = ("seconds", "gpu_seconds", "peak_memory", "mean_memory", "gpu_utilization")
HEARTBEAT_COLUMNS = (*COST_COLUMNS, "bits_per_dim", "log")

# An attempt may find out late from which step it goes on.
_FIRST_STEP = sa.func.coalesce(sa.bindparam("began_at", type_=sa.Integer), attempts.c.first_step)

_retry = events.alias("asked")

IS_SINCE_RETRY = events.c.id > (
    sa.select(sa.func.coalesce(sa.func.max(_retry.c.id), 0))
    .where(_retry.c.job_id == events.c.job_id, _retry.c.event.in_(("retry", "rerun")))
    .correlate(events)
    .scalar_subquery()
)
"""The condition that an event came after a person last asked for a retry or rerun of its job.
Merged attempts have no events, so they do not count."""

_READ_JOB = Statement(
    lambda _: (
        sa.select(*(jobs.c[name] for name in JOB_COLUMNS))
        .where(jobs.c.id == sa.bindparam("id"))
        .with_for_update()
    )
)
_READ_SHORTER_LEASE = Statement(
    lambda _: sa.select(sa.func.max(jobs.c.lease_until)).where(
        leases.is_credible(
            jobs.c.lease_until, jobs.c.updated, sa.bindparam("now", type_=sa.Double)
        ),
        jobs.c.pretraining_id == sa.bindparam("pretraining"),
        jobs.c.data_digest == sa.bindparam("data"),
        jobs.c.budget < sa.bindparam("budget"),
        jobs.c.state == sa.bindparam("state"),
    )
)
_READ_ORIGIN = Statement(
    lambda _: sa.select(trials.c.pretraining_id, trials.c.budget).where(
        trials.c.id == sa.bindparam("trial")
    )
)
_READ_RERUN = Statement(
    lambda _: sa.select(sa.func.max(events.c.time)).where(
        events.c.job_id == sa.bindparam("job"), events.c.event == sa.bindparam("event")
    )
)
_READ_SEGMENT_RERUN = Statement(
    lambda _: (
        sa.select(sa.func.max(events.c.time))
        .join_from(jobs, events, events.c.job_id == jobs.c.id)
        .where(
            jobs.c.pretraining_id == sa.bindparam("pretraining"),
            jobs.c.data_digest == sa.bindparam("data"),
            jobs.c.budget <= sa.bindparam("budget"),
            events.c.event == sa.bindparam("event"),
        )
    )
)
_MOVE_JOB = Statement(
    lambda _: sa.update(jobs).where(
        jobs.c.id == sa.bindparam("job"),
        jobs.c.state == sa.bindparam("old_state"),
        jobs.c.token == sa.bindparam("old_token"),
    ),
    columns=TRANSITION_COLUMNS,
)
_END_ATTEMPT = Statement(
    lambda _: sa.update(attempts).where(attempts.c.id == sa.bindparam("attempt")),
    columns=("ended", "outcome"),
)
_REPORT_AND_END = Statement(
    lambda _: (
        sa.update(attempts)
        .where(attempts.c.id == sa.bindparam("attempt"))
        .values(first_step=_FIRST_STEP)
    ),
    columns=("ended", "outcome", *REPORT_COLUMNS),
)
_EXTEND_LEASE = Statement(
    lambda _: sa.update(jobs).where(jobs.c.id == sa.bindparam("job")),
    columns=("step", "lease_until", "updated"),
)
_WRITE_PROGRESS = Statement(
    lambda _: (
        sa.update(attempts)
        .where(attempts.c.id == sa.bindparam("attempt"))
        .values(
            first_step=_FIRST_STEP,
            **{
                name: sa.func.coalesce(
                    sa.bindparam(f"now_{name}", type_=attempts.c[name].type), attempts.c[name]
                )
                for name in HEARTBEAT_COLUMNS
            },
        )
    ),
    columns=("last_step", "message"),
)
_READ_ENDING = Statement(
    lambda _: sa.select(launches.c.ending).where(launches.c.owner == sa.bindparam("owner"))
)
_READ_OUTCOME = Statement(
    lambda _: sa.select(attempts.c.outcome, attempts.c.replaces).where(
        attempts.c.id == sa.bindparam("attempt")
    )
)
_BEGIN_ATTEMPT = Statement(lambda _: sa.insert(attempts))
_ADD_EVENT = Statement(lambda _: sa.insert(events))


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
    """Add an event, in the transaction of the change that it reports."""
    row = {
        "time": now,
        "event": event,
        "job_id": job_id,
        "attempt_id": attempt_id,
        "owner": owner,
        "detail": detail,
        "sweep_id": sweep_id,
    }
    _ADD_EVENT.run(connection, row)


def read_job(connection: sa.Connection, job_id: str) -> Job | None:
    """Read a job; in a writer's transaction, nobody else changes it until the end."""
    row = _READ_JOB.first(connection, {"id": job_id})
    return None if row is None else Job(**dict(zip(JOB_COLUMNS, row, strict=True)))


def move_job(
    connection: sa.Connection,
    job: Job,
    event: Event,
    now: float,
    *,
    report: Mapping[str, Any] | None = None,
    detail: str = "",
    by: str | None = None,
    **columns: Any,
) -> Job | None:
    """Take a job, just read in this transaction, through one transition.

    If the job stops running, it loses its holder, and its attempt ends.

    Args:
        job: The job.
        event: The transition; for a job that runs, the outcome of its attempt.
        now: The time by the database's clock.
        report: The columns of the attempt's report.
        detail: The text of the event.
        by: The person who asked for it.
        **columns: More columns to set.

    Returns:
        The job after it; None if `TRANSITIONS` has no such transition.
    """
    state = TRANSITIONS.get((job.state, event))
    if state is None:
        return None
    if job.state == "running":
        columns |= dict.fromkeys(HOLDER_COLUMNS)
        end = {"attempt": job.attempt_id, "ended": now, "outcome": event}
        if report is None:
            _END_ATTEMPT.run(connection, end)
        else:
            _REPORT_AND_END.run(connection, {**end, **report})
    moved = replace(job, **columns, state=state, updated=now)
    was = {"job": job.id, "old_state": job.state, "old_token": job.token}
    values = {name: getattr(moved, name) for name in TRANSITION_COLUMNS}
    if _MOVE_JOB.run(connection, was | values) == 0:
        return None
    add_event(
        connection,
        event,
        now,
        job_id=job.id,
        attempt_id=moved.attempt_id,
        owner=by or moved.owner or job.owner,
        detail=detail,
    )
    if job.state == "running" and state != "done" and _was_done_meanwhile(connection, job):
        return _accept(connection, moved, now)
    return moved


def _was_done_meanwhile(connection: sa.Connection, job: Job) -> bool:
    # Whether a merge brought a result while the attempt ran, which is not a rerun.
    if job.done_attempt_id is None:
        return False
    attempt = _READ_OUTCOME.first(connection, {"attempt": job.attempt_id})
    return attempt is not None and attempt[1] is None


def _accept(connection: sa.Connection, job: Job, now: float) -> Job:
    # Mark a job as done whose result a merge brought.
    accepted = replace(job, state="done", step=job.steps, attempt_id=job.done_attempt_id)
    was = {"job": job.id, "old_state": job.state, "old_token": job.token}
    _MOVE_JOB.run(connection, was | {name: getattr(accepted, name) for name in TRANSITION_COLUMNS})
    add_event(connection, "merge", now, job_id=job.id, attempt_id=job.done_attempt_id)
    return accepted


def end_attempt(
    connection: sa.Connection,
    job: Job,
    outcome: Outcome,
    now: float,
    *,
    policy: Policy | None,
    report: Mapping[str, Any] | None = None,
    **columns: Any,
) -> Job | None:
    """End the attempt of a running job, just read in this transaction, as `move_job` does.

    If the policy says so, the job goes back to pending at once. The events state the decision.
    """
    again, decision = (False, "") if policy is None else _decide(connection, job, outcome, policy)
    ended = move_job(
        connection, job, outcome, now, report=report, detail="" if again else decision, **columns
    )
    if ended is None or not again:
        return ended
    ended = replace(ended, owner=job.owner)  # for the event: the row has no owner any more
    return move_job(connection, ended, "again", now, detail=decision, owner=None)


def _decide(
    connection: sa.Connection, job: Job, outcome: Outcome, policy: Policy
) -> tuple[bool, str]:
    # Whether the job runs again without a person, and the decision in words, '' for an outcome that
    # no policy covers. The attempt has not ended yet.
    if outcome not in FAILURES:
        return False, ""
    times = policy.times(outcome)
    words = f"policy {outcome}: {'always' if times is None else times}"
    if times == 0:
        return False, f"given up: {words}"
    former = connection.execute(
        sa.select(sa.func.count()).where(
            events.c.job_id == job.id, events.c.event == outcome, IS_SINCE_RETRY
        )
    ).scalar_one()
    if times is not None and former >= times:
        return False, f"given up: {words} used"
    if outcome == "oom" and policy.hopeless:
        return False, f"given up: {policy.hopeless}"
    how = f" {policy.remedy}" if outcome == "oom" and policy.remedy else ""
    return True, f"to be run again{how} ({words})"


def claim_job(
    connection: sa.Connection,
    job_id: str,
    by: Mapping[str, Any],
    *,
    pid: int,
    now: float,
    full: bool,
    expired: float | None,
    one_host: bool,
    back: Callable[[], float | None],
) -> Claim | Job:
    """Claim a job for a lease; see `Store.claim` and `leases.may_take`.

    Args:
        job_id: The job.
        by: The columns of its attempt that say by whom and on which device.
        pid: The process that claims it.
        now: The time by the database's clock.
        full: Whether the cap of its sweep is reached.
        expired: As for `leases.may_take`.
        one_host: As for `leases.may_take`.
        back: Returns when the database came back for writers, None if it was not away. For the
            length of a lease from then on, a holder may renew a lease that ran out meanwhile.
    """
    owner, host, lease_seconds = by["owner"], by["host"], by["lease_seconds"]
    job = read_job(connection, job_id)
    if job is None:
        raise LookupError(f"no job {job_id}")

    def is_just_back() -> bool:
        since = back()
        return since is not None and now < since + lease_seconds

    if full or job.state not in ("pending", "running") or job.stopped_by is not None:
        return job
    if _is_ending(connection, owner):
        return job
    if job.state == "running" and (
        not leases.may_take(job, now, expired, one_host=one_host) or is_just_back()
    ):
        return job
    shorter = _shorter_until(connection, job, now)
    if shorter is not None and (leases.is_held(shorter, now) or is_just_back()):
        return job
    if job.state == "running":
        job = move_job(connection, job, "node_lost", now) or job
    if job.state != "pending":
        return job
    token = job.token + 1
    attempt_id = hash_attempt(job_id, owner, host, token, now)
    # The first attempt of a rerun begins anew: it continues no attempt that was done.
    continues = job.attempt_id if _is_unfinished(connection, job.attempt_id) else None
    attempt = {
        **by,
        "id": attempt_id,
        "job_id": job_id,
        "token": token,
        "continues": continues,
        "replaces": job.done_attempt_id,
        "started": now,
        "message": "",
        "first_step": job.step,
        "last_step": job.step,
    }
    _BEGIN_ATTEMPT.run(connection, attempt)
    if continues is not None:
        curves = sa.update(metrics).where(metrics.c.attempt_id == continues)
        connection.execute(curves.values(attempt_id=attempt_id))
    move_job(
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
    return Claim(
        job_id=job_id,
        attempt_id=attempt_id,
        token=token,
        step=job.step,
        owner=owner,
        rerun=_read_rerun(connection, job),
    )


def _is_ending(connection: sa.Connection, owner: str) -> bool:
    launch = _READ_ENDING.first(connection, {"owner": owner})
    return launch is not None and launch[0] is not None


def hash_attempt(job_id: str, owner: str, host: str, token: int, started: float) -> str:
    """Return the id of an attempt, which is the same in every database."""
    return content_hash("attempt", [job_id, owner, host, token, started])[:20]


def _read_rerun(connection: sa.Connection, job: Job) -> str:
    # The name that keeps the files of a rerun apart: the time when a rerun was last asked for, of
    # the job or of a segment that it goes on from. Jobs put back by one call share it.
    pretraining_id, budget = job.pretraining_id, job.budget
    if job.trial_id is not None:
        ((pretraining_id, budget),) = _READ_ORIGIN.all(connection, {"trial": job.trial_id})
    asked = _READ_RERUN.all(connection, {"job": job.id, "event": "rerun"})
    if pretraining_id is not None:
        key = {"pretraining": pretraining_id, "data": job.data_digest, "budget": budget}
        asked += _READ_SEGMENT_RERUN.all(connection, key | {"event": "rerun"})
    times = [time for (time,) in asked if time is not None]
    return f"{round(1000 * max(times)):x}" if times else ""


def _is_unfinished(connection: sa.Connection, attempt_id: str | None) -> bool:
    if attempt_id is None:
        return False
    ((outcome, _),) = _READ_OUTCOME.all(connection, {"attempt": attempt_id})
    return bool(outcome != "done")


def _shorter_until(connection: sa.Connection, job: Job, now: float) -> float | None:
    # When the last lease of a shorter segment that runs ends; None if none runs.
    if job.pretraining_id is None:
        return None
    key = {"pretraining": job.pretraining_id, "data": job.data_digest, "budget": job.budget}
    rows = _READ_SHORTER_LEASE.all(connection, key | {"state": "running", "now": now})
    until: float | None = rows[0][0]
    return until


def read_claimed(connection: sa.Connection, claim: Claim) -> Job | None:
    """Read the job of a claim as `read_job` does; None unless it still runs under this claim."""
    job = read_job(connection, claim.job_id)
    return job if job is not None and _is_claimed(job, claim) else None


def _is_claimed(job: Job, claim: Claim) -> bool:
    return job.state == "running" and (job.token, job.owner) == (claim.token, claim.owner)


def extend_leases(
    connection: sa.Connection, beats: Sequence[Heartbeat], now: float
) -> dict[str, tuple[Heartbeat, str]]:
    """Report progress and extend leases; see `Store.heartbeats`.

    Returns:
        By job the heartbeats whose claims are good, each with the reason why its attempt shall end,
        '' if it may go on.
    """
    by_job = {beat.claim.job_id: beat for beat in beats}
    ending = sa.select(launches.c.ending).where(launches.c.owner == jobs.c.owner).scalar_subquery()
    # In one order, so that two transactions that lock several jobs do not deadlock.
    query = sa.select(jobs, ending.label("ending")).where(jobs.c.id.in_(by_job))
    good: dict[str, tuple[Heartbeat, str]] = {}
    for row in connection.execute(query.order_by(jobs.c.id).with_for_update(of=jobs)):
        job = Job(**{name: row._mapping[name] for name in JOB_COLUMNS})
        if _is_claimed(job, by_job[job.id].claim):
            stop = "" if job.stopped_by is None else f"stopped by {job.stopped_by}"
            good[job.id] = by_job[job.id], stop or row.ending or ""
    extended, progress = [], []
    for job_id, (beat, _) in good.items():
        until = now + beat.lease_seconds
        extended.append({"job": job_id, "step": beat.step, "lease_until": until, "updated": now})
        progress.append(
            {
                "attempt": beat.claim.attempt_id,
                "last_step": beat.step,
                "message": escape_text(beat.message),
                "began_at": beat.first_step,
                **{f"now_{name}": getattr(beat.cost, name, None) for name in COST_COLUMNS},
                "now_bits_per_dim": beat.bits_per_dim,
                "now_log": None if beat.log is None else escape_text(beat.log),
            }
        )
    _EXTEND_LEASE.run_many(connection, extended)
    _WRITE_PROGRESS.run_many(connection, progress)
    return good


def move_jobs(
    connection: sa.Connection,
    condition: sa.ColumnElement[bool],
    event: Event,
    now: float,
    **more: Any,
) -> int:
    """Take all jobs that match through one transition, as `move_job`; return how many took it."""
    # In one order, so that two transactions that lock several jobs do not deadlock.
    query = sa.select(jobs).where(condition).order_by(jobs.c.id).with_for_update()
    rows = connection.execute(query).all()
    moved = (move_job(connection, Job(**row._mapping), event, now, **more) for row in rows)
    return sum(job is not None for job in moved)


def has_ended_as(connection: sa.Connection, claim: Claim, outcome: Outcome) -> bool:
    """Return whether this claim's attempt has ended already, and with this outcome."""
    query = sa.select(attempts.c.outcome).where(
        attempts.c.id == claim.attempt_id,
        attempts.c.job_id == claim.job_id,
        attempts.c.token == claim.token,
        attempts.c.owner == claim.owner,
    )
    return bool(connection.execute(query).scalar() == outcome)


def in_sweep(sweep_id: str) -> sa.ColumnElement[bool]:
    """Build the condition that a job is a trial of a sweep, or a segment that its trials need.

    A shorter segment that only trials of other sweeps read is not needed, unless the sweep is a
    study, which runs segments of budgets that it passes.
    """
    members = sa.select(sweep_trials.c.trial_id).where(sweep_trials.c.sweep_id == sweep_id)
    reader = trials.alias()
    read = sa.exists().where(reader.c.pretraining_id == jobs.c.pretraining_id)
    exact, is_member = reader.c.budget == jobs.c.budget, reader.c.id.in_(members)
    study = sweeps.alias()
    is_study = sa.exists().where(study.c.id == sweep_id, study.c.spec.contains('"tune":'))
    is_passed = sa.and_(
        sa.or_(~read.where(exact), is_study),
        read.where(reader.c.budget >= jobs.c.budget, is_member),
    )
    return sa.or_(jobs.c.trial_id.in_(members), read.where(exact, is_member), is_passed)
