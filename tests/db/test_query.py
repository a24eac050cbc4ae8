"""SQL for users: it reads, and does nothing else."""

import time
from pathlib import Path
from typing import Any

import pytest

import db.query
from sweeps.errors import UserError


def test_a_query_gives_columns_and_rows(filled: Any) -> None:
    found = db.query.run(
        filled.store.url,
        "SELECT factorization AS f, bits_per_dim FROM trial_results ORDER BY bits_per_dim",
    )
    assert found.columns == ("f", "bits_per_dim")
    assert found.rows == (("LLL", 3.25), ("channel", 3.5), ("HHH", 3.75))
    assert not found.truncated


@pytest.mark.parametrize(
    ("limit", "rows", "truncated"),
    [(0, 0, True), (2, 2, True), (3, 3, False), (9, 3, False), (None, 3, False)],
)
def test_the_limit_tells_what_it_cut(
    filled: Any, limit: int | None, rows: int, truncated: bool
) -> None:
    found = db.query.run(filled.store.url, "SELECT * FROM results", limit=limit)
    assert (len(found.rows), found.truncated) == (rows, truncated)


@pytest.mark.parametrize(
    "sql",
    [
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n LIMIT 3",
        "PRAGMA table_info(results)",
        "EXPLAIN QUERY PLAN SELECT * FROM results",
        "SELECT name, sql FROM sqlite_master",
        "SELECT spec ->> '$.name' FROM sweeps;",
        "SELECT 1 -- a comment",
        "SELECT CAST(x'ff' AS TEXT)",
        "VALUES (1), (2)",
    ],
)
def test_what_reads_is_allowed(filled: Any, sql: str) -> None:
    assert db.query.run(filled.store.url, sql).rows


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("INSERT INTO sweeps VALUES ('a', 'b', 'c', 1)", "only SELECT"),
        ("UPDATE results SET bits_per_dim = 0", "only SELECT"),
        ("UPDATE results SET bits_per_dim = 0 RETURNING id", "only SELECT"),
        ("DELETE FROM results", "only SELECT"),
        ("DROP TABLE results", "only SELECT"),
        ("CREATE TABLE x (y)", "only SELECT"),
        ("CREATE TEMP TABLE x (y)", "only SELECT"),
        ("ATTACH '{folder}/new.db' AS new", "only SELECT"),
        ("DETACH main", "only SELECT"),
        ("VACUUM INTO '{folder}/new.db'", "only SELECT"),
        ("PRAGMA writable_schema = ON", "only SELECT"),
        ("PRAGMA query_only = OFF", "only SELECT"),
        ("PRAGMA journal_mode = DELETE", "only SELECT"),
        ("PRAGMA user_version = 5", "only SELECT"),
        ("SELECT * FROM pragma_wal_checkpoint", "failed"),
        ("BEGIN IMMEDIATE", "only SELECT"),
        ("SAVEPOINT x", "only SELECT"),
        ("SELECT load_extension('x')", "only SELECT"),
        ("SELECT 1; SELECT 2", "one statement"),
        ("SELECT 1; DELETE FROM results", "one statement"),
        ("SELEC 1", "syntax error"),
        ("SELECT colour FROM results", "no such column"),
        ("SELECT ?", "failed"),
        ("SELECT zeroblob(2000000000)", "too big"),
        ("SELECT '\udc80'", "failed"),
        ("", "no SQL statement"),
        ("  ;", "no SQL statement"),
        ("-- nothing", "no SQL statement"),
        ("SELECT 1\0; DELETE FROM results", "no SQL statement"),
    ],
)
def test_all_else_is_refused_in_one_line(
    filled_path: Path, tmp_path: Path, sql: str, words: str
) -> None:
    before = filled_path.read_bytes()
    with pytest.raises(UserError, match=words) as caught:
        db.query.run(str(filled_path), sql.replace("{folder}", str(tmp_path)))
    assert "\n" not in str(caught.value)
    assert filled_path.read_bytes() == before
    assert not (tmp_path / "new.db").exists()


def test_a_query_without_end_is_stopped(filled: Any) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
    start = time.monotonic()
    for sql in (endless + "SELECT max(i) FROM n", endless + "SELECT i FROM n WHERE i < 0"):
        with pytest.raises(UserError, match=r"took longer than 0\.2 s"):
            db.query.run(filled.store.url, sql, timeout=0.2)
    assert time.monotonic() - start < 5
    found = db.query.run(filled.store.url, endless + "SELECT i FROM n", limit=5)
    assert (len(found.rows), found.truncated) == (5, True)


def test_a_limit_below_zero_is_refused(filled: Any) -> None:
    with pytest.raises(UserError, match="limit of -1"):
        db.query.run(filled.store.url, "SELECT 1", limit=-1)


def test_a_query_sees_what_others_have_just_written(filled: Any) -> None:
    count = "SELECT count(*) FROM metrics WHERE name = 'loss'"
    assert db.query.run(filled.store.url, count).rows == ((0,),)
    filled.store.release("me")
    claim = filled.win(filled.segments[1])
    filled.store.add_metrics(claim, [db.Metric("loss", 1, 1.0)])
    assert db.query.run(filled.store.url, count).rows == ((1,),)
