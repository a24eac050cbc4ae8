"""Temporary failures are `Unavailable`, and no job is taken over right after one."""

import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from lcma import db
from lcma.sweeps.errors import UserError
from tests.db.conftest import COST, SEGMENTS, TRIAL_JOBS, World
from tests.refusals import catch_refusal
from tests.stores import beat, list_running, read_curve, read_job


def test_a_locked_file_is_unavailable_and_another_programs_file_is_not(
    filled_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr("lcma.db.sqlite.BUSY_SECONDS", 0.05)
    store = db.connect(str(filled_path))
    with closing(sqlite3.connect(filled_path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        connect = partial(db.connect, str(filled_path), create=False)
        for action in (partial(store.release, "me"), store.sweeps, connect):
            assert isinstance(catch_refusal(action, "stayed locked"), db.Unavailable)
    assert store.release("me") == 1
    filled_path.write_bytes(b"notes\n" * 100)
    for action in (store.sweeps, lambda: db.connect(str(filled_path))):
        assert not isinstance(catch_refusal(action), db.Unavailable)


def test_connections_cut_at_any_moment_lose_and_double_nothing(
    postgres: Any, filled_name: str
) -> None:
    """Each call is repeated until it succeeds, while the server cuts all connections."""
    store = db.connect(postgres.url(filled_name))
    job_id = TRIAL_JOBS[1].id
    store.retry([job_id])
    ended = threading.Event()
    of_database = f"FROM pg_stat_activity WHERE datname = '{filled_name}'"

    def cut() -> None:
        while not ended.wait(0.02):
            postgres.value(f"SELECT count(pg_terminate_backend(pid)) {of_database}")

    def insist(action: Callable[[], Any]) -> Any:
        nonlocal cuts
        while True:
            try:
                return action()
            except db.Unavailable:
                cuts += 1

    claimed = World(store).win(job_id, now=None)
    cuts = 0
    cutter = threading.Thread(target=cut)
    cutter.start()
    try:
        step = 0
        while step < 10 or cuts < 5:
            step += 1
            points = [db.Metric("loss", step, float(step))]
            news = {"step": step, "lease_seconds": 600.0, "metrics": points}
            assert insist(partial(beat, store, claimed, **news))
        assert insist(lambda: store.finish(claimed, "oom", last_step=step, cost=COST))
    finally:
        ended.set()
        cutter.join()
    # The last cut may take effect only now.
    curve = insist(lambda: read_curve(store, job_id, "loss"))
    assert curve == [db.Metric("loss", n, n) for n in range(1, step + 1)]
    assert insist(lambda: read_job(store, job_id)).state == "failed"


@pytest.mark.parametrize("just_started", [True, False])
def test_an_expired_job_is_taken_only_once_a_lease_has_passed_since_the_server_s_start(
    postgres: Any, filled_name: str, just_started: bool
) -> None:
    store = db.connect(postgres.url(filled_name))
    since = float(postgres.value("SELECT extract(epoch FROM pg_postmaster_start_time())"))
    age = store.now() - since
    # The job's own lease was over long ago.
    lease = age + 60.0 if just_started else age / 2
    answer = World(store).claim(SEGMENTS[1].id, owner="another launch", lease=lease, now=None)
    assert isinstance(answer, db.Job if just_started else db.Claim)


@contextmanager
def locked(store: db.Store, seconds: float) -> Iterator[None]:
    """Keep everybody from writing for a number of seconds."""
    engine = sa.create_engine(store.url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as other:
        if engine.dialect.name == "sqlite":
            other.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            other.exec_driver_sql("BEGIN")
            other.exec_driver_sql("LOCK TABLE jobs")
        timer = threading.Timer(seconds, lambda: other.exec_driver_sql("ROLLBACK"))
        timer.start()
        yield
        timer.join()


def test_a_file_that_is_gone_is_reported_so(filled_path: Path) -> None:
    store = db.connect(str(filled_path))
    store.close()
    filled_path.unlink()
    with pytest.raises(UserError, match=rf"the database {filled_path} is gone: put the file back"):
        list_running(store)


def test_a_launch_that_waited_for_the_database_takes_no_job(filled: Any) -> None:
    """The holder may have waited too, and renews its lease first."""
    store = filled.store
    (running,) = list_running(store)

    def claim() -> Any:
        taker = {"owner": "another launch", "lease": 0.4, "expired": running.lease_until}
        return filled.claim(running.job_id, **taker, now=None)

    with locked(store, 2.0):
        job = claim()
    assert isinstance(job, db.Job)
    assert (job.state, job.owner) == ("running", "me")
    deadline = time.monotonic() + 30
    while not isinstance(claim(), db.Claim):
        assert time.monotonic() < deadline


def test_a_file_that_replaced_another_is_the_one_that_is_written(
    path: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copy(path, tmp_path / "other.db"))
    store = db.connect(str(path))
    store.register(db.Registration(sweeps=(db.Sweep(id="old", name="old", spec="{}"),)))
    other.rename(path)
    store.register(db.Registration(sweeps=(db.Sweep(id="new", name="new", spec="{}"),)))
    assert [sweep.id for sweep in store.sweeps()] == ["new"]
