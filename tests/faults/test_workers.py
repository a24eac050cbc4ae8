"""A training whose database or disk is away, or that dies meanwhile, is one left alone: no step is
trained twice, no row is lost."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lcma import db
from lcma.harness.place import Place
from lcma.harness.work import worker
from tests.db.inspecting import execute
from tests.faults.contents import compare_rows, find_faults, read_rows
from tests.faults.moments import hooked
from tests.harness.launch.conftest import (
    Killed,
    claim_elsewhere,
    fill,
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
    """Asserts that a training left what it leaves where nothing happens."""
    folder = tmp_path_factory.mktemp("undisturbed")
    place = Place(f"sqlite:///{folder / 'lcma.db'}", folder / "runs", photos_root)
    store, work = register_one(place, lease=30.0)
    assert worker.run_work(work).ending == "done"
    rows = read_rows(store)

    def check(other: db.Store) -> None:
        assert compare_rows(rows, read_rows(other)) == []
        assert find_faults(other) == []

    return check


def note_steps(at_step: Any) -> list[int]:
    """Return the steps that trainings make from now on, as they make them."""
    steps: list[int] = []
    at_step({step: (lambda step=step: steps.append(step)) for step in range(20)})
    return steps


@pytest.mark.integration
@pytest.mark.slow_on("postgresql-it begins")
@pytest.mark.parametrize("before", ["it begins", "its first point"])
def test_a_training_outlives_its_lease_without_the_database(
    database, register_trial, undisturbed, at_step, before: str
) -> None:
    """Until after the last step, or until it may begin."""
    store, work = register_trial(database.url)
    back = threading.Timer(1.0, database.on)  # twice the lease
    if before == "it begins":
        database.off()
        back.start()
    else:
        at_step({5: database.off, 19: back.start})
    assert worker.run_work(work).ending == "done"
    undisturbed(store)
    (attempt,) = store.view("attempts").to_dict("records")
    assert (attempt["outcome"], attempt["message"], attempt["token"]) == ("done", "", 1)
    assert (attempt["first_step"], attempt["last_step"]) == (0, 20)


@pytest.mark.integration
@pytest.mark.slow_on("postgresql")
def test_a_checkpoint_brings_along_what_the_database_has_not_seen(
    database, register_trial, undisturbed, at_step
) -> None:
    """Killed while the database is away, after a checkpoint: the next one trains no step twice."""
    store, work = register_trial(database.url, lease=600.0)
    at_step({5: database.off})
    run_killed(work, 12)
    database.on()
    assert curves(store, work.job_id) == [[], []]
    steps = note_steps(at_step)
    assert worker.run_work(work).ending == "elsewhere"
    ended = f"UPDATE jobs SET lease_until = {store.now() - 1.0} WHERE state = 'running'"
    assert execute(store.url, ended) == [1]
    # For a lease from its return on a server leaves the job to whoever had it.
    short = replace(work, lease_seconds=1.0)
    wait_until(lambda: worker.run_work(short).ending == "done")
    assert steps == list(range(10, 20))
    undisturbed(store)


@pytest.mark.integration
@pytest.mark.slow_on("removed", "put back")
@pytest.mark.parametrize("how", ["removed", "put back", "set back while it trains"])
def test_a_database_that_is_older_than_the_checkpoints_gets_the_whole_curve(
    register_trial, undisturbed, at_step, tmp_path, monkeypatch, how: str
) -> None:
    """What it had acknowledged before is delivered again."""
    monkeypatch.setattr("lcma.harness.work.lease.BEAT_SECONDS", 0.05)
    url = f"sqlite:///{tmp_path / 'old.db'}"
    store, work = register_trial(url, lease=30.0)
    copy = store.database.backup(tmp_path / "copy.db")

    def acknowledged() -> None:
        wait_until(lambda: all(curves(store, work.job_id)))
        if how != "set back while it trains":
            raise Killed
        assert execute(store.url, "DELETE FROM metrics") == [2]

    at_step({12: acknowledged})
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
        steps = note_steps(at_step)
        assert worker.run_work(work).ending == "done"
        assert steps == list(range(10, 20))
    undisturbed(store)


@pytest.mark.slow
def test_points_of_another_job_stay_in_the_checkpoints_of_their_run(
    registered, monkeypatch
) -> None:
    """A longer budget is killed; a shorter one goes on from its checkpoint, and the longer from
    that one's."""
    store, works = registered({"matrix": {"factorization": "low", "budget": [15, 30]}})
    short, long = (n for n in works if n.job.kind == "pretraining")
    long = replace(long, lease_seconds=0.5, checkpoint_seconds=0.0)
    with monkeypatch.context() as patch:
        beat = "lcma.harness.work.lease.HeartbeatThread._beat"
        patch.setattr(beat, lambda self, leases: None)  # cut off
        run_killed(long, 12)
    assert read_curve(store, long.job_id, "train_bits_per_dim") == []
    assert worker.run_work(short).ending == "done"
    time.sleep(0.5)
    assert worker.run_work(long).ending == "done"
    steps = [
        [m.step for m in read_curve(store, w.job_id, "train_bits_per_dim")] for w in (short, long)
    ]
    assert steps == [[15], [10, 20, 30]]


