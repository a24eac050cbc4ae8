"""Find and remove files of checkpoints and weights that nobody needs any more.

This is safe beside running workers, since files are listed before the database is read:

- A job that was done stays done.
- An attempt that has ended has committed all its rows, so that no later row names its weights.
- A file that is still being written belongs to a running job, or to a worker that lost its lease.
- Files that a job might go on from are removed only on request, after another check.
"""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal

from lcma.db import Job, State, Store
from lcma.harness import storage
from lcma.harness.storage import File, is_temporary
from lcma.harness.train.checkpoint import sort_checkpoints
from lcma.harness.work.artifacts import (
    Writer,
    find_superfluous_checkpoints,
    first_run_name,
    join_keeps,
    read_keep,
    run_name,
)
from lcma.sweeps.spec import Keep

What = Literal["checkpoints", "snapshots", "lost", "temporary", "unnamed", "named"]
"""The kinds of garbage."""

_RESUMABLE_KINDS = ("lost", "snapshots")
"""The kinds of files that a job may go on from."""

MAX_LISTINGS = 16
"""Folders listed at once, since an object store is slow to list each."""

ENDED_STATES = frozenset[State]({"done", "failed", "diverged"})


@dataclass(frozen=True)
class GarbageFilter:
    """The files that may be removed."""

    sweep_id: str | None = None  # only files of this sweep's jobs
    lost: bool = False  # also checkpoints of jobs that failed or diverged
    weights: bool = False  # also weights that rows name


@dataclass(frozen=True)
class Waste:
    """A file to remove."""

    what: What
    folder: str
    file: File
    owner: Job  # a job of the folder

    @property
    def path(self) -> str:
        """The path that a row would name."""
        return f"{self.folder}/{self.file.name}"


@dataclass(frozen=True)
class Survey:
    """The files to remove."""

    waste: tuple[Waste, ...]  # by folder
    unknown: tuple[File, ...]  # files of runs that the database does not know: they stay


def find_garbage(
    store: Store, runs: Path | str, only: GarbageFilter, listed: Callable[[], None] = lambda: None
) -> Survey:
    """Find the files to remove, and change nothing.

    ``listed`` is called after the files are listed and before the database is read. Raises
    UserError for a place that cannot be read.
    """
    files = _list_folders(runs)
    listed()
    known = _Known.read(store)
    members = None if only.sweep_id is None else set(store.job_ids(only.sweep_id))
    waste: list[Waste] = []
    unknown: list[File] = []
    for folder, inside in files.items():
        owners = known.owners.get(first_run_name(folder) or "", ())
        if not owners:
            unknown += inside
        elif members is None or any(job.id in members for job in owners):
            waste += _find_in_run(store, folder, inside, owners, known, only)
    if any(item.what == "unnamed" for item in waste):
        # An attempt that has ended by now may have named its files after `known` was read.
        paths = _read_paths(store)
        waste = [item for item in waste if item.what != "unnamed" or item.path not in paths]
    return Survey(tuple(waste), tuple(unknown))


def remove_garbage(store: Store, runs: Path | str, survey: Survey) -> list[Waste]:
    """Remove the files of a survey; return the files that were removed.

    Files that a job goes on from by now stay. Raises UserError if the place cannot be written; the
    other files stay then.
    """
    place, removed = storage.open_folder(runs), list[Waste]()
    for name, group in groupby(survey.waste, key=lambda item: item.folder):
        folder, inside = place.subfolder(name), list(group)
        may_resume = any(item.what in _RESUMABLE_KINDS for item in inside)
        if may_resume and not _is_unused(store, inside[0].owner):
            inside = [item for item in inside if item.what not in _RESUMABLE_KINDS]
        if paths := [item.path for item in inside if item.what == "named"]:
            # Before the files, so that the next run finds those that a crash leaves behind.
            store.forget_artifacts(paths)
        for item in inside:
            folder.remove(item.file.name)
            removed.append(item)
    return removed


