"""Lifecycles of trials by many processes at one database; `benchmarks.database` starts it afresh
for each run, with one side."""

import argparse
import json
import multiprocessing
import resource
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier

import sqlalchemy as sa
from sqlalchemy import event

from benchmarks.trackers import TRACKERS, Tracker, same_settings

WARM_UP = 5
"""Lifecycles of each process before the clock starts."""


@dataclass(frozen=True, slots=True)
class Work:
    """What one process did: lifecycles, commits as SQLAlchemy sees them, when it began and ended,
    and CPU seconds."""

    done: int
    commits: int
    began: float
    ended: float
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a side: `lost` are trials that the database lacks, `wrong` those that it
    has twice or in part."""

    lifecycles: int
    seconds: float
    cpu_seconds: float
    commits: int
    lost: int
    wrong: int

    @property
    def rate(self) -> float:
        """Lifecycles a second, of all processes together."""
        return self.lifecycles / self.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", choices=[t.name for t in TRACKERS])
    parser.add_argument("url")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--trials", type=int, default=20000, help="how many are planned")
    given = parser.parse_args()
    kind = next(t for t in TRACKERS if t.name == given.side)
    same_settings()
    tracker = kind(given.url)
    _apart(lambda: tracker.make(given.trials))
    print(json.dumps(asdict(_race(tracker, given.processes, given.seconds, given.trials))))


def _race(tracker: Tracker, processes: int, seconds: float, trials: int) -> Run:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(processes)
    found: SimpleQueue[Work | None] = context.SimpleQueue()
    workers = [
        context.Process(
            target=_work, args=(tracker, index, processes, seconds, trials, barrier, found)
        )
        for index in range(processes)
    ]
    for worker in workers:
        worker.start()
    works = [work for _ in workers if (work := found.get()) is not None]
    for worker in workers:
        worker.join()
    if len(works) < processes:
        raise RuntimeError(f"{processes - len(works)} of {processes} processes failed")
    done = sum(w.done for w in works)
    stored = tracker.stored()
    begun = done + processes * WARM_UP
    return Run(
        lifecycles=done,
        seconds=max(w.ended for w in works) - min(w.began for w in works),
        cpu_seconds=sum(w.cpu_seconds for w in works),
        commits=sum(w.commits for w in works),
        lost=begun - stored.whole,
        wrong=stored.wrong,
    )


def _work(
    tracker: Tracker,
    index: int,
    processes: int,
    seconds: float,
    trials: int,
    barrier: Barrier,
    found: "SimpleQueue[Work | None]",
) -> None:
    try:
        found.put(_measure(tracker, index, processes, seconds, trials, barrier))
    except BaseException:
        barrier.abort()
        found.put(None)
        raise


def _measure(
    tracker: Tracker, index: int, processes: int, seconds: float, trials: int, barrier: Barrier
) -> Work:
    commits = done = 0

    @event.listens_for(sa.Engine, "commit")
    def _count(_: sa.Connection) -> None:
        nonlocal commits
        commits += 1

    tracker.open()
    # One after the other, so that no two processes are at seeds of one cell.
    share = trials // processes
    numbers = iter(range(index * share, (index + 1) * share))
    for _ in range(WARM_UP):
        tracker.live(next(numbers))
    barrier.wait()
    commits = 0
    began, began_cpu = time.monotonic(), _cpu_seconds()
    while time.monotonic() - began < seconds:
        tracker.live(next(numbers))
        done += 1
    ended = time.monotonic()
    return Work(done, commits, began, ended, _cpu_seconds() - began_cpu)


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _apart(make: Callable[[], None]) -> None:
    """Do it in a process of its own, so that no connection is open when the others start."""
    child = multiprocessing.get_context("fork").Process(target=make)
    child.start()
    child.join()
    if child.exitcode:
        raise RuntimeError("the database could not be made")


if __name__ == "__main__":
    main()
