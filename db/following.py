"""Work as it goes on: jobs with what they are, their attempts, what waits for what, how fast."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import sqlalchemy as sa

from lcma.db.jobs import chunks
from lcma.db.records import Kind, State, Sweep
from lcma.db.schema import (
    attempts,
    coverage,
    events,
    jobs,
    pretrainings,
    sweep_trials,
    sweeps,
    trials,
)

RECENT = 3600.0
"""Seconds that count as lately."""

SHORTEST = 60.0
"""Seconds from which on a number of trials makes a rate."""

LATEST = 5000
"""Events that are looked at for what happened lately."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFacts:
    """A job as it stands, with what it is. `pretraining_id` is that which it is a segment of, or
    whose maps the trial reads up to `budget`."""

    job_id: str
    kind: Kind
    trial_id: str | None
    pretraining_id: str | None
    data_digest: str
    flow: str
    dataset: str
    factorization: str | None
    budget: int | None
    seed: int
    state: State
    step: int
    steps: int
    token: int
    attempt_id: int | None
    owner: str | None
    host: str | None
    lease_until: float | None
    updated: float

    @property
    def subject(self) -> str:
        """The id of the trial or pretraining that the job works on."""
        return self.trial_id or self.pretraining_id or self.job_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One execution of a job. `log` is None and `seconds` too where it ended without a report;
    `protocol` is that of an evaluation of kept weights. Times are Unix seconds UTC."""

    id: int
    job_id: str
    token: int
    owner: str
    host: str
    device: str
    devices: str | None
    started: float
    ended: float | None
    outcome: str | None
    message: str
    first_step: int
    last_step: int
    seconds: float | None
    lease_seconds: float | None
    protocol: str | None
    log: str | None
    peak_memory: int | None = None
    gpu_seconds: float | None = None

    @property
    def share(self) -> float | None:
        """Of a GPU, that it held; None on a CPU and where it ended without a report."""
        return self.gpu_seconds / self.seconds if self.gpu_seconds and self.seconds else None


@dataclass(frozen=True, slots=True, kw_only=True)
class CellState:
    """What a cell of a sweep has and lacks; the view `coverage` says what each means."""

    flow: str
    dataset: str
    asked: str
    factorization: str
    budget: int | None
    map_options: str | None
    recipe_id: str
    planned: int
    done: int
    running: int
    pending: int
    blocked: int
    diverged: int
    failed: int
    why: str | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A segment that is not done, and how many pending trials read maps at its end."""

    segment: JobFacts
    trials: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Trials done in the last `seconds`, an hour or since work began in it; and training steps
    per second over all attempts that run, each since it started."""

    trials: int
    seconds: float
    steps_per_second: float

    @property
    def trials_per_hour(self) -> float:
        """As if it went on like that."""
        return 3600.0 * self.trials / max(self.seconds, SHORTEST)


@dataclass(frozen=True, slots=True)
class Membership:
    """A sweep that a trial is in, and the factorization's name as it was asked for there."""

    trial_id: str
    sweep: Sweep
    asked: str


def of_sweep(sweep_id: str) -> sa.ColumnElement[bool]:
    """Whether a job is a trial of the sweep, or a segment up to the budgets of its trials."""
    members = sa.select(sweep_trials.c.trial_id).where(sweep_trials.c.sweep_id == sweep_id)
    needed = (
        sa.select(trials.c.pretraining_id, sa.func.max(trials.c.budget).label("budget"))
        .where(trials.c.id.in_(members))
        .group_by(trials.c.pretraining_id)
        .subquery()
    )
    segment = sa.exists().where(
        needed.c.pretraining_id == jobs.c.pretraining_id, needed.c.budget >= jobs.c.budget
    )
    return sa.or_(jobs.c.trial_id.in_(members), segment)


