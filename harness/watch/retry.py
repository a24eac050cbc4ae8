"""Which of the jobs that were lost are to be run again."""

from collections import Counter
from collections.abc import Sequence

from lcma.db import FAILURES, Failure, Store
from lcma.harness.results.lookup import find_jobs, find_sweep
from lcma.harness.text import printable, short_id
from lcma.sweeps.errors import UserError

CLASSES = FAILURES
"""The outcomes of an attempt after which nobody takes the job by itself."""


def choose_lost_jobs(
    store: Store, classes: Sequence[str], sweep: str | None, starts: Sequence[str]
) -> list[Failure]:
    """The lost jobs of these classes, of the sweep, and of these trials and what they wait for;
    all where nothing is said. Raises UserError for an unknown class, sweep or id."""
    for name in classes:
        if name not in CLASSES:
            raise UserError(f"no failure class {printable(name)!r}: there are {', '.join(CLASSES)}")
    wanted: list[set[str]] = []
    if sweep is not None:
        wanted.append(set(store.job_ids(find_sweep(store, sweep).id)))
    if starts:
        wanted.append({job_id for start in starts for job_id in _with_segments(store, start)})
    return [
        one
        for one in store.failures()
        if (not classes or one.outcome in classes) and all(one.job_id in ids for ids in wanted)
    ]


def describe_classes(found: Sequence[Failure]) -> str:
    """How many jobs of each class, in words."""
    by_class = Counter(one.outcome or "no attempt" for one in found)
    jobs = f"{len(found)} job{'s' * (len(found) != 1)}"
    return f"{jobs} ({', '.join(f'{n} {printable(name)}' for name, n in sorted(by_class.items()))})"


def describe_failure(one: Failure) -> str:
    """A job with how it was lost."""
    what = f"{one.flow} {one.dataset} {one.factorization or one.kind}"
    at = "" if one.budget is None else f" budget {one.budget}"
    return f"{short_id(one.job_id)} {one.outcome or 'no attempt'}: {what}{at} seed {one.seed}"


def _with_segments(store: Store, start: str) -> set[str]:
    """The jobs that a person named, with the segments that the maps of a trial need."""
    found = set()
    for job in find_jobs(store, start):
        found.add(job.job_id)
        if job.kind == "trial" and job.pretraining_id is not None and job.budget is not None:
            found |= {
                one.job_id
                for one in store.segments(job.pretraining_id, job.data_digest)
                if one.budget is not None and one.budget <= job.budget
            }
    return found
