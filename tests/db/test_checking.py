"""The check of a database finds and names every fault, and finds none in a sound one."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from lcma import db
from lcma.db.integrity import Finding, check_integrity
from lcma.db.schema import index_tables, metadata
from lcma.sweeps.errors import UserError
from tests.db.conftest import HALF
from tests.db.inspecting import execute

FIRST = HALF.ravel()
SECOND = FIRST & (np.arange(FIRST.size) % 4 == 0)
ALIEN = SECOND ^ (np.arange(FIRST.size) < 2)


def findings(url: str) -> list[Finding]:
    return list(check_integrity(db.locate(url)).findings)


def plant(url: str, statement: str, **values: object) -> None:
    """Change one row without the store."""
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
        assert connection.execute(sa.text(statement), values).rowcount == 1


def next_split(where: str) -> str:
    """Give a trial a second split, with other dimensions kept."""
    names = [column.name for column in index_tables.columns]
    copied = ({"split": "2", "kept": ":kept"}.get(name, name) for name in names)
    return (
        f"INSERT INTO index_tables ({', '.join(names)}) "
        f"SELECT {', '.join(copied)} FROM index_tables WHERE {where}"
    )


MAP, TABLE = "UPDATE contribution_maps SET", "UPDATE index_tables SET"
MEASURE = "UPDATE measurements SET"
JOB, ATTEMPT = "UPDATE jobs SET", "UPDATE attempts SET"
BITS = "WHERE name = 'bits_per_dim' AND value = 3.5"
ONE = "WHERE trial_id = 'channel-0-None'"
LOST = "(SELECT id FROM attempts WHERE outcome = 'oom')"
DONE = f"(SELECT done_attempt_id FROM jobs {ONE})"

FAULTS: dict[str, tuple[str, str, str]] = {
    "a short map": (f'{MAP} "values" = substr("values", 1, 100) WHERE split = 1', "maps", "fill"),
    "short halves": (f'{MAP} halves = "values" WHERE split = 1', "maps", "do not fill"),
    "other values": (f'{MAP} "values" = standard_errors WHERE split = 2', "maps", "digest"),
    "another dtype": (f"{MAP} dtype = '<f8' WHERE split = 2", "maps", "dtype"),
    "another sum": (f"{MAP} mean_log_det = mean_log_det + 1 WHERE split = 1", "maps", "sum"),
    "another sum error": (f"{MAP} sum_error = 0.125 WHERE split = 1", "maps", "says 0.125"),
    "another shape": (f"{MAP} height = 8, width = 32 WHERE split = 1", "maps", "its images are"),
    "a map of another job": (
        f"{MAP} attempt_id = {DONE} WHERE split = 1",
        "maps",
        "of another pretr",
    ),
    "a short table": (f"{TABLE} kept = substr(kept, 1, 95) {ONE}", "index_tables", "do not fill"),
    "all kept": (f"{TABLE} kept = :full {ONE}", "index_tables", "768 of 768"),
    "what had left": (next_split("trial_id = 'LLL-0-100'"), "index_tables", "had left before"),
    "a split left out": (f"{TABLE} split = 2 {ONE}", "index_tables", "none of split 1"),
    "a table's shape": (f"{TABLE} height = 8, width = 32 {ONE}", "index_tables", "its images are"),
    "a table of another": (
        f"{TABLE} attempt_id = {LOST} {ONE}",
        "index_tables",
        "of another trial_id",
    ),
    "a changed result": (f"{MEASURE} value = 1.5 {BITS}", "measurements", "digest"),
    "a path that leads out": (
        f"UPDATE artifacts SET path = 'a/../../b' WHERE kind = 'weights' AND attempt_id = {DONE}",
        "artifacts",
        "leads out of the folder",
    ),
    "an endless value": (f"{MEASURE} value = :infinite {BITS}", "measurements", "is not finite"),
    "nothing current": (
        f"{JOB} state = 'pending', done_attempt_id = NULL {ONE}",
        "jobs",
        "that the rule chooses",
    ),
    "another current": (f"{JOB} done_attempt_id = {LOST} {ONE}", "jobs", "at another job, was not"),
    "no result": (
        f"{ATTEMPT} evaluated_step = NULL WHERE id = {DONE}",
        "jobs",
        "done without a result",
    ),
    "no maps": (
        f"{JOB} state = 'done', owner = NULL, host = NULL, pid = NULL, lease_until = NULL, "
        "done_attempt_id = attempt_id WHERE state = 'running'",
        "jobs",
        "done without maps",
    ),
    "a lost attempt": (f"{JOB} attempt_id = 'x' WHERE state = 'failed'", "jobs", "x is not in"),
    "another's attempt": (
        f"{JOB} attempt_id = {DONE} WHERE state = 'failed'",
        "jobs",
        "at another job",
    ),
    "no token": (f"{JOB} token = 0 WHERE state = 'failed'", "jobs", "and its token is 0"),
    "an ended attempt": (
        f"{ATTEMPT} ended = 1.0, outcome = 'oom' WHERE ended IS NULL",
        "jobs",
        "it is running, but its attempt",
    ),
    "an endless attempt": (
        f"{ATTEMPT} ended = NULL, outcome = NULL WHERE id = {DONE}",
        "attempts",
        "has not ended",
    ),
    "a gap": (
        f"DELETE FROM metrics WHERE step = 250 AND attempt_id = {DONE}",
        "jobs",
        "its train_bits_per_dim has 49 points of 50",
    ),
    "a stray curve": (
        "INSERT INTO metrics (attempt_id, name, step, value) VALUES ('x', 'loss', 1, 1.0)",
        "metrics",
        "x is not in attempts",
    ),
    "a stray event": (
        "INSERT INTO events (time, event, attempt_id, detail) VALUES (1.0, 'done', 'x', '')",
        "events",
        "x is not in attempts",
    ),
    "another protocol": (
        f"{MEASURE} protocol = 'published' {BITS}",
        "measurements",
        "its exact protocol is one of the name plain",
    ),
    "a protocol's body": ("UPDATE protocols SET body = '[]'", "protocols", "do not match its id"),
    "superseded by another's": (
        f"{ATTEMPT} replaces = {DONE} WHERE outcome = 'oom'",
        "attempts",
        "at another job",
    ),
    "a measure of another's attempt": (
        f"{MEASURE} measured_by = {LOST} {BITS}",
        "measurements",
        "it was measured by an attempt at job",
    ),
    "an evaluation current": (
        f"{ATTEMPT} protocol = 'plain' WHERE id = {DONE}",
        "jobs",
        "or is an evaluation",
    ),
}


def test_nothing_is_found_in_a_sound_database(filled: Any) -> None:
    assert filled.evaluate(2)
    kept = np.packbits(SECOND).tobytes()
    plant(filled.store.url, next_split("trial_id = 'LLL-0-100'"), kept=kept)
    before = filled.dump()
    report = check_integrity(db.locate(filled.store.url))
    assert report.findings == ()
    assert report.read == {
        "contribution_maps": 2,
        "index_tables": 4,
        "measurements": 16,
        "artifacts": 3,
        "protocols": 2,
    }
    assert filled.dump() == before


def test_a_zero_below_zero_is_a_zero(world: Any) -> None:
    """SQLite drops the sign of a zero, so digests must not cover it."""
    world.finish_trial(0, bits_per_dim=-0.0)
    assert findings(world.store.url) == []


def test_every_fault_is_found_and_named(sqlite_templates: Any, tmp_path: Path) -> None:
    values = {
        "full": b"\xff" * 96,
        "kept": np.packbits(ALIEN).tobytes(),
        "infinite": float("inf"),
    }
    for fault, (statement, table, word) in FAULTS.items():
        url = f"sqlite:///{sqlite_templates.copy('filled', tmp_path)}"
        used = {name: value for name, value in values.items() if f":{name}" in statement}
        plant(url, statement, **used)
        found = findings(url)
        matching = [f for f in found if f.table and f.table.endswith(table) and word in f.problem]
        assert len(matching) == 1, (fault, found)
        assert matching[0].row, fault
        assert "\n" not in str(matching[0]), fault


WRONG = {
    "protocols": {"body": b"{}"},
    "attempts": {"evaluated_step": "many", "owner": b"1"},
    "measurements": {"value": "low", "digest": b"x"},
    "contribution_maps": {"channels": b"3", "values": "text", "mean_log_det": "low"},
    "index_tables": {"split": "first", "kept": "text"},
    "artifacts": {"path": b"a"},
    "jobs": {"steps": "many"},
    "data_sets": {"height": b"16"},
    "metrics": {"value": "low"},
}


@pytest.mark.integration
def test_a_value_of_another_type_is_a_finding_in_sqlite(filled_path: Path, tmp_path: Path) -> None:
    """One in its row at a time, so that a check that computes with it would raise."""
    for table, column, value in ((t, c, v) for t in WRONG for c, v in WRONG[t].items()):
        copy = Path(shutil.copy(filled_path, tmp_path / "wrong.db"))
        with closing(sqlite3.connect(copy)) as connection:
            key = next(iter(metadata.tables[table].primary_key.columns)).name
            one = f"{key} = (SELECT min({key}) FROM {table})"
            connection.execute(f'UPDATE {table} SET "{column}" = ? WHERE {one}', (value,))
            connection.commit()
        wrong = [f for f in findings(str(copy)) if f.problem.startswith(f"its {column} is ")]
        assert {f.table for f in wrong} == {table}, column
        assert all(f.row and ", not " in f.problem for f in wrong), column


def test_text_that_is_none_is_a_finding_in_sqlite(filled_path: Path) -> None:
    with closing(sqlite3.connect(filled_path)) as connection:
        connection.execute("UPDATE protocols SET body = CAST(x'ff' AS TEXT)")
        connection.commit()
    (found,) = findings(str(filled_path))
    assert found.table == "protocols"
    assert "decode to UTF-8 column 'body'" in found.problem


def test_a_place_with_nothing_is_not_checked(new_place: str) -> None:
    with pytest.raises(UserError, match="no results"):
        findings(new_place)


def test_a_broken_constraint_is_found_by_sqlite(filled_path: Path) -> None:
    with closing(sqlite3.connect(filled_path)) as connection:
        connection.execute("PRAGMA ignore_check_constraints=ON")
        connection.execute("UPDATE jobs SET lease_until = NULL WHERE state = 'running'")
        connection.commit()
    before = filled_path.read_bytes()
    (whole,) = findings(str(filled_path))
    assert (whole.table, whole.problem) == (None, "CHECK constraint failed in jobs")
    assert filled_path.read_bytes() == before


def test_a_missing_row_is_found_by_sqlite(filled_path: Path) -> None:
    with closing(sqlite3.connect(filled_path)) as connection:
        connection.execute(f"{MAP} pretraining_id = 'x' WHERE split = 1")
        connection.commit()
    problems = [found.problem for found in findings(str(filled_path))]
    assert any("of contribution_maps refers to a missing row of pretr" in one for one in problems)


def test_a_damaged_page_of_a_file_is_found(filled_path: Path) -> None:
    with closing(sqlite3.connect(filled_path)) as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'index_tables'"
        ).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with filled_path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    found = findings(str(filled_path))
    assert found[0].table is None
    assert {"index_tables"} <= {finding.table for finding in found}
    assert all("\n" not in str(finding) for finding in found)


def test_a_constraint_that_is_not_validated_is_found(postgres: Any) -> None:
    name = postgres.make()
    url = postgres.url(name)
    db.connect(url)
    execute(url, "ALTER TABLE metrics ADD CONSTRAINT late CHECK (step >= 0) NOT VALID")
    (found,) = findings(url)
    assert str(found) == "the constraint late of metrics is not validated"
    postgres.drop(name)
