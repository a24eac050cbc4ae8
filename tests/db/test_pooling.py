"""Connections: none is kept between calls, and none is shared with another process."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lcma import db


def make_sweep(name: str) -> db.Registration:
    return db.Registration(sweeps=(db.Sweep(id=name, name=name, spec="{}"),))


@pytest.fixture
def count_open(store: db.Store, request: pytest.FixtureRequest) -> Callable[[], int]:
    """Counts the connections that the store has open."""
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


def test_no_connection_outlives_a_call(store: db.Store, count_open: Callable[[], int]) -> None:
    for number in range(5):
        store.register(make_sweep(str(number)))
        store.sweeps()
    deadline = time.monotonic() + 30
    while count_open():  # the server may take a moment to see it
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_file_that_replaced_another_is_the_one_that_is_written(
    path: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copy(path, tmp_path / "other.db"))
    store = db.connect(str(path))
    store.register(make_sweep("old"))
    other.rename(path)
    store.register(make_sweep("new"))
    assert [sweep.id for sweep in store.sweeps()] == ["new"]
