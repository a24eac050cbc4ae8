"""Three stores that do the same work: ours, MLflow's tracking store, Optuna's RDB storage.

A lifecycle is: begin a trial, store ten points of a curve, end it with a result. Each side uses its
own shortest way, without HTTP.
"""

import hashlib
import os
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from lcma import db
from lcma.db.sqlite import CHECKPOINT_PAGES
from lcma.sweeps.recipe import LOG_EVERY

POINTS = 10
"""Points of a curve in a lifecycle."""

BUSY_SECONDS = 60

DIGEST = hashlib.sha256(b"data").hexdigest()

SEEDS = 10
"""Trials of a cell."""

RECIPE = db.RecipeRow(
    id=hashlib.sha256(b"recipe").hexdigest(),
    flow="realnvp",
    profile="tiny",
    splits=3,
    size=16,
    steps=POINTS * LOG_EVERY,
    body="{}",
)

DATA = db.DataSet(
    digest=DIGEST,
    name="cifar10",
    variant="u8",
    height=32,
    width=32,
    channels=3,
    train=45000,
    holdout=5000,
    test=10000,
    manifest="{}",
)

ENVIRONMENT = db.Environment(
    code_version="0.1.0",
    dirty=None,
    python="3.11",
    torch="2.6",
    platform="Linux x86_64",
    device="a CPU",
    cpu_capability="AVX512",
    packages="{}",
)

COST = db.Cost(seconds=60.0, cpu_seconds=50.0, images_per_second=1000.0, peak_memory=2**30)


def make_trial_id(number: int) -> str:
    return hashlib.sha256(f"trial {number}".encode()).hexdigest()


def make_plan(trials: int) -> db.Registration:
    """Return a plan of that many trials in cells of ten seeds."""
    planned = tuple(
        db.TrialRow(
            id=make_trial_id(number),
            recipe_id=RECIPE.id,
            flow=RECIPE.flow,
            profile=RECIPE.profile,
            dataset=DATA.name,
            variant=DATA.variant,
            factorization=f"rule-{number // SEEDS}",
            seed=number % SEEDS,
        )
        for number in range(trials)
    )
    return db.Registration(
        sweeps=(db.Sweep(id="benchmark", name="benchmark", spec="{}"),),
        members=tuple(db.SweepMember("benchmark", t.id, t.factorization) for t in planned),
        recipes=(RECIPE,),
        data_sets=(DATA,),
        trials=planned,
        jobs=tuple(db.PlannedJob.of_trial(t.id, DIGEST, steps=RECIPE.steps) for t in planned),
    )


def make_result(trial_id: str) -> db.Result:
    return db.Result(
        trial_id=trial_id,
        data_digest=DIGEST,
        step=RECIPE.steps,
        protocol="plain",
        protocol_body="{}",
        precision="float32",
        measures=(
            db.Measurement("bits_per_dim", 3.5, 0.01, DATA.test),
            db.Measurement("holdout_bits_per_dim", 3.6, 0.02, DATA.holdout),
            db.Measurement("log_det", -100.0, images=DATA.test),
            db.Measurement("log_prior", -700.0, images=DATA.test),
            db.Measurement("seconds_per_step", 0.01),
        ),
    )


@dataclass(frozen=True, slots=True)
class Stored:
    """Numbers of trials in a database after a run."""

    whole: int  # ended, with a result and all points
    wrong: int  # stored more than once or in part


class Tracker(ABC):
    """A side."""

    name: str
    calls: str  # the calls of a lifecycle, for the output

    def __init__(self, url: str) -> None:
        self.url = url

    @abstractmethod
    def make(self, trials: int) -> None:
        """Make a new database, ready for that many trials."""

    @abstractmethod
    def open(self) -> None:
        """Open the store in this process."""

    @abstractmethod
    def run_lifecycle(self, number: int) -> None:
        """Take the trial of this number through its lifecycle."""

    @abstractmethod
    def count_stored(self) -> Stored:
        """Count the stored trials by the database's own tables."""

    def count(self, query: str) -> int:
        engine = sa.create_engine(name_driver(self.url), poolclass=sa.NullPool)
        with engine.connect() as connection:
            return int(connection.execute(sa.text(query)).scalar_one())


def name_driver(url: str) -> str:
    """Return the URL for SQLAlchemy, with the driver of PostgreSQL."""
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


def set_sqlite_settings() -> None:
    """Give every SQLite connection of this process the settings of our connections."""

    @event.listens_for(sa.Engine, "connect")
    def _set(connection: Any, _: object) -> None:
        if "sqlite" in type(connection).__module__:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")


