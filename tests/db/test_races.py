"""Many processes at one database, for real."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from lcma import db
from lcma.db import migrate
from lcma.db.index_tables import overlap
from lcma.db.merging import merge
from tests.db.conftest import (
    COST,
    DATA,
    ENVIRONMENT,
    HALF,
    TRIALS,
    World,
    index_table,
    result,
    trial,
)
from tests.db.inspecting import is_current, make_older
from tests.db.sites import Sites
from tests.processes import race


def claim_now(world: World, job_id: str, owner: str) -> Any:
    """Claim it by the database's clock."""
    return world.store.claim(
        job_id,
        owner=owner,
        host="h",
        pid=os.getpid(),
        environment_id=ENVIRONMENT.id,
        device="cpu",
        threads=1,
        lease_seconds=60,
    )


@pytest.mark.integration
@pytest.mark.slow_on("sqlite")
def test_6_processes_make_one_database(new_place: str) -> None:
    def work(index: int) -> None:
        store = db.connect(new_place)
        store.register(db.Registration(sweeps=(db.Sweep(id=str(index), name="x", spec="{}"),)))

    race(6, work)
    with sa.create_engine(new_place, poolclass=sa.NullPool).connect() as connection:
        count = sa.text("SELECT count(*) FROM sweeps")
        assert connection.execute(count).scalar_one() == 6
        version = sa.text("SELECT version_num FROM lcma_alembic_version")
        assert connection.execute(version).scalars().all() == [migrate.current_version()]
        if new_place.startswith("sqlite"):
            check = sa.text("PRAGMA integrity_check")
            assert connection.execute(check).scalars().all() == ["ok"]
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
    """One that leaves does not take itself for the last, and removes no log that is in use."""
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
    """Each has them in an order of its own, and none waits for one that waits for it."""

    def work(index: int) -> None:
        order = [(index * 97 + number) % 600 for number in range(600)]
        sweeps = tuple(db.Sweep(id=str(number), name="x", spec="{}") for number in order)
        store.register(db.Registration(sweeps=sweeps))

    race(3, work)
    assert len(store.sweeps()) == 600


@pytest.mark.slow_on("sqlite")
def test_4_processes_upgrade_one_database(filled_url: str) -> None:
    before = db.connect(filled_url).results()
    make_older(filled_url)

    def work(index: int) -> None:
        assert len(db.connect(filled_url).trained_trials(["LLL-0-100"])) == 1

    race(4, work)
    assert db.connect(filled_url).results().equals(before)
    if filled_url.startswith("sqlite"):
        folder = Path(filled_url.removeprefix("sqlite:///")).parent
        assert len(list(folder.glob("*.schema-*"))) == 1


@pytest.mark.integration
@pytest.mark.slow_on("sqlite")
@pytest.mark.parametrize("workers", [pytest.param(64, marks=pytest.mark.slow), 12])
def test_workers_do_twice_as_many_jobs_once_each(world: Any, workers: int) -> None:
    """A quarter of them want each job."""
    trials = tuple(
        db.TrialRow(
            id=f"t{index}",
            recipe_id="with",
            flow="realnvp",
            profile="tiny",
            dataset="photos16",
            variant="u8",
            factorization="rows",
            seed=index,
        )
        for index in range(2 * workers)
    )
    jobs = tuple(db.PlannedJob.of_trial(trial.id, "d" * 64, steps=1) for trial in trials)
    world.store.register(db.Registration(trials=trials, jobs=jobs))

    def work(index: int) -> None:
        for number in range(index % 4, len(jobs), 4):
            claim = claim_now(world, jobs[number].id, str(index))
            if isinstance(claim, db.Job):
                continue
            assert world.store.heartbeat(claim, step=1, lease_seconds=60)
            own = result(trials[number].id)
            assert world.store.finish(claim, "done", last_step=1, cost=COST, result=own)

    race(workers, work)
    assert {job.state for job in world.store.jobs([job.id for job in jobs]).values()} == {"done"}
    assert len(world.store.results(factorization="rows")) == 2 * workers
    attempts = world.store.attempts()
    assert len(attempts) == 2 * workers
    assert set(attempts["token"]) == {1}


