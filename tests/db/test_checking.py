"""The check of a database finds what is wrong and names it, and finds nothing where nothing is."""

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

FIRST = HALF.ravel()
SECOND = FIRST & (np.arange(FIRST.size) % 4 == 0)
ALIEN = SECOND ^ (np.arange(FIRST.size) < 2)


def findings(url: str) -> list[Finding]:
    return list(check_integrity(db.locate(url)).findings)


def plant(url: str, statement: str, **values: object) -> None:
    """Change one row behind everybody's back."""
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
RESULT, MEASURE = "UPDATE results SET", "UPDATE measures SET"
JOB, ATTEMPT = "UPDATE jobs SET", "UPDATE attempts SET"
CELL = "UPDATE cells SET"
CHANNEL = "WHERE factorization = 'channel' AND measure = 'bits_per_dim'"
BITS = "WHERE name = 'bits_per_dim' AND value = 3.5"
ONE = "WHERE trial_id = 'channel-0-None'"
LOW = "WHERE trial_id = 'LLL-0-100'"

FAULTS: dict[str, tuple[str, str, str]] = {
    "a short map": (f'{MAP} "values" = substr("values", 1, 100) WHERE split = 1', "maps", "fill"),
    "short halves": (f'{MAP} halves = "values" WHERE split = 1', "maps", "do not fill"),
    "other values": (f'{MAP} "values" = standard_errors WHERE split = 2', "maps", "digest"),
    "another dtype": (f"{MAP} dtype = '<f8' WHERE split = 2", "maps", "dtype"),
    "another sum": (f"{MAP} mean_log_det = mean_log_det + 1 WHERE split = 1", "maps", "sum"),
    "another sum error": (f"{MAP} sum_error = 0.125 WHERE split = 1", "maps", "says 0.125"),
    "another shape": (f"{MAP} height = 8, width = 32 WHERE split = 1", "maps", "its images are"),
    "a map of another job": (f"{MAP} attempt_id = 2 WHERE split = 1", "maps", "of another pretr"),
    "a short table": (f"{TABLE} kept = substr(kept, 1, 95) {ONE}", "index_tables", "do not fill"),
    "all kept": (f"{TABLE} kept = :full {ONE}", "index_tables", "768 of 768"),
    "what had left": (next_split("trial_id = 'LLL-0-100'"), "index_tables", "had left before"),
    "a split left out": (f"{TABLE} split = 2 {ONE}", "index_tables", "none of split 1"),
    "a table's shape": (f"{TABLE} height = 8, width = 32 {ONE}", "index_tables", "its images are"),
    "a table of another": (f"{TABLE} attempt_id = 5 {ONE}", "index_tables", "of another trial_id"),
    "a changed result": (f"{MEASURE} value = 1.5 {BITS}", "measures", "digest"),
    "a path that leads out": (
        "UPDATE artifacts SET path = 'a/../../b' WHERE id = 2",
        "artifacts",
        "leads out of the folder",
    ),
    "an endless value": (f"{MEASURE} value = :infinite {BITS}", "measures", "no finite number"),
    "an unknown attempt": (f"{RESULT} attempt_id = 99 {ONE}", "results", "99 is not in attempts"),
    "a result of another": (f"{RESULT} attempt_id = 5 {ONE}", "results", "of another trial_id"),
    "another trial": (f"{RESULT} trial_id = 'x' {ONE}", "results", "do not match its id"),
    "nothing current": (f"{JOB} done_attempt_id = NULL {ONE}", "jobs", "that the rule chooses"),
    "another current": (f"{JOB} done_attempt_id = 5 {ONE}", "jobs", "at another job, was not"),
    "no result": (f"DELETE FROM results {LOW}", "jobs", "done without a result"),
    "no maps": (
        f"{JOB} state = 'done', owner = NULL, host = NULL, pid = NULL, lease_until = NULL "
        "WHERE state = 'running'",
        "jobs",
        "done without maps",
    ),
    "no owner": (f"{JOB} owner = NULL WHERE state = 'running'", "jobs", "running without an owner"),
    "an owner": (f"{JOB} owner = 'me' WHERE state = 'failed'", "jobs", "not running, but has an"),
    "no attempt": (
        f"{JOB} attempt_id = NULL WHERE state = 'running'",
        "jobs",
        "without an attempt",
    ),
    "a lost attempt": (f"{JOB} attempt_id = 99 WHERE state = 'failed'", "jobs", "99 is not in"),
    "another's attempt": (f"{JOB} attempt_id = 2 WHERE state = 'failed'", "jobs", "at another job"),
    "another token": (f"{JOB} token = 7 WHERE state = 'running'", "jobs", "7, but it has had 1"),
    "an ended attempt": (
        f"{ATTEMPT} ended = 1.0, outcome = 'oom' WHERE ended IS NULL",
        "jobs",
        "its attempt 6 has ended",
    ),
    "an endless attempt": (
        f"{ATTEMPT} ended = NULL, outcome = NULL WHERE id = 2",
        "attempts",
        "has not ended",
    ),
    "a gap": (
        "DELETE FROM metrics WHERE step = 250 AND curve_id = (SELECT max(id) FROM curves)",
        "jobs",
        "its train_bits_per_dim has 49 points of 50",
    ),
    "a gap of a pretraining": (
        "DELETE FROM metrics WHERE step = 10 AND curve_id = (SELECT min(id) FROM curves)",
        "pretrainings",
        "its train_bits_per_dim has 9 points of 10",
    ),
    "a stray curve": (
        "INSERT INTO metrics (curve_id, step, value) VALUES (99, 1, 1.0)",
        "metrics",
        "99 is not in curves",
    ),
    "a stray event": (
        "INSERT INTO events (time, event, attempt_id, detail) VALUES (1.0, 'done', 99, '')",
        "events",
        "99 is not in attempts",
    ),
    "another mean": (f"{CELL} mean = 3.0 {CHANNEL}", "cells", "mean do not follow"),
    "a cell's data": (f"{CELL} variant = 'float' {CHANNEL}", "cells", "do not match its id"),
    "a result's cell": (
        f"{MEASURE} cell_id = (SELECT id FROM cells WHERE factorization = 'LLL' "
        f"AND measure = 'bits_per_dim') {BITS}",
        "measures",
        "its seed or cell is not that of trial channel-0-None",
    ),
    "an empty cell": (f"{MEASURE} cell_id = NULL {BITS}", "cells", "there is nothing in it"),
    "a value in no cell": (f"{MEASURE} cell_id = NULL {BITS}", "measures", "not ranked or not"),
    "a measure's seed": (f"{MEASURE} seed = 9 {BITS}", "measures", "its seed or cell"),
    "another protocol": (
        f"{MEASURE} protocol = 'published' {BITS}",
        "measures",
        "its exact protocol is one of the name plain",
    ),
    "a protocol's body": ("UPDATE protocols SET body = '[]'", "protocols", "do not match its id"),
    "a verification": (
        "INSERT INTO verifications (id, result_id, equal, largest_difference, tolerance, "
        "environment_id, device, threads, verified_by, time) "
        "SELECT 'x', results.id, 1, 0.0, 0.0001, environments.id, 'cpu', 1, 'ann', 1.0 "
        f"FROM results JOIN environments ON 1 = 1 {ONE}",
        "verifications",
        "do not match its id",
    ),
    "superseded by another's": (
        "INSERT INTO supersedes (attempt_id, superseded_id, requested_by, time, why) "
        "VALUES (2, 5, '', 1.0, '')",
        "supersedes",
        "it joins attempts of two jobs",
    ),
    "a measure of another's attempt": (
        f"{MEASURE} attempt_id = 5 {BITS}",
        "measures",
        "its attempt was at job",
    ),
    "an evaluation current": (
        f"{ATTEMPT} protocol = 'plain' WHERE id = 2",
        "jobs",
        "or is an evaluation",
    ),
}


