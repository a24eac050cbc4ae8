"""Find and remove the files of checkpoints and weights that nobody needs any more.

It is safe beside running workers, since files are listed first and the database is read then:

- A job that was done stays done.
- An attempt that has ended by then has committed all that it ever will, so a file of weights that
  no row names is never named later.
- A file that is still being written belongs to a job that runs, or to a worker that lost its lease.
- Files that a job might go on from are removed on request only, and are checked again right before.
"""

import functools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from lcma.db import Job, State, Store
from lcma.harness import storage
from lcma.harness.results.lookup import find_sweep, parse_object
from lcma.harness.storage import File, is_temporary
from lcma.harness.train.checkpoint import sort_checkpoints
from lcma.harness.work.artifacts import (
    Writer,
    find_superfluous_checkpoints,
    first_run_name,
    run_name,
)
from lcma.harness.work.units import PROBE_FOLDER
from lcma.sweeps.spec import Keep

What = Literal["checkpoints", "snapshots", "lost", "temporary", "unnamed", "named"]
"""The kinds of garbage."""

_ON_RECORD = ("named", "snapshots", "lost")
"""The kinds of files that rows of the database may name."""

LISTING = 16
"""Folders listed at once, since an object store takes its time for each."""

PROBE_SECONDS = 3600.0
"""Age at which a launch's test file in the place was left by a launch that was killed."""

DAY = 86400.0

ENDED = frozenset[State]({"done", "failed", "diverged"})


@dataclass(frozen=True)
class GarbageFilter:
    """The files that may be removed."""

    sweep: str | None = None
    """Only files of this sweep's jobs."""

    older: float | None = None
    """Only files older than so many days."""

    lost: bool = False
    """Also checkpoints of jobs that failed or diverged."""

    weights: bool = False
    """Also weights that rows name."""


@dataclass(frozen=True)
class Waste:
    """A file to remove, its kind, the name of its folder, and a job to which the folder belongs."""

    what: What
    folder: str
    file: File
    owner: Job | None

    @property
    def path(self) -> str:
        """The path that a row would name."""
        return f"{self.folder}/{self.file.name}"


@dataclass(frozen=True)
class Survey:
    """The files to remove, by folder, and the files of runs that the database does not know."""

    waste: tuple[Waste, ...]
    unknown: tuple[File, ...]


def find_garbage(
    store: Store, runs: Path | str, only: GarbageFilter, listed: Callable[[], None] = lambda: None
) -> Survey:
    """Find the files to remove, and change nothing.

    ``listed`` is called once the files are listed, before the database is read. Raises UserError
    for an unknown sweep, and for a place that cannot be read.
    """
    sweep = None if only.sweep is None else find_sweep(store, only.sweep).id
    files = _list_folders(runs)
    listed()
    known = _Known.read(store)
    members = None if sweep is None else set(store.job_ids(sweep))
    waste: list[Waste] = []
    unknown: list[File] = []
    for folder, there in files.items():
        first_run = first_run_name(folder)
        owners = known.owners.get(first_run or "", ())
        if first_run is None:
            waste += () if sweep else _find_probes(folder, there)
        elif not owners:
            unknown += there
        elif members is None or any(one.id in members for one in owners):
            waste += _find_in_run(store, folder, there, owners, known, only)
    if any(one.what == "unnamed" for one in waste):
        # What an attempt names it may have named after `known` was read and before it had ended.
        named = _read_paths(store)
        waste = [one for one in waste if one.what != "unnamed" or one.path not in named]
    before = None if only.older is None else time.time() - only.older * DAY
    return Survey(tuple(one for one in waste if _is_older(one.file, before)), tuple(unknown))


def remove_garbage(store: Store, runs: Path | str, found: Survey) -> list[Waste]:
    """Remove what was found, and return what was removed.

    Files that a job goes on from by now stay. Raises UserError, with the rest left as it is, if the
    place cannot be written.
    """
    place, removed = storage.open_folder(runs), list[Waste]()
    for name, group in groupby(found.waste, key=lambda one: one.folder):
        folder, inside = place.subfolder(name), list(group)
        may_go_on = any(one.what in ("lost", "snapshots") for one in inside)
        still = not may_go_on or _is_unused(store, inside[0].owner)
        go = [one for one in inside if still or one.what not in ("lost", "snapshots")]
        paths = [one.path for one in go if one.what in _ON_RECORD]
        if paths:
            # First, so that the next run finds files that a crash after this leaves.
            store.forget_artifacts(paths)
        for one in go:
            folder.remove(one.file.name)
            removed.append(one)
        if first_run_name(name) is None:
            folder.remove_if_empty()
    return removed


