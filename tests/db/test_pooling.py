"""Connections: none is kept between the calls, and none is another process's."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from lcma import db
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


def test_no_connection_outlives_a_call(store: db.Store, open_now: Callable[[], int]) -> None:
    for number in range(5):
        store.register(sweep(str(number)))
        store.sweeps()
    wait_until(lambda: open_now() == 0)  # the server may take a moment to see it


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


def test_a_file_that_was_put_in_the_place_of_another_is_the_one_that_is_written(
    path: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copy(path, tmp_path / "other.db"))
    store = db.connect(str(path))
    store.register(sweep("gone"))
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
