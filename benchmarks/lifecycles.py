"""Lifecycles of trials by many processes at one database: row `lifecycle` of `benchmarks.database`.

Sides take turns, each run in fresh processes: `python -m benchmarks.lifecycles SIDE URL`.
"""

import argparse
import json
import multiprocessing
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from statistics import median
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from benchmarks.places import Site
from benchmarks.trackers import TRACKERS, Tracker, same_settings

WARM_UP = 5
"""Lifecycles of each process before the clock starts."""

OURS, *PEERS = (tracker.name for tracker in TRACKERS)


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a side, or of one process, with commits as SQLAlchemy sees them.

    `lost` are trials that the database lacks, `wrong` those that it has twice or in part.
    """

    lifecycles: int
    seconds: float
    cpu_seconds: float
    commits: int
    lost: int = 0
    wrong: int = 0

    @property
    def rate(self) -> float:
        """Lifecycles a second, of all processes together."""
        return self.lifecycles / self.seconds


def compare_lifecycles(
    site: Site, processes: tuple[int, ...], rounds: int, seconds: float
) -> list[dict[str, Any]]:
    """Let all sides take turns with each number of processes."""
    for tracker in TRACKERS:
        print(f"  {tracker.name}: {tracker.how}", flush=True)
    found = []
    for number in processes:
        runs: dict[str, list[Run]] = {tracker.name: [] for tracker in TRACKERS}
        for _ in range(rounds):
            for name in runs:
                runs[name].append(_run(site, name, number, seconds))
        for name, of_side in runs.items():
            rates = [run.rate for run in of_side]
            # To the faster peer of the same round.
            ratios = [
                run.rate / max(runs[peer][index].rate for peer in PEERS)
                for index, run in enumerate(of_side)
            ]
            lives = sum(run.lifecycles for run in of_side)
            row = {
                "processes": number,
                "side": name,
                "rates": rates,
                "ratios": ratios,
                "lifecycles": lives,
                "commits_each": sum(run.commits for run in of_side) / lives,
                "cpu_milliseconds_each": 1000 * sum(run.cpu_seconds for run in of_side) / lives,
                "lost": sum(run.lost for run in of_side),
                "wrong": sum(run.wrong for run in of_side),
            }
            found.append(row)
            print(
                f"  lifecycle, {number} processes, {name}: {median(rates):.0f}/s "
                f"({min(rates):.0f} to {max(rates):.0f}), {median(ratios):.1f} times the faster "
                f"peer ({min(ratios):.1f} to {max(ratios):.1f}); "
                f"{row['commits_each']:.1f} commits and {row['cpu_milliseconds_each']:.2f} ms of "
                f"CPU here each; {lives} lived, {row['lost']} lost, {row['wrong']} twice or in "
                "part",
                flush=True,
            )
    return found


def _run(site: Site, side: str, processes: int, seconds: float) -> Run:
    # As many as could be begun in this time.
    trials = max(int(4000 * seconds), 1500 * processes) if side == OURS else 10**9
    with site.fresh() as url:
        command = [sys.executable, "-m", "benchmarks.lifecycles", side, url]
        command += ["--processes", str(processes), "--seconds", str(seconds)]
        command += ["--trials", str(trials)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{side} with {processes} processes failed:\n{done.stderr[-3000:]}")
    return Run(**json.loads(done.stdout.splitlines()[-1]))


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
    found: SimpleQueue[tuple[float, Run] | None] = context.SimpleQueue()
    # One after the other, so that no two processes are at seeds of one cell.
    share = trials // processes
    workers = [
        context.Process(
            target=_work,
            args=(tracker, range(index * share, (index + 1) * share), seconds, barrier, found),
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
    done, stored = sum(run.lifecycles for _, run in works), tracker.stored()
    return Run(
        done,
        max(began + run.seconds for began, run in works) - min(began for began, _ in works),
        sum(run.cpu_seconds for _, run in works),
        sum(run.commits for _, run in works),
        lost=done + processes * WARM_UP - stored.whole,
        wrong=stored.wrong,
    )


def _work(
    tracker: Tracker,
    numbers: range,
    seconds: float,
    barrier: Barrier,
    found: "SimpleQueue[tuple[float, Run] | None]",
) -> None:
    try:
        found.put(_measure(tracker, numbers, seconds, barrier))
    except BaseException:
        barrier.abort()
        found.put(None)
        raise


def _measure(
    tracker: Tracker, numbers: range, seconds: float, barrier: Barrier
) -> tuple[float, Run]:
    """Return when the first lifecycle began, and what was done."""
    commits = done = 0

    @event.listens_for(sa.Engine, "commit")
    def _count(_: sa.Connection) -> None:
        nonlocal commits
        commits += 1

    tracker.open()
    left = iter(numbers)
    for _ in range(WARM_UP):
        tracker.live(next(left))
    barrier.wait()
    commits = 0
    began, began_cpu = time.monotonic(), _cpu_seconds()
    while time.monotonic() - began < seconds:
        tracker.live(next(left))
        done += 1
    return began, Run(done, time.monotonic() - began, _cpu_seconds() - began_cpu, commits)


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
