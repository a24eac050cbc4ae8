"""Curves as TensorBoard's event files, written once or while a launch runs.

`write_curves` writes the files of some jobs as the curves are now; `plot_curves` keeps them up to
date beside a launch's display. Each trial and each pretraining is one run of TensorBoard, with one
file.
"""

import json
import os
import struct
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from filelock import FileLock, Timeout

from lcma.db import Curve, JobFacts, RunningJob, Store
from lcma.harness.files import file_name
from lcma.harness.run.driver import Display
from lcma.harness.run.work import Report
from lcma.sweeps.errors import UserError

SECONDS = 5.0
"""Interval between updates of the files of running jobs."""

NAME = "events.out.tfevents.lcma"
"""Name of each run's file; TensorBoard recognizes it by `tfevents`."""

_FRAME = struct.Struct("<QI")
"""The header of a record: its length and the checksum of that. The record's checksum follows it."""


@contextmanager
def plot_curves(
    folder: Path | None, display: Display, store: Store, job_ids: Sequence[str]
) -> Iterator[Display]:
    """Provide a display that also writes the curves of a launch's jobs to a folder.

    They are complete when the block ends without an error. Without a folder it is the same display.
    Raises UserError as `EventFiles` does.
    """
    if folder is None:
        yield display
        return
    with EventFiles(folder.absolute()) as files:
        shown = Plotting(display, files, store, job_ids)
        shown.update_files(job_ids)
        yield shown
        shown.update_files(job_ids)


def write_curves(folder: Path, store: Store, job_ids: Sequence[str]) -> int:
    """Write the curves of jobs as they are now, and return the number of runs.

    Raises UserError as `EventFiles` does.
    """
    with EventFiles(folder.absolute()) as files:
        files.set_jobs(store, job_ids)
        return files.update(store, job_ids)


@dataclass
class _Run:
    """A trial, or a pretraining with its segments, and what its file has.

    ``points`` is the number of points, None before the file was read; ``last`` is the last step by
    curve.
    """

    name: str
    about: dict[str, Any]
    jobs: list[str]
    points: int | None = None
    last: dict[int, int] = field(default_factory=dict)