def test_nothing_is_found_in_a_sound_database(filled: Any) -> None:
    assert filled.evaluate(2)
    filled.verify(0)
    kept = np.packbits(SECOND).tobytes()
    plant(filled.store.url, next_split("trial_id = 'LLL-0-100'"), kept=kept)
    before = filled.dump()
    report = check_integrity(db.locate(filled.store.url))
    assert report.findings == ()
    assert report.read == {
        "contribution_maps": 2,
        "index_tables": 4,
        "results": 3,
        "measures": 16,
        "artifacts": 3,
        "cells": 8,
        "protocols": 2,
        "verifications": 1,
    }
    assert filled.dump() == before


def test_a_zero_below_zero_is_a_zero(world: Any) -> None:
    """SQLite keeps no sign of a zero, and digests cover what is kept."""
    world.finish_trial(0, bits_per_dim=-0.0)
    (result_id,) = world.store.results()["result_id"]
    by = {"environment_id": world.store.attempts()["environment_id"][0], "verified_by": "ann"}
    zero = db.Verification(
        result_id=result_id,
        equal=True,
        largest_difference=-0.0,
        tolerance=-0.0,
        device="cpu",
        threads=1,
        **by,
    )
    world.store.add_verification(zero, now=3000)
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
    "results": {"step": "many", "attempt_id": b"1"},
    "measures": {"value": "low", "digest": b"x", "seed": 0.5, "cell_id": b"x"},
    "contribution_maps": {"channels": b"3", "values": "text", "mean_log_det": "low"},
    "index_tables": {"split": "first", "kept": "text"},
    "artifacts": {"path": b"a"},
    "cells": {"mean": "low"},
    "jobs": {"steps": "many"},
    "data_sets": {"height": b"16"},
    "metrics": {"value": "low"},
}


