"""Sweeps to cut, on each engine, on this machine and on Ray, and what one leaves that is left
alone."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from lcma import db
from lcma.harness.launch.plan import make_plan, make_works, register_plan
from lcma.harness.place import Place
from lcma.harness.work.worker import run_work
from lcma.sweeps import spec as specs
from tests.db.conftest import new_place
from tests.faults.contents import Rows, compare_rows, find_faults, read_rows
from tests.faults.sweeps import SWEEP, Sweep
from tests.harness.conftest import (
    bucket,
    current_postgres_url,
    few_photos_root,
    merged,
    place,
    postgres_templates,
    registered,
    sqlite_templates,
)
from tests.harness.launch.conftest import (
    FileDatabase,
    ServerDatabase,
    at_step,
    database,
    photos_root,
    register_trial,
    server,
    slow_steps,
    small_disk,
)
from tests.harness.launch.machines import Machines
from tests.harness.tuning.conftest import few_root, on_each, revisions_read_once, tuning


class MovedFile:
    """A SQLite file that is moved elsewhere and back."""

    def __init__(self, path: Path) -> None:
        self.path, self.url = path, f"sqlite:///{path}"

    def off(self) -> None:
        self.path.rename(self.path.with_suffix(".moved"))

    def on(self) -> None:
        self.path.with_suffix(".moved").rename(self.path)


@pytest.fixture
def make_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], Any]]:
    """Return a function that makes an empty database of an engine."""
    numbers, names = count(), list[str]()

    def make(engine: str) -> Any:
        if engine == "sqlite":
            return FileDatabase(tmp_path / f"{next(numbers)}.db")
        postgres = request.getfixturevalue("postgres")
        names.append(postgres.make())
        return ServerDatabase(postgres, postgres.url(names[-1]))

    yield make
    for name in names:
        request.getfixturevalue("postgres").drop(name)


@pytest.fixture
def new_sweep(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    photos_root: Path,
    make_database: Callable[[str], Any],
) -> Iterator[Callable[..., Sweep]]:
    """Makes a sweep, changed as said, in an empty database, on this machine or on so many nodes of
    a Ray cluster, each of which has so many CPUs and is ``armed`` if its launches are."""
    made: list[Sweep] = []

    def make(
        change: dict[str, Any] | None = None,
        *,
        engine: str = "sqlite",
        database: Any = None,
        runs: Path | str | None = None,
        nodes: int = 0,
        cpus: int = 1,
        armed: bool = False,
    ) -> Sweep:
        folder = tmp_path / f"sweep{len(made)}"
        body = merged(SWEEP, change or {})
        one = Sweep(folder, database or make_database(engine), photos_root, body=body, runs=runs)
        made.append(one)
        if nodes:
            one.machines = request.getfixturevalue("cluster")
            one.machines.clear()
            for _ in range(nodes):  # now, since Ray starts none from another thread
                one.machines.add(cpus=cpus, environment=one.environment(armed=armed))
        return one

    yield make
    for one in made:
        one.close()


@pytest.fixture(scope="session")
def alone(
    tmp_path_factory: pytest.TempPathFactory, photos_root: Path
) -> Callable[[dict[str, Any] | None], dict[str, Rows]]:
    """Return a function that returns the rows of an undisturbed sweep with changes."""
    found: dict[str, dict[str, Rows]] = {}

    def run(change: dict[str, Any] | None = None) -> dict[str, Rows]:
        if str(change) not in found:
            folder = tmp_path_factory.mktemp("alone")
            where = Place(f"sqlite:///{folder / 'lcma.db'}", folder / "runs", photos_root)
            store = db.connect(where.db)
            plan = make_plan(specs.check(merged(SWEEP, change or {}), "test"), where, store)
            register_plan(plan, where, store)
            for work in make_works(plan, where, owner="alone", device="cpu"):
                assert run_work(work).ending == "done"
            assert find_faults(store) == []
            found[str(change)] = read_rows(store)
        return found[str(change)]

    return run


@pytest.fixture
def equal(alone: Callable[..., dict[str, Rows]]) -> Callable[..., None]:
    """Return a function that checks that a sweep left exactly what an undisturbed one leaves."""

    def check(one: Sweep, change: dict[str, Any] | None = None) -> None:
        assert find_faults(one.store) == [], one.said()
        assert compare_rows(alone(change), read_rows(one.store)) == []

    return check


@pytest.fixture(scope="module")
def cluster() -> Iterator[Machines]:
    """A head of Ray."""
    made = Machines()
    yield made
    made.close()