def read_started_so(connection: sa.Connection, start: str) -> list[JobFacts]:
    """Jobs whose own id, or that of their trial or pretraining, starts so."""
    ids = jobs.c.id, jobs.c.trial_id, jobs.c.pretraining_id
    return _read(connection, sa.or_(*(sa.func.substr(i, 1, len(start)) == start for i in ids)))


def read_facts(connection: sa.Connection, ids: Sequence[str]) -> dict[str, JobFacts]:
    """Those of the jobs that exist, by id."""
    found = [
        facts for some in chunks(sorted(ids)) for facts in _read(connection, jobs.c.id.in_(some))
    ]
    return {facts.job_id: facts for facts in found}


def read_segments(
    connection: sa.Connection, pretraining_id: str, data_digest: str
) -> list[JobFacts]:
    """The segments of a pretraining by budget."""
    of = jobs.c.pretraining_id == pretraining_id, jobs.c.data_digest == data_digest
    return _read(connection, sa.and_(*of))


def read_attempts(connection: sa.Connection, job_ids: Sequence[str]) -> list[Attempt]:
    """Attempts at jobs, oldest first."""
    columns = [attempts.c[field.name] for field in fields(Attempt)]
    found = [
        Attempt(**row._mapping)
        for some in chunks(sorted(job_ids))
        for row in connection.execute(sa.select(*columns).where(attempts.c.job_id.in_(some)))
    ]
    return sorted(found, key=lambda attempt: attempt.id)


def read_decisions(connection: sa.Connection, job_ids: Sequence[str]) -> dict[str, str]:
    """What was decided about jobs after their last failure, where that was said and nothing has
    happened to them since."""
    found: dict[str, str] = {}
    for some in chunks(sorted(job_ids)):
        last = (
            sa.select(sa.func.max(events.c.id))
            .where(events.c.job_id.in_(some))
            .group_by(events.c.job_id)
        )
        said = sa.select(events.c.job_id, events.c.detail).where(events.c.id.in_(last))
        found |= {job_id: detail for job_id, detail in connection.execute(said) if detail}
    return found


def read_coverage(connection: sa.Connection, sweep_id: str) -> list[CellState]:
    """The cells of a sweep by data set, flow, factorization and budget."""
    names = [field.name for field in fields(CellState)]
    order = ("dataset", "flow", "asked", "budget", "recipe_id", "map_options", "data_digest")
    rows = connection.execute(
        sa.select(*(coverage.c[name] for name in names))
        .where(coverage.c.sweep_id == sweep_id)
        .order_by(*(coverage.c[name].asc().nulls_first() for name in order))
    )
    return [CellState(**row._mapping) for row in rows]


def read_job_ids(connection: sa.Connection, sweep_id: str) -> list[str]:
    """Jobs of a sweep, its pretrainings' segments too."""
    rows = connection.execute(sa.select(jobs.c.id).where(of_sweep(sweep_id)).order_by(jobs.c.id))
    return list(rows.scalars())


