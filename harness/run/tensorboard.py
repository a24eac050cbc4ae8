"""Curves as TensorBoard's event files, written once or while a launch runs.

`write_curves` writes the files of some jobs as the curves are now; `plot_curves` keeps them up to
date beside a launch's display. Each trial and each pretraining is one run of TensorBoard.
"""

import json
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lcma.db import Curve, JobFacts, Store
from lcma.harness.files import file_name
from lcma.harness.run.driver import Display
from lcma.harness.run.work import Report
from lcma.sweeps.errors import UserError

SECONDS = 5.0
"""Interval between updates of the files of running jobs."""


@contextmanager
def plot_curves(
    folder: Path | None, display: Display, store: Store, job_ids: Sequence[str]
) -> Iterator[Display]:
    """Provide a display that also writes the curves of a launch's jobs to a folder.

    They are complete when the block ends without an error. Without a folder it is the same display.

    Raises:
        UserError: The folder cannot be made, or another launch writes there.
    """
    if folder is None:
        yield display
        return
    with _locked(folder):
        shown = Plotting(display, EventFiles(folder, store, job_ids))
        shown.update_files(job_ids)
        yield shown
        shown.update_files(job_ids)


def write_curves(folder: Path, store: Store, job_ids: Sequence[str]) -> int:
    """Write the curves of jobs as they are now, and return the number of runs.

    Raises UserError as `plot_curves` does.
    """
    with _locked(folder):
        return EventFiles(folder, store, job_ids).update(job_ids)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lcma.lock", timeout=0).acquire()
    except Timeout:
        why = "another launch writes its curves there"
        raise UserError(f"--tensorboard {folder}: {why}: give another folder") from None
    except OSError as error:
        raise _unwritable(folder, error) from None
    with lock:
        yield


@dataclass
class _Run:
    """A trial, or a pretraining with its segments, and what its file has of them."""

    folder: Path
    about: dict[str, Any]
    jobs: list[str]
    writer: Any = None
    points: int | None = None
    last_steps: dict[int, int] = field(default_factory=dict)

    def require_own_folder(self) -> None:
        """Raise UserError if a link leads out of the folder that was given."""
        for path in (self.folder.parent, self.folder):
            if path.is_symlink():
                raise UserError(
                    f"cannot write in {path}: it is a symbolic link; remove it, or give another "
                    "folder with --tensorboard DIR"
                )

    def update(self, curves: Sequence[Curve], store: Store) -> None:
        """Append what is new; write a new file where none is open, or where points came late."""
        total = sum(curve.points for curve in curves)
        if self.points == total:
            return
        writer, self.writer = self.writer, None  # a failure leaves none
        if writer is not None:
            self._append(writer, curves, store)
        if self.points != total:
            writer = self._begin()
            self._append(writer, curves, store)
        writer.flush()
        self.writer = writer

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
            self.writer = None

    def _begin(self) -> Any:
        # tensorboardX.SummaryWriter writes in a thread, and when the disk fails it waits forever.
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.summary import hparams, text

        self.folder.mkdir(parents=True, exist_ok=True)
        for file in self.folder.glob("events.out.tfevents.*"):
            file.unlink()
        writer = EventsWriter(str(self.folder / "events"))
        self.points, self.last_steps = 0, {}
        rows = "\n".join(f"| {name} | {value} |" for name, value in self.about.items())
        shown = text("run", f"| | |\n| --- | --- |\n{rows}")
        metrics = {"train_bits_per_dim": 0.0, "holdout_bits_per_dim": 0.0}
        for summary in (shown, *hparams(self.about, metrics)):
            _write(writer, summary)
        return writer

    def _append(self, writer: Any, curves: Sequence[Curve], store: Store) -> None:
        """Append the points that are missing, in parts, so that no curve has to fit in memory."""
        from tensorboardX.summary import scalar

        assert self.points is not None
        points, self.points = self.points, None  # until all are written
        for curve in curves:
            last = self.last_steps.get(curve.id, -1)
            while found := store.curve_points(curve.id, after=last, until=curve.last_step):
                for step, value in found:
                    _write(writer, scalar(curve.name, value), step)
                    points, last = points + 1, step
            self.last_steps[curve.id] = last
        self.points = points