class Ours(Tracker):
    name = "lcma"
    calls = "claim; finish with 10 points and a result, in cells of 10 seeds, and events"

    def make(self, trials: int) -> None:
        store = db.connect(self.url)
        store.register(make_plan(trials))
        store.add_environment(ENVIRONMENT)
        store.close()

    def open(self) -> None:
        self.store = db.connect(self.url, create=False)

    def run_lifecycle(self, number: int) -> None:
        trial_id = make_trial_id(number)
        claim = self.store.claim(
            db.PlannedJob.of_trial(trial_id, DIGEST, steps=RECIPE.steps).id,
            owner="benchmark",
            host="here",
            pid=os.getpid(),
            environment_id=ENVIRONMENT.id,
            device="cpu",
            threads=1,
            lease_seconds=600.0,
        )
        if not isinstance(claim, db.Claim):
            raise RuntimeError(f"trial {number} was claimed twice")
        steps = range(LOG_EVERY, RECIPE.steps + 1, LOG_EVERY)
        points = [db.Metric("train_bits_per_dim", step, 4.0) for step in steps]
        end: dict[str, Any] = {"result": make_result(trial_id), "metrics": points}
        if not self.store.finish(claim, "done", last_step=RECIPE.steps, cost=COST, **end):
            raise RuntimeError(f"trial {number} was lost")

    def count_stored(self) -> Stored:
        whole = self.count(
            "SELECT count(*) FROM jobs WHERE state = 'done' AND token = 1 "
            "AND (SELECT count(*) FROM attempts WHERE attempts.id = jobs.done_attempt_id "
            "AND attempts.evaluated_step IS NOT NULL) = 1 "
            "AND (SELECT count(*) FROM attempts WHERE attempts.job_id = jobs.id) = 1 "
            "AND (SELECT count(*) FROM events WHERE events.job_id = jobs.id) = 2 "
            "AND (SELECT count(*) FROM metrics JOIN attempts ON attempts.id = metrics.attempt_id "
            f"WHERE attempts.job_id = jobs.id) = {POINTS}"
        )
        started = self.count("SELECT count(*) FROM attempts")
        return Stored(whole, started - whole)


class MLflow(Tracker):
    name = "MLflow"
    calls = "create_run; log_batch of 10 points and the result; update_run_info"

    def make(self, trials: int) -> None:
        self.open()

    def open(self) -> None:
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        self.store = SqlAlchemyStore(name_driver(self.url), tempfile.gettempdir())

    def run_lifecycle(self, number: int) -> None:
        from mlflow.entities import Metric, RunStatus

        milliseconds = int(time.time() * 1000)
        run = self.store.create_run("0", "me", milliseconds, [], f"trial {number}").info.run_id
        points = [Metric("train_bits_per_dim", 4.0, milliseconds, step) for step in range(POINTS)]
        points.append(Metric("bits_per_dim", 3.5, milliseconds, 500))
        self.store.log_batch(run, points, [], [])
        self.store.update_run_info(run, RunStatus.FINISHED, milliseconds, None)

    def count_stored(self) -> Stored:
        whole = self.count(
            "SELECT count(*) FROM runs WHERE status = 'FINISHED' AND (SELECT count(*) FROM metrics "
            f"WHERE metrics.run_uuid = runs.run_uuid) = {POINTS + 1}"
        )
        twice = "SELECT count(*) FROM (SELECT 1 FROM runs GROUP BY name HAVING count(*) > 1) AS t"
        started = self.count("SELECT count(*) FROM runs")
        return Stored(whole, started - whole + self.count(twice))


class Optuna(Tracker):
    name = "Optuna"
    calls = "create_new_trial; set_trial_intermediate_value 10 times; set_trial_state_values"

    def make(self, trials: int) -> None:
        from optuna.study import StudyDirection

        self.open()
        self.storage.create_new_study([StudyDirection.MINIMIZE], "benchmark")

    def open(self) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        waiting = {"connect_args": {"timeout": BUSY_SECONDS}}
        self.storage = optuna.storages.RDBStorage(
            name_driver(self.url), engine_kwargs=waiting if self.url.startswith("sqlite") else {}
        )

    def run_lifecycle(self, number: int) -> None:
        from optuna.trial import TrialState

        trial = self.storage.create_new_trial(1)
        for step in range(POINTS):
            self.storage.set_trial_intermediate_value(trial, step, 4.0)
        self.storage.set_trial_state_values(trial, TrialState.COMPLETE, [3.5])

    def count_stored(self) -> Stored:
        whole = self.count(
            "SELECT count(*) FROM trials WHERE state = 'COMPLETE' AND (SELECT count(*) FROM "
            "trial_values WHERE trial_values.trial_id = trials.trial_id) = 1 AND (SELECT count(*) "
            "FROM trial_intermediate_values AS v WHERE v.trial_id = trials.trial_id) "
            f"= {POINTS}"
        )
        twice = (
            "SELECT count(*) FROM (SELECT 1 FROM trials GROUP BY number HAVING count(*) > 1) AS t"
        )
        started = self.count("SELECT count(*) FROM trials")
        return Stored(whole, started - whole + self.count(twice))


TRACKERS: Sequence[type[Tracker]] = (Ours, MLflow, Optuna)
