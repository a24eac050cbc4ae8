"""Which files in the place of checkpoints and weights nobody needs any more, and their removal.

It is safe beside running workers, since files are listed first and the database is read then. A job
that was done stays done. An attempt that has ended by then has told the database all that it will
ever tell, so a file of weights that no row names is never named later. A file that is still being
written belongs to a job that runs, or to a worker that was given up. What a job might go on from is
removed only where that is asked, and is looked at again right before.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from lcma.db import Owner, State, Store
from lcma.harness import storage
from lcma.harness.results.lookup import find_sweep, parse_object
from lcma.harness.run.artifacts import Writer, is_run, run_name, superfluous_checkpoints
from lcma.harness.run.preflight import FOLDER
from lcma.harness.storage import File, is_temporary
from lcma.harness.train.checkpoint import sort_checkpoints
from lcma.sweeps.spec import Keep

What = Literal["checkpoints", "snapshots", "lost", "temporary", "unnamed", "named"]

_ON_RECORD = ("named", "snapshots", "lost")
"""What rows may name."""

LISTING = 16
"""Folders listed at once: an object store takes its time for each."""

PROBE_SECONDS = 3600.0
"""After these, what a launch wrote to try the place was left by one that was killed."""

DAY = 86400.0

ENDED = frozenset[State]({"done", "failed", "diverged"})


@dataclass(frozen=True)
class Asked:
    """What may go: of one sweep's jobs or of all, older than some days; and only if asked the
    checkpoints of jobs that were ``lost``, failed or diverged, and ``weights`` that rows name."""

    sweep: str | None = None
    older: float | None = None
    lost: bool = False
    weights: bool = False


@dataclass(frozen=True)
class Waste:
    """A file that may go, the name of the folder that it is in, and a job of that folder's."""

    what: What
    folder: str
    file: File
    owner: Owner | None


@dataclass(frozen=True)
class Survey:
    """What may go, folder by folder; and files of runs that the database does not know."""

    waste: tuple[Waste, ...]
    unknown: tuple[File, ...]


def find_garbage(
    store: Store, runs: Path | str, asked: Asked, listed: Callable[[], None] = lambda: None
) -> Survey:
    """Look for what may go, and change nothing. ``listed`` is called once the files are listed,
    before the database is read.

    Raises UserError for an unknown sweep, and for a place that cannot be read.
    """
    sweep = None if asked.sweep is None else find_sweep(store, asked.sweep).id
    files = _list(runs)
    listed()
    known = _Known.read(store)
    only = None if sweep is None else set(store.job_ids(sweep))
    waste: list[Waste] = []
    unknown: list[File] = []
    for folder, there in files.items():
        owners = known.owners.get(folder, ())
        if not is_run(folder):
            waste += () if sweep else _probes(folder, there)
        elif not owners:
            unknown += there
        elif only is None or any(one.job_id in only for one in owners):
            waste += _of_run(store, folder, there, owners, known, asked)
    before = None if asked.older is None else time.time() - asked.older * DAY
    return Survey(tuple(one for one in waste if _is_older(one.file, before)), tuple(unknown))


def remove_garbage(store: Store, runs: Path | str, found: Survey) -> list[Waste]:
    """Remove what was found, and say what was removed.

    Raises UserError, with the rest left as it is, where the place cannot be written.
    """
    place, removed = storage.open_folder(runs), list[Waste]()
    for name, group in groupby(found.waste, key=lambda one: one.folder):
        folder, inside = place.below(name), list(group)
        may_go_on = any(one.what in ("lost", "snapshots") for one in inside)
        still = not may_go_on or _none_goes_on(store, inside[0].owner)
        go = [one for one in inside if still or one.what not in ("lost", "snapshots")]
        paths = [f"{name}/{one.file.name}" for one in go if one.what in _ON_RECORD]
        if paths:
            store.forget_artifacts(paths)  # first: what is not removed then is found by the next
        for one in go:
            folder.remove(one.file.name)
            removed.append(one)
        if not is_run(name):
            folder.remove_if_empty()
    return removed


