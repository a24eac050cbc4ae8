"""Failures of a server: one line with a remedy and no password, and nothing is changed."""

import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from lcma import db
from lcma.db import run_sql
from lcma.sweeps.errors import UserError
from tests.db.conftest import TRIAL_JOBS, World
from tests.db.inspecting import execute, make_older
from tests.stores import beat

SECRET = "s3cret/&word"

DOCS = Path(__file__).parents[2] / "docs" / "postgresql.md"


def refused(action: Callable[[], object], *words: str) -> None:
    with pytest.raises(UserError) as caught:
        action()
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 500
    assert "s3cret" not in message
    for word in words:
        assert word in message


def all_refuse(url: str, *words: str) -> None:
    refused(lambda: db.connect(url), *words)
    refused(lambda: db.exists(url), *words)
    refused(lambda: run_sql(url, "SELECT 1"), *words)


def relations(url: str) -> list[str]:
    return sorted(sa.inspect(sa.create_engine(url, poolclass=sa.NullPool)).get_table_names())


@pytest.mark.parametrize("prefix", ["postgresql", "postgresql+psycopg", "postgres"])
def test_every_form_of_the_url_leads_there(postgres_url: str, prefix: str) -> None:
    url = postgres_url.replace("postgresql+psycopg", prefix)
    assert not db.exists(url)
    store = db.connect(url)
    assert db.exists(url)
    assert db.connect(store.url, create=False).sweeps() == []


def test_a_password_is_never_shown() -> None:
    parsed = sa.make_url("postgresql://me@127.0.0.1:1/x").set(password=SECRET)
    hidden = parsed.render_as_string(hide_password=False)
    all_refuse(hidden, "postgresql://me@127.0.0.1:1/x", "refused", "check that it runs there")
    in_query = f"postgresql://me@127.0.0.1:1/x?password={SECRET.replace('&', '%26')}"
    all_refuse(in_query, "postgresql://me@127.0.0.1:1/x")
    for url in (hidden, in_query):
        database = db.locate(url)
        assert "s3cret" not in repr(database) + database.name + repr(db.Store(database))
        assert "s3cret" in database.url


def test_a_wrong_password(postgres: Any, postgres_url: str) -> None:
    with postgres.role("lcma_locked", SECRET) as user:
        name = sa.make_url(postgres_url).database
        right = postgres.url(name, username=user, password=SECRET)
        assert not db.exists(right)
        wrong = postgres.url(name, username=user, password="s3cret")
        all_refuse(wrong, "password authentication failed", "~/.pgpass")
        refused(lambda: db.connect(right), "permission denied", "let its owner grant it")
        assert relations(postgres_url) == []
        postgres.run(f"ALTER ROLE {user} CONNECTION LIMIT 0")
        all_refuse(right, "too many connections", "max_connections")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://me@no-such-host.invalid/x", "check that it runs there"),
        ("postgresql://me@127.0.0.1:1/x", "check that it runs there"),
        ("postgresql://127.0.0.1:1/x?mode=ro", "what follows its ?"),
        ("postgresql://127.0.0.1:1/x?sslmode=sometimes", "what follows its ?"),
        ("postgresql://127.0.0.1:1/x?connect_timeout=soon", "what follows its ?"),
        ("postgresql://127.0.0.1/?service=none", "what follows its ?"),
        ("postgresql://me@127.0.0.1:99999/x", "check the URL"),
        ("postgresql://me@127.0.0.1/", "has no name"),
        ("postgresql://", "has no name"),
    ],
)
def test_servers_that_are_not_there(url: str, words: str) -> None:
    all_refuse(url, words)


