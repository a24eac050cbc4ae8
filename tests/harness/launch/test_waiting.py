"""What waits for a database, a clock and a lease, and what it says meanwhile."""

import io
import re
import threading
import time

from rich.console import Console

from lcma.harness.launch.driver import Launch
from lcma.harness.train.devices import configure_device
from lcma.harness.watch.progress import Bars
from lcma.harness.work import worker
from tests.harness.launch.conftest import Inline, Told, claim_elsewhere, end
from tests.stores import beat, read_job


def test_a_host_that_never_reaches_the_database_says_so(database, one_trial, monkeypatch) -> None:
    store, work = one_trial(database.url)
    monkeypatch.setattr(worker, "START_SECONDS", 0.2)
    database.off()
    report = worker.run_work(work)
    database.on()
    assert report.ending == "away"
    assert "\n" not in report.message
    assert read_job(store, work.job_id).state == "pending"


def test_a_driver_that_slept_leaves_a_lease_that_ran_out_to_its_holder(one_trial, tmp_path) -> None:
    """Longer than the lease; what is beside it slept too and renews a moment later."""
    store, work = one_trial(f"sqlite:///{tmp_path / 'asleep.db'}", lease=1.5)
    display = Told()
    configure_device("cpu", 1)  # the first time takes seconds
    claim = claim_elsewhere(store, work.job_id, lease=1.5)
    display.pause = 1.8
    renewed: list[bool] = []

    def holder() -> None:
        time.sleep(2.4)
        renewed.append(beat(store, claim, step=1, lease_seconds=60.0))
        end(store, claim)

    thread = threading.Thread(target=holder)
    thread.start()
    ended = Launch(store, [work], Inline(), display).run()
    thread.join()
    assert renewed == [True]
    assert [report.ending for report in ended.values()] == ["diverged"]
    assert len(store.view("attempts")) == 1


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
