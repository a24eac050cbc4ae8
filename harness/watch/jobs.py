"""Names, leases and progress of jobs, as the commands about running jobs print them."""

import re
from collections.abc import Sequence
from typing import Any

from lcma.db import JobFacts, Rerun, Store, leases
from lcma.harness.results.lookup import find_jobs, job_title
from lcma.harness.text import format_duration, format_time, printable, short_id
from lcma.harness.work.log import EVALUATING, MAPPING, SAMPLING
from lcma.sweeps.errors import UserError

_EXPERIMENT = ("flow", "dataset", "factorization", "budget", "seed")

JOB_FIELDS = (
    *("job_id", "kind", "trial_id", "pretraining_id", "data_digest", *_EXPERIMENT, "state", "step"),
    *("steps", "token", "attempt_id", "owner", "host", "lease_until", "updated"),
)
RUNNING_FIELDS = (
    *("job_id", "kind", *_EXPERIMENT, "step", "steps", "owner", "host", "lease_until", "stack_id"),
    "message",
)
LOST_FIELDS = (
    *("job_id", "kind", "state", *_EXPERIMENT, "step", "steps", "outcome", "message", "host"),
    "decision",
)
"""The JSON of any job, of a running one, and of one that failed or diverged."""

# The end of a log, with what a job does after its last step.
_STAGE = re.compile(rf": ((?:{EVALUATING}|{MAPPING}|{SAMPLING})(?:, \d+ of \d+ images)?)$")


def find_named_jobs(store: Store, start: str | None) -> tuple[list[JobFacts], str]:
    """Return the jobs that `find_jobs` finds, or the one of the trial that changed last.

    The second value is a note that names this trial; '' if ``start`` is given. Raises UserError as
    `find_jobs` does, and if there is no trial.
    """
    if start is not None:
        return find_jobs(store, start), ""
    latest = store.job_facts(kind="trial", limit=1)
    if not latest:
        raise UserError("the database has no trial: launch a sweep, such as `lcma launch demo`")
    (job,) = latest
    return [job], f"the trial that changed last, {short_id(job.subject)}: {job_title(job)}"


def job_as_dict(job: JobFacts, names: Sequence[str] = JOB_FIELDS) -> dict[str, Any]:
    """Return the named facts of a job as JSON values."""
    return {name: getattr(job, name) for name in names}


# In these functions `now` is Unix seconds by the database's clock.


def lease_seconds_left(job: JobFacts, now: float) -> float:
    """Return how long the lease of a job still holds, below 0 if it is over; 0 without a lease."""
    return 0.0 if job.lease_until is None else job.lease_until - now


def lease_is_over(job: JobFacts, now: float) -> bool:
    """Return whether a job has a lease that has ended."""
    return job.lease_until is not None and not leases.is_held(job.lease_until, now)


def lease_is_ahead(job: JobFacts, now: float) -> bool:
    """Return whether a clock that is ahead of the database's wrote the lease of a job."""
    until = job.lease_until
    return until is not None and not leases.is_credible(until, job.updated, now)


def name_experiment(job: JobFacts) -> str:
    """Return flow and data set of a job, and its factorization or else its kind."""
    return f"{job.flow} {job.dataset} {job.factorization_or_kind}"


def name_failed_job(job: JobFacts) -> str:
    """Return flow, data set, factorization, budget and seed."""
    budget = "" if job.budget is None else f" budget {job.budget}"
    return f"{name_experiment(job)}{budget} seed {job.seed}"


def describe_step(job: JobFacts) -> str:
    """Return the step of a running job; after the last one, what its log says that it does."""
    if job.step < job.steps:
        return f"step {job.step}/{job.steps}"
    stage = _STAGE.search(job.log_end or "")
    return stage[1] if stage else EVALUATING if job.kind == "trial" else MAPPING


def describe_progress(job: JobFacts, now: float) -> str:
    """Return step, host and lease of a running job in one line."""
    seconds_left = lease_seconds_left(job, now)
    if lease_is_over(job, now):
        lease = f"lease over since {format_duration(-seconds_left)}"
    elif job.lease_until is not None and lease_is_ahead(job, now):
        seconds = format_duration(job.lease_until - job.updated)
        lease = f"lease by a clock that is ahead: taken over if not renewed for {seconds}"
    else:
        lease = f"lease {format_duration(seconds_left)} left"
    return printable(f"{describe_step(job)}{format_host(job.host)}, {lease}")


def format_host(host: str | None) -> str:
    """Return ' on HOST'; '' if the host is unknown, as in a published database."""
    return f" on {host}" if host else ""


def describe_rerun(rerun: Rerun) -> str:
    """Return who asked for a rerun and why, and which result stays, in one line."""
    ended = rerun.state in ("failed", "diverged")
    state = "rerun" if ended or rerun.state == "running" else "to be rerun"
    reason = f" ({rerun.why})" if rerun.why else ""
    date, until = format_time(rerun.made), "" if ended else " until then"
    stays = f"its result of {date} stays" if rerun.kind == "trial" else f"its maps of {date} stay"
    return printable(f"{state}, asked for by {rerun.by or 'somebody'}{reason}; {stays}{until}")
