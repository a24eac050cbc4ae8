"""Leases and their heartbeats, and what waits for a lease or a database."""

import io
import re
import threading
import time
from typing import Any

import pytest
from rich.console import Console

from lcma import db
from lcma.harness.train.devices import configure_device
from lcma.harness.watch.progress import Bars
from lcma.harness.work import worker
from lcma.harness.work.lease import BEAT_SECONDS, HeartbeatThread, Lease, draw_pause
from lcma.harness.work.units import LEASE_SECONDS
from tests.harness.launch.conftest import FakeDisplay, claim_elsewhere, end_job, run_launch
from tests.harness.launch.machines import wait_until
from tests.stores import beat, read_curve, read_job


def test_a_host_that_never_reaches_the_database_claims_nothing(
    database, register_trial, monkeypatch
) -> None:
    store, work = register_trial(database.url)
    monkeypatch.setattr(worker, "START_SECONDS", 0.2)
    database.off()
    report = worker.run_work(work)
    database.on()
    assert report.ending == "away"
    assert "\n" not in report.message
    assert read_job(store, work.job_id).state == "pending"


def test_a_driver_that_slept_leaves_expired_leases_to_their_holders(register_trial) -> None:
    """The machine slept longer than the lease, and the holder on it renews a moment later."""
    store, work = register_trial(lease=1.5)
    display = FakeDisplay()
    configure_device("cpu", 1)  # the first time takes seconds
    claim = claim_elsewhere(store, work.job_id, lease=1.5)
    display.pause = 1.8
    renewed: list[bool] = []

    def renew() -> None:
        time.sleep(2.4)
        renewed.append(beat(store, claim, step=1, lease_seconds=60.0))
        end_job(store, claim)

    thread = threading.Thread(target=renew)
    thread.start()
    ended = run_launch(store, [work], display=display)
    thread.join()
    assert renewed == [True]
    assert [report.ending for report in ended.values()] == ["diverged"]
    assert len(store.view("attempts")) == 1


def test_a_launch_says_once_that_the_database_is_unreachable_and_once_that_it_is_back() -> None:
    text = io.StringIO()
    with Bars(Console(file=text, width=80)) as bars:
        bars.update(0, 2, [])
        for _ in range(3):
            bars.unreachable(
                time.time(), "cannot open the database [x]: refused; check that it runs"
            )
        bars.update(1, 2, [])
        bars.update(2, 2, [])
    first, second = text.getvalue().strip().splitlines()
    assert re.fullmatch(
        r"the database has been unreachable since \d\d:\d\d:\d\d, waiting for it: "
        r"cannot open the database \[x\]: refused; check that it runs",
        first,
    )
    assert re.fullmatch(r"the database is back after \d+ s", second)


def test_a_lease_has_time_for_several_heartbeats_and_workers_spread_theirs() -> None:
    pauses = sorted(draw_pause(BEAT_SECONDS) for _ in range(2000))
    assert 3 * pauses[-1] < LEASE_SECONDS
    assert pauses[-1] - pauses[0] > 0.4 * BEAT_SECONDS
    assert sum(pauses) / len(pauses) == pytest.approx(BEAT_SECONDS, rel=0.05)
    assert max(draw_pause(BEAT_SECONDS, refused=True) for _ in range(500)) < LEASE_SECONDS / 10


def test_a_heartbeat_delivers_what_refused_ones_carried(
    register_trial, monkeypatch, caplog
) -> None:
    """While the lease holds, nothing is logged about refusals."""
    monkeypatch.setattr("lcma.harness.work.lease.BEAT_SECONDS", 1.0)
    store, work = register_trial(lease=30.0)
    claim = claim_elsewhere(store, work.job_id, lease=30.0)
    refusals = [db.Unavailable("cannot open the database: too many clients already")] * 2
    accept, cost = store.heartbeats, db.Cost(seconds=1.0, cpu_seconds=1.0, peak_memory=2**20)

    def refuse_at_first(beats: Any) -> set[str]:
        if refusals:
            raise refusals.pop()
        return accept(beats)

    monkeypatch.setattr(store, "heartbeats", refuse_at_first)
    with (
        HeartbeatThread(store, 30.0) as thread,
        Lease(thread, claim, 30.0, lambda: cost, lambda: "") as lease,
    ):
        lease.metric("train_bits_per_dim", 10, 4.5)
        wait_until(lambda: bool(read_curve(store, claim.job_id, "train_bits_per_dim")))
    assert not refusals
    assert not lease.lost
    assert "unreachable" not in caplog.text
