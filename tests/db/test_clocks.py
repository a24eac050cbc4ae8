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
from tests.db.conftest import SEGMENTS, TRIAL_JOBS, SqliteTemplates, World
from tests.stores import beat, list_running

DAY = 86400.0
TRIAL = TRIAL_JOBS[0].id

Open = Callable[[float], db.Store]


@pytest.fixture
def open_ahead(sqlite_templates: SqliteTemplates, tmp_path: Path) -> Open:
    """Opens the planned sweep as a process whose clock is ahead by so many seconds."""
    path = sqlite_templates.copy("planned", tmp_path)

    def connect(seconds: float) -> db.Store:
        store = db.connect(str(path))
        store.database.clock = lambda _: time.time() + seconds
        return store

    return connect


def claim(store: db.Store, job_id: str = TRIAL, **more: Any) -> db.Claim | db.Job:
    worker = {"host": socket.gethostname(), "pid": os.getpid(), "lease": 30.0}
    return World(store).claim(job_id, now=None, **(worker | more))


def dead_pid() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


@pytest.mark.parametrize(("holder", "taker"), [(0.0, DAY), (DAY, 0.0), (0.0, -DAY), (-DAY, 0.0)])
def test_a_wrong_clock_decides_nothing(open_ahead: Open, holder: float, taker: float) -> None:
    """The launch recognizes a dead process of this host. For any other process, it
    must have seen that the lease does not move."""
    first, second = open_ahead(holder), open_ahead(taker)
    for holder_process, is_taken in (
        ({"pid": os.getppid()}, False),
        ({"host": "elsewhere"}, False),
        ({"pid": dead_pid()}, True),
    ):
        assert isinstance(claim(first, **holder_process), db.Claim)
        assert isinstance(claim(second), db.Claim) == is_taken, holder_process
        assert isinstance(claim(second, expired=1.0), db.Job), "it was renewed since"
        (running,) = list_running(second)
        assert isinstance(claim(second, expired=running.lease_until), db.Claim)
        first.release("me")


def test_a_lease_that_holds_is_not_taken_from_a_dead_process(open_ahead: Open) -> None:
    """It may run in another container with this host's name."""
    assert isinstance(claim(open_ahead(0.0), pid=dead_pid()), db.Claim)
    assert isinstance(claim(open_ahead(20.0)), db.Job)
    assert isinstance(claim(open_ahead(31.0)), db.Claim)


def test_a_lease_from_the_future_holds_only_its_own_job(open_ahead: Open) -> None:
    shorter, longer = SEGMENTS[0].id, SEGMENTS[1].id
    assert isinstance(claim(open_ahead(DAY), shorter, pid=os.getppid()), db.Claim)
    assert isinstance(claim(open_ahead(0.0), longer), db.Claim)
    (sweep,) = open_ahead(0.0).sweeps()
    open_ahead(0.0).release("me")
    assert isinstance(claim(open_ahead(DAY), TRIAL, pid=os.getppid()), db.Claim)
    for job_id, kind in ((TRIAL_JOBS[2].id, db.Claim), (shorter, db.Job)):
        assert isinstance(claim(open_ahead(0.0), job_id, cap=db.Cap(sweep.id, 1)), kind)


def test_a_lease_is_over_once_it_was_seen_to_stand_still(open_ahead: Open) -> None:
    store, ahead = open_ahead(0.0), open_ahead(DAY)
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


def test_a_server_s_clock_is_trusted(open_ahead: Open) -> None:
    store = open_ahead(0.0)
    assert isinstance(claim(store, pid=os.getppid()), db.Claim)
    (running,) = list_running(store)
    watch = LeaseWatch(one_host=False, clock=lambda: 0.0)
    watch.update([running])
    assert watch.is_held(running, running.lease_until - 1.0)
    assert not watch.is_held(running, running.lease_until)
    assert watch.is_held(replace(running, lease_until=running.lease_until + DAY), store.now())
