"""Lifecycles of trials by many processes at one database: row `lifecycle` of `benchmarks.database`.

The sides take turns. Each run is a new process: `python -m benchmarks.lifecycles SIDE URL`.
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
from benchmarks.trackers import TRACKERS, Tracker, set_sqlite_settings

WARM_UP = 5
"""Lifecycles of each process before the clock starts."""

OURS, *PEERS = (tracker.name for tracker in TRACKERS)


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a side, or of one of its processes."""

    lifecycles: int
    seconds: float
    cpu_seconds: float
    commits: int  # of SQLAlchemy
    lost: int = 0  # trials that the database lacks
    wrong: int = 0  # trials that it has twice or in part

    @property
    def rate(self) -> float:
        """Lifecycles per second."""
        return self.lifecycles / self.seconds


def compare_lifecycles(
    site: Site, processes: tuple[int, ...], rounds: int, seconds: float
) -> list[dict[str, Any]]:
    """Run all sides in turn, with each number of processes."""
    for tracker in TRACKERS:
        print(f"  {tracker.name}: {tracker.calls}", flush=True)
    rows = []
    for number in processes:
        runs_by_side: dict[str, list[Run]] = {tracker.name: [] for tracker in TRACKERS}
        for _ in range(rounds):
            for name, runs in runs_by_side.items():
                runs.append(_run_side(site, name, number, seconds))
        for name, runs in runs_by_side.items():
            rates = [run.rate for run in runs]
            # To the faster peer of the same round.
            ratios = [
                run.rate / max(runs_by_side[peer][index].rate for peer in PEERS)
                for index, run in enumerate(runs)
            ]
            total = sum(run.lifecycles for run in runs)
            row = {
                "processes": number,
                "side": name,
                "rates": rates,
                "ratios": ratios,
                "lifecycles": total,
                "commits_each": sum(run.commits for run in runs) / total,
                "cpu_milliseconds_each": 1000 * sum(run.cpu_seconds for run in runs) / total,
                "lost": sum(run.lost for run in runs),
                "wrong": sum(run.wrong for run in runs),
            }
            rows.append(row)
            print(
                f"  lifecycle, {number} processes, {name}: {median(rates):.0f}/s "
                f"({min(rates):.0f} to {max(rates):.0f}), {median(ratios):.1f} times the faster "
                f"peer ({min(ratios):.1f} to {max(ratios):.1f}); each has "
                f"{row['commits_each']:.1f} commits and {row['cpu_milliseconds_each']:.2f} ms of "
                f"CPU in the client; {total} in all, {row['lost']} lost, {row['wrong']} twice or "
                "in part",
                flush=True,
            )
    return rows


def _run_side(site: Site, side: str, processes: int, seconds: float) -> Run:
    # More than can be run in this time: ours are planned beforehand.
    trials = max(int(4000 * seconds), 1500 * processes) if side == OURS else 10**9
    with site.make_temporary() as url:
        command = [sys.executable, "-m", "benchmarks.lifecycles", side, url]
        command += ["--processes", str(processes), "--seconds", str(seconds)]
        command += ["--trials", str(trials)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RuntimeError(f"{side} with {processes} processes failed:\n{ended.stderr[-3000:]}")
    return Run(**json.loads(ended.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", choices=[t.name for t in TRACKERS])
    parser.add_argument("url")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--trials", type=int, default=20000, help="how many are planned")
    options = parser.parse_args()
    set_sqlite_settings()
    (tracker,) = (kind(options.url) for kind in TRACKERS if kind.name == options.side)
    _run_in_process(lambda: tracker.make(options.trials))
    run = _run_processes(tracker, options.processes, options.seconds, options.trials)
    print(json.dumps(asdict(run)))


def _run_processes(tracker: Tracker, processes: int, seconds: float, trials: int) -> Run:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(processes)
    queue: SimpleQueue[tuple[float, Run] | None] = context.SimpleQueue()
    # Each process gets a contiguous range, so that no two work at seeds of one cell.
    share = trials // processes
    workers = [
        context.Process(
            target=_run_worker,
            args=(tracker, range(index * share, (index + 1) * share), seconds, barrier, queue),
        )
        for index in range(processes)
    ]
    for worker in workers:
        worker.start()
    runs = [run for _ in workers if (run := queue.get()) is not None]
    for worker in workers:
        worker.join()
    if len(runs) < processes:
        raise RuntimeError(f"{processes - len(runs)} of {processes} processes failed")
    done, stored = sum(run.lifecycles for _, run in runs), tracker.count_stored()
    return Run(
        done,
        max(start + run.seconds for start, run in runs) - min(start for start, _ in runs),
        sum(run.cpu_seconds for _, run in runs),
        sum(run.commits for _, run in runs),
        lost=done + processes * WARM_UP - stored.whole,
        wrong=stored.wrong,
    )


def _run_worker(
    tracker: Tracker,
    numbers: range,
    seconds: float,
    barrier: Barrier,
    queue: "SimpleQueue[tuple[float, Run] | None]",
) -> None:
    try:
        queue.put(_run_lifecycles(tracker, numbers, seconds, barrier))
    except BaseException:
        barrier.abort()
        queue.put(None)
        raise


def _run_lifecycles(
    tracker: Tracker, numbers: range, seconds: float, barrier: Barrier
) -> tuple[float, Run]:
    """Return the start of the first lifecycle, and the run."""
    commits = done = 0

    @event.listens_for(sa.Engine, "commit")
    def _count(_: sa.Connection) -> None:
        nonlocal commits
        commits += 1

    tracker.open()
    trials = iter(numbers)
    for _ in range(WARM_UP):
        tracker.run_lifecycle(next(trials))
    barrier.wait()
    commits = 0
    start, start_cpu = time.monotonic(), _read_cpu_seconds()
    while time.monotonic() - start < seconds:
        tracker.run_lifecycle(next(trials))
        done += 1
    return start, Run(done, time.monotonic() - start, _read_cpu_seconds() - start_cpu, commits)


def _read_cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _run_in_process(make: Callable[[], None]) -> None:
    # So that no connection is open in this process when the workers are forked.
    child = multiprocessing.get_context("fork").Process(target=make)
    child.start()
    child.join()
    if child.exitcode:
        raise RuntimeError("the database could not be made")


if __name__ == "__main__":
    main()
