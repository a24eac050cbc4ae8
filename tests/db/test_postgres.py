"""Failures of a server: one line with a remedy and no password, and nothing is changed."""

import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from lcma import db
from lcma.db import run_sql
from lcma.sweeps.errors import UserError
from tests.db.conftest import TRIAL_JOBS, World
from tests.db.inspecting import execute, make_older, refuse_all
from tests.refusals import catch_refusal
from tests.stores import beat

SECRET = "s3cret/&word"

DOCS = Path(__file__).parents[2] / "docs" / "postgresql.md"


def add_option(url: str, option: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}options=-c{option}"


def list_tables(url: str) -> list[str]:
    return sorted(sa.inspect(sa.create_engine(url, poolclass=sa.NullPool)).get_table_names())


@pytest.mark.parametrize("prefix", ["postgresql", "postgresql+psycopg", "postgres"])
def test_every_form_of_the_url_opens_the_database(postgres_url: str, prefix: str) -> None:
    url = postgres_url.replace("postgresql+psycopg", prefix)
    assert not db.exists(url)
    store = db.connect(url)
    assert db.exists(url)
    assert db.connect(store.url, create=False).sweeps() == []


def test_a_password_is_never_shown() -> None:
    parsed = sa.make_url("postgresql://me@127.0.0.1:1/x").set(password=SECRET)
    hidden = parsed.render_as_string(hide_password=False)
    in_query = f"postgresql://me@127.0.0.1:1/x?password={SECRET.replace('&', '%26')}"
    for url in (hidden, in_query):
        parts = ("postgresql://me@127.0.0.1:1/x", "refused", "check that it runs there")
        refuse_all(url, *parts, unavailable=True)
        database = db.locate(url)
        assert "s3cret" not in repr(database) + database.name + repr(db.Store(database))
        assert "s3cret" in database.url


def test_a_wrong_password(postgres: Any, postgres_url: str) -> None:
    with postgres.role("lcma_locked", SECRET) as user:
        name = sa.make_url(postgres_url).database
        right = postgres.url(name, username=user, password=SECRET)
        assert not db.exists(right)
        wrong = postgres.url(name, username=user, password="s3cret")
        refuse_all(wrong, "password authentication failed", "~/.pgpass")
        catch_refusal(lambda: db.connect(right), "permission denied", "let its owner grant it")
        assert list_tables(postgres_url) == []
        postgres.run(f"ALTER ROLE {user} CONNECTION LIMIT 0")
        refuse_all(right, "too many connections", "max_connections", unavailable=True)


def test_an_unknown_host_may_be_known_later() -> None:
    url = "postgresql://me@no-such-host.invalid/x"
    refuse_all(url, "check that it runs there", unavailable=True)


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("postgresql://127.0.0.1:1/x?mode=ro", "what follows its ?"),
        ("postgresql://127.0.0.1:1/x?sslmode=sometimes", "what follows its ?"),
        ("postgresql://127.0.0.1:1/x?connect_timeout=soon", "what follows its ?"),
        ("postgresql://127.0.0.1/?service=none", "what follows its ?"),
        ("postgresql://me@127.0.0.1:99999/x", "check the URL"),
        ("postgresql://me@127.0.0.1/", "has no name"),
        ("postgresql://", "has no name"),
    ],
)
def test_a_wrong_url_is_refused(url: str, remedy: str) -> None:
    refuse_all(url, remedy)


