"""Connections between the calls: one is kept for a moment, and never one that is not ours."""

import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from lcma import db
from lcma.db.pool import BriefPool
from lcma.db.schema import sweeps
from tests.db.conftest import Stage


def sweep(name: str) -> db.Registration:
    return db.Registration(sweeps=(db.Sweep(id=name, name=name, spec="{}"),))


@pytest.fixture
def open_now(store: db.Store, request: pytest.FixtureRequest) -> Callable[[], int]:
    """How many connections the store has open."""
    if store.url.startswith("sqlite"):
        path = store.url.removeprefix("sqlite:///")

        def is_open(file: Path) -> bool:
            try:
                return str(file.readlink()) == path
            except FileNotFoundError:  # another thread has closed it meanwhile
                return False

        return lambda: sum(map(is_open, list(Path("/proc/self/fd").iterdir())))
    postgres: Any = request.getfixturevalue("postgres")
    name = store.url.rpartition("/")[2].partition("?")[0]
    query = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'"
    return lambda: int(postgres.value(query))


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_burst_of_calls_opens_one_connection_which_is_closed_soon(
    store: db.Store, open_now: Callable[[], int]
) -> None:
    wait_until(lambda: open_now() == 0)
    for number in range(5):
        store.register(sweep(str(number)))
        store.sweeps()
    # SQLite reads with a connection of its own.
    assert open_now() <= (2 if store.url.startswith("sqlite") else 1)
    wait_until(lambda: open_now() == 0)
    assert len(store.sweeps()) == 5


def test_a_store_that_is_closed_keeps_nothing_and_stays_good(
    store: db.Store, open_now: Callable[[], int]
) -> None:
    store.register(sweep("a"))
    store.sweeps()
    store.close()
    wait_until(lambda: open_now() == 0)  # the server may take a moment to see it
    assert len(store.sweeps()) == 1


def test_a_forked_process_uses_connections_of_its_own(store: db.Store) -> None:
    store.register(sweep("before"))
    child = os.fork()
    if child == 0:
        status = 1
        try:
            for number in range(20):
                store.register(sweep(f"child {number}"))
            status = 0
        finally:
            os._exit(status)
    for number in range(20):
        store.register(sweep(f"parent {number}"))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(store.sweeps()) == 41


def test_a_connection_that_the_server_cut_is_opened_anew(
    postgres: Any, postgres_templates: Any
) -> None:
    name = postgres_templates.copy("empty")
    store = db.connect(postgres.url(name))
    store.register(sweep("a"))
    cut = "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity"
    assert postgres.value(f"{cut} WHERE datname = '{name}'") == "1"
    store.register(sweep("b"))
    assert len(store.sweeps()) == 2
    postgres.drop(name)


def test_a_file_that_was_put_in_the_place_of_another_is_the_one_that_is_written(
    path: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copy(path, tmp_path / "other.db"))
    store = db.connect(str(path))
    store.register(sweep("gone"))
    store.close()
    store.sweeps()
    other.rename(path)
    store.register(sweep("there"))
    assert [found.id for found in store.sweeps()] == ["there"]


def test_a_statement_is_compiled_once_for_all_databases_of_an_engine(
    new_store: Callable[[Stage], db.Store],
) -> None:
    one, other = new_store("planned"), new_store("planned")
    other.register(sweep("b"))

    column = f"count_{time.monotonic_ns()}"  # a statement that nobody has compiled before

    def count(engine: sa.Engine, name: str) -> tuple[str, int]:
        asked = sa.select(sa.func.count().label(column)).where(sweeps.c.name == name)
        with engine.connect() as connection:
            result = connection.execute(asked)
            return result.context.cache_hit.name, result.scalar_one()

    first, second = one.database, other.database
    assert count(first.reader(), "b") == ("CACHE_MISS", 0)
    assert count(second.reader(), "b") == ("CACHE_HIT", 1)
    assert count(second.writer(), "demo") == ("CACHE_HIT", 1)
    assert count(first.kept()[0], "demo") == ("CACHE_HIT", 1)


def test_no_connection_is_being_closed_when_a_process_forks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A driver's own lock would stay locked in the child for ever."""
    drivers_own, closing = threading.Lock(), threading.Event()

    class Connection:
        def close(self) -> None:
            with drivers_own:
                closing.set()
                time.sleep(0.3)

    monkeypatch.setattr("lcma.db.pool.IDLE_SECONDS", 0.01)
    pool = BriefPool(Connection, reset_on_return=None)
    pool.connect().close()
    assert closing.wait(5)
    child = os.fork()
    if child == 0:
        os._exit(0 if drivers_own.acquire(timeout=5) else 1)
    assert os.waitpid(child, 0)[1] == 0