@dataclass(frozen=True)
class _Known:
    """The contents of the database that concern files."""

    owners: Mapping[str, Sequence[Job]]  # jobs by the folder of their first run, without reruns
    named: frozenset[str]  # paths that rows name
    keeps: Mapping[str, Keep]  # files to keep by job id; empty if every sweep has the default

    @classmethod
    def read(cls, store: Store) -> "_Known":
        owners: dict[str, list[Job]] = {}
        for job in sorted(store.jobs().values(), key=lambda job: job.id):
            owners.setdefault(run_name(job), []).append(job)
        by_sweep = {sweep.id: read_keep(sweep.spec) for sweep in store.sweeps()}
        keeps: dict[str, Keep] = {}
        if any(keep != Keep() for keep in by_sweep.values()):
            for sweep_id, keep in by_sweep.items():
                for job_id in store.job_ids(sweep_id):
                    keeps[job_id] = join_keeps(keeps.get(job_id, keep), keep)
        return cls(owners, frozenset(_read_paths(store)), keeps)

    def keep(self, owners: Iterable[Job]) -> Keep:
        """Return the union of what the sweeps of these jobs keep."""
        return functools.reduce(join_keeps, (self.keeps.get(job.id, Keep()) for job in owners))


def _read_paths(store: Store) -> set[str]:
    """Return the paths of all files that rows name."""
    return {file.path for files in store.artifacts().values() for file in files}


def _list_folders(runs: Path | str) -> dict[str, list[File]]:
    """List the files of each folder of a run."""
    place = storage.open_folder(runs)
    names = [name for name in place.folders() if first_run_name(name)]
    with ThreadPoolExecutor(MAX_LISTINGS) as pool:
        return dict(zip(names, pool.map(lambda n: place.subfolder(n).files(), names), strict=True))


def _find_in_run(
    store: Store,
    folder: str,
    files: Sequence[File],
    owners: Sequence[Job],
    known: _Known,
    only: GarbageFilter,
) -> list[Waste]:
    by_name = {file.name: file for file in files}
    first, states = owners[0], {job.state for job in owners}
    waste: list[tuple[What, str]] = []
    if "running" not in states:
        waste += (("temporary", name) for name in by_name if is_temporary(name))
    checkpoints, keep = sort_checkpoints(by_name), known.keep(owners)
    if states == {"done"}:
        what: What = "checkpoints" if first.kind == "trial" else "snapshots"
        superfluous = find_superfluous_checkpoints(checkpoints, first.kind, keep)
        waste += ((what, checkpoint.name) for checkpoint in superfluous)
    elif only.lost and states <= ENDED_STATES:
        kept = [checkpoint for checkpoint in checkpoints if checkpoint.kept]
        superfluous = [checkpoint for checkpoint in checkpoints if not checkpoint.kept]
        superfluous += find_superfluous_checkpoints(kept, first.kind, keep)
        waste += (("lost", checkpoint.name) for checkpoint in superfluous)
    writers = {name: w for name in by_name if (w := Writer.parse(name)) is not None}
    recorded = {name for name in writers if f"{folder}/{name}" in known.named}
    if writers.keys() - recorded:
        ended = {
            Writer.make(attempt.token, attempt.owner)
            for attempt in store.attempts([job.id for job in owners])
            if attempt.ended is not None
        }
        waste += (("unnamed", n) for n, w in writers.items() if n not in recorded and w in ended)
    if only.weights:
        waste += (("named", name) for name in sorted(recorded))
    return [Waste(what, folder, by_name[name], first) for what, name in waste]


def _is_unused(store: Store, owner: Job) -> bool:
    """Return whether no job goes on from these files, unless it is retried."""
    if owner.pretraining_id is not None:
        jobs = store.job_facts(
            pretraining_ids=[owner.pretraining_id],
            data_digest=owner.data_digest,
            kind="pretraining",
        )
    else:
        jobs = store.job_facts([owner.id])
    return {job.state for job in jobs} <= ENDED_STATES
