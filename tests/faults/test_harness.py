"""The harness of these tests: a process dies where it is ordered to, and a difference is found."""

import os
import signal
from pathlib import Path

import pytest

from lcma import db
from tests.db.conftest import fill
from tests.db.inspecting import execute
from tests.faults.armed import Orders, arm
from tests.faults.contents import compare_rows, find_faults, read_rows
from tests.faults.moments import in_child

DAMAGES = {
    "UPDATE measurements SET value = value + 1e-12 WHERE name = 'log_det'": "log_det",
    "DELETE FROM index_tables WHERE trial_id = 'LLL-0-100'": "is missing",
    "UPDATE contribution_maps SET images = 7 WHERE split = 1": "{'images': 7}",
    "UPDATE attempts SET outcome = 'timeout' WHERE outcome = 'oom'": "ended as timeout",
    "UPDATE attempts SET token = 9, job_id = (SELECT id FROM jobs WHERE trial_id = 'LLL-0-100') "
    "WHERE job_id = (SELECT id FROM jobs WHERE trial_id = 'channel-0-None')": "2 attempts ended",
}
"""Changes of a database, with words of what is found."""


@pytest.mark.slow_on("postgresql-before")
@pytest.mark.parametrize(("when", "sweeps"), [("before", 0), ("after", 1)])
def test_a_process_dies_on_its_side_of_a_commit(
    new_place: str, tmp_path: Path, when: str, sweeps: int
) -> None:
    """Others see nothing of it before it, and all after it."""
    db.connect(new_place).close()
    orders = Orders(tmp_path / "orders")
    orders.give(f"register.{when}")

    def register() -> None:
        arm(str(orders.folder))
        store = db.connect(new_place)
        store.register(db.Registration(sweeps=(db.Sweep(id="s", name="x", spec="{}"),)))

    assert os.waitstatus_to_exitcode(in_child(register)) == -signal.SIGKILL
    assert len(db.connect(new_place).sweeps()) == sweeps
    assert orders.carried_out() == {f"register.{when}": 1}


def test_a_difference_is_named(tmp_path: Path) -> None:
    store = fill(db.connect(str(tmp_path / "filled.db"))).store
    other = db.connect(str(db.locate(store.url).backup(tmp_path / "other.db")))
    expected, faults = read_rows(store), find_faults(store)  # its jobs are not all done
    assert compare_rows(expected, read_rows(other)) == []
    for damage in DAMAGES:
        assert execute(other.url, damage) != [0]
    lines = {*compare_rows(expected, read_rows(other)), *find_faults(other)} - {*faults}
    for finding in DAMAGES.values():
        assert any(finding in line for line in lines)
    assert any("index_tables" in line and "is missing" in line for line in lines)
