"""A store on each supported engine, and a small plan to fill it with."""

import dataclasses
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import sqlalchemy as sa
from numpy.typing import NDArray

from lcma import db
from lcma.db.schema import metadata
from tests.db.inspecting import execute
from tests.db.measuring import RESULT_FIELDS, find_done_attempt, make_measures, make_result
from tests.stores import read_job

COST = db.Cost(seconds=60.0, cpu_seconds=50.0, images_per_second=1000.0, peak_memory=2**30)

ENVIRONMENT = db.Environment(
    code_version="0.1.0",
    dirty=None,
    python="3.11.9",
    torch="2.6.0",
    platform="Linux x86_64",
    device="some CPU",
    cpu_capability="AVX512",
    packages='{"numpy":"2.0"}',
)

EVALUATOR = db.Evaluator(
    owner="evaluator",
    host="node2",
    environment_id=ENVIRONMENT.id,
    device="cpu",
    threads=1,
    started=1990.0,
)

WEIGHTS = db.Artifact(kind="weights", path="a/b", bytes=12, digest="e" * 64, place="here:/runs")

DATA = db.DataSet(
    digest="d" * 64,
    name="photos16",
    variant="u8",
    height=16,
    width=16,
    channels=3,
    train=1000,
    holdout=100,
    test=100,
    manifest="{}",
)


def recipe(name: str, splits: int) -> db.RecipeRow:
    return db.RecipeRow(
        id=name,
        flow="realnvp",
        profile="tiny",
        splits=splits,
        size=16,
        steps=500,
        body="{}",
        conventional="channel" if splits else "none",
    )


PRETRAINING = db.PretrainingRow(
    id="p", recipe_id="without", flow="realnvp", dataset="photos16", variant="u8", seed=0
)


def trial(factorization: str, seed: int, budget: int | None = None) -> db.TrialRow:
    return db.TrialRow(
        id=f"{factorization}-{seed}-{budget}",
        recipe_id="with",
        flow="realnvp",
        profile="tiny",
        dataset="photos16",
        variant="u8",
        factorization=factorization,
        seed=seed,
        budget=budget,
        pretraining_id=None if budget is None else "p",
    )


TRIALS = (trial("channel", 0), trial("channel", 1), trial("LLL", 0, 100), trial("HHH", 0, 100))
SEGMENTS = tuple(
    db.PlannedJob.of_pretraining("p", DATA.digest, budget=budget) for budget in (100, 200)
)
TRIAL_JOBS = tuple(db.PlannedJob.of_trial(t.id, DATA.digest, steps=500) for t in TRIALS)

PLAN = db.Registration(
    sweeps=(db.Sweep(id="s", name="demo", spec='{"name":"demo"}'),),
    members=(
        db.SweepMember("s", TRIALS[0].id, "conventional"),
        db.SweepMember("s", TRIALS[0].id, "channel"),
        db.SweepMember("s", TRIALS[2].id, "low"),
    ),
    recipes=(recipe("with", 3), recipe("without", 0)),
    data_sets=(DATA,),
    pretrainings=(PRETRAINING,),
    trials=TRIALS,
    jobs=(*SEGMENTS, *TRIAL_JOBS),
)


STATISTICS = db.TableStatistics(
    iou_even=0.9,
    iou_odd=0.05,
    purity=0.95,
    channel_purity=0.97,
    mask_share=0.8,
    mask_share_by_chance=0.0625,
    tied=0.125,
    agreement=0.75,
)


MAP_STATISTICS = db.MapStatistics(
    mask_share=0.5,
    mask_share_by_chance=0.0625,
    standard_error=0.5,
    rank_gap=0.25,
    error_to_gap=2.0,
    unresolved=0.75,
    tied=0.0,
)


def result(trial_id: str, bits_per_dim: float = 3.5) -> db.Result:
    return make_result(
        trial_id=trial_id,
        data_digest=DATA.digest,
        protocol="plain",
        protocol_body="{}",
        precision="float32",
        step=500,
        bits_per_dim=bits_per_dim,
        standard_error=0.01,
        images=100,
        holdout_bits_per_dim=3.6,
        holdout_standard_error=0.02,
        log_det=-100.0,
        log_prior=-700.0,
    )


