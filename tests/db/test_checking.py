"""The check of a database finds and names every fault, and finds none in a sound one."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from lcma import db
from lcma.db.integrity import Finding, check_integrity
from lcma.db.schema import index_tables, metadata
from tests.db.conftest import HALF
from tests.db.inspecting import execute

FIRST = HALF.ravel()
SECOND = FIRST & (np.arange(FIRST.size) % 4 == 0)
ALIEN = SECOND ^ (np.arange(FIRST.size) < 2)


def find_faults(url: str) -> list[Finding]:
    return list(check_integrity(db.locate(url)).findings)


def change_row(url: str, statement: str, **values: object) -> None:
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
        assert connection.execute(sa.text(statement), values).rowcount == 1


def change_file(path: Path, statement: str) -> None:
    """Change a file without the store and without constraints."""
    execute(f"sqlite:///{path}", "PRAGMA ignore_check_constraints=ON", statement)


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
TRIAL = "WHERE trial_id = 'channel-0-None'"
LOST = "(SELECT id FROM attempts WHERE outcome = 'oom')"
DONE = f"(SELECT done_attempt_id FROM jobs {TRIAL})"

FAULTS: dict[str, list[tuple[str, str]]] = {
    "contribution_maps": [
        (f'{MAP} "values" = substr("values", 1, 100) WHERE split = 1', "fill"),
        (f"{MAP} standard_errors = substr(standard_errors, 1, 8) WHERE split = 1", "do not fill"),
        (f'{MAP} halves = "values" WHERE split = 1', "do not fill"),
        (f'{MAP} "values" = standard_errors WHERE split = 2', "digest"),
        (f"{MAP} dtype = '<f8' WHERE split = 2", "dtype"),
        (f"{MAP} mean_log_det = mean_log_det + 1 WHERE split = 1", "sum"),
        (f"{MAP} sum_error = 0.125 WHERE split = 1", "says 0.125"),
        (f"{MAP} height = 8, width = 32 WHERE split = 1", "its images are"),
        (f"{MAP} attempt_id = {DONE} WHERE split = 1", "of another pretr"),
    ],
    "index_tables": [
        (f"{TABLE} kept = substr(kept, 1, 95) {TRIAL}", "do not fill"),
        (f"{TABLE} kept = :full {TRIAL}", "768 of 768"),
        (next_split("trial_id = 'LLL-0-100'"), "had left before"),
        (f"{TABLE} split = 2 {TRIAL}", "none of split 1"),
        (f"{TABLE} height = 8, width = 32 {TRIAL}", "its images are"),
        (f"{TABLE} attempt_id = {LOST} {TRIAL}", "of another trial_id"),
    ],
    "measurements": [
        (f"{MEASURE} value = 1.5 {BITS}", "digest"),
        (f"{MEASURE} value = :infinite {BITS}", "is not finite"),
        (f"{MEASURE} protocol = 'published' {BITS}", "its exact protocol has the name plain"),
        (f"{MEASURE} measured_by = {LOST} {BITS}", "measured it, and an attempt at another job"),
    ],
    "artifacts": [
        (
            f"UPDATE artifacts SET path = 'a/../../b' WHERE attempt_id = {DONE}",
            "leads out of the folder",
        ),
    ],
    "jobs": [
        (f"{JOB} state = 'pending', done_attempt_id = NULL {TRIAL}", "that the rule chooses"),
        (f"{JOB} done_attempt_id = {LOST} {TRIAL}", "at another job, was not"),
        (f"{ATTEMPT} evaluated_step = NULL WHERE id = {DONE}", "done without a result"),
        (
            f"{JOB} state = 'done', owner = NULL, host = NULL, pid = NULL, lease_until = NULL, "
            "done_attempt_id = attempt_id WHERE state = 'running'",
            "done without maps",
        ),
        (f"{JOB} attempt_id = 'x' WHERE state = 'failed'", "x is not in"),
        (f"{JOB} attempt_id = {DONE} WHERE state = 'failed'", "at another job"),
        (f"{JOB} token = 0 WHERE state = 'failed'", "and its token is 0"),
        (
            f"{ATTEMPT} ended = 1.0, outcome = 'oom' WHERE ended IS NULL",
            "it is running, but its attempt",
        ),
        (
            f"DELETE FROM metrics WHERE step = 250 AND attempt_id = {DONE}",
            "its train_bits_per_dim has 49 points of 50",
        ),
        (f"{ATTEMPT} protocol = 'plain' WHERE id = {DONE}", "or is an evaluation"),
    ],
    "attempts": [
        (f"{ATTEMPT} ended = NULL, outcome = NULL WHERE id = {DONE}", "has not ended"),
        (f"{ATTEMPT} replaces = {DONE} WHERE outcome = 'oom'", "at another job"),
    ],
    "metrics": [
        (
            "INSERT INTO metrics (attempt_id, name, step, value) VALUES ('x', 'loss', 1, 1.0)",
            "x is not in attempts",
        ),
    ],
    "events": [
        (
            "INSERT INTO events (time, event, attempt_id, detail) VALUES (1.0, 'done', 'x', '')",
            "x is not in attempts",
        ),
    ],
    "protocols": [("UPDATE protocols SET body = '[]'", "do not match its id")],
}
"""By table statements that break a row of it, each with a part of the problem."""


def test_a_sound_database_has_no_fault(filled: Any) -> None:
    assert filled.evaluate(2)
    kept = np.packbits(SECOND).tobytes()
    change_row(filled.store.url, next_split("trial_id = 'LLL-0-100'"), kept=kept)
    before = filled.dump()
    report = check_integrity(filled.store.database)
    assert report.findings == ()
    assert report.read == {
        "contribution_maps": 2,
        "index_tables": 4,
        "measurements": 16,
        "artifacts": 3,
        "protocols": 2,
    }
    assert filled.dump() == before


def test_a_negative_zero_is_a_zero(world: Any) -> None:
    """SQLite drops the sign of a zero, so digests must not cover it."""
    world.finish_trial(0, bits_per_dim=-0.0)
    assert find_faults(world.store.url) == []


def test_every_fault_is_found_and_named(sqlite_templates: Any, tmp_path: Path) -> None:
    values = {
        "full": b"\xff" * 96,
        "kept": np.packbits(ALIEN).tobytes(),
        "infinite": float("inf"),
    }
    for table, faults in FAULTS.items():
        for statement, part in faults:
            url = f"sqlite:///{sqlite_templates.copy('filled', tmp_path)}"
            used = {name: value for name, value in values.items() if f":{name}" in statement}
            change_row(url, statement, **used)
            findings = find_faults(url)
            (finding,) = [f for f in findings if f.table == table and part in f.problem]
            assert finding.row, statement
            assert "\n" not in str(finding), statement


WRONG_TYPES = {
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
    """A row has one such value at a time, so that a check that computes with it would raise."""
    for table, column, value in ((t, c, v) for t in WRONG_TYPES for c, v in WRONG_TYPES[t].items()):
        copy = Path(shutil.copy(filled_path, tmp_path / "wrong.db"))
        key = next(iter(metadata.tables[table].primary_key.columns)).name
        row = f"{key} = (SELECT min({key}) FROM {table})"
        literal = f"x'{value.hex()}'" if isinstance(value, bytes) else f"'{value}'"
        change_file(copy, f'UPDATE {table} SET "{column}" = {literal} WHERE {row}')
        faults = [f for f in find_faults(str(copy)) if f.problem.startswith(f"its {column} is ")]
        assert {fault.table for fault in faults} == {table}, column
        assert all(fault.row and ", not " in fault.problem for fault in faults), column


def test_bytes_that_are_no_text_are_a_finding_in_sqlite(filled_path: Path) -> None:
    change_file(filled_path, "UPDATE protocols SET body = CAST(x'ff' AS TEXT)")
    (fault,) = find_faults(str(filled_path))
    assert fault.table == "protocols"
    assert "decode to UTF-8 column 'body'" in fault.problem


def test_a_broken_constraint_is_found_by_sqlite(filled_path: Path) -> None:
    change_file(filled_path, "UPDATE jobs SET lease_until = NULL WHERE state = 'running'")
    before = filled_path.read_bytes()
    (fault,) = find_faults(str(filled_path))
    assert (fault.table, fault.problem) == (None, "CHECK constraint failed in jobs")
    assert filled_path.read_bytes() == before


def test_a_missing_row_is_found_by_sqlite(filled_path: Path) -> None:
    change_file(filled_path, f"{MAP} pretraining_id = 'x' WHERE split = 1")
    problem = "of contribution_maps refers to a missing row of pretr"
    assert any(problem in fault.problem for fault in find_faults(str(filled_path)))


def test_a_damaged_page_of_a_file_is_found(filled_path: Path) -> None:
    url = f"sqlite:///{filled_path}"
    ((page,),) = execute(url, "SELECT rootpage FROM sqlite_master WHERE name = 'index_tables'")
    ((size,),) = execute(url, "PRAGMA page_size")
    with filled_path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    faults = find_faults(str(filled_path))
    assert faults[0].table is None
    assert "index_tables" in {fault.table for fault in faults}
    assert all("\n" not in str(fault) for fault in faults)


def test_a_constraint_that_is_not_validated_is_found(current_postgres_url: str) -> None:
    late = "ALTER TABLE metrics ADD CONSTRAINT late CHECK (step >= 0) NOT VALID"
    execute(current_postgres_url, late)
    (fault,) = find_faults(current_postgres_url)
    assert str(fault) == "the constraint late of metrics is not validated"
