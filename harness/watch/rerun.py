"""Which jobs to run anew that are done, failed or diverged, and what depends on them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.text import Text

from lcma.db import FAILURES, JobFacts, Kind, Store
from lcma.harness.results.filters import Filters, filter_records
from lcma.harness.results.lookup import find_jobs, job_title, require_results
from lcma.harness.text import format_count, printable, short_id
from lcma.harness.watch.commands import render_commands
from lcma.harness.watch.jobs import name_failed_job
from lcma.sweeps.errors import UserError, suggest


@dataclass(frozen=True)
class RerunChoice:
    """Jobs to run anew: those that were ``named``, and ``more`` that depend on them.

    A pretraining of which a segment is run anew is so with all of its segments, and with all trials
    that read its maps.
    ``undone`` are jobs that would be among them and are not done.
    """

    named: tuple[JobFacts, ...]
    more: tuple[JobFacts, ...]
    undone: tuple[JobFacts, ...]

    @property
    def ids(self) -> list[str]:
        """The ids of all that is run anew."""
        return [job.job_id for job in (*self.named, *self.more)]


def choose_reruns(
    store: Store, starts: Sequence[str], where: Filters, *, sweep_id: str | None
) -> RerunChoice:
    """Return the jobs with a result that meet all of the given conditions.

    Args:
        store: The database.
        starts: First characters of the ids of trials, pretrainings or jobs; any if empty.
        where: Columns of `results`, each with the values that a result may have.
        sweep_id: The sweep whose results count; any if None.

    Raises:
        UserError: Nothing is given, an id is unknown, or no result has these values.
    """
    if not (starts or where or sweep_id):
        raise UserError("nothing says what to run anew: give ids of trials, or --sweep NAME")
    named = {job.job_id: job for start in starts for job in find_jobs(store, start)}
    if where or sweep_id:
        require_results(store, sweep_id, where)
        frame = store.view("results", sweep_id=sweep_id, **where)
        keys = set(zip(frame.trial_id, frame.data_digest, strict=True))
        jobs = named or _by_id(store.job_facts(trial_ids={trial_id for trial_id, _ in keys}))
        named = {i: job for i, job in jobs.items() if (job.trial_id, job.data_digest) in keys}
    segments = _segments(store, [job for job in named.values() if job.kind == "pretraining"])
    every = {**_readers(store, segments.values()), **segments, **named}
    done = [job for job in every.values() if job.state == "done"]
    return RerunChoice(
        named=tuple(job for job in done if job.job_id in named),
        more=tuple(job for job in done if job.job_id not in named),
        undone=tuple(job for job in every.values() if job.state != "done"),
    )


def _by_id(jobs: Iterable[JobFacts]) -> dict[str, JobFacts]:
    return {one.job_id: one for one in jobs}


def _segments(store: Store, jobs: Iterable[JobFacts]) -> dict[str, JobFacts]:
    """Return all segments of the pretrainings that these jobs belong to, or read maps of."""
    return _read_alike(store, jobs, "pretraining")


def _readers(store: Store, segments: Iterable[JobFacts]) -> Mapping[str, JobFacts]:
    """Return the jobs of the trials that read maps of these segments' pretrainings."""
    return _read_alike(store, segments, "trial")


def _read_alike(store: Store, jobs: Iterable[JobFacts], kind: Kind) -> dict[str, JobFacts]:
    keys = {(i, one.data_digest) for one in jobs if (i := one.pretraining_id) is not None}
    found = store.job_facts(pretraining_ids={i for i, _ in keys}, kind=kind)
    return _by_id(one for one in found if (one.pretraining_id, one.data_digest) in keys)