def test_what_a_server_never_lets_in_is_not_waited_for(postgres: Any, postgres_url: str) -> None:
    unknown = f"{postgres_url}{'&' if '?' in postgres_url else '?'}options=-cbogus%3D1"
    all_refuse(unknown, "bogus", "what follows its ?")
    name = sa.make_url(postgres_url).database
    postgres.run(f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC")
    with postgres.role("lcma_kept_out", SECRET) as user:
        kept_out = postgres.url(name, username=user, password=SECRET)
        all_refuse(kept_out, "permission denied", "its owner lets this user in")
        postgres.run(f"ALTER ROLE {user} NOLOGIN")
        all_refuse(kept_out, "not permitted to log in", "its owner lets this user in")
    for url in (unknown, kept_out):
        with pytest.raises(UserError) as caught:
            db.connect(url)
        assert not isinstance(caught.value, db.Unavailable)


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_does_not_hold_all_text(postgres: Any, encoding: str) -> None:
    name = f"lcma_{encoding.lower()}"
    postgres.run(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    try:
        all_refuse(postgres.url(name), encoding, "createdb --encoding=UTF8")
    finally:
        postgres.drop(name)


def test_a_missing_database_and_an_unknown_user(postgres: Any) -> None:
    all_refuse(postgres.url("lcma_no_such"), 'database "lcma_no_such" does not exist', "createdb")
    with pytest.raises(UserError, match=r"lcma_nobody|authentication failed"):
        db.connect(postgres.url("postgres", username="lcma_nobody"))


def test_another_program_s_schema_is_left_alone_and_one_of_ours_beside_it(
    postgres_url: str,
) -> None:
    execute(postgres_url, "CREATE TABLE trials (id INTEGER)", "CREATE SCHEMA ours")
    all_refuse(postgres_url, "another program", "search_path")
    assert relations(postgres_url) == ["trials"]
    beside = f"{postgres_url}{'&' if '?' in postgres_url else '?'}options=-csearch_path%3Dours"
    store = db.connect(beside)
    assert db.connect(store.url, create=False).sweeps() == []
    assert relations(postgres_url) == ["trials"]
    missing = beside.replace("ours", "nowhere")
    all_refuse(missing, "the schema of its search_path does not exist")


def test_a_server_that_cannot_be_written_can_be_read(postgres: Any, filled_name: str) -> None:
    postgres.run(f"ALTER DATABASE {filled_name} SET default_transaction_read_only = on")
    store = db.connect(postgres.url(filled_name), create=False)
    assert len(store.view("results")) == 3
    refused(lambda: store.release("me"), "read-only transaction", "primary server")
    with pytest.raises(db.Unavailable):  # a standby takes over in a while
        store.release("me")


def test_a_lost_connection_is_no_crash(postgres: Any, filled_name: str) -> None:
    store = db.connect(postgres.url(filled_name))
    others = f"FROM pg_stat_activity WHERE datname = '{filled_name}' AND query LIKE 'FETCH%'"

    def cut() -> None:
        for _ in range(200):
            if postgres.value(f"SELECT count(pg_terminate_backend(pid)) {others}") != "0":
                return
            time.sleep(0.02)

    cutter = threading.Thread(target=cut)
    cutter.start()
    refused(lambda: run_sql(store.url, "SELECT pg_sleep(20)"), "lost the database")
    cutter.join()
    assert len(store.view("results")) == 3


def test_a_lock_that_is_kept_is_not_waited_for_for_ever(
    postgres: Any, filled_name: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr("lcma.db.postgres.WAIT_SECONDS", 0.1)
    store = db.connect(postgres.url(filled_name))
    with sa.create_engine(store.url, poolclass=sa.NullPool).begin() as other:
        other.exec_driver_sql("LOCK TABLE jobs")
        refused(lambda: store.release("me"), "stayed locked")
    assert store.release("me") == 1


def test_a_limit_of_the_user_s_statements_does_not_count(postgres: Any, filled_name: str) -> None:
    postgres.run(f"ALTER DATABASE {filled_name} SET statement_timeout = '1ms'")
    store = db.connect(postgres.url(filled_name))
    with store.database.writer().begin() as connection:
        connection.exec_driver_sql("SELECT pg_sleep(0.1)")
    assert store.release("me") == 1


def test_a_limit_in_the_url_is_named(postgres: Any, filled_name: str) -> None:
    url = postgres.url(filled_name)
    limited = f"{url}{'&' if '?' in url else '?'}options=-c%20statement_timeout%3D300"
    store = db.connect(limited)
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as other:
        other.exec_driver_sql("LOCK TABLE jobs")
        refused(lambda: store.release("me"), "statement_timeout=300", "more time")
    assert store.release("me") == 1


def test_a_damaged_page_is_found(postgres: Any, filled_name: str) -> None:
    if not postgres.own:
        pytest.skip("damages files of the server, and this one is not ours")
    copy = postgres.make(filled_name, strategy="FILE_COPY")
    oid = postgres.value(f"SELECT oid FROM pg_database WHERE datname = '{copy}'")
    with sa.create_engine(postgres.url(filled_name), poolclass=sa.NullPool).connect() as there:
        where = sa.text("SELECT pg_relation_filepath('measurements')")
        file = Path(postgres.value("SHOW data_directory"), there.execute(where).scalar_one())
    damaged = file.parent.with_name(oid) / file.name
    damaged.write_bytes(b"\xff" * damaged.stat().st_size)
    store = db.connect(postgres.url(copy))
    refused(lambda: store.view("results"), "damaged")
    refused(lambda: run_sql(store.url, "SELECT * FROM results"), "damaged")
    assert len(store.sweeps()) == 1
    postgres.drop(copy)


def test_leases_are_kept_by_the_server_s_clock(
    postgres: Any, filled_name: str, monkeypatch: Any
) -> None:
    """A host whose clock is a day ahead takes no job, and one a day behind keeps its own."""
    store = db.connect(postgres.url(filled_name))
    true = time.time()
    assert abs(store.now() - true) < 600
    store.retry([TRIAL_JOBS[1].id])

    def claim(owner: str, clock: float) -> db.Claim | db.Job:
        monkeypatch.setattr("time.time", lambda: clock)
        return World(store).claim(TRIAL_JOBS[1].id, owner=owner, lease=600.0, now=None)

    first = claim("behind", true - 86400)
    assert isinstance(first, db.Claim)
    second = claim("ahead", true + 86400)
    assert isinstance(second, db.Job)
    assert second.owner == "behind"
    assert second.lease_until is not None
    assert 0 < second.lease_until - true < 1200
    assert beat(store, first, step=1, lease_seconds=600.0)


def test_the_role_of_the_docs_reads_now_and_after_an_upgrade_and_does_nothing_else(
    postgres: Any, filled_name: str
) -> None:
    recipe = re.search(r"^CREATE ROLE reader[^;]*;\n(.*?)^```$", DOCS.read_text(), re.M | re.S)
    assert recipe is not None
    url = postgres.url(filled_name)
    own = postgres.value("SELECT current_user")
    names = {
        r"\breader\b": "lcma_reader",
        r"\bme\b": own,
        r"\bDATABASE lcma\b": f"DATABASE {filled_name}",
    }
    text = recipe[1]
    for name, other in names.items():
        text = re.sub(name, other, text)
    with postgres.role("lcma_reader", SECRET) as user:
        execute(url, *filter(str.strip, text.split(";")))
        theirs = postgres.url(filled_name, username=user, password=SECRET)
        make_older(url)
        db.connect(url)  # upgrades
        store = db.connect(theirs, create=False)
        assert len(store.view("results")) == 3
        assert run_sql(theirs, "SELECT count(*) FROM results").rows == ((3,),)
        refused(lambda: store.release("me"), "cannot")
        with sa.create_engine(url, poolclass=sa.NullPool).connect() as owner:
            pid = owner.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
            refused(lambda: run_sql(theirs, f"SELECT pg_terminate_backend({pid})"), "denied")
            assert owner.exec_driver_sql("SELECT 1").scalar() == 1
        execute(url, f"DROP OWNED BY {user}")