@dataclass(frozen=True)
class _Known:
    """The contents of the database that concern files."""

    owners: Mapping[str, Sequence[Job]]
    """Jobs by the folder of their first run; reruns have others beside it."""

    named: frozenset[str]
    """Paths that rows name."""

    keeps: Mapping[str, Keep]
    """The files to keep, by job id; empty if every sweep has the default."""

    @classmethod
    def read(cls, store: Store) -> "_Known":
        owners: dict[str, list[Job]] = {}
        for one in sorted(store.jobs().values(), key=lambda job: job.id):
            owners.setdefault(run_name(one), []).append(one)
        by_sweep = {sweep.id: _read_keep(sweep.spec) for sweep in store.sweeps()}
        keeps: dict[str, Keep] = {}
        if any(keep != Keep() for keep in by_sweep.values()):
            for sweep_id, keep in by_sweep.items():
                for job_id in store.job_ids(sweep_id):
                    keeps[job_id] = _union(keeps.get(job_id, keep), keep)
        return cls(owners, frozenset(_read_paths(store)), keeps)

    def keep(self, owners: Iterable[Job]) -> Keep:
        """Return the most that any sweep of these jobs keeps."""
        found = [self.keeps.get(one.id, Keep()) for one in owners]
        return functools.reduce(_union, found)


def _read_paths(store: Store) -> set[str]:
    """Return the paths of all files that jobs left."""
    return {one.path for some in store.artifacts().values() for one in some}


def _list_folders(runs: Path | str) -> dict[str, list[File]]:
    """List the files of each folder of a run, or of a launch's test of the place."""
    place = storage.open_folder(runs)
    names = [n for n in place.folders() if first_run_name(n) or n.startswith(PROBE_FOLDER)]
    with ThreadPoolExecutor(LISTING) as pool:
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
    first, states = owners[0], {one.state for one in owners}
    found: list[tuple[What, str]] = []
    if "running" not in states:
        found += (("temporary", name) for name in by_name if is_temporary(name))
    there = sort_checkpoints(by_name)
    keep = known.keep(owners)
    if states == {"done"}:
        what: What = "checkpoints" if first.kind == "trial" else "snapshots"
        found += ((what, one.name) for one in find_superfluous_checkpoints(there, first.kind, keep))
    elif only.lost and states <= ENDED:
        kept = [one for one in there if one.kept]
        go = [one for one in there if not one.kept] + find_superfluous_checkpoints(
            kept, first.kind, keep
        )
        found += (("lost", one.name) for one in go)
    writers = {name: w for name in by_name if (w := Writer.named_by(name)) is not None}
    named = {name for name in writers if f"{folder}/{name}" in known.named}
    if writers.keys() - named:
        ended = {
            Writer.of(attempt.token, attempt.owner)
            for attempt in store.attempts([one.id for one in owners])
            if attempt.ended is not None
        }
        found += (("unnamed", n) for n, w in writers.items() if n not in named and w in ended)
    if only.weights:
        found += (("named", name) for name in sorted(named))
    return [Waste(what, folder, by_name[name], first) for what, name in found]


def _find_probes(folder: str, files: Sequence[File]) -> list[Waste]:
    before = time.time() - PROBE_SECONDS
    return [Waste("temporary", folder, file, None) for file in files if _is_older(file, before)]


def _is_older(file: File, before: float | None) -> bool:
    return before is None or (file.modified is not None and file.modified < before)


def _is_unused(store: Store, owner: Job | None) -> bool:
    """Return whether no job goes on from these files, unless it is retried."""
    if owner is None:
        return True
    if owner.pretraining_id is not None:
        found = store.job_facts(
            pretraining_ids=[owner.pretraining_id],
            data_digest=owner.data_digest,
            kind="pretraining",
        )
    else:
        found = store.job_facts([owner.id])
    return {one.state for one in found} <= ENDED


def _read_keep(spec: str) -> Keep:
    """Read which files a stored sweep keeps; the default if its spec is of another version."""
    try:
        return Keep.model_validate(parse_object(spec).get("keep", {}))
    except ValidationError:
        return Keep()


def _union(one: Keep, other: Keep) -> Keep:
    snapshots = ("none", "longest", "all")
    return Keep(
        checkpoints="last" if "last" in (one.checkpoints, other.checkpoints) else "none",
        weights=one.weights or other.weights,
        snapshots=max(one.snapshots, other.snapshots, key=snapshots.index),
    )
