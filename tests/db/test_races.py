"""Many processes at one file, for real."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from db.schema import REVISIONS

FORKED = """
import os, sys, time
import db
import alembic.command

def race(processes, work):
    "Fork, start all at one moment, and fail if any of them does."
    start = time.time() + 0.2
    children = []
    for index in range(processes):
        child = os.fork()
        if child == 0:
            try:
                time.sleep(max(0.0, start - time.time()))
                work(index)
                os._exit(0)
            except BaseException:
                import traceback
                traceback.print_exc()
            os._exit(1)
        children.append(child)
    sys.exit(sum(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
"""


def run(code: str, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKED + code, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr


def test_twelve_processes_make_one_database(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    run(
        """
def work(index):
    store = db.connect(sys.argv[1])
    store.register(db.Registration(sweeps=(db.Sweep(id=str(index), name="x", spec="{}"),)))

race(12, work)
""",
        str(path),
    )
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM sweeps").fetchone() == (12,)
        assert connection.execute("SELECT * FROM lcma_alembic_version").fetchall() == [
            (REVISIONS[-1],)
        ]
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_eight_workers_do_forty_jobs_once_each(world: Any) -> None:
    import db

    trials = tuple(
        db.Trial(
            id=f"t{index}",
            recipe_id="with",
            flow="realnvp",
            profile="tiny",
            dataset="photos16",
            variant="u8",
            factorization="rows",
            seed=index,
        )
        for index in range(40)
    )
    jobs = tuple(db.PlannedJob.of_trial(trial.id, "d" * 64, steps=1) for trial in trials)
    world.store.register(db.Registration(trials=trials, jobs=jobs))
    (environment_id,) = (row.id for row in world.dump()["environments"])
    run(
        """
url, environment_id, *jobs = sys.argv[1:]
store = db.connect(url)

def work(index):
    for job_id in jobs:
        claim = store.claim(
            job_id, owner=str(index), host="h", pid=os.getpid(), environment_id=environment_id,
            device="cpu", threads=1, lease_seconds=60,
        )
        if isinstance(claim, db.Job):
            continue
        assert store.heartbeat(claim, step=1, lease_seconds=60)
        trial_id = store.job(job_id).trial_id
        result = db.Result(
            trial_id=trial_id, data_digest="d" * 64, protocol="plain", protocol_body="{}",
            precision="float32", step=1, bits_per_dim=1.0, standard_error=0.1, images=1,
            holdout_bits_per_dim=1.0, holdout_standard_error=0.1, log_det=0.0, log_prior=0.0,
        )
        assert store.finish(
            claim, "done", last_step=1, cost=db.Cost(seconds=1, cpu_seconds=1), result=result,
        )

race(8, work)
""",
        world.store.url,
        environment_id,
        *(job.id for job in jobs),
    )
    assert {job.state for job in world.store.jobs([job.id for job in jobs]).values()} == {"done"}
    assert len(world.store.results_frame(factorization="rows")) == 40
    attempts = world.store.attempts_frame()
    assert len(attempts) == 40
    assert set(attempts["token"]) == {1}


def test_a_worker_that_is_killed_loses_its_job_after_the_lease(world: Any) -> None:
    (environment_id,) = (row.id for row in world.dump()["environments"])
    run(
        """
import signal
store = db.connect(sys.argv[1])
child = os.fork()
if child == 0:
    store.claim(
        sys.argv[3], owner="killed", host="h", pid=os.getpid(), environment_id=sys.argv[2],
        device="cpu", threads=1, lease_seconds=60, now=1000.0,
    )
    os.kill(os.getpid(), signal.SIGKILL)
os.waitpid(child, 0)
""",
        world.store.url,
        environment_id,
        world.trials[0],
    )
    assert world.claim(world.trials[0], now=1059.0).owner == "killed"
    assert world.win(world.trials[0], now=1060.0).token == 2
