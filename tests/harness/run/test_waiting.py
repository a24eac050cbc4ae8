"""What waits for a database, a clock and a lease, and what it says meanwhile."""

import io
import re
import threading
import time

import pytest
from rich.console import Console

from lcma import db
from lcma.harness.environment import read_environment
from lcma.harness.run import worker
from lcma.harness.run.driver import Launch
from lcma.harness.run.evaluation import settle_device
from lcma.harness.watch.progress import Bars
from tests.harness.run.conftest import Inline, Told


def claim_elsewhere(
    store: db.Store, job_id: str, *, after: str | None = None, lease: float = 60.0
) -> db.Claim:
    """Another launch takes the job, away from the one that holds it."""
    environment_id = store.add_environment(read_environment("cpu"))
    if after is not None:
        store.release(after)
    found = store.claim(
        job_id,
        owner="another launch",
        host="elsewhere",
        pid=1,
        environment_id=environment_id,
        device="cpu",
        threads=1,
        lease_seconds=lease,
    )
    assert isinstance(found, db.Claim)
    return found


def test_a_host_that_never_reaches_the_database_says_so(database, one_trial, monkeypatch) -> None:
    store, node = one_trial(database.url)
    monkeypatch.setattr(worker, "START_SECONDS", 0.2)
    database.off()
    report = worker.run_work(node.work)
    database.on()
    assert report.ending == "away"
    assert "\n" not in report.message
    assert store.job(node.work.job_id).state == "pending"


def test_a_driver_that_slept_leaves_a_lease_that_ran_out_to_its_holder(one_trial, tmp_path) -> None:
    """Longer than the lease; what is beside it slept too and renews a moment later."""
    store, node = one_trial(f"sqlite:///{tmp_path / 'asleep.db'}", lease=1.5)
    work, display = node.work, Told()
    settle_device("cpu", 1)  # the first time takes seconds
    claim = claim_elsewhere(store, work.job_id, lease=1.5)
    display.pause = 1.8
    renewed: list[bool] = []

    def holder() -> None:
        time.sleep(2.4)
        renewed.append(store.heartbeat(claim, step=1, lease_seconds=60.0))
        cost = db.Cost(seconds=1.0, cpu_seconds=1.0)
        store.finish(claim, "diverged", last_step=1, cost=cost)

    thread = threading.Thread(target=holder)
    thread.start()
    ended = Launch(store, [node], Inline(), display).run()
    thread.join()
    assert renewed == [True]
    assert [report.ending for report in ended.reports.values()] == ["diverged"]
    assert len(store.attempts()) == 1


@pytest.mark.integration
@pytest.mark.slow_on("behind")
@pytest.mark.parametrize("ahead", [86400.0, -86400.0], ids=["ahead", "behind"])
def test_a_launch_whose_clock_is_wrong_waits_for_a_live_worker(
    one_trial, tmp_path, monkeypatch, ahead: float
) -> None:
    """And takes over from one that is gone, whatever its lease says."""
    monkeypatch.setattr("lcma.harness.run.driver.POLL_SECONDS", 0.05)
    store, node = one_trial(f"sqlite:///{tmp_path / 'clocks.db'}", lease=2.0)
    wrong, display = db.connect(store.url), Told()
    wrong.database.clock = lambda connection: time.time() + ahead
    claim = claim_elsewhere(store, node.work.job_id, lease=2.0)
    beats: list[bool] = []

    def holder() -> None:
        while len(beats) < 10:
            time.sleep(0.3)
            beats.append(store.heartbeat(claim, step=len(beats), lease_seconds=2.0))

    thread = threading.Thread(target=holder)
    thread.start()
    ended = Launch(wrong, [node], Inline(), display).run()
    thread.join()
    assert beats == [True] * 10
    assert [report.ending for report in ended.reports.values()] == ["done"]
    assert store.attempts().outcome.tolist() == ["node_lost", "done"]


def test_a_launch_tells_once_that_the_database_is_away_and_once_that_it_is_back() -> None:
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