def die_before_the_report(moment: str, when: str) -> None:
    if (moment, when) == ("report", "before"):
        raise Killed


@pytest.mark.integration
@pytest.mark.slow_on("postgresql")
def test_what_died_before_its_report_is_evaluated_again_and_not_trained(
    database, register_trial, undisturbed, at_step
) -> None:
    """It has come to its end while the database was away."""
    store, work = register_trial(database.url)
    at_step({5: database.off})
    with hooked(die_before_the_report), pytest.raises(Killed):
        worker.run_work(work)
    database.on()
    assert read_job(store, work.job_id).state == "running"
    steps = note_steps(at_step)
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
    before: list[Any] = []

    def taken_away() -> None:
        database.on()
        store.release("a launch")
        claim_elsewhere(store, work.job_id)
        before.append(dump(store))

    at_step({5: database.off, 19: taken_away})
    report = worker.run_work(work)
    assert (report.ending, report.message) == ("stopped", "its lease was lost")
    assert [dump(store)] == before
    assert read_job(store, work.job_id).owner == "another launch"


def dump(store: db.Store) -> list[Any]:
    tables = ("jobs", "attempts", "results", "metrics", "artifacts")
    return [sorted(map(str, store.sql(f"SELECT * FROM {t}").values.tolist())) for t in tables]


@pytest.mark.integration
def test_a_full_disk_below_the_checkpoints_is_reported_while_it_lasts(
    small_disk, register_trial, undisturbed, at_step, tmp_path, monkeypatch
) -> None:
    """Of a checkpoint on the way, and of the weights, which are waited for."""
    monkeypatch.setattr("lcma.harness.work.lease.BEAT_SECONDS", 0.05)
    store, work = register_trial(f"sqlite:///{tmp_path / 'here.db'}", lease=30.0)
    runs = small_disk / "runs"
    work = replace(work, place=replace(work.place, runs=runs))
    fillers: list[Path] = []
    seen: list[str] = []

    def full() -> None:
        fillers.append(fill(small_disk))

    def look() -> None:
        seen.append(wait_until(lambda: list_running(store)[0].message))

    def wait_for_the_end() -> None:
        while "waits for" not in (message := list_running(store)[0].message):
            time.sleep(0.02)
        seen.append(message)
        fillers.pop().unlink()

    thread = threading.Thread(target=wait_for_the_end)
    at_step({9: full, 15: look, 19: thread.start})
    assert worker.run_work(work).ending == "done"
    thread.join()
    for message, word in zip(seen, ("checkpoints are not written", "it waits for"), strict=True):
        assert word in message
        assert f"{runs}" in message
        assert "(No space left on device): make room there" in message
    undisturbed(store)