def read_waiting(connection: sa.Connection, sweep_id: str) -> list[Waiting]:
    """Segments that pending trials of a sweep wait for, those with most of them first."""
    segment = jobs.alias("segment")
    members = sa.select(sweep_trials.c.trial_id).where(sweep_trials.c.sweep_id == sweep_id)
    rows = connection.execute(
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
    counted = {row[0]: row[1] for row in rows}
    segments = read_facts(connection, list(counted))
    found = [Waiting(facts, counted[job_id]) for job_id, facts in segments.items()]
    return sorted(found, key=lambda waiting: -waiting.trials)


def read_rates(connection: sa.Connection, sweep_id: str, now: float) -> Rates:
    """How fast a sweep goes."""
    latest = sa.select(events).order_by(events.c.id.desc()).limit(LATEST).subquery()
    happened = connection.execute(
        sa.select(latest.c.time, latest.c.event, jobs.c.kind)
        .join_from(latest, jobs, jobs.c.id == latest.c.job_id)
        .where(latest.c.time > now - RECENT, of_sweep(sweep_id))
    ).all()
    running = connection.execute(
        sa.select(attempts.c.last_step, attempts.c.first_step, attempts.c.started, jobs.c.updated)
        .join_from(jobs, attempts, attempts.c.id == jobs.c.attempt_id)
        .where(jobs.c.state == "running", jobs.c.lease_until > now, of_sweep(sweep_id))
    ).all()
    return Rates(
        trials=sum((event, kind) == ("done", "trial") for _, event, kind in happened),
        seconds=now - min((time for time, _, _ in happened), default=now),
        steps_per_second=sum(
            (last - first) / (updated - started)
            for last, first, started, updated in running
            if updated > started
        ),
    )


def read_memberships(connection: sa.Connection, trial_ids: Sequence[str]) -> list[Membership]:
    """The sweeps that trials are in, oldest first."""
    query = (
        sa.select(sweep_trials.c.trial_id, sweep_trials.c.factorization, sweeps)
        .join_from(sweep_trials, sweeps, sweeps.c.id == sweep_trials.c.sweep_id)
        .order_by(sweeps.c.created, sweeps.c.id, sweep_trials.c.factorization)
    )
    found = []
    for some in chunks(sorted(trial_ids)):
        for row in connection.execute(query.where(sweep_trials.c.trial_id.in_(some))):
            sweep = Sweep(**{field.name: row._mapping[field.name] for field in fields(Sweep)})
            found.append(Membership(row.trial_id, sweep, row.factorization))
    return found


def read_sweeps_with(connection: sa.Connection, job_ids: Sequence[str]) -> dict[str, set[str]]:
    """Which of the jobs each sweep has, oldest sweep first; segments as in `of_sweep`."""
    of_trial = jobs.c.trial_id == sweep_trials.c.trial_id
    segments = sa.and_(
        jobs.c.pretraining_id == trials.c.pretraining_id, jobs.c.budget <= trials.c.budget
    )
    columns = sweeps.c.created, sweep_trials.c.sweep_id, jobs.c.id
    queries = (
        sa.select(*columns).join_from(jobs, sweep_trials, of_trial),
        sa.select(*columns)
        .join_from(jobs, trials, segments)
        .join(sweep_trials, sweep_trials.c.trial_id == trials.c.id),
    )
    found = {
        tuple(row)
        for query in queries
        for some in chunks(sorted(job_ids))
        for row in connection.execute(
            query.join(sweeps, sweeps.c.id == sweep_trials.c.sweep_id)
            .where(jobs.c.id.in_(some))
            .distinct()
        )
    }
    having: dict[str, set[str]] = {}
    for _, sweep_id, job_id in sorted(found):
        having.setdefault(sweep_id, set()).add(job_id)
    return having


def _read(connection: sa.Connection, where: sa.ColumnElement[bool]) -> list[JobFacts]:
    """Jobs that match, pretrainings first, by budget."""
    special: dict[str, sa.ColumnElement[Any]] = {
        "job_id": jobs.c.id,
        "budget": sa.func.coalesce(trials.c.budget, jobs.c.budget),
        "pretraining_id": sa.func.coalesce(trials.c.pretraining_id, jobs.c.pretraining_id),
        "factorization": trials.c.factorization,
        **{
            name: sa.func.coalesce(trials.c[name], pretrainings.c[name])
            for name in ("flow", "dataset", "seed")
        },
    }
    names = [field.name for field in fields(JobFacts)]
    rows = connection.execute(
        sa.select(
            *((special[name] if name in special else jobs.c[name]).label(name) for name in names)
        )
        .outerjoin_from(jobs, trials, trials.c.id == jobs.c.trial_id)
        .outerjoin(pretrainings, pretrainings.c.id == jobs.c.pretraining_id)
        .where(where)
        .order_by(jobs.c.kind, jobs.c.pretraining_id, jobs.c.budget, jobs.c.id)
    )
    return [JobFacts(**row._mapping) for row in rows]