def contribution_map(split: int, budget: int = 100, shift: float = 0.0) -> db.ContributionMap:
    values = np.random.default_rng(split).normal(size=(3, 16, 16)).astype(np.float32)
    values += np.float32(shift)
    return db.ContributionMap(
        pretraining_id="p",
        data_digest=DATA.digest,
        budget=budget,
        split=split,
        score="cumulative",
        values=values,
        standard_errors=np.abs(values),
        halves=np.stack([values, values]),
        statistics=MAP_STATISTICS,
        images=1000,
        mean_log_det=float(values.sum(dtype=np.float64)),
    )


HALF = np.arange(3 * 16 * 16).reshape(3, 16, 16) % 2 == 0
"""The dimensions that stay after the first split of the trials."""


def index_table(trial_id: str, split: int, kept: NDArray[np.bool_], **other: Any) -> db.IndexTable:
    fields: dict[str, Any] = {
        "trial_id": trial_id,
        "data_digest": DATA.digest,
        "split": split,
        "kept": kept,
        "digest": f"digest {split}",
        "statistics": STATISTICS,
    }
    return db.IndexTable(**(fields | other))


@dataclass(frozen=True)
class World:
    """A store that holds the plan, and short ways to work on it."""

    store: db.Store
    segments: tuple[str, ...] = tuple(job.id for job in SEGMENTS)
    trials: tuple[str, ...] = tuple(job.id for job in TRIAL_JOBS)

    result = staticmethod(result)
    contribution_map = staticmethod(contribution_map)

    def damage(self, statement: str) -> None:
        """Change one row without the store."""
        assert execute(self.store.url, statement) == [1]

    def dump(self) -> dict[str, list[Any]]:
        """Return all rows of all tables, in the order of their keys."""
        with self.store.database.reader().connect() as connection:
            return {
                t.name: list(connection.execute(sa.select(t).order_by(*t.primary_key)))
                for t in metadata.sorted_tables
            }

    def claim(
        self,
        job_id: str,
        *,
        owner: str = "me",
        lease: float = 60.0,
        stack: str | None = None,
        now: float | None = 1000.0,
        **more: Any,
    ) -> db.Claim | db.Job:
        """Claim a job at a time, None for the database's clock."""
        worker = {"host": "node1", "pid": 17, "environment_id": ENVIRONMENT.id}
        worker |= {"device": "cpu", "threads": 1, "stack_id": stack}
        claim = {"owner": owner, "lease_seconds": lease, "now": now}
        return self.store.claim(job_id, **claim, **(worker | more))

    def win(self, job_id: str, *, owner: str = "me", now: float | None = 1000.0) -> db.Claim:
        claim = self.claim(job_id, owner=owner, now=now)
        assert isinstance(claim, db.Claim)
        return claim

    def finish(self, job_id: str, *, owner: str = "me", **products: Any) -> db.Claim:
        """Claim a job and end it as done."""
        claim = self.win(job_id, owner=owner)
        ending = {"last_step": 500, "cost": COST, "now": 1010.0}
        assert self.store.finish(claim, "done", **(ending | products))
        return claim

    def finish_trial(
        self, index: int, *, bits_per_dim: float = 3.5, now: float = 1010.0, owner: str = "me"
    ) -> db.Claim:
        return self.finish(
            self.trials[index],
            owner=owner,
            result=result(TRIALS[index].id, bits_per_dim),
            tables=[index_table(TRIALS[index].id, 1, HALF)],
            metrics=[db.Metric("train_bits_per_dim", step, 4.0) for step in range(10, 501, 10)],
            artifacts=[WEIGHTS],
            now=now,
        )

    def plan_trials(self, *trials: db.TrialRow) -> list[str]:
        """Register further trials; return the ids of their jobs."""
        jobs = tuple(db.PlannedJob.of_trial(trial.id, DATA.digest, steps=500) for trial in trials)
        self.store.register(db.Registration(trials=trials, jobs=jobs))
        return [job.id for job in jobs]

    def evaluate(
        self,
        index: int,
        protocol: str = "published",
        *,
        bits_per_dim: float = 3.25,
        owner: str = EVALUATOR.owner,
        **more: Any,
    ) -> bool:
        """Add an evaluation of a trial that is done."""
        fields = {name: more.pop(name) for name in RESULT_FIELDS if name in more}
        plain = result(TRIALS[index].id, bits_per_dim)
        measures = tuple(measure for measure in plain.measures if measure.name not in more)
        measures += make_measures(**more)
        job_id = self.trials[index]
        return self.store.add_evaluation(
            job_id,
            dataclasses.replace(plain, protocol=protocol, measures=measures, **fields),
            attempt_id=find_done_attempt(self.store, job_id),
            by=dataclasses.replace(EVALUATOR, owner=owner),
            cost=dataclasses.replace(COST, seconds=7.0, images_per_second=None),
            now=2000.0,
        )

    def finish_segment(self, index: int = 0) -> db.Claim:
        budget = SEGMENTS[index].steps
        maps = [contribution_map(split, budget) for split in (2, 1)]
        points = [db.Metric("train_bits_per_dim", step, 4.0) for step in range(10, budget + 1, 10)]
        return self.finish(self.segments[index], last_step=budget, maps=maps, metrics=points)

    def job(self, job_id: str) -> db.Job:
        return read_job(self.store, job_id)


