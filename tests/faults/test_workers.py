"""A training whose database or disk is away, or that dies meanwhile, ends as an undisturbed one: no
step is trained twice, no row is lost."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lcma import db
from lcma.harness.work import worker
from lcma.harness.work.units import Work
from tests.db.inspecting import execute
from tests.faults.contents import compare_rows, find_faults, read_rows
from tests.faults.moments import hooked
from tests.harness.launch.conftest import (
    Killed,
    claim_elsewhere,
    fill,
    place_in,
    register_one,
    run_killed,
)
from tests.harness.launch.machines import wait_until
from tests.stores import list_running, read_curve, read_job


def curves(store: db.Store, job_id: str) -> list[list[db.Metric]]:
    return [read_curve(store, job_id, f"{part}_bits_per_dim") for part in ("train", "holdout")]


@pytest.fixture(scope="module")
def undisturbed(
    photos_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[db.Store], None]:
    """Asserts that a training left exactly what an undisturbed one leaves."""
    place = place_in(tmp_path_factory.mktemp("undisturbed"), photos_root)
    store, work = register_one(place, lease=30.0)
    assert worker.run_work(work).ending == "done"
    rows = read_rows(store)

    def check(other: db.Store) -> None:
        assert compare_rows(rows, read_rows(other)) == []
        assert find_faults(other) == []

    return check


def record_steps(at_step: Any) -> list[int]:
    """Return a list to which trainings add each step from now on."""
    steps: list[int] = []
    at_step({step: (lambda step=step: steps.append(step)) for step in range(20)})
    return steps


@pytest.mark.integration
@pytest.mark.slow_on("postgresql-it begins")
@pytest.mark.parametrize("before", ["it begins", "its first point"])
def test_a_training_outlives_its_lease_without_the_database(
    database, register_trial, undisturbed, at_step, before: str
) -> None:
    """The outage lasts until after the last step, or comes before the first one."""
    store, work = register_trial(database.url)
    timer = threading.Timer(1.0, database.on)  # twice the lease
    if before == "it begins":
        database.off()
        timer.start()
    else:
        at_step({5: database.off, 19: timer.start})
    assert worker.run_work(work).ending == "done"
    undisturbed(store)
    (attempt,) = store.view("attempts").to_dict("records")
    assert (attempt["outcome"], attempt["message"], attempt["token"]) == ("done", "", 1)
    assert (attempt["first_step"], attempt["last_step"]) == (0, 20)


@pytest.mark.integration
@pytest.mark.slow_on("postgresql")
def test_a_checkpoint_holds_the_points_that_the_database_has_not_seen(
    database, register_trial, undisturbed, at_step
) -> None:
    """A worker is killed after a checkpoint while the database is away; the next one trains no step
    twice."""
    store, work = register_trial(database.url, lease=600.0)
    at_step({5: database.off})
    run_killed(work, 12)
    database.on()
    assert curves(store, work.job_id) == [[], []]
    steps = record_steps(at_step)
    assert worker.run_work(work).ending == "elsewhere"
    ended = f"UPDATE jobs SET lease_until = {store.now() - 1.0} WHERE state = 'running'"
    assert execute(store.url, ended) == [1]
    # A server that returns leaves the job to its worker for the length of a lease.
    with_short_lease = replace(work, lease_seconds=1.0)
    wait_until(lambda: worker.run_work(with_short_lease).ending == "done")
    assert steps == list(range(10, 20))
    undisturbed(store)


@pytest.mark.integration
@pytest.mark.slow_on("removed", "put back")
@pytest.mark.parametrize("how", ["removed", "put back", "set back while it trains"])
def test_a_database_that_is_older_than_the_checkpoints_gets_the_whole_curve(
    register_trial, undisturbed, at_step, tmp_path, monkeypatch, how: str
) -> None:
    """Points that it acknowledged before are delivered again."""
    monkeypatch.setattr("lcma.harness.work.lease.BEAT_SECONDS", 0.05)
    url = f"sqlite:///{tmp_path / 'old.db'}"
    store, work = register_trial(url, lease=30.0)
    copy = store.database.backup(tmp_path / "copy.db")

    def wait_until_acknowledged() -> None:
        wait_until(lambda: all(curves(store, work.job_id)))
        if how != "set back while it trains":
            raise Killed
        assert execute(store.url, "DELETE FROM metrics") == [2]

    at_step({12: wait_until_acknowledged})
    if how == "set back while it trains":
        assert worker.run_work(work).ending == "done"
    else:
        run_killed(work)
        store.close()
        for file in tmp_path.glob("old.db*"):
            file.unlink()
        if how == "put back":
            copy.rename(tmp_path / "old.db")
        store, work = register_trial(url, lease=30.0) if how == "removed" else (store, work)
        steps = record_steps(at_step)
        assert worker.run_work(work).ending == "done"
        assert steps == list(range(10, 20))
    undisturbed(store)


@pytest.mark.slow
def test_points_of_another_job_stay_in_the_checkpoints_of_their_run(
    registered, monkeypatch
) -> None:
    """A longer budget is killed; a shorter one resumes from its checkpoint, and the longer one then
    from the shorter one's."""
    store, works = registered({"matrix": {"factorization": "low", "budget": [15, 30]}})
    short, long = (work for work in works if work.job.kind == "pretraining")
    long = replace(long, lease_seconds=0.5, checkpoint_seconds=0.0)
    with monkeypatch.context() as patch:
        beat = "lcma.harness.work.lease.HeartbeatThread._beat"
        patch.setattr(beat, lambda self, leases: None)  # no heartbeat reaches the database
        run_killed(long, 12)

    def steps(work: Work) -> list[int]:
        return [metric.step for metric in read_curve(store, work.job_id, "train_bits_per_dim")]

    assert steps(long) == []
    assert worker.run_work(short).ending == "done"
    time.sleep(0.5)
    assert worker.run_work(long).ending == "done"
    assert steps(short) == [15]
    assert steps(long) == [10, 20, 30]


