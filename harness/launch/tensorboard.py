"""Curves as TensorBoard's event files, kept up to date while a launch runs.

Each job, a trial or a segment of a pretraining, is one TensorBoard run with one file.
"""

import os
import struct
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lcma.db import Curve, JobFacts, Store
from lcma.harness.files import make_file_name
from lcma.harness.launch.driver import Display
from lcma.harness.work.units import Report
from lcma.sweeps.errors import UserError

SECONDS = 5.0
"""Interval between updates of the files of running jobs."""


@contextmanager
def plot_curves(
    folder: str | os.PathLike[str] | None,
    display: Display,
    store: Store,
    job_ids: Sequence[str],
) -> Iterator[Display]:
    """Provide a display that also writes the curves of a launch's jobs to a folder, if given.

    The curves are complete when the block ends without an error.
    """
    if folder is None:
        yield display
        return
    plotting = Plotting(Path(folder), display, store, job_ids)
    plotting.write(job_ids)
    yield plotting
    plotting.write(job_ids)


class Plotting:
    """A display that passes everything to another display and keeps event files up to date.

    If files cannot be written, it notes that once and retries at the next update.
    """

    def __init__(
        self, folder: Path, display: Display, store: Store, job_ids: Sequence[str]
    ) -> None:
        self._folder, self._display = folder, display
        self._store, self._job_ids = store, job_ids
        self._files: dict[str, _EventFile] = {}
        self._ended: set[str] = set()
        self._last_write = 0.0
        self._problem = ""

    def write(self, job_ids: Collection[str]) -> None:
        """Write the points of these jobs that their files lack."""
        self._last_write = time.monotonic()
        try:
            if not self._files:
                facts = self._store.job_facts(self._job_ids)
                self._files = {job.job_id: _EventFile(self._folder / _name(job)) for job in facts}
            curves = defaultdict[str, list[Curve]](list)
            for curve in self._store.curves(sorted(self._files.keys() & job_ids)):
                curves[curve.job_id].append(curve)
            for job_id, job_curves in curves.items():
                self._files[job_id].update(job_curves, self._store)
            self._ended.difference_update(job_ids)
        except (UserError, OSError) as error:
            why = f"{self._folder}: {error.strerror}" if isinstance(error, OSError) else str(error)
            if why != self._problem:
                self._problem = why
                self.note(f"the curves for TensorBoard are not complete: {why}")

    def update(self, ended: int, total: int, running: Sequence[JobFacts]) -> None:
        self._display.update(ended, total, running)
        if time.monotonic() - self._last_write >= SECONDS:
            self.write({job.job_id for job in running} | self._ended)

    def job_ended(self, title: str, report: Report) -> None:
        self._ended.add(report.job_id)
        self._display.job_ended(title, report)

    def unreachable(self, since: float, why: str) -> None:
        self._display.unreachable(since, why)

    def note(self, line: str) -> None:
        self._display.note(line)


class _EventFile:
    """The event file of a job: each launch begins a new one and appends to it."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder
        self._points: int | None = None
        self._last_steps: dict[str, int] = {}

    def update(self, curves: Sequence[Curve], store: Store) -> None:
        """Append new points. Raises OSError and UserError."""
        total = sum(curve.points for curve in curves)
        if self._points not in (None, total):
            self._append(curves, store)
        if self._points != total:  # the first update, or the database got points of earlier steps
            self._begin()
            self._append(curves, store)

    def _begin(self) -> None:
        for path in (self._folder.parent, self._folder):
            if path.is_symlink():
                raise UserError(f"{path} is a symbolic link: remove it, or give another folder")
        self._folder.mkdir(parents=True, exist_ok=True)
        for file in self._folder.glob("events.out.tfevents.*"):
            file.unlink()
        self._path = self._folder / f"events.out.tfevents.{time.time_ns()}"
        self._path.write_bytes(_frame(file_version="brain.Event:2"))
        self._points, self._last_steps = 0, {}

    def _append(self, curves: Sequence[Curve], store: Store) -> None:
        from tensorboardX.summary import scalar

        points, self._points = self._points or 0, None  # unknown until all are written
        with self._path.open("ab") as file:
            for curve in curves:
                last = self._last_steps.get(curve.name, -1)
                for step, value in store.points([curve.key], after=last).get(curve.key, []):
                    if step <= curve.last_step:  # later points came after the curve was read
                        file.write(_frame(step=step, summary=scalar(curve.name, value)))
                        points, last = points + 1, step
                self._last_steps[curve.name] = last
        self._points = points


def _frame(**event: Any) -> bytes:
    """Return an event as a record of a file."""
    # Written here, since tensorboardX's `SummaryWriter` hangs for ever when the disk fails.
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import masked_crc32c

    content: bytes = Event(wall_time=time.time(), **event).SerializeToString()
    length = struct.pack("<Q", len(content))
    sums = (struct.pack("<I", masked_crc32c(part)) for part in (length, content))
    return length + next(sums) + content + next(sums)


def _name(job: JobFacts) -> str:
    """Return a name such as `realnvp-photos16/LLL-100-seed0-1a2b3c4d`."""
    budget = () if job.budget is None else (job.budget,)
    parts = job.factorization_or_kind, *budget, f"seed{job.seed}", job.job_id[:8]
    return f"{make_file_name(job.flow, job.dataset)}/{make_file_name(*parts)}"
