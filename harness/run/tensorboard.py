"""A launch's display that keeps TensorBoard's event files up to date beside another display."""

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

# Curves as TensorBoard's event files: one run for each trial and each pretraining, with a file of

NAME = "events.out.tfevents.lcma"
"""Of the file of each run; TensorBoard knows it by its middle."""

_FRAME = struct.Struct("<QI")
"""Before each record: its length, and a checksum of that; behind it stands another."""


@dataclass
class _Run:
    """A trial, or a pretraining with its segments, and what its file has: how many points, and up
    to which step of each curve. None: nobody has looked."""

    name: str
    about: dict[str, Any]
    jobs: list[str]
    points: int | None = None
    last: dict[int, int] = field(default_factory=dict)


class EventFiles:
    """The files of some jobs' curves below a folder, which nobody else may write for the time of a
    block. Raises UserError where the folder cannot be made, or another launch writes there."""

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

    def know(self, store: Store, job_ids: Sequence[str]) -> None:
        """Which jobs there are. Trials and pretrainings have runs named by what they are, their
        data set's digest included where the same one is on several contents."""
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

    def follow(self, store: Store, job_ids: Iterable[str]) -> int:
        """Bring the files of these jobs up to what the database has; how many there are.

        Raises UserError where the disk does not take it, and as the store does.
        """
        of = {j for job_id in job_ids if job_id in self._runs for j in self._runs[job_id].jobs}
        runs: dict[str, list[Curve]] = {}
        for curve in store.curves(sorted(of)):
            runs.setdefault(self._runs[curve.job_id].name, []).append(curve)
        with _disk(self.folder):
            for curves in runs.values():
                self._bring_up(self._runs[curves[0].job_id], curves, store)
        return len(runs)

    def _bring_up(self, run: _Run, curves: Sequence[Curve], store: Store) -> None:
        total = sum(curve.points for curve in curves)
        if run.points is None:
            records = _count(self._path(run))
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
        """Points in parts, so that no curve has to fit in memory."""
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


def _name(fact: JobFacts, *, several: bool) -> str:
    """`realnvp-photos16/LLL-100-seed0-1a2b3c4d`."""
    what: list[object] = ["pretraining" if fact.kind == "pretraining" else fact.factorization]
    if fact.kind == "trial" and fact.budget is not None:
        what.append(fact.budget)
    what += [f"seed{fact.seed}", fact.subject[:8]]
    if several:
        what.append(fact.data_digest[:8])
    return f"{file_name(fact.flow, fact.dataset)}/{file_name(*what)}"


def _about(fact: JobFacts, body: str) -> dict[str, Any]:
    """What the run is, in words and numbers: what is planned, and the recipe."""
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
    """The records before the points: the format, and what the run is, as text and for the page of
    hyper-parameters."""
    from tensorboardX import summary
    from tensorboardX.proto.event_pb2 import Event

    rows = "\n".join(f"| {name} | {value} |" for name, value in about.items())
    shown = summary.text("run", f"| | |\n| --- | --- |\n{rows}")
    told = summary.hparams(about, {"train_bits_per_dim": 0.0, "holdout_bits_per_dim": 0.0})
    events = [Event(file_version="brain.Event:2"), *(Event(summary=s) for s in (shown, *told))]
    for event in events:
        event.wall_time = time.time()
    return [event.SerializeToString() for event in events]


def _framed(record: bytes) -> bytes:
    from tensorboardX.record_writer import masked_crc32c

    length = struct.pack("<Q", len(record))
    sums = (struct.pack("<I", masked_crc32c(part)) for part in (length, record))
    return length + next(sums) + record + next(sums)


def _count(path: Path) -> int | None:
    """Records of a file; None if it is not there, or its last one is cut off."""
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
    """Failures of the disk as a UserError."""
    try:
        yield
    except OSError as error:
        raise _unwritable(folder, error) from None


def _unwritable(folder: Path, error: OSError) -> UserError:
    why = error.strerror or type(error).__name__
    return UserError(f"cannot write in {folder} ({why}): give --tensorboard DIR")


SECONDS = 5.0
"""Between two looks at the curves of what runs."""


class Plotting:
    """Tells the other display everything. What hinders the files hinders no launch: it is told
    once, and the next look tries again."""

    def __init__(
        self, display: Display, files: EventFiles, store: Store, job_ids: Sequence[str]
    ) -> None:
        self.display, self.files, self.store, self.job_ids = display, files, store, job_ids
        self._known = False
        self._looked = 0.0
        self._ended: set[str] = set()
        self._hindered = ""

    def look(self, job_ids: Collection[str]) -> None:
        """Bring the files of these jobs up to what the database has, if nothing hinders it."""
        try:
            if not self._known:
                self.files.know(self.store, self.job_ids)
                self._known = True
            self.files.follow(self.store, job_ids)
            self._ended.difference_update(job_ids)
        except UserError as error:
            if self._hindered != str(error):
                self._hindered = str(error)
                self.note(f"the curves for TensorBoard are not complete: {error}")
        self._looked = time.monotonic()

    def update(self, ended: int, total: int, running: Sequence[RunningJob]) -> None:
        self.display.update(ended, total, running)
        if time.monotonic() - self._looked >= SECONDS:
            self.look({job.job_id for job in running} | self._ended)

    def job_ended(self, title: str, report: Report) -> None:
        self._ended.add(report.job_id)
        self.display.job_ended(title, report)

    def unreachable(self, since: float, why: str) -> None:
        self.display.unreachable(since, why)

    def note(self, line: str) -> None:
        self.display.note(line)


@contextmanager
def plot_curves(
    folder: Path | None, display: Display, store: Store, job_ids: Sequence[str]
) -> Iterator[Display]:
    """A display for a launch of these jobs, whose curves are in the folder when it ends in good
    order; without a folder the same display. Raises UserError as `EventFiles`."""
    if folder is None:
        yield display
        return
    with EventFiles(folder.absolute()) as files:
        shown = Plotting(display, files, store, job_ids)
        shown.look(job_ids)
        yield shown
        shown.look(job_ids)


def write_curves(folder: Path, store: Store, job_ids: Sequence[str]) -> int:
    """The curves of jobs as they are now; how many runs that is. Raises as `EventFiles`."""
    with EventFiles(folder.absolute()) as files:
        files.know(store, job_ids)
        return files.follow(store, job_ids)
