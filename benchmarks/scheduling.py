"""What a launch costs its driver: 10,000 planned trials that end at once through the real store;
what a trial costs beyond its training, beside Ray Tune's loop; and how many workers a server
takes."""

import argparse
import json
import os
import platform
import resource
import socket
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks import fleet, trivial
from benchmarks.fleet import COST, DATASET, make_spec
from benchmarks.places import Site, sites
from lcma import db
from lcma.harness import data
from lcma.harness.environment import read_environment
from lcma.harness.place import Place
from lcma.harness.run import driver
from lcma.harness.run.driver import Launch
from lcma.harness.run.executor import Executor, Finished
from lcma.harness.run.plan import make_nodes, make_plan, register_plan
from lcma.harness.run.work import Report, Work


@dataclass
class Nobody(Executor):
    """Workers that do nothing but claim a job and end it, some at each wait and none in the first
    ones, in which the launch is idle.

    They end it as diverged, which needs no result; ``seconds`` is the CPU time that went on it.
    """

    store: db.Store
    idle: int
    batch: int
    seconds: float = 0.0
    works: deque[Work] = field(default_factory=deque)
    began: float | None = None

    def hosts(self) -> list[str]:
        return [socket.gethostname()]

    def submit(self, works: Sequence[Work], after: str | None) -> None:
        self.began = self.began or time.process_time()
        self.works += works

    def wait(self, seconds: float) -> list[Finished]:
        if self.idle > 0:
            self.idle -= 1
            return []
        began = time.process_time()
        some = [self.works.popleft() for _ in range(min(self.batch, len(self.works)))]
        finished = [self._finish(work) for work in some]
        self.seconds += time.process_time() - began
        return finished

    def close(self, *, kill: bool) -> None:
        pass

    def _finish(self, work: Work) -> Finished:
        claim = self.store.claim(
            work.job_id,
            owner=work.owner,
            host="nowhere",
            pid=1,
            environment_id=self.environment_id,
            device="cpu",
            threads=1,
            lease_seconds=work.lease_seconds,
        )
        assert isinstance(claim, db.Claim)
        assert self.store.finish(claim, "diverged", last_step=1, cost=COST)
        return Finished(work.job_id, Report(work.job_id, "diverged"))

    @property
    def environment_id(self) -> str:
        return read_environment("cpu").id


class EnoughError(Exception):
    """A launch was watched for as long as was asked."""


@dataclass
class Clock:
    """A display that notes the CPU time at each poll; ``apart`` is the executor's own."""

    executor: Nobody
    most_polls: int
    times: list[float] = field(default_factory=list)
    ended: int = 0

    def update(self, ended: int, total: int, running: Sequence[db.JobFacts]) -> None:
        self.times.append(time.process_time() - self.executor.seconds)
        self.ended = ended
        if len(self.times) == self.most_polls:
            raise EnoughError

    def job_ended(self, title: str, report: Report) -> None:
        pass

    def unreachable(self, since: float, why: str) -> None:
        raise RuntimeError(why)

    def note(self, line: str) -> None:
        print(line)


def measure(
    site: Site, folder: Path, trials: int, polls: int, batch: int, most_polls: int
) -> dict[str, object]:
    """One launch of that many trials in an empty database, up to so many polls."""
    place = Place(site.make(), folder / "runs", folder / "data")
    if not (place.data / DATASET).exists():
        data.prepare(DATASET, place.data)
    store = db.connect(place.db)
    spec, used = make_spec(trials), time.process_time()
    plan = make_plan(spec, place, store)
    planned = time.process_time()
    register_plan(plan, place, store)
    registered = time.process_time()
    nodes = make_nodes(plan, place, owner="benchmark", device="cpu")
    made, memory = time.process_time(), _peak_mb()
    store.add_environment(read_environment("cpu"))
    executor = Nobody(store, polls, batch)
    clock = Clock(executor, most_polls)
    started = time.process_time()
    with suppress(EnoughError):
        Launch(store, nodes, executor, clock).run()
    ended = time.process_time()
    store.close()
    site.drop(place.db)
    assert executor.began is not None
    steps = [b - a for a, b in zip(clock.times, clock.times[1:], strict=False)]
    idle, busy = steps[: polls - 1], steps[polls:]
    return {
        "engine": site.engine,
        "trials": len(nodes),
        "polls": len(clock.times),
        "cpu_seconds_to_plan": planned - used,
        "cpu_seconds_to_register": registered - planned,
        "cpu_seconds_to_make_nodes": made - registered,
        "cpu_seconds_to_first_task": executor.began - started,
        "peak_mb_of_planning": memory,
        "longest_stall_cpu_seconds": max(steps),
        "cpu_ms_of_an_idle_poll": 1000 * median(idle),
        "cpu_ms_of_a_busy_poll": 1000 * median(busy),
        "driver_cpu_ms_for_each_trial": 1000 * (clock.times[-1] - clock.times[0]) / clock.ended,
        "cpu_seconds_in_all": ended - started,
        "peak_mb": _peak_mb(),
    }


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", help="launch, trials, workers (default: all)")
    parser.add_argument("--planned", type=int, default=10000, help="trials of `launch`")
    parser.add_argument("--polls", type=int, default=50, help="polls at which nothing is new")
    parser.add_argument("--batch", type=int, default=20, help="trials that end between two polls")
    parser.add_argument("--most-polls", type=int, default=0, help="end `launch` after these polls")
    parser.add_argument(
        "--refresh", action="store_true", help="let each poll of `launch` read some other jobs too"
    )
    parser.add_argument("--engine", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--trials", type=int, default=1000, help="of each of ours in `trials`")
    parser.add_argument("--tune-trials", type=int, default=1000, help="of each of Ray Tune's")
    parser.add_argument("--slots", type=int, default=os.cpu_count() or 1, help="trials at a time")
    parser.add_argument("--workers", type=int, default=300, help="of `workers`")
    parser.add_argument("--pooled", action="store_true", help="`workers` go through PgBouncer")
    parser.add_argument("--seconds", type=float, default=120.0, help="for which `workers` run")
    parser.add_argument("--trial-seconds", type=float, default=60.0, help="mean of their trials")
    given = parser.parse_args()
    if unknown := set(given.rows) - {"launch", "trials", "workers"}:
        parser.error(f"no row {unknown.pop()}: launch, trials, workers")
    rows = given.rows or ["launch", "trials", "workers"]
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.1f}, Python {platform.python_version()}"
    )
    if "workers" in rows:
        fleet_found = fleet.measure(
            given.workers, given.seconds, given.trial_seconds, pooled=given.pooled
        )
        print(json.dumps(fleet_found))
    if given.refresh:  # as it is all the time where there are very many
        driver.REFRESH_SECONDS = 0.0
    with tempfile.TemporaryDirectory() as folder, sites(Path(folder), (given.engine,)) as found:
        for site in found:
            if "launch" in rows:
                launched = measure(
                    site,
                    Path(folder),
                    given.planned,
                    given.polls,
                    given.batch,
                    given.most_polls,
                )
                print(json.dumps(launched))
            if "trials" in rows:
                found = trivial.measure(
                    site,
                    Path(folder),
                    trials=given.trials,
                    tune_trials=given.tune_trials,
                    slots=given.slots,
                )
                print(json.dumps(found))


if __name__ == "__main__":
    main()