def render_reruns(
    chosen: RerunChoice, commands: Sequence[str], *, failed: bool, dry_run: bool
) -> Iterator[Text]:
    """Yield what is put back to pending, or would be in a dry run, and what to type next."""
    jobs = (*chosen.named, *chosen.more)
    if dry_run:
        for job in jobs:
            lost = f"{job.outcome or 'no attempt'}: {name_failed_job(job)}"
            yield Text(printable(f"{short_id(job.subject)} {lost if failed else job_title(job)}"))
    undone = describe_undone(chosen)
    if undone:
        yield Text(undone)
    if not jobs:
        lost = "again: no such job has failed or diverged"
        yield Text(f"nothing to run {lost if failed else 'anew: no such job is done'}")
        return
    would = "would be put back to pending" if dry_run else "put back to pending"
    yield Text(f"{describe_choice(chosen)} {would}")
    if not dry_run:
        yield from render_commands(commands)


def describe_choice(chosen: RerunChoice) -> str:
    """Return how many jobs there are of each kind or failure, and how many were not named."""
    jobs = (*chosen.named, *chosen.more)
    kinds = Counter("segment" if one.kind == "pretraining" else "trial" for one in jobs)
    counts = " and ".join(format_count(kinds[kind], kind) for kind in sorted(kinds))
    if any(one.state != "done" for one in jobs):
        outcomes = sorted(Counter(one.outcome or "no attempt" for one in jobs).items())
        counts = ", ".join(f"{number} {printable(name)}" for name, number in outcomes)
    more = f", {len(chosen.more)} more than named, for the maps" if chosen.more else ""
    return f"{format_count(len(jobs), 'job')} ({counts}{more})"


def describe_undone(chosen: RerunChoice) -> str:
    """Return how many jobs stay as they are since they are not done; '' for none."""
    states = Counter(job.state for job in chosen.undone)
    if not states:
        return ""
    counts = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
    stays = "stays as it is" if len(chosen.undone) == 1 else "stay as they are"
    line = f"{format_count(len(chosen.undone), 'job')} {stays}, not done: {counts}"
    stale = [
        short_id(job.subject)
        for job in chosen.undone
        if job.kind == "trial" and job.state == "running" and job.pretraining_id is not None
    ]
    if stale and any(job.kind == "pretraining" for job in chosen.named):
        line += f"; with the former maps: lcma rerun {' '.join(stale)} when done"
    return line


# Jobs that failed or diverged, and hosts


def choose_lost_jobs(
    store: Store,
    ids: Sequence[str],
    filters: Filters,
    *,
    sweep_id: str | None,
    classes: Sequence[str],
) -> RerunChoice:
    """Return the jobs that failed or diverged and meet all of the given conditions.

    Args:
        store: The database.
        ids: First characters of the ids of trials, pretrainings or jobs; any if empty. A trial
            means the segments of the pretraining that its maps need too.
        filters: Columns of `results`, each with the values that a job may have.
        sweep_id: The sweep that a job belongs to; any if None.
        classes: Outcomes of the last attempt, of which a job has one; any if empty.

    Raises:
        UserError: A class or an id is unknown, or no such job has these values.
    """
    for name in classes:
        if name not in FAILURES:
            hint = suggest(name, FAILURES, "there are")
            raise UserError(f"no failure class {printable(name)!r}: {hint}")
    chosen: list[set[str]] = []
    if sweep_id is not None:
        chosen.append(set(store.job_ids(sweep_id)))
    if ids:
        chosen.append({job_id for start in ids for job_id in _with_segments(store, start)})
    lost = store.job_facts(states=("diverged", "failed"), order="updated")
    named = (
        job
        for job in filter_records(lost, filters, "failed jobs")
        if (not classes or job.outcome in classes) and all(job.job_id in some for some in chosen)
    )
    return RerunChoice(tuple(named), (), ())


def _with_segments(store: Store, start: str) -> set[str]:
    found = set()
    for job in find_jobs(store, start):
        found.add(job.job_id)
        if job.kind == "trial" and job.pretraining_id is not None and job.budget is not None:
            found |= {
                segment.job_id
                for segment in _segments(store, [job]).values()
                if segment.budget is not None and segment.budget <= job.budget
            }
    return found
