"""SQL of users only reads."""

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from lcma import db
from lcma.db import run_sql
from lcma.sweeps.errors import UserError
from tests.db.conftest import contribution_map
from tests.db.inspecting import execute
from tests.refusals import catch_refusal


def test_the_answer_tells_whether_the_limit_cut_it(filled: Any) -> None:
    """A limit may be larger than a driver can count."""
    for limit in (0, 2, 3, 9, None, 2**31 - 2, 2**31 - 1, 2**31, 2**80):
        answer = run_sql(filled.store.url, "SELECT * FROM results", limit=limit)
        assert len(answer.rows) == (3 if limit is None else min(3, limit))
        assert answer.truncated == (limit in (0, 2)), limit


ALLOWED = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n LIMIT 3",
    "SELECT 1 -- a comment",
    "/* a comment */ SELECT 1;",
    "SELECT 1 ; ;\n",
    "\n;SELECT 1",
    "EXPLAIN SELECT 1;",
    "VALUES (1), (2)",
    "SELECT '100%' AS \"50%\", ';'",
)
ALLOWED_BY_ENGINE = {
    "sqlite": (
        "PRAGMA table_info(results)",
        "EXPLAIN QUERY PLAN SELECT * FROM results",
        "SELECT name, sql FROM sqlite_master",
        "SELECT spec ->> '$.name' FROM sweeps;",
        "SELECT CAST(x'ff' AS TEXT)",
    ),
    "postgresql": (
        "TABLE results",
        "EXPLAIN SELECT * FROM results",
        "(SELECT 1)",
        "SELECT spec::json ->> 'name' FROM sweeps;",
        "SELECT relname FROM pg_class",
    ),
}


def engine_of(world: Any) -> str:
    return str(sa.make_url(world.store.url).get_backend_name())


UNKNOWN = {
    "SELECT * FROM result": "did you mean 'results'?",
    "SELECT * FROM measurement": "did you mean 'measurements'?",
    "SELECT bits_per_dims FROM results": "did you mean 'bits_per_dim'?",
    "SELECT r.factorisation FROM results AS r": "did you mean 'factorization'?",
    "SELECT STEPS FROM costs": "it is a column of board, pairs, budgets and 7 more",
    "SELECT * FROM xyzzy": "`lcma sql --schema` lists views, tables and columns",
    "SELECT FROM WHERE": "check its SQL",
}


def test_an_unknown_name_is_refused_with_the_nearest(filled: Any) -> None:
    for sql, remedy in UNKNOWN.items():
        error = catch_refusal(lambda sql=sql: run_sql(filled.store.url, sql))
        assert str(error).endswith(remedy), sql


def test_reading_is_allowed(filled: Any) -> None:
    for sql in (*ALLOWED, *ALLOWED_BY_ENGINE[engine_of(filled)]):
        assert run_sql(filled.store.url, sql).rows, sql


def test_both_engines_give_the_same_values(filled: Any) -> None:
    sql = (
        "SELECT count(*), sum(seed), avg(bits_per_dim), max(seed) = 0, NULL, sum(images) / 2.0, "
        "min(factorization), max(bits_per_dim) > 100, sum(peak_memory) FROM results"
    )
    (row,) = run_sql(filled.store.url, sql).rows
    assert repr(row) == repr((3, 0, 3.5, 1, None, 150.0, "HHH", 0, 3 * 2**30))
    ordered = "SELECT factorization FROM results ORDER BY factorization"
    assert run_sql(filled.store.url, ordered).rows == (("HHH",), ("LLL",), ("channel",))
    blobs = 'SELECT "values" FROM contribution_maps WHERE split = 1'
    assert run_sql(filled.store.url, blobs).rows == ((contribution_map(1).values.tobytes(),),)


REFUSED = [
    ("INSERT INTO sweeps VALUES ('a', 'b', 'c', 1)", "only SELECT"),
    ("UPDATE results SET step = 0", "only SELECT"),
    ("UPDATE attempts SET token = 0 RETURNING id", "only SELECT"),
    ("DELETE FROM attempts", "only SELECT"),
    ("DROP TABLE attempts", "only SELECT"),
    ("CREATE TABLE x (y INTEGER)", "only SELECT"),
    ("CREATE TEMP TABLE x (y INTEGER)", "only SELECT"),
    ("SAVEPOINT x", "only SELECT"),
    ("SELECT 1; SELECT 2", "one statement"),
    ("SELECT 1; DELETE FROM attempts", "one statement"),
    ("SELEC 1", "syntax error|only SELECT"),
    ("SELECT colour FROM results", "colour"),
    ("SELECT ?", "failed"),
    ("SELECT '\udc80'", "failed"),
    ("", "no SQL statement"),
    ("  ;", "no SQL statement"),
    ("-- nothing", "no SQL statement|syntax error at end of input"),
    ("SELECT 1\0; DELETE FROM attempts", "no SQL statement"),
]

REFUSED_BY_SQLITE = [
    ("ATTACH '{folder}/new.db' AS new", "only SELECT"),
    ("DETACH main", "only SELECT"),
    ("VACUUM INTO '{folder}/new.db'", "only SELECT"),
    ("PRAGMA writable_schema = ON", "only SELECT"),
    ("PRAGMA query_only = OFF", "only SELECT"),
    ("PRAGMA journal_mode = DELETE", "only SELECT"),
    ("PRAGMA user_version = 5", "only SELECT"),
    ("SELECT * FROM pragma_wal_checkpoint", "failed"),
    ("BEGIN IMMEDIATE", "only SELECT"),
    ("SELECT load_extension('x')", "only SELECT"),
    ("SELECT zeroblob(200000000)", "query failed: string or blob too big; .* 100 MiB"),
]