class EventFiles:
    """The event files of some jobs in a folder."""

    def __init__(self, folder: Path, store: Store, job_ids: Sequence[str]) -> None:
        self._folder, self._store, self._job_ids = folder.absolute(), store, job_ids
        self._runs: dict[str, _Run] = {}

    def update(self, job_ids: Collection[str], running: Collection[str] = ()) -> int:
        """Update the files of these jobs from the database; return the number of files.

        Files of running jobs stay open, so that what comes is appended. Raises UserError if the
        disk fails, and as the store does.
        """
        if not self._runs:
            self._runs = self._find_runs()
        wanted = {j for job_id in job_ids if job_id in self._runs for j in self._runs[job_id].jobs}
        found = defaultdict[Path, list[Curve]](list)
        for curve in self._store.curves(sorted(wanted)):
            run = self._runs[curve.job_id]
            run.require_own_folder()
            found[run.folder].append(curve)
        try:
            for curves in found.values():
                run = self._runs[curves[0].job_id]
                run.update(curves, self._store)
                if not set(run.jobs) & set(running):
                    run.close()
        except OSError as error:
            raise _unwritable(self._folder, error) from None
        return len(found)

    def _find_runs(self) -> dict[str, _Run]:
        """Return the run of each job; it has the data's digest in its name where several do."""
        facts = self._store.job_facts(self._job_ids)
        bodies = self._store.recipe_bodies(sorted({fact.recipe_id for fact in facts.values()}))
        contents = defaultdict[str, set[str]](set)
        for fact in facts.values():
            contents[fact.subject].add(fact.data_digest)
        runs: dict[Path, _Run] = {}
        for fact in facts.values():  # segments by budget
            folder = self._folder / _name(fact, several=len(contents[fact.subject]) > 1)
            about = _about(fact, bodies[fact.recipe_id])
            runs.setdefault(folder, _Run(folder, about, [])).jobs.append(fact.job_id)
        return {job_id: run for run in runs.values() for job_id in run.jobs}


class Plotting:
    """A display that passes everything to another one and keeps the event files up to date.

    A failure of the files does not fail the launch: it is noted once, and the next update retries.
    """

    def __init__(self, display: Display, files: EventFiles) -> None:
        self.display, self.files = display, files
        self._last_update = 0.0
        self._ended: set[str] = set()
        self._problem = ""

    def update_files(self, job_ids: Collection[str], running: Collection[str] = ()) -> None:
        """Update the files of these jobs from the database, and note a failure."""
        try:
            self.files.update(job_ids, running)
            self._ended.difference_update(job_ids)
        except UserError as error:
            if self._problem != str(error):
                self._problem = str(error)
                self.note(f"the curves for TensorBoard are not complete: {error}")
        self._last_update = time.monotonic()

    def update(self, ended: int, total: int, running: Sequence[JobFacts]) -> None:
        self.display.update(ended, total, running)
        if time.monotonic() - self._last_update >= SECONDS:
            ids = {job.job_id for job in running}
            self.update_files(ids | self._ended, ids)

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
    names = ("kind", "flow", "dataset", "factorization", "seed")
    found = {name: getattr(fact, name) for name in names}
    recipe = json.loads(body)
    if fact.kind == "pretraining":
        recipe.pop("training", None)
    else:
        found["budget"] = fact.budget
    found |= dict(_flat(recipe))
    return {name: value for name, value in found.items() if value is not None}


def _flat(content: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield before + name, json.dumps(value) if isinstance(value, list) else value


def _write(writer: Any, summary: Any, step: int = 0) -> None:
    from tensorboardX.proto.event_pb2 import Event

    writer.write_event(Event(wall_time=time.time(), step=step, summary=summary))


def _unwritable(folder: Path, error: OSError) -> UserError:
    why = error.strerror or type(error).__name__
    return UserError(f"cannot write in {folder} ({why}): give --tensorboard DIR")