Stage = Literal["empty", "planned", "filled"]
Engine = Literal["sqlite", "postgresql"]
ENGINES: tuple[Engine, ...] = ("sqlite", "postgresql")


def plan(store: db.Store) -> World:
    store.register(PLAN, now=900.0)
    store.add_environment(ENVIRONMENT, now=900.0)
    return World(store)


def fill(store: db.Store) -> World:
    """Do some of the plan's work; one job runs, and one has failed."""
    world = plan(store)
    world.finish_segment(0)
    world.finish_trial(0, bits_per_dim=3.5)
    world.finish_trial(2, bits_per_dim=3.25)
    world.finish_trial(3, bits_per_dim=3.75)
    failed = world.win(world.trials[1])
    store.finish(failed, "oom", last_step=3, cost=COST, message="no memory", now=1020.0)
    world.claim(world.segments[1])
    return world


class SqliteTemplates:
    """A database at each stage, made once and copied, which is cheaper than making it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.copies = 0
        db.connect(str(folder / "empty.db"))
        plan(db.connect(str(folder / "planned.db"))).store.close()
        fill(db.connect(str(folder / "filled.db"))).store.close()
        assert not list(folder.glob("*-wal"))

    def copy(self, stage: Stage, folder: Path) -> Path:
        self.copies += 1
        return Path(shutil.copy(self.folder / f"{stage}.db", folder / f"store{self.copies}.db"))


class PostgresTemplates:
    """The same on a server."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.names = {"empty": server.make()}
        db.connect(server.url(self.names["empty"]))
        for stage, make in (("planned", plan), ("filled", fill)):
            self.names[stage] = server.make(self.names["empty"])
            make(db.connect(server.url(self.names[stage]))).store.close()

    def copy(self, stage: Stage) -> str:
        return str(self.server.make(self.names[stage]))

    def close(self) -> None:
        for name in self.names.values():
            self.server.drop(name)


class Sites:
    """Makes databases on either engine, as of several sites."""

    def __init__(self, request: pytest.FixtureRequest, folder: Path) -> None:
        self.request, self.folder = request, folder
        self.names: list[str] = []

    def make(self, engine: Engine, stage: Stage) -> str:
        """Make a database at a stage; return its URL."""
        if engine == "sqlite":
            files: SqliteTemplates = self.request.getfixturevalue("sqlite_templates")
            return f"sqlite:///{files.copy(stage, self.folder)}"
        templates: PostgresTemplates = self.request.getfixturevalue("postgres_templates")
        self.names.append(templates.copy(stage))
        return str(templates.server.url(self.names[-1]))

    def new(self, engine: Engine, stage: Stage = "planned") -> World:
        return World(db.connect(self.make(engine, stage), create=False))

    def drop(self) -> None:
        for name in self.names:
            self.request.getfixturevalue("postgres").drop(name)
        self.names.clear()


@pytest.fixture(scope="session")
def sqlite_templates(tmp_path_factory: pytest.TempPathFactory) -> SqliteTemplates:
    return SqliteTemplates(tmp_path_factory.mktemp("templates"))


@pytest.fixture(scope="session")
def postgres_templates(postgres: Any) -> Iterator[PostgresTemplates]:
    templates = PostgresTemplates(postgres)
    yield templates
    templates.close()


