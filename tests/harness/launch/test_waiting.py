"""Workers and launches that wait for a database or a lease."""

import io
import re
import threading
import time

from rich.console import Console

from lcma.harness.train.devices import configure_device
from lcma.harness.watch.progress import Bars
from lcma.harness.work import worker
from tests.harness.launch.conftest import FakeDisplay, claim_elsewhere, end_job, run_launch
from tests.stores import beat, read_job


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
