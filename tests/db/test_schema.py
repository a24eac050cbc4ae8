"""Every column has a meaning, constraints hold, and common lookups use an index."""

from typing import Any

import pytest
import sqlalchemy as sa

from lcma.db.schema import jobs, metadata
from lcma.db.statements import among
from lcma.db.views import views


@pytest.mark.parametrize("table", [*metadata.sorted_tables, *views.sorted_tables], ids=str)
def test_every_table_and_column_has_a_meaning(table: sa.Table) -> None:
    assert table.comment
    assert [column.name for column in table.columns if not column.comment] == []
    times = [c for c in table.columns if c.name in ("created", "updated", "started", "ended")]
    assert all("Unix seconds UTC" in str(c.comment) or table.name in views.tables for c in times)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE jobs SET state = 'running' WHERE kind = 'trial'",
        "UPDATE jobs SET lease_until = 1.0 WHERE state = 'done'",
        "UPDATE jobs SET state = 'lost', lease_until = NULL",
        "UPDATE jobs SET trial_id = NULL WHERE kind = 'trial'",
        "UPDATE jobs SET budget = 5 WHERE kind = 'trial'",
        "UPDATE jobs SET budget = NULL WHERE kind = 'pretraining'",
        "UPDATE jobs SET kind = 'trial' WHERE kind = 'pretraining'",
        "UPDATE flow_trials SET budget = NULL WHERE factorization = 'LLL'",
        "UPDATE flow_trials SET budget = 1 WHERE factorization = 'channel'",
        "UPDATE attempts SET outcome = 'lost' WHERE outcome IS NOT NULL",
        "UPDATE attempts SET outcome = NULL",
        "UPDATE contribution_maps SET split = 0 WHERE split = 1",
        "UPDATE contribution_maps SET split = 1",
        "UPDATE measurements SET value = NULL",
        "UPDATE jobs SET owner = NULL WHERE state = 'running'",
        "UPDATE jobs SET owner = 'me' WHERE state = 'failed'",
        "UPDATE jobs SET attempt_id = NULL WHERE state = 'running'",
        "UPDATE jobs SET done_attempt_id = NULL WHERE state = 'done'",
    ],
)
def test_rows_that_contradict_themselves_are_refused(filled: Any, statement: str) -> None:
    with (
        sa.create_engine(filled.store.url).connect() as connection,
        pytest.raises(sa.exc.IntegrityError),
    ):
        connection.execute(sa.text(statement))


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM flow_trials WHERE dataset = 'x' AND flow = 'y' AND factorization = 'z'",
        "SELECT * FROM flow_trials WHERE dataset = 'x'",
        "SELECT * FROM jobs WHERE state = 'running'",
        "SELECT * FROM jobs WHERE pretraining_id = 'x'",
        "SELECT * FROM jobs WHERE trial_id = 'x'",
        "SELECT * FROM attempts WHERE job_id = 'x'",
        "SELECT * FROM contribution_maps WHERE pretraining_id = 'x' AND data_digest = 'y'",
        "SELECT * FROM metrics WHERE attempt_id = 'x' AND name = 'y'",
        "SELECT * FROM events WHERE job_id = 'x'",
        "SELECT * FROM sweep_trials WHERE sweep_id = 'x'",
        "SELECT * FROM results WHERE trial_id = 'x'",
        "SELECT * FROM measurements WHERE attempt_id = 'x'",
        "SELECT * FROM attempts WHERE environment_id = 'x'",
        "SELECT * FROM attempts WHERE owner = 'x'",
        "SELECT * FROM sweep_trials WHERE trial_id = 'x'",
        "SELECT * FROM jobs WHERE data_digest = 'x'",
        "SELECT * FROM events WHERE sweep_id = 'x'",
        "SELECT * FROM attempts WHERE replaces = 'x'",
        "SELECT * FROM board WHERE dataset = 'x' AND flow = 'y' ORDER BY mean LIMIT 50",
        "SELECT * FROM board WHERE recipe_id = 'x'",
        "SELECT * FROM measures WHERE dataset = 'x' AND flow = 'y' AND measure = 'z'",
        "SELECT * FROM pairs WHERE recipe_id = 'x' AND measure = 'y'",
        "SELECT * FROM pairs WHERE dataset = 'x' AND flow = 'y' AND factorization = 'LLL'",
        "SELECT * FROM coverage WHERE sweep_id = 's'",
        "SELECT * FROM costs WHERE trial_id = 'x'",
        "SELECT * FROM failures",
        "SELECT * FROM budgets WHERE dataset = 'x' AND flow = 'y'",
        "SELECT * FROM maps WHERE dataset = 'x' AND flow = 'y'",
        "SELECT * FROM curves WHERE trial_id = 'x'",
    ],
)
def test_the_common_lookups_scan_no_table(path: Any, query: str) -> None:
    with sa.create_engine(f"sqlite:///{path}").connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}").all()
    scanned = {row[3].split()[1] for row in plan if row[3].startswith("SCAN")}
    # Subqueries of the view itself.
    scanned = {name for name in scanned if not name.startswith("(subquery")}
    assert scanned <= {"coverage", "each", "link", "one"}, scanned


def test_a_list_of_ids_is_looked_up_in_an_index(path: Any) -> None:
    query = sa.select(jobs).where(among(jobs.c.id, ["a", "b"]))
    with sa.create_engine(f"sqlite:///{path}").connect() as connection:
        text = query.compile(connection, compile_kwargs={"literal_binds": True})
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}").all()
    assert plan[0][3].startswith("SEARCH jobs USING INDEX")
