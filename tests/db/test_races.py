"""Several processes at one database."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from lcma import db
from tests.db.conftest import COST, result, trial
from tests.db.inspecting import execute, is_current, make_older
from tests.processes import race
from tests.stores import beat


@pytest.mark.integration
@pytest.mark.slow_on("sqlite")
def test_6_processes_make_one_database(new_place: str) -> None:
    def work(index: int) -> None:
        store = db.connect(new_place)
        store.register(db.Registration(sweeps=(db.Sweep(id=str(index), name="x", spec="{}"),)))

    race(6, work)
    assert execute(new_place, "SELECT count(*) FROM sweeps") == [(6,)]
    if new_place.startswith("sqlite"):
        assert execute(new_place, "PRAGMA integrity_check") == [("ok",)]
    assert is_current(new_place)


WRITER = """
import sys
from lcma import db
store = db.connect(sys.argv[1])
with store.database.reader().connect() as connection:
    connection.exec_driver_sql("SELECT 1 FROM sweeps")
    store.register(db.Registration(sweeps=(db.Sweep(id=sys.argv[2], name="x", spec="{}"),)))
    print("written", flush=True)
    sys.stdin.read()
"""


@pytest.mark.integration
@pytest.mark.slow_on("postgresql")
def test_a_process_that_ends_leaves_the_log_that_another_one_uses(store: Any) -> None:
    with store.database.reader().connect() as connection:
        connection.execute(sa.text("SELECT count(*) FROM sweeps")).scalar_one()
        connection.rollback()
        assert db.exists(store.url)
        for name in ("a", "b"):
            with subprocess.Popen(
                [sys.executable, "-c", WRITER, store.url, name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            ) as other:
                assert other.stdout is not None
                assert other.stdout.readline() == "written\n"
                ids = connection.execute(sa.text("SELECT id FROM sweeps")).scalars().all()
                connection.rollback()
                assert name in ids


@pytest.mark.slow_on("sqlite")
def test_plans_that_share_rows_in_other_orders_do_not_deadlock(store: Any) -> None:
    def work(index: int) -> None:
        order = [(index * 97 + number) % 600 for number in range(600)]
        sweeps = tuple(db.Sweep(id=str(number), name="x", spec="{}") for number in order)
        store.register(db.Registration(sweeps=sweeps))

    race(3, work)
    assert len(store.sweeps()) == 600


@pytest.mark.slow_on("sqlite")
def test_4_processes_upgrade_one_database(filled_url: str) -> None:
    before = db.connect(filled_url).view("results")
    make_older(filled_url)

    def work(index: int) -> None:
        assert len(db.connect(filled_url).job_facts(trial_ids=["LLL-0-100"])) == 1

    race(4, work)
    assert db.connect(filled_url).view("results").equals(before)
    if filled_url.startswith("sqlite"):
        folder = Path(filled_url.removeprefix("sqlite:///")).parent
        assert len(list(folder.glob("*.schema-*"))) == 1


@pytest.mark.integration
@pytest.mark.slow_on("sqlite")
def test_12_workers_run_24_jobs_once_each(world: Any) -> None:
    """Three workers try to claim each job."""
    workers = 12
    trials = [trial("rows", seed) for seed in range(2 * workers)]
    jobs = world.plan_trials(*trials)

    def work(index: int) -> None:
        for number in range(index % 4, len(jobs), 4):
            claim = world.claim(jobs[number], owner=str(index), now=None)
            if isinstance(claim, db.Job):
                continue
            assert beat(world.store, claim, step=1, lease_seconds=60)
            products = {"result": result(trials[number].id)}
            assert world.store.finish(claim, "done", last_step=1, cost=COST, **products)

    race(workers, work)
    assert {job.state for job in world.store.jobs(jobs).values()} == {"done"}
    assert len(world.store.view("results", factorization="rows")) == 2 * workers
    attempts = world.store.view("attempts")
    assert len(attempts) == 2 * workers
    assert set(attempts["token"]) == {1}