class EventFiles:
    """The event files of some jobs in a folder, which is locked during a block.

    Raises UserError if the folder cannot be made, or another launch writes there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = FileLock(folder / ".lcma.lock", timeout=0)
        self._runs: dict[str, _Run] = {}

    def __enter__(self) -> Self:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except Timeout:
            why = "another launch writes its curves there"
            raise UserError(f"--tensorboard {self.folder}: {why}: give another folder") from None
        except OSError as error:
            raise _unwritable(self.folder, error) from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._lock.release()

    def set_jobs(self, store: Store, job_ids: Sequence[str]) -> None:
        """Set the jobs whose curves are written, and name their runs.

        A name includes the data's digest if the same trial is on several contents of its data set.
        """
        facts = store.job_facts(job_ids)
        recipes = store.recipe_ids(job_ids)
        bodies = store.recipe_bodies(sorted(set(recipes.values())))
        contents = defaultdict[str, set[str]](set)
        for fact in facts.values():
            contents[fact.subject].add(fact.data_digest)
        runs: dict[tuple[str, str], _Run] = {}
        for fact in facts.values():  # segments by budget
            key = fact.subject, fact.data_digest
            if key not in runs:
                name = _name(fact, several=len(contents[fact.subject]) > 1)
                runs[key] = _Run(name, _about(fact, bodies[recipes[fact.job_id]]), [])
            runs[key].jobs.append(fact.job_id)
        self._runs = {job_id: run for run in runs.values() for job_id in run.jobs}

    def update(self, store: Store, job_ids: Iterable[str]) -> int:
        """Update the files of these jobs from the database; return the number of files.

        Raises UserError if the disk fails, and as the store does.
        """
        wanted = {j for job_id in job_ids if job_id in self._runs for j in self._runs[job_id].jobs}
        runs: dict[str, list[Curve]] = {}
        for curve in store.curves(sorted(wanted)):
            runs.setdefault(self._runs[curve.job_id].name, []).append(curve)
        with _disk(self.folder):
            for curves in runs.values():
                self._update_run(self._runs[curves[0].job_id], curves, store)
        return len(runs)

    def _update_run(self, run: _Run, curves: Sequence[Curve], store: Store) -> None:
        total = sum(curve.points for curve in curves)
        if run.points is None:
            records = _count_records(self._path(run))
            if records is not None and records - len(_head(run.about)) == total:
                run.points, run.last = total, {curve.id: curve.last_step for curve in curves}
        elif run.points < total:
            with self._path(run).open("ab") as file:
                self._append(file, run, curves, store)
        if run.points != total:
            self._rewrite(run, curves, store)

    def _path(self, run: _Run) -> Path:
        return self.folder / run.name / NAME

    def _rewrite(self, run: _Run, curves: Sequence[Curve], store: Store) -> None:
        path = self._path(run)
        aside = path.with_name(f".{NAME}.{os.getpid()}.tmp")
        path.parent.mkdir(parents=True, exist_ok=True)
        run.points, run.last = 0, {}
        try:
            with aside.open("wb") as file:
                for record in _head(run.about):
                    file.write(_framed(record))
                self._append(file, run, curves, store)
            aside.replace(path)
        except BaseException:
            run.points = None
            raise
        finally:
            aside.unlink(missing_ok=True)

    def _append(self, file: BinaryIO, run: _Run, curves: Iterable[Curve], store: Store) -> None:
        """Append the points that are missing, in parts, so that no curve has to fit in memory."""
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary

        assert run.points is not None
        points, run.points = run.points, None  # until all are written
        now = time.time()
        for curve in curves:
            last = run.last.get(curve.id, -1)
            while found := store.curve_points(curve.id, after=last, until=curve.last_step):
                for step, value in found:
                    summary = Summary(value=[Summary.Value(tag=curve.name, simple_value=value)])
                    event = Event(wall_time=now, step=step, summary=summary)
                    file.write(_framed(event.SerializeToString()))
                    points, last = points + 1, step
            run.last[curve.id] = last
        file.flush()
        run.points = points


class Plotting:
    """A display that passes everything to another one and keeps the event files up to date.

    A failure of the files does not fail the launch: it is noted once, and the next update retries.
    """

    def __init__(
        self, display: Display, files: EventFiles, store: Store, job_ids: Sequence[str]
    ) -> None:
        self.display, self.files, self.store, self.job_ids = display, files, store, job_ids
        self._jobs_set = False
        self._last_update = 0.0
        self._ended: set[str] = set()
        self._problem = ""

    def update_files(self, job_ids: Collection[str]) -> None:
        """Update the files of these jobs from the database, and note a failure."""
        try:
            if not self._jobs_set:
                self.files.set_jobs(self.store, self.job_ids)
                self._jobs_set = True
            self.files.update(self.store, job_ids)
            self._ended.difference_update(job_ids)
        except UserError as error:
            if self._problem != str(error):
                self._problem = str(error)
                self.note(f"the curves for TensorBoard are not complete: {error}")
        self._last_update = time.monotonic()

    def update(self, ended: int, total: int, running: Sequence[RunningJob]) -> None:
        self.display.update(ended, total, running)
        if time.monotonic() - self._last_update >= SECONDS:
            self.update_files({job.job_id for job in running} | self._ended)

    def job_ended(self, title: str, report: Report) -> None:
        self._ended.add(report.job_id)
        self.display.job_ended(title, report)

    def unreachable(self, since: float, why: str) -> None:
        self.display.unreachable(since, why)

    def note(self, line: str) -> None:
        self.display.note(line)


def _name(fact: JobFacts, *, several: bool) -> str:
    """Return a name such as `realnvp-photos16/LLL-100-seed0-1a2b3c4d`."""
    what: list[object] = ["pretraining" if fact.kind == "pretraining" else fact.factorization]
    if fact.kind == "trial" and fact.budget is not None:
        what.append(fact.budget)
    what += [f"seed{fact.seed}", fact.subject[:8]]
    if several:
        what.append(fact.data_digest[:8])
    return f"{file_name(fact.flow, fact.dataset)}/{file_name(*what)}"


def _about(fact: JobFacts, body: str) -> dict[str, Any]:
    """Return the hyper-parameters of a run: what was planned, and its recipe."""
    found: dict[str, Any] = {
        "kind": fact.kind,
        "flow": fact.flow,
        "dataset": fact.dataset,
        "factorization": fact.factorization,
        "budget": fact.budget if fact.kind == "trial" else None,
        "seed": fact.seed,
    }
    recipe = json.loads(body)
    if fact.kind == "pretraining":
        recipe.pop("training", None)
    found |= dict(_flat(recipe))
    return {name: value for name, value in found.items() if value is not None}


def _flat(content: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield before + name, json.dumps(value) if isinstance(value, list) else value


def _head(about: Mapping[str, Any]) -> list[bytes]:
    """Return the records before the points: the format, and the hyper-parameters, as text and for
    TensorBoard's page of them."""
    from tensorboardX import summary
    from tensorboardX.proto.event_pb2 import Event

    rows = "\n".join(f"| {name} | {value} |" for name, value in about.items())
    shown = summary.text("run", f"| | |\n| --- | --- |\n{rows}")
    hyperparameters = summary.hparams(
        about, {"train_bits_per_dim": 0.0, "holdout_bits_per_dim": 0.0}
    )
    events = [
        Event(file_version="brain.Event:2"),
        *(Event(summary=s) for s in (shown, *hyperparameters)),
    ]
    for event in events:
        event.wall_time = time.time()
    return [event.SerializeToString() for event in events]


def _framed(record: bytes) -> bytes:
    from tensorboardX.record_writer import masked_crc32c

    length = struct.pack("<Q", len(record))
    sums = (struct.pack("<I", masked_crc32c(part)) for part in (length, record))
    return length + next(sums) + record + next(sums)


def _count_records(path: Path) -> int | None:
    """Count the records of a file; None if it does not exist or its last record is cut off."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            records, at = 0, 0
            while at < size:
                file.seek(at)
                frame = file.read(_FRAME.size)
                if len(frame) < _FRAME.size:
                    return None
                at += _FRAME.size + _FRAME.unpack(frame)[0] + 4
                records += 1
    except FileNotFoundError:
        return None
    return records if at == size else None


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
    """Raise failures of the disk as UserError."""
    try:
        yield
    except OSError as error:
        raise _unwritable(folder, error) from None


def _unwritable(folder: Path, error: OSError) -> UserError:
    why = error.strerror or type(error).__name__
    return UserError(f"cannot write in {folder} ({why}): give --tensorboard DIR")