@pytest.mark.integration
def test_a_value_of_another_type_is_a_finding_in_sqlite(filled_path: Path, tmp_path: Path) -> None:
    """Alone in its row, so that what computes with it would end in an error."""
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


def test_more_rows_than_are_read_at_once_are_all_looked_at(filled_path: Path) -> None:
    url = f"sqlite:///{filled_path}"
    names = [column.name for column in index_tables.columns]
    for_all = "FROM index_tables WHERE split = 1 AND trial_id = 'LLL-0-100'"
    copied = ", ".join("split + :more" if name == "split" else name for name in names)
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
        connection.execute(
            sa.text(f"INSERT INTO index_tables ({', '.join(names)}) SELECT {copied} {for_all}"),
            [{"more": more} for more in range(1, 199)],
        )
    seen: list[tuple[int, int | None]] = []
    report = check_integrity(
        db.locate(url),
        lambda what, done, total: seen.append((done, total)) if what == "index_tables" else None,
    )
    assert report.read["index_tables"] == 201
    assert len(report.findings) == 198
    assert all("is not half" in finding.problem for finding in report.findings)
    assert seen[0] == (0, 201)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


def test_a_place_with_nothing_is_not_checked(new_place: str) -> None:
    with pytest.raises(UserError, match="no results"):
        findings(new_place)


def test_a_broken_constraint_is_found_by_sqlite(filled_path: Path) -> None:
    with closing(sqlite3.connect(filled_path)) as connection:
        connection.execute("PRAGMA ignore_check_constraints=ON")
        connection.execute("UPDATE jobs SET lease_until = NULL WHERE state = 'running'")
        connection.commit()
    before = filled_path.read_bytes()
    whole, lease = findings(str(filled_path))
    assert (whole.table, whole.problem) == (None, "CHECK constraint failed in jobs")
    assert "running without an owner, host, process or lease" in lease.problem
    assert filled_path.read_bytes() == before


def test_a_damaged_page_of_a_file_is_found(filled_path: Path) -> None:
    with closing(sqlite3.connect(filled_path)) as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'results'"
        ).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with filled_path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    found = findings(str(filled_path))
    assert found[0].table is None
    assert {"results"} <= {finding.table for finding in found}
    assert all("\n" not in str(finding) for finding in found)


def test_a_constraint_that_is_not_validated_is_found(postgres: Any) -> None:
    name = postgres.make()
    url = postgres.url(name)
    db.connect(url)
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
        added = "ALTER TABLE metrics ADD CONSTRAINT late CHECK (step >= 0) NOT VALID"
        connection.execute(sa.text(added))
    (found,) = findings(url)
    assert str(found) == "the constraint late of metrics is not validated"
    postgres.drop(name)