@pytest.fixture
def current_postgres_url(postgres_templates: PostgresTemplates) -> Iterator[str]:
    """The URL of an empty database at the current schema on the server."""
    name = postgres_templates.copy("empty")
    yield str(postgres_templates.server.url(name))
    postgres_templates.server.drop(name)


@pytest.fixture
def filled_name(postgres_templates: PostgresTemplates) -> Iterator[str]:
    """The name of a database like `filled` on the server."""
    name = postgres_templates.copy("filled")
    yield name
    postgres_templates.server.drop(name)


@pytest.fixture(scope="session")
def crowded(
    sqlite_templates: SqliteTemplates,
    postgres_templates: PostgresTemplates,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, str]]:
    """By engine the URL of a database with something of everything; only to be read."""
    from tests.db import crowd

    name = postgres_templates.copy("empty")
    path = sqlite_templates.copy("empty", tmp_path_factory.mktemp("crowded"))
    urls = {"sqlite": f"sqlite:///{path}", "postgresql": postgres_templates.server.url(name)}
    for url in urls.values():
        crowd.fill(db.connect(url, create=False))
    yield urls
    postgres_templates.server.drop(name)


@pytest.fixture(params=ENGINES)
def crowded_url(request: pytest.FixtureRequest, crowded: dict[str, str]) -> str:
    """The URL of such a database, on each supported engine."""
    return crowded[request.param]


@pytest.fixture
def crowded_store(crowded_url: str) -> db.Store:
    """A store of such a database, on each supported engine."""
    return db.connect(crowded_url, create=False)


@pytest.fixture(params=ENGINES)
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[Stage], str]]:
    """Makes a new database at a stage each time, on each supported engine; returns its URL."""
    databases = Sites(request, tmp_path)
    yield lambda stage: databases.make(request.param, stage)
    databases.drop()


@pytest.fixture(params=ENGINES)
def new_place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty place, on each supported engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'results.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def new_store(new_url: Callable[[Stage], str]) -> Callable[[Stage], db.Store]:
    """Makes a new store at a stage each time, on each supported engine."""
    return lambda stage: db.connect(new_url(stage), create=False)


@pytest.fixture
def filled_url(new_url: Callable[[Stage], str]) -> str:
    """The URL of a database like `filled`, on each supported engine."""
    return new_url("filled")


@pytest.fixture
def store(new_store: Callable[[Stage], db.Store]) -> db.Store:
    """An empty store."""
    return new_store("empty")


@pytest.fixture
def world(new_store: Callable[[Stage], db.Store]) -> World:
    """A store with the plan."""
    return World(new_store("planned"))


@pytest.fixture
def filled(new_store: Callable[[Stage], db.Store]) -> World:
    """A store in which some jobs are done, one runs, and one has failed."""
    return World(new_store("filled"))


@pytest.fixture
def sites(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sites]:
    databases = Sites(request, tmp_path)
    yield databases
    databases.drop()


@pytest.fixture(params=[ENGINES, ENGINES[::-1]], ids="-into-".join)
def engines(request: pytest.FixtureRequest) -> tuple[Engine, Engine]:
    """The engine of the source of a merge, and that of its target."""
    pair: tuple[Engine, Engine] = request.param
    return pair


@pytest.fixture
def path(sqlite_templates: SqliteTemplates, tmp_path: Path) -> Path:
    """An empty SQLite database at the current schema."""
    return sqlite_templates.copy("empty", tmp_path)


@pytest.fixture
def filled_path(sqlite_templates: SqliteTemplates, tmp_path: Path) -> Path:
    """A SQLite database like `filled`."""
    return sqlite_templates.copy("filled", tmp_path)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Puts copies of files on a medium that cannot be written; returns the first copy's path."""
    medium = tmp_path / "medium"
    medium.mkdir()
    root = os.geteuid() == 0

    def run(*command: str) -> None:
        if subprocess.run([*command, str(medium)], capture_output=True).returncode:
            pytest.skip("this system lets nobody mount: no read-only medium to test on")

    def put(*files: Path) -> Path:
        if root:
            run("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs")
        copies = [Path(shutil.copy(file, medium / file.name)) for file in files]
        if root:
            run("mount", "-o", "remount,ro")
        else:
            medium.chmod(0o555)
        return copies[0]

    yield put
    if root:
        subprocess.run(["umount", "-l", str(medium)], capture_output=True)
    else:
        medium.chmod(0o755)
