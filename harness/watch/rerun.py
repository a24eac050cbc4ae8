"""Reruns: which jobs that are done to run anew, and what depends on them."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from lcma.db import JobFacts, Store
from lcma.harness.results.lookup import find_jobs, job_title, require_results
from lcma.harness.text import format_count, printable, short_id
from lcma.harness.watch.commands import render_commands
from lcma.sweeps.errors import UserError


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
    store: Store, starts: Sequence[str], where: Mapping[str, Any], *, with_pretraining: bool
) -> RerunChoice:
    """Return the jobs to run anew that meet all of the given conditions.

    Args:
        store: The database.
        starts: First characters of the ids of trials, pretrainings or jobs; any if empty.
        where: Columns of `trial_results`, each with the values that a result may have.
        with_pretraining: Run the pretrainings of the trials anew too.

    Raises:
        UserError: Nothing is given, an id is unknown, or no result has these values.
    """
    if not (starts or where):
        raise UserError("nothing says what to run anew: give ids of trials, or --where KEY=VALUE")
    found = {job.job_id: job for start in starts for job in find_jobs(store, start)}
    if where:
        require_results(store, None, where, "--where {name}=")
        frame = store.results(**where)
        keys = set(zip(frame.trial_id, frame.data_digest, strict=True))
        jobs = found or _jobs_of_trials(store, [trial_id for trial_id, _ in keys])
        found = {i: job for i, job in jobs.items() if (job.trial_id, job.data_digest) in keys}
    named = {**found, **(_segments(store, found.values()) if with_pretraining else {})}
    segments = _segments(store, [job for job in named.values() if job.kind == "pretraining"])
    every = {**_readers(store, segments.values()), **segments, **named}
    done = [job for job in every.values() if job.state == "done"]
    return RerunChoice(
        named=tuple(job for job in done if job.job_id in named),
        more=tuple(job for job in done if job.job_id not in named),
        undone=tuple(job for job in every.values() if job.state != "done"),
    )


def _jobs_of_trials(store: Store, trial_ids: Collection[str]) -> dict[str, JobFacts]:
    return store.job_facts([one.job_id for one in store.trained_trials(trial_ids)])


def _segments(store: Store, jobs: Iterable[JobFacts]) -> dict[str, JobFacts]:
    """Return all segments of the pretrainings that these jobs belong to, or read maps of."""
    keys = {(one.pretraining_id, one.data_digest) for one in jobs}
    return {
        segment.job_id: segment
        for pretraining_id, digest in sorted((i, d) for i, d in keys if i is not None)
        for segment in store.segments(pretraining_id, digest)
    }


def _readers(store: Store, segments: Iterable[JobFacts]) -> Mapping[str, JobFacts]:
    """Return the jobs of the trials that read maps of these segments' pretrainings."""
    keys = {(one.pretraining_id, one.data_digest) for one in segments}
    if not keys:
        return {}
    wanted = {pretraining_id for pretraining_id, _ in keys}
    users = [one.trial_id for one in store.map_users() if one.pretraining_id in wanted]
    jobs = _jobs_of_trials(store, users)
    return {i: job for i, job in jobs.items() if (job.pretraining_id, job.data_digest) in keys}


def render_reruns(chosen: RerunChoice, commands: Sequence[str], *, dry_run: bool) -> Iterator[Text]:
    """Yield what is put back to pending, or would be in a dry run, and what to type next."""
    if dry_run:
        for job in (*chosen.named, *chosen.more):
            yield Text(printable(f"{short_id(job.job_id)} {job_title(job)}"))
    undone = describe_undone(chosen)
    if undone:
        yield Text(undone)
    if not chosen.ids:
        yield Text("nothing to run anew: no such job is done")
        return
    would = "would be put back to pending" if dry_run else "put back to pending"
    yield Text(f"{describe_choice(chosen)} {would}")
    if not dry_run:
        yield from render_commands(commands)


def describe_choice(chosen: RerunChoice) -> str:
    """Return how many segments and trials there are, and how many of them were not named."""
    jobs = (*chosen.named, *chosen.more)
    segments = sum(job.kind == "pretraining" for job in jobs)
    counts = [
        format_count(number, kind)
        for number, kind in ((segments, "segment"), (len(jobs) - segments, "trial"))
        if number
    ]
    more = f", {len(chosen.more)} more than named, for the maps" if chosen.more else ""
    return f"{format_count(len(jobs), 'job')} ({' and '.join(counts)}{more})"


def describe_undone(chosen: RerunChoice) -> str:
    """Return how many jobs stay as they are since they are not done; '' for none."""
    states = Counter(job.state for job in chosen.undone)
    if not states:
        return ""
    counts = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
    stays = "stays as it is" if len(chosen.undone) == 1 else "stay as they are"
    line = f"{format_count(len(chosen.undone), 'job')} {stays}, not done: {counts}"
    stale = [
        short_id(job.job_id)
        for job in chosen.undone
        if job.kind == "trial" and job.state == "running" and job.pretraining_id is not None
    ]
    if stale and any(job.kind == "pretraining" for job in chosen.named):
        line += f"; with the former maps: lcma rerun {' '.join(stale)} when done"
    return line
