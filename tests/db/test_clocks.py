"""No clock that is set wrong takes a job from a live worker, or keeps one for a dead worker.

A SQLite file has no clock: each process uses that of its machine, which may be wrong.
"""

import os
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lcma import db
from lcma.db.leases import LeaseWatch
from tests.db.conftest import ENVIRONMENT, SEGMENTS, TRIAL_JOBS, SqliteTemplates
from tests.stores import beat, list_running

DAY = 86400.0
TRIAL = TRIAL_JOBS[0].id

Opened = Callable[[float], db.Store]


@pytest.fixture
def opened(sqlite_templates: SqliteTemplates, tmp_path: Path) -> Opened:
    """Opens the planned sweep as a process whose clock is ahead by so many seconds."""
    path = sqlite_templates.copy("planned", tmp_path)

    def open_ahead(ahead: float) -> db.Store:
        store = db.connect(str(path))
        store.database.clock = lambda connection: time.time() + ahead  # type: ignore[method-assign]
        return store

    return open_ahead


def claim(store: db.Store, job_id: str = TRIAL, **more: Any) -> db.Claim | db.Job:
    own = {"owner": "me", "host": socket.gethostname(), "pid": os.getpid()}
    rest = {"environment_id": ENVIRONMENT.id, "device": "cpu", "threads": 1, "lease_seconds": 30.0}
    return store.claim(job_id, **(own | rest | more))


def dead_pid() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


@pytest.mark.parametrize(("holder", "taker"), [(0.0, DAY), (DAY, 0.0), (0.0, -DAY), (-DAY, 0.0)])
def test_a_wrong_clock_decides_nothing(opened: Opened, holder: float, taker: float) -> None:
    """A dead process of this host is recognized. For any other process, the launch must have seen
    that the lease does not move."""
    first, second = opened(holder), opened(taker)
    for who, taken in (
        ({"pid": os.getppid()}, False),
        ({"host": "elsewhere"}, False),
        ({"pid": dead_pid()}, True),
    ):
        assert isinstance(claim(first, **who), db.Claim)
        assert isinstance(claim(second), db.Claim) == taken, who
        assert isinstance(claim(second, expired=1.0), db.Job), "it was renewed since"
        (running,) = list_running(second)
        assert isinstance(claim(second, expired=running.lease_until), db.Claim)
        first.release("me")


def test_a_lease_that_holds_is_not_taken_from_a_dead_process(opened: Opened) -> None:
    """It may run in another container with this host's name."""
    assert isinstance(claim(opened(0.0), pid=dead_pid()), db.Claim)
    assert isinstance(claim(opened(20.0)), db.Job)
    assert isinstance(claim(opened(31.0)), db.Claim)


def test_a_lease_from_the_future_keeps_nobody_from_other_jobs(opened: Opened) -> None:
    shorter, longer = SEGMENTS[0].id, SEGMENTS[1].id
    assert isinstance(claim(opened(DAY), shorter, pid=os.getppid()), db.Claim)
    assert isinstance(claim(opened(0.0), longer), db.Claim)
    (sweep,) = opened(0.0).sweeps()
    opened(0.0).release("me")
    assert isinstance(claim(opened(DAY), TRIAL, pid=os.getppid()), db.Claim)
    for job_id, kind in ((TRIAL_JOBS[2].id, db.Claim), (shorter, db.Job)):
        assert isinstance(claim(opened(0.0), job_id, cap=db.Cap(sweep.id, 1)), kind)


def test_a_lease_is_over_once_it_was_seen_to_stand_still(opened: Opened) -> None:
    store, ahead = opened(0.0), opened(DAY)
    now = 100.0
    watch = LeaseWatch(one_host=True, clock=lambda: now)

    def held() -> bool:
        running = list_running(store)
        watch.update(running)
        return watch.is_held(running[0], store.now())

    mine = claim(ahead, pid=os.getppid())
    assert isinstance(mine, db.Claim)
    for later, is_held in ((0, True), (29, True), (31, False)):
        now = 100.0 + later
        assert held() == is_held
    assert beat(ahead, mine, step=1, lease_seconds=30.0)
    assert held()
    now += 29.0
    assert held()
    now += 2.0
    assert not held()
    assert watch.seconds_still(TRIAL) == 31.0


def test_a_server_s_clock_is_trusted(opened: Opened) -> None:
    store = opened(0.0)
    assert isinstance(claim(store, pid=os.getppid()), db.Claim)
    (running,) = list_running(store)
    watch = LeaseWatch(one_host=False, clock=lambda: 0.0)
    watch.update([running])
    assert watch.is_held(running, running.lease_until - 1.0)
    assert not watch.is_held(running, running.lease_until)
    assert watch.is_held(replace(running, lease_until=running.lease_until + DAY), store.now())
