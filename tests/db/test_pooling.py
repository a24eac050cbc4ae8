"""Connections: none is kept between calls, and none is shared with another process."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lcma import db


def sweep(name: str) -> db.Registration:
    return db.Registration(sweeps=(db.Sweep(id=name, name=name, spec="{}"),))


@pytest.fixture
def open_now(store: db.Store, request: pytest.FixtureRequest) -> Callable[[], int]:
    """Returns the number of connections that the store has open."""
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