@dataclass(frozen=True)
class _Known:
    """What the database says: the jobs of each folder, the paths that rows name, and what the
    sweeps of a job want kept, where one of them wants other than usual."""

    owners: Mapping[str, Sequence[Owner]]
    named: frozenset[str]
    keeps: Mapping[str, Keep]

    @classmethod
    def read(cls, store: Store) -> "_Known":
        owners: dict[str, list[Owner]] = {}
        for one in store.file_owners():
            owners.setdefault(run_name(one), []).append(one)
        wanted = {sweep.id: _wanted(sweep.spec) for sweep in store.sweeps()}
        keeps: dict[str, Keep] = {}
        if any(keep != Keep() for keep in wanted.values()):
            for sweep_id, keep in wanted.items():
                for job_id in store.job_ids(sweep_id):
                    keeps[job_id] = _most(keeps.get(job_id, keep), keep)
        return cls(owners, frozenset(store.artifact_paths()), keeps)

    def keep(self, owners: Iterable[Owner]) -> Keep:
        """The most that any sweep of these jobs wants kept."""
        found = [self.keeps.get(one.job_id, Keep()) for one in owners]
        most = found[0]
        for keep in found[1:]:
            most = _most(most, keep)
        return most


def _list(runs: Path | str) -> dict[str, list[File]]:
    """The files of each folder that is of a run, or of a look at the place."""
    place = storage.open_folder(runs)
    names = [n for n in place.folders() if is_run(n) or n.startswith(FOLDER)]
    with ThreadPoolExecutor(LISTING) as pool:
        return dict(zip(names, pool.map(lambda n: place.below(n).files(), names), strict=True))


def _of_run(
    store: Store,
    folder: str,
    files: Sequence[File],
    owners: Sequence[Owner],
    known: _Known,
    asked: Asked,
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
        found += ((what, one.name) for one in superfluous_checkpoints(there, first.kind, keep))
    elif asked.lost and states <= ENDED:
        kept = [one for one in there if one.kept]
        go = [one for one in there if not one.kept] + superfluous_checkpoints(
            kept, first.kind, keep
        )
        found += (("lost", one.name) for one in go)
    writers = {name: w for name in by_name if (w := Writer.named_by(name)) is not None}
    named = {name for name in writers if f"{folder}/{name}" in known.named}
    if writers.keys() - named:
        ended = {
            Writer.of(attempt.token, attempt.owner)
            for attempt in store.job_attempts([one.job_id for one in owners])
            if attempt.ended is not None
        }
        found += (("unnamed", n) for n, w in writers.items() if n not in named and w in ended)
    if asked.weights:
        found += (("named", name) for name in sorted(named))
    return [Waste(what, folder, by_name[name], first) for what, name in found]


def _probes(folder: str, files: Sequence[File]) -> list[Waste]:
    before = time.time() - PROBE_SECONDS
    return [Waste("temporary", folder, file, None) for file in files if _is_older(file, before)]


def _is_older(file: File, before: float | None) -> bool:
    return before is None or (file.modified is not None and file.modified < before)


def _none_goes_on(store: Store, owner: Owner | None) -> bool:
    """Whether none of the jobs on these files might go on from them, unless it is retried."""
    if owner is None:
        return True
    if owner.pretraining_id is not None:
        states = {one.state for one in store.segments(owner.pretraining_id, owner.data_digest)}
    else:
        job = store.job(owner.job_id)
        states = set() if job is None else {job.state}
    return states <= ENDED


def _wanted(spec: str) -> Keep:
    """What a stored sweep says of files; the default where it is of another version."""
    try:
        return Keep.model_validate(parse_object(spec).get("keep", {}))
    except ValidationError:
        return Keep()


def _most(one: Keep, other: Keep) -> Keep:
    snapshots = ("none", "longest", "all")
    return Keep(
        checkpoints="last" if "last" in (one.checkpoints, other.checkpoints) else "none",
        weights=one.weights or other.weights,
        snapshots=max(one.snapshots, other.snapshots, key=snapshots.index),
    )