REFUSED_BY_POSTGRES = [
    ("WITH x AS (DELETE FROM attempts RETURNING id) SELECT * FROM x", "only SELECT"),
    ("SELECT * INTO x FROM results", "INTO is not allowed"),
    ("SELECT * FROM results FOR UPDATE", "only SELECT"),
    ("SELECT nextval('events_id_seq')", "only SELECT"),
    ("COPY attempts TO '{folder}/new.db'", "only SELECT"),
    ("COPY (SELECT 1) TO PROGRAM 'cat > {folder}/new.db'", "only SELECT"),
    ("EXPLAIN ANALYZE DELETE FROM attempts", "only SELECT"),
    ("EXPLAIN SELECT 1; COMMIT; DELETE FROM attempts", "one statement"),
    ("SELECT 1; COMMIT; DELETE FROM attempts", "one statement"),
    ("DO $$ BEGIN DELETE FROM attempts; END $$", "only SELECT"),
    ("SET default_transaction_read_only = off", "only SELECT"),
    ("SELECT set_config('transaction_read_only', 'off', false)", "failed|only SELECT"),
    ("COMMIT", "only SELECT"),
    ("VACUUM", "only SELECT"),
    ("SELECT $1", "failed"),
]


def test_all_else_is_refused_in_one_line(filled: Any, tmp_path: Path) -> None:
    before = filled.dump()
    by_engine = REFUSED_BY_SQLITE if engine_of(filled) == "sqlite" else REFUSED_BY_POSTGRES
    for sql, words in REFUSED + by_engine:
        with pytest.raises(UserError, match=words) as caught:
            run_sql(filled.store.url, sql.replace("{folder}", str(tmp_path)))
        assert "\n" not in str(caught.value)
    assert filled.dump() == before
    assert not (tmp_path / "new.db").exists()


SLOW = {  # one call of a function that takes seconds, which SQLite cannot stop
    "sqlite": "SELECT instr(zeroblob(1000000), zeroblob(500000) || x'01')",
    "postgresql": "SELECT pg_sleep(20)",
}


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "


def test_a_query_without_end_is_stopped(filled: Any) -> None:
    empty = ENDLESS + "SELECT i FROM n WHERE i < 0"
    for sql in (ENDLESS + "SELECT max(i) FROM n", empty, SLOW[engine_of(filled)]):
        with pytest.raises(UserError, match=r"took longer than 0\.2 s"):
            run_sql(filled.store.url, sql, timeout=0.2)
    answer = run_sql(filled.store.url, ENDLESS + "SELECT i FROM n", limit=5)
    assert (len(answer.rows), answer.truncated) == (5, True)
    assert run_sql(filled.store.url, "SELECT 1", timeout=float("inf")).rows == ((1,),)


LONG_ROWS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 900) "
    "SELECT zeroblob(200000) FROM n",
    "postgresql": "SELECT repeat('x', 200000) FROM generate_series(1, 900)",
}


def test_bytes_are_limited_as_rows_are(filled: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lcma.db.engine.MAX_BYTES", 2**20)
    for limit, rows in ((1000, 6), (6, 6), (5, 5), (None, 900)):
        answer = run_sql(filled.store.url, LONG_ROWS[engine_of(filled)], limit=limit)
        assert (len(answer.rows), answer.truncated) == (rows, limit is not None)


def test_a_long_value_beside_others_is_read(filled: Any) -> None:
    length = 20 * 2**20
    text = {"sqlite": f"hex(zeroblob({length // 2}))", "postgresql": f"repeat('0', {length})"}
    answer = run_sql(filled.store.url, f"SELECT 1, {text[engine_of(filled)]}, 2")
    assert [len(row[1]) for row in answer.rows] == [length]


@pytest.mark.integration
def test_an_interrupt_stops_the_query(filled: Any) -> None:
    """It may come at any moment, and the next query works."""
    for seconds in (0.2, 0.3):
        timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            run_sql(filled.store.url, ENDLESS + "SELECT max(i) FROM n", timeout=20)
        timer.join()
    if engine_of(filled) == "postgresql":
        others = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND state = 'active' AND pid <> pg_backend_pid()"
        )
        assert ((0,),) in (run_sql(filled.store.url, others).rows for _ in range(100))
    assert run_sql(filled.store.url, "SELECT 1").rows == ((1,),)


def test_an_impossible_limit_is_refused(filled: Any) -> None:
    with pytest.raises(UserError, match="limit of -1"):
        run_sql(filled.store.url, "SELECT 1", limit=-1)
    for timeout in (0.0, -1.0, float("nan")):
        with pytest.raises(UserError, match=r"time limit of .* makes no sense"):
            run_sql(filled.store.url, "SELECT 1", timeout=timeout)


def test_a_value_of_another_type_is_refused_in_one_line(filled_path: Path) -> None:
    url = f"sqlite:///{filled_path}"
    wrong = "UPDATE measurements SET images = 'x'"
    execute(url, "PRAGMA ignore_check_constraints = ON", wrong)
    with pytest.raises(UserError, match=r"'x'.*`lcma db check`"):
        db.connect(url, create=False).view("results")
