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


STAYS = """
import sys
from lcma import db
store = db.connect(sys.argv[1])
with store.database.reader().connect() as connection:
    connection.exec_driver_sql("SELECT 1 FROM sweeps")
    store.register(db.Registration(sweeps=(db.Sweep(id=sys.argv[2], name="x", spec="{}"),)))
    print("there", flush=True)
    sys.stdin.read()
"""


@pytest.mark.integration
@pytest.mark.slow_on("postgresql")
def test_a_process_that_looks_at_a_database_again_keeps_its_hold_on_it(store: Any) -> None:
    """A process that leaves does not remove a log that another one uses."""
    with store.database.reader().connect() as connection:
        connection.execute(sa.text("SELECT count(*) FROM sweeps")).scalar_one()
        connection.rollback()
        assert db.exists(store.url)
        for name in ("a", "b"):
            with subprocess.Popen(
                [sys.executable, "-c", STAYS, store.url, name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            ) as other:
                assert other.stdout is not None
                assert other.stdout.readline() == "there\n"
                found = connection.execute(sa.text("SELECT id FROM sweeps")).scalars().all()
                connection.rollback()
                assert name in found


@pytest.mark.slow_on("sqlite")
def test_plans_that_share_rows_are_registered_at_once(store: Any) -> None:
    """Each process has them in another order, and there is no deadlock."""

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
def test_workers_do_twice_as_many_jobs_once_each(world: Any) -> None:
    """A quarter of the workers try to claim each job."""
    workers = 12
    trials = tuple(trial("rows", seed) for seed in range(2 * workers))
    jobs = tuple(db.PlannedJob.of_trial(one.id, "d" * 64, steps=1) for one in trials)
    world.store.register(db.Registration(trials=trials, jobs=jobs))

    def work(index: int) -> None:
        for number in range(index % 4, len(jobs), 4):
            claim = world.claim(jobs[number].id, owner=str(index), now=None)
            if isinstance(claim, db.Job):
                continue
            assert beat(world.store, claim, step=1, lease_seconds=60)
            own = result(trials[number].id)
            assert world.store.finish(claim, "done", last_step=1, cost=COST, result=own)

    race(workers, work)
    assert {job.state for job in world.store.jobs([job.id for job in jobs]).values()} == {"done"}
    assert len(world.store.view("results", factorization="rows")) == 2 * workers
    attempts = world.store.view("attempts")
    assert len(attempts) == 2 * workers
    assert set(attempts["token"]) == {1}