def test_a_connection_that_a_server_never_accepts_is_not_waited_for(
    postgres: Any, postgres_url: str
) -> None:
    refuse_all(add_option(postgres_url, "bogus%3D1"), "bogus", "what follows its ?")
    name = sa.make_url(postgres_url).database
    postgres.run(f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC")
    with postgres.role("lcma_kept_out", SECRET) as user:
        kept_out = postgres.url(name, username=user, password=SECRET)
        refuse_all(kept_out, "permission denied", "its owner lets this user in")
        postgres.run(f"ALTER ROLE {user} NOLOGIN")
        refuse_all(kept_out, "not permitted to log in", "its owner lets this user in")


def test_doctor_counts_all_connections_and_sees_who_may_make_no_tables(
    postgres: Any, postgres_url: str
) -> None:
    assert db.locate(postgres_url).may_create()
    execute(postgres_url, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    name = sa.make_url(postgres_url).database
    with postgres.role("lcma_guest", SECRET) as user:
        theirs = db.locate(postgres.url(name, username=user, password=SECRET))
        assert not theirs.may_create()
        with sa.create_engine(postgres_url, poolclass=sa.NullPool).connect():
            beside, alone = theirs.connections()[1], 0
        for _ in range(50):  # the server ends a session in a while
            alone = theirs.connections()[1]
            if alone < beside:
                break
            time.sleep(0.1)
        assert alone < beside, "of another user"


def test_a_server_that_lets_nobody_in_may_let_them_in_later(
    postgres: Any, filled_name: str
) -> None:
    store = db.connect(postgres.url(filled_name))
    postgres.run(f"ALTER DATABASE {filled_name} ALLOW_CONNECTIONS false")
    closed = "not currently accepting connections"
    refuse_all(store.url, closed, unavailable=True)
    assert isinstance(catch_refusal(store.sweeps, closed), db.Unavailable)


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_does_not_hold_all_text(postgres: Any, encoding: str) -> None:
    name = f"lcma_{encoding.lower()}"
    postgres.run(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    try:
        refuse_all(postgres.url(name), encoding, "createdb --encoding=UTF8")
    finally:
        postgres.drop(name)


def test_a_missing_database_and_an_unknown_user(postgres: Any) -> None:
    refuse_all(postgres.url("lcma_no_such"), 'database "lcma_no_such" does not exist', "createdb")
    with pytest.raises(UserError, match=r"lcma_nobody|authentication failed"):
        db.connect(postgres.url("postgres", username="lcma_nobody"))


def test_another_program_s_schema_is_left_alone_beside_ours(postgres_url: str) -> None:
    execute(postgres_url, "CREATE TABLE trials (id INTEGER)", "CREATE SCHEMA ours")
    refuse_all(postgres_url, "another program", "search_path")
    assert list_tables(postgres_url) == ["trials"]
    beside = add_option(postgres_url, "search_path%3Dours")
    store = db.connect(beside)
    assert db.connect(store.url, create=False).sweeps() == []
    assert list_tables(postgres_url) == ["trials"]
    missing = beside.replace("ours", "nowhere")
    refuse_all(missing, "the schema of its search_path does not exist")


def test_a_server_that_cannot_be_written_can_be_read(postgres: Any, filled_name: str) -> None:
    postgres.run(f"ALTER DATABASE {filled_name} SET default_transaction_read_only = on")
    store = db.connect(postgres.url(filled_name), create=False)
    assert len(store.view("results")) == 3
    catch_refusal(store.require_writable, "read-only transaction", "primary server")
    error = catch_refusal(lambda: store.release("me"), "read-only transaction", "primary server")
    assert isinstance(error, db.Unavailable), "a standby takes over in a while"


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
    catch_refusal(lambda: run_sql(store.url, "SELECT pg_sleep(20)"), "lost the database")
    cutter.join()
    assert len(store.view("results")) == 3


def test_the_wait_for_a_lock_ends(postgres: Any, filled_name: str, monkeypatch: Any) -> None:
    monkeypatch.setattr("lcma.db.postgres.WAIT_SECONDS", 0.1)
    store = db.connect(postgres.url(filled_name))
    with sa.create_engine(store.url, poolclass=sa.NullPool).begin() as other:
        other.exec_driver_sql("LOCK TABLE jobs")
        catch_refusal(lambda: store.release("me"), "stayed locked")
    assert store.release("me") == 1


def test_a_limit_of_the_user_s_statements_does_not_count(postgres: Any, filled_name: str) -> None:
    postgres.run(f"ALTER DATABASE {filled_name} SET statement_timeout = '1ms'")
    store = db.connect(postgres.url(filled_name))
    with store.database.writer().begin() as connection:
        connection.exec_driver_sql("SELECT pg_sleep(0.1)")
    assert store.release("me") == 1


def test_a_limit_in_the_url_is_named(postgres: Any, filled_name: str) -> None:
    url = postgres.url(filled_name)
    store = db.connect(add_option(url, "%20statement_timeout%3D300"))
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as other:
        other.exec_driver_sql("LOCK TABLE jobs")
        catch_refusal(lambda: store.release("me"), "statement_timeout=300", "more time")
    assert store.release("me") == 1


def test_a_damaged_page_is_found(postgres: Any, filled_name: str) -> None:
    if not postgres.temporary:
        pytest.skip("damages files of the server, and this one is not ours")
    copy = postgres.make(filled_name, strategy="FILE_COPY")
    oid = postgres.value(f"SELECT oid FROM pg_database WHERE datname = '{copy}'")
    ((name,),) = execute(postgres.url(filled_name), "SELECT pg_relation_filepath('measurements')")
    file = Path(postgres.value("SHOW data_directory"), name)
    damaged = file.parent.with_name(oid) / file.name
    damaged.write_bytes(b"\xff" * damaged.stat().st_size)
    store = db.connect(postgres.url(copy))
    catch_refusal(lambda: store.view("results"), "damaged")
    catch_refusal(lambda: run_sql(store.url, "SELECT * FROM results"), "damaged")
    assert len(store.sweeps()) == 1
    postgres.drop(copy)


def test_leases_are_kept_by_the_server_s_clock(
    postgres: Any, filled_name: str, monkeypatch: Any
) -> None:
    """A host whose clock is a day ahead takes no job, and one a day behind keeps its job."""
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


def test_the_role_of_the_docs_only_reads_also_after_an_upgrade(
    postgres: Any, filled_name: str
) -> None:
    recipe = re.search(r"^CREATE ROLE reader[^;]*;\n(.*?)^```$", DOCS.read_text(), re.M | re.S)
    assert recipe is not None
    url = postgres.url(filled_name)
    text = re.sub(r"\breader\b", "lcma_reader", recipe[1])
    text = re.sub(r"\bme\b", postgres.value("SELECT current_user"), text)
    text = re.sub(r"\bDATABASE lcma\b", f"DATABASE {filled_name}", text)
    with postgres.role("lcma_reader", SECRET) as user:
        execute(url, *filter(str.strip, text.split(";")))
        theirs = postgres.url(filled_name, username=user, password=SECRET)
        make_older(url)
        db.connect(url)  # upgrades
        store = db.connect(theirs, create=False)
        assert len(store.view("results")) == 3
        assert run_sql(theirs, "SELECT count(*) FROM results").rows == ((3,),)
        catch_refusal(lambda: store.release("me"), "cannot")
        with sa.create_engine(url, poolclass=sa.NullPool).connect() as owner:
            pid = owner.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
            catch_refusal(lambda: run_sql(theirs, f"SELECT pg_terminate_backend({pid})"), "denied")
            assert owner.exec_driver_sql("SELECT 1").scalar() == 1
        execute(url, f"DROP OWNED BY {user}")