@pytest.mark.slow_on("sqlite")
def test_a_worker_that_is_killed_loses_its_job_after_the_lease(world: Any) -> None:
    def claim_and_die(index: int) -> None:
        world.win(world.trials[0], owner="killed")
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(AssertionError):
        race(1, claim_and_die)
    assert world.claim(world.trials[0], now=1059.0).owner == "killed"
    assert world.win(world.trials[0], now=1060.0).token == 2


@pytest.mark.slow_on("sqlite")
def test_trials_that_finish_at_once_all_find_each_other(world: Any) -> None:
    """Each pair of tables is held against each other by whoever comes second, however close."""
    seeds = 5
    trials = tuple(
        db.TrialRow(
            id=f"t{seed}",
            recipe_id="with",
            flow="realnvp",
            profile="tiny",
            dataset="photos16",
            variant="u8",
            factorization="random",
            seed=seed,
        )
        for seed in range(seeds)
    )
    jobs = tuple(db.PlannedJob.of_trial(trial.id, "d" * 64, steps=1) for trial in trials)
    world.store.register(db.Registration(trials=trials, jobs=jobs))
    start = time.time()

    def work(index: int) -> None:
        claim = claim_now(world, jobs[index].id, str(index))
        own = trials[index].id
        made = {"result": result(own), "tables": [index_table(own, 1, HALF)]}
        time.sleep(max(0.0, start + 1.0 - time.time()))
        assert world.store.finish(claim, "done", last_step=1, cost=COST, **made)

    race(seeds, work)
    with sa.create_engine(world.store.url, poolclass=sa.NullPool).connect() as connection:
        pairs = sa.text("SELECT count(*) FROM table_overlaps WHERE differs = 'seed'")
        assert connection.execute(pairs).scalar_one() == seeds * (seeds - 1)


WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = :name AND wait_event_type = 'Lock'"
CELL = """SELECT id FROM cells WHERE factorization = 'LLL' AND budget = :budget
AND measure = 'bits_per_dim' FOR UPDATE NOWAIT"""


@pytest.mark.parametrize("how", ["finish", "merge"])
def test_overlaps_are_held_before_cells_and_none_of_a_superseded_table_stays(
    sites: Sites, how: str
) -> None:
    """A rerun comes in while a trial that is compared with it has not been committed yet."""
    source, target = sites.new("sqlite"), sites.new("postgresql")
    longer = tuple(trial("LLL", seed, 200) for seed in (0, 1))
    jobs = tuple(db.PlannedJob.of_trial(one.id, DATA.digest, steps=500) for one in longer)
    target.store.register(db.Registration(trials=longer, jobs=jobs))
    other = np.arange(HALF.size).reshape(HALF.shape) // 16 % 2 == 0  # rows, where HALF is columns

    def finish(world: World, claim: db.Claim, own: db.TrialRow, kept: Any) -> None:
        tables = [index_table(own.id, 1, kept)]
        made: Any = {"result": result(own.id), "tables": tables, "now": 1600.0}
        assert world.store.finish(claim, "done", last_step=500, cost=COST, **made)

    finish(target, target.win(jobs[1].id), longer[1], HALF)  # so that there is a cell to wait for
    source.finish_trial(2)
    merge(source.store.database, target.store.database)
    world = source if how == "merge" else target
    world.store.rerun([world.trials[2]], by="ann", now=1500.0)
    again, late = world.win(world.trials[2], now=1500.0), target.win(jobs[0].id)

    def come_in() -> None:
        finish(world, again, TRIALS[2], other)
        if how == "merge":
            merge(source.store.database, target.store.database)

    url = sa.make_url(target.store.url)
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as looking, ThreadPoolExecutor() as threads:

        def wait_for(number: int) -> None:
            while looking.execute(sa.text(WAITING), {"name": url.database}).scalar_one() < number:
                looking.rollback()
                time.sleep(0.01)

        with engine.begin() as connection:
            assert connection.execute(sa.text(CELL), {"budget": 200}).first() is not None
            first = threads.submit(finish, target, late, longer[0], HALF)
            wait_for(1)
            second = threads.submit(come_in)
            wait_for(2)
            assert looking.execute(sa.text(CELL), {"budget": 100}).first() is not None
            looking.rollback()
        first.result(timeout=60)
        second.result(timeout=60)
    pair = {TRIALS[2].id, longer[0].id}
    rows = target.dump()["table_overlaps"]
    found = {row.iou for row in rows if {row.trial_id, row.other_trial_id} == pair}
    assert found == {overlap(HALF, other)}
