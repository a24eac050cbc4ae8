"""Lost jobs, those that failed or diverged: which of them to run again."""

from collections import Counter
from collections.abc import Sequence

from lcma.db import FAILURES, JobFacts, Store
from lcma.harness.results.lookup import find_jobs, find_sweep
from lcma.harness.terminal import user_name
from lcma.harness.text import format_count, printable, short_id
from lcma.harness.watch.jobs import name_failed_job
from lcma.sweeps.errors import UserError, suggest


def choose_lost_jobs(
    store: Store, classes: Sequence[str], sweep: str | None, ids: Sequence[str]
) -> list[JobFacts]:
    """Return the lost jobs that meet all of the given conditions.

    Args:
        store: The database.
        classes: Outcomes of the last attempt, of which a job has one; any if empty.
        sweep: Name or id of the sweep that a job belongs to; any if None.
        ids: First characters of the ids of trials, pretrainings or jobs; any if empty. A trial
            means the segments of the pretraining that its maps need too.

    Raises:
        UserError: A class, the sweep or an id is unknown.
    """
    for name in classes:
        if name not in FAILURES:
            hint = suggest(name, FAILURES, "there are")
            raise UserError(f"no failure class {printable(name)!r}: {hint}")
    chosen: list[set[str]] = []
    if sweep is not None:
        chosen.append(set(store.job_ids(find_sweep(store, sweep).id)))
    if ids:
        chosen.append({job_id for start in ids for job_id in _with_segments(store, start)})
    return [
        job
        for job in store.failures()
        if (not classes or job.outcome in classes) and all(job.job_id in some for some in chosen)
    ]


def take_host_back(store: Store, name: str) -> str:
    """Let launches give a host that is set aside trials again; return the host.

    Args:
        store: The database.
        name: The host as `lcma status` names it, or its name or its address alone.

    Raises:
        UserError: No such host is set aside.
    """
    hosts = sorted({one.host for one in store.hosts_aside()})
    found = [host for host in hosts if name in (host, *host.rstrip(")").split(" ("))]
    if not found:
        hint = suggest(name, hosts, "there are") if hosts else "none is"
        raise UserError(f"no host {printable(name)!r} is set aside: {printable(hint)}")
    if len(found) > 1:
        shown = printable(", ".join(found))
        raise UserError(f"{printable(name)!r} is the name of several hosts: give one of {shown}")
    store.take_host_back(found[0], by=user_name())
    return found[0]


def count_classes(jobs: Sequence[JobFacts]) -> str:
    """Return how many jobs there are of each class, such as '3 jobs (2 oom, 1 timeout)'."""
    by_class = sorted(Counter(job.outcome or "no attempt" for job in jobs).items())
    counts = ", ".join(f"{number} {printable(name)}" for name, number in by_class)
    return f"{format_count(len(jobs), 'job')} ({counts})"


def describe_lost_job(job: JobFacts) -> str:
    """Return a lost job's id, outcome and name, in one line."""
    return f"{short_id(job.job_id)} {job.outcome or 'no attempt'}: {name_failed_job(job)}"


def _with_segments(store: Store, start: str) -> set[str]:
    found = set()
    for job in find_jobs(store, start):
        found.add(job.job_id)
        if job.kind == "trial" and job.pretraining_id is not None and job.budget is not None:
            found |= {
                segment.job_id
                for segment in store.segments(job.pretraining_id, job.data_digest)
                if segment.budget is not None and segment.budget <= job.budget
            }
    return found