def die_before_the_report(moment: str, when: str) -> None:
    if (moment, when) == ("report", "before"):
        raise Killed


@pytest.mark.integration
@pytest.mark.slow_on("postgresql")
def test_a_trial_that_dies_before_its_report_is_evaluated_again_and_not_trained(
    database, register_trial, undisturbed, at_step
) -> None:
    """Its training ends while the database is away."""
    store, work = register_trial(database.url)
    at_step({5: database.off})
    with hooked(die_before_the_report), pytest.raises(Killed):
        worker.run_work(work)
    database.on()
    assert read_job(store, work.job_id).state == "running"
    steps = record_steps(at_step)
    time.sleep(0.6)
    wait_until(lambda: worker.run_work(work).ending == "done")
    assert steps == []
    attempts = store.view("attempts").sort_values("token")[["outcome", "first_step", "last_step"]]
    assert attempts.values.tolist()[1:] == [["done", 20, 20]]
    undisturbed(store)


def test_a_late_worker_whose_job_was_claimed_since_changes_nothing(
    database, register_trial, at_step
) -> None:
    store, work = register_trial(database.url)
    expected: list[Any] = []

    def take_job() -> None:
        database.on()
        store.release("a launch")
        claim_elsewhere(store, work.job_id)
        expected.extend(dump(store))

    at_step({5: database.off, 19: take_job})
    report = worker.run_work(work)
    assert (report.ending, report.message) == ("stopped", "its lease was lost")
    assert dump(store) == expected
    assert read_job(store, work.job_id).owner == "another launch"


def dump(store: db.Store) -> list[Any]:
    tables = ("jobs", "attempts", "results", "metrics", "artifacts")
    return [sorted(map(str, store.sql(f"SELECT * FROM {t}").values.tolist())) for t in tables]


@pytest.mark.integration
def test_a_full_disk_below_the_checkpoints_is_reported_while_it_lasts(
    small_disk, register_trial, undisturbed, at_step, tmp_path, monkeypatch
) -> None:
    """It is reported at a checkpoint, and while the worker waits to write the weights."""
    monkeypatch.setattr("lcma.harness.work.lease.BEAT_SECONDS", 0.05)
    store, work = register_trial(f"sqlite:///{tmp_path / 'here.db'}", lease=30.0)
    runs = small_disk / "runs"
    work = replace(work, place=replace(work.place, runs=runs))
    messages: list[str] = []
    fillers: list[Path] = []

    def read_message() -> None:
        messages.append(wait_until(lambda: list_running(store)[0].message))

    def make_room() -> None:
        while "waits for" not in (message := list_running(store)[0].message):
            time.sleep(0.02)
        messages.append(message)
        fillers.pop().unlink()

    thread = threading.Thread(target=make_room)
    at_step({9: lambda: fillers.append(fill(small_disk)), 15: read_message, 19: thread.start})
    assert worker.run_work(work).ending == "done"
    thread.join()
    for message, part in zip(
        messages, ("checkpoints are not written", "it waits for"), strict=True
    ):
        assert part in message
        assert f"{runs}" in message
        assert "(No space left on device): make room there" in message
    undisturbed(store)
