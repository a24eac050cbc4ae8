"""Sweeps to cut, on each engine, on this machine and on Ray, and the rows of undisturbed ones."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from lcma.harness.work.worker import run_work
from tests.db.conftest import new_place, new_url
from tests.faults.contents import Rows, compare_rows, find_faults, read_rows
from tests.faults.sweeps import SWEEP, Sweep
from tests.harness.conftest import (
    bucket,
    current_postgres_url,
    few_photos_root,
    merged,
    photos_root,
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
    place_in,
    register,
    register_trial,
    server,
    small_disk,
)
from tests.harness.launch.machines import Machines
from tests.harness.tuning.conftest import few_root, on_each, revisions_read_once


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
    """Makes an empty database of an engine."""
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
def make_sweep(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    photos_root: Path,
    make_database: Callable[[str], Any],
) -> Iterator[Callable[..., Sweep]]:
    """Makes a sweep in an empty database, on this machine or on ``nodes`` of a Ray cluster, each
    with ``cpus`` and ``armed`` if its launches are."""
    sweeps: list[Sweep] = []

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
        folder = tmp_path / f"sweep{len(sweeps)}"
        body = merged(SWEEP, change or {})
        sweep = Sweep(folder, database or make_database(engine), photos_root, body=body, runs=runs)
        sweeps.append(sweep)
        if nodes:
            sweep.machines = request.getfixturevalue("cluster")
            sweep.machines.clear()
            for _ in range(nodes):  # now, since Ray starts none from another thread
                sweep.machines.add(cpus=cpus, environment=sweep.environment(armed=armed))
        return sweep

    yield make
    for sweep in sweeps:
        sweep.close()


@pytest.fixture(scope="session")
def run_undisturbed(
    tmp_path_factory: pytest.TempPathFactory, photos_root: Path
) -> Callable[[dict[str, Any] | None], dict[str, Rows]]:
    """Runs a sweep with changes undisturbed, once for each change; returns its rows."""
    rows: dict[str, dict[str, Rows]] = {}

    def run(change: dict[str, Any] | None = None) -> dict[str, Rows]:
        if str(change) not in rows:
            place = place_in(tmp_path_factory.mktemp("undisturbed"), photos_root)
            store, works = register(place, change, base=SWEEP)
            for work in works:
                assert run_work(work).ending == "done"
            assert find_faults(store) == []
            rows[str(change)] = read_rows(store)
        return rows[str(change)]

    return run


@pytest.fixture
def assert_equal(run_undisturbed: Callable[..., dict[str, Rows]]) -> Callable[..., None]:
    """Asserts that a sweep left exactly what an undisturbed one leaves."""

    def check(sweep: Sweep, change: dict[str, Any] | None = None) -> None:
        assert find_faults(sweep.store) == [], sweep.output()
        assert compare_rows(run_undisturbed(change), read_rows(sweep.store)) == []

    return check


@pytest.fixture(scope="module")
def cluster() -> Iterator[Machines]:
    """A head of Ray."""
    machines = Machines()
    yield machines
    machines.close()
