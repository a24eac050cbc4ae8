"""The choice of jobs to rerun that are done or lost, and of the jobs that depend on them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.text import Text

from lcma.db import JobFacts, Kind, Store
from lcma.harness.results.filters import Filters, filter_records
from lcma.harness.results.lookup import find_jobs, job_title, require_results
from lcma.harness.text import format_count, printable, short_id
from lcma.harness.watch.commands import format_command, render_commands
from lcma.harness.watch.jobs import name_failed_job
from lcma.sweeps.errors import UserError


@dataclass(frozen=True)
class RerunChoice:
    """Jobs to rerun, and jobs that would be among them but are not done.

    If a segment of a pretraining is rerun, so are its other segments and all trials that read its
    maps.
    """

    named: tuple[JobFacts, ...]  # by the user
    more: tuple[JobFacts, ...]  # that depend on the named ones
    undone: tuple[JobFacts, ...] = ()

    @property
    def ids(self) -> list[str]:
        """The ids of all jobs to rerun."""
        return [job.job_id for job in (*self.named, *self.more)]


def choose_reruns(
    store: Store, starts: Sequence[str], where: Filters, *, sweep_id: str | None
) -> RerunChoice:
    """Return the jobs with a result that meet all conditions.

    Args:
        store: The database.
        starts: First characters of the ids of trials, pretrainings or jobs; empty for all.
        where: Columns of `results`, each with the values that a result may have.
        sweep_id: Sweep of the results; None for all.

    Raises:
        UserError: There is no condition, an id is unknown, or no result has these values.
    """
    if not (starts or where or sweep_id):
        raise UserError("nothing to rerun is named: give ids of trials, or --sweep NAME")
    named_jobs = {job.job_id: job for start in starts for job in find_jobs(store, start)}
    if where or sweep_id:
        require_results(store, sweep_id, where)
        frame = store.view("results", sweep_id=sweep_id, **where)
        keys = set(zip(frame.trial_id, frame.data_digest, strict=True))
        jobs = named_jobs or _by_id(store.job_facts(trial_ids={trial_id for trial_id, _ in keys}))
        keys |= set(zip(frame.pretraining_id, frame.data_digest, strict=True))
        named_jobs = {i: job for i, job in jobs.items() if (job.subject, job.data_digest) in keys}
    pretrainings = [job for job in named_jobs.values() if job.kind == "pretraining"]
    segments = _read_related(store, pretrainings, "pretraining")
    readers = _read_related(store, segments.values(), "trial")
    jobs = {**readers, **segments, **named_jobs}
    done = [job for job in jobs.values() if job.state == "done"]
    return RerunChoice(
        named=tuple(job for job in done if job.job_id in named_jobs),
        more=tuple(job for job in done if job.job_id not in named_jobs),
        undone=tuple(job for job in jobs.values() if job.state != "done"),
    )


def _by_id(jobs: Iterable[JobFacts]) -> dict[str, JobFacts]:
    return {job.job_id: job for job in jobs}


def _read_related(store: Store, jobs: Iterable[JobFacts], kind: Kind) -> dict[str, JobFacts]:
    """Return the segments, or the trials, of the pretrainings of these jobs, by id."""
    keys = {(i, job.data_digest) for job in jobs if (i := job.pretraining_id) is not None}
    related = store.job_facts(pretraining_ids={i for i, _ in keys}, kind=kind)
    return _by_id(job for job in related if (job.pretraining_id, job.data_digest) in keys)


def render_reruns(
    choice: RerunChoice, commands: Sequence[str], db: str | None, *, failed: bool, dry_run: bool
) -> Iterator[Text]:
    """Yield which jobs are put back to pending, or would be, and the commands to type next."""
    jobs = (*choice.named, *choice.more)
    if dry_run:
        for job in jobs:
            lost = f"{job.outcome or 'no attempt'}: {name_failed_job(job)}"
            yield Text(printable(f"{short_id(job.subject)} {lost if failed else job_title(job)}"))
    undone = describe_undone(choice, db)
    if undone:
        yield Text(undone)
    if not jobs:
        reason = "has failed or diverged" if failed else "is done"
        yield Text(f"nothing to rerun: no such job {reason}")
        return
    verb = "would be put back to pending" if dry_run else "put back to pending"
    yield Text(f"{describe_choice(choice)} {verb}")
    if not dry_run:
        yield from render_commands(commands)


def describe_choice(choice: RerunChoice) -> str:
    """Return how many jobs there are of each kind or failure, and how many were not named."""
    jobs = (*choice.named, *choice.more)
    kinds = Counter("segment" if job.kind == "pretraining" else "trial" for job in jobs)
    counts = " and ".join(format_count(kinds[kind], kind) for kind in sorted(kinds))
    if any(job.state != "done" for job in jobs):
        outcomes = sorted(Counter(job.outcome or "no attempt" for job in jobs).items())
        counts = ", ".join(f"{number} {printable(name)}" for name, number in outcomes)
    more = f", {len(choice.more)} more than named, for the maps" if choice.more else ""
    return f"{format_count(len(jobs), 'job')} ({counts}{more})"


def describe_undone(choice: RerunChoice, db: str | None) -> str:
    """Return how many jobs are left unchanged since they are not done; '' for none.

    The command in it has the value ``db`` of --db.
    """
    states = Counter(job.state for job in choice.undone)
    if not states:
        return ""
    counts = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
    stay = "is not done and stays as it is"
    if len(choice.undone) > 1:
        stay = "are not done and stay as they are"
    line = f"{format_count(len(choice.undone), 'job')} {stay}: {counts}"
    stale = [
        short_id(job.subject)
        for job in choice.undone
        if job.kind == "trial" and job.state == "running" and job.pretraining_id is not None
    ]
    if stale and any(job.kind == "pretraining" for job in choice.named):
        line += f"; with the former maps: {format_command('rerun', *stale, db=db)} when done"
    return line


def choose_lost_jobs(
    store: Store,
    ids: Sequence[str],
    filters: Filters,
    *,
    sweep_id: str | None,
) -> RerunChoice:
    """Return the jobs that failed or diverged and meet all conditions.

    Args:
        store: The database.
        ids: First characters of the ids of trials, pretrainings or jobs; empty for all. A trial
            also selects the segments of the pretraining that its maps need.
        filters: Columns of `results`, each with the values that a job may have.
        sweep_id: Sweep of the jobs; None for all.

    Raises:
        UserError: An id is unknown, or no such job has these values.
    """
    lost = store.job_facts(sweep_id=sweep_id, states=("diverged", "failed"), order="updated")
    jobs = filter_records(lost, filters, "failed jobs")
    if ids:
        named_ids = {job_id for start in ids for job_id in _find_with_segments(store, start)}
        jobs = [job for job in jobs if job.job_id in named_ids]
    return RerunChoice(tuple(jobs), ())


def _find_with_segments(store: Store, start: str) -> set[str]:
    """Return the ids of the jobs with that beginning and of the segments that they need."""
    ids = set()
    for job in find_jobs(store, start):
        ids.add(job.job_id)
        if job.kind == "trial" and job.pretraining_id is not None and job.budget is not None:
            ids |= {
                segment.job_id
                for segment in _read_related(store, [job], "pretraining").values()
                if segment.budget is not None and segment.budget <= job.budget
            }
    return ids
