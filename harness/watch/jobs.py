"""Names, leases and progress of jobs, as every command about running jobs prints them."""

import re
from collections.abc import Sequence
from typing import Any

from lcma.db import JobFacts, Rerun, Store, leases
from lcma.harness.results.lookup import find_jobs, job_title
from lcma.harness.text import format_duration, format_time, printable, short_id
from lcma.harness.work.log import EVALUATING, MAPPING, SAMPLING
from lcma.sweeps.errors import UserError

_WHAT = ("flow", "dataset", "factorization", "budget", "seed")

JOB = (
    *("job_id", "kind", "trial_id", "pretraining_id", "data_digest", *_WHAT, "state", "step"),
    *("steps", "token", "attempt_id", "owner", "host", "lease_until", "updated"),
)
RUNNING = (
    *("job_id", "kind", *_WHAT, "step", "steps", "owner", "host", "lease_until", "stack_id"),
    "message",
)
LOST = (
    *("job_id", "kind", "state", *_WHAT, "step", "steps", "outcome", "message", "host"),
    "decision",
)
"""What programs get of any job, of one that runs, and of one that failed or diverged."""


_SINCE = re.compile(rf": ((?:{EVALUATING}|{MAPPING}|{SAMPLING})(?:, \d+ of \d+ images)?)$")


def find_named_jobs(store: Store, start: str | None) -> tuple[list[JobFacts], str]:
    """Return the jobs that `find_jobs` finds, or those of the trial that changed last.

    With them a line that says which trial that is; '' where one was named. Raises UserError as
    `find_jobs` does, and where there is no trial yet.
    """
    if start is not None:
        return find_jobs(store, start), ""
    latest = store.job_facts(kind="trial", limit=1)
    if not latest:
        raise UserError("there is no trial yet: launch a sweep with `lcma launch demo`")
    (job,) = latest
    return [job], f"the trial that changed last, {short_id(job.subject)}: {job_title(job)}"


def job_as_dict(job: JobFacts, names: Sequence[str] = JOB) -> dict[str, Any]:
    """Return some facts of a job as JSON values."""
    return {name: getattr(job, name) for name in names}


def lease_left(job: JobFacts, now: float) -> float:
    """Return the seconds that the lease of a job still holds, below 0 if it is over; 0 without one.

    ``now`` is the database's clock.
    """
    return 0.0 if job.lease_until is None else leases.seconds_left(job.lease_until, now)


def lease_is_over(job: JobFacts, now: float) -> bool:
    """Return whether a job has a lease that has ended. ``now`` is the database's clock."""
    return job.lease_until is not None and leases.is_over(job.lease_until, now)


def lease_is_ahead(job: JobFacts, now: float) -> bool:
    """Return whether a job has a lease that was written by a clock that is ahead."""
    until = job.lease_until
    return until is not None and not leases.is_credible(until, job.updated, now)


def name_experiment(job: JobFacts) -> str:
    """Return flow, data set, and factorization, or the kind of a job that has none."""
    return f"{job.flow} {job.dataset} {job.factorization_or_kind}"


def name_failed_job(job: JobFacts) -> str:
    """Return flow, data set, factorization, budget and seed."""
    budget = "" if job.budget is None else f" budget {job.budget}"
    return f"{name_experiment(job)}{budget} seed {job.seed}"


def describe_step(job: JobFacts) -> str:
    """Return the step of a running job, or what it does since all are made, as its log says."""
    if job.step < job.steps:
        return f"step {job.step}/{job.steps}"
    found = _SINCE.search(job.log_end or "")
    return found[1] if found else EVALUATING if job.kind == "trial" else MAPPING


def describe_progress(job: JobFacts, now: float) -> str:
    """Return step, host and lease of a running job, in one line."""
    left = lease_left(job, now)
    if lease_is_over(job, now):
        lease = f"lease over since {format_duration(-left)}"
    elif job.lease_until is not None and lease_is_ahead(job, now):
        seconds = format_duration(job.lease_until - job.updated)
        lease = f"lease by a clock that is ahead: taken over once it stands still for {seconds}"
    else:
        lease = f"lease {format_duration(left)} left"
    return printable(f"{describe_step(job)}{on_host(job.host)}, {lease}")


def on_host(host: str | None) -> str:
    """Return ' on HOST'; '' where it is not known, as in a published database."""
    return f" on {host}" if host else ""


def describe_rerun(rerun: Rerun) -> str:
    """Return how far a rerun is, who asked for it and why, and what stays meanwhile, in a line."""
    ended = rerun.state in ("failed", "diverged")
    state = "run anew" if ended or rerun.state == "running" else "to be run anew"
    why = f" ({rerun.why})" if rerun.why else ""
    made, until = format_time(rerun.made), "" if ended else " until then"
    stays = f"its result of {made} stays" if rerun.kind == "trial" else f"its maps of {made} stay"
    return printable(f"{state}, asked for by {rerun.by or 'somebody'}{why}; {stays}{until}")
