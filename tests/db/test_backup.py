"""Copies of a database that is in use."""

import shlex
import sqlite3
import stat
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from lcma import db
from lcma.db.integrity import check_integrity
from lcma.sweeps.errors import UserError
from tests.db.conftest import PLAN, recipe, trial
from tests.processes import FORK


def write(path: str, ready: Any, stop: Any) -> None:
    """Register trials, each with its sweep and job, until told to stop."""
    store = db.connect(path)
    number = 100
    while not stop.is_set():
        found = trial("channel", number)
        store.register(
            db.Registration(
                recipes=(recipe("with", 3),),
                sweeps=(db.Sweep(id=f"s{number}", name="more", spec="{}"),),
                members=(db.SweepMember(f"s{number}", found.id, "channel"),),
                trials=(found,),
                jobs=(db.PlannedJob.of_trial(found.id, PLAN.data_sets[0].digest, steps=500),),
            )
        )
        number += 1
        ready.set()
        time.sleep(0.005)


@pytest.mark.integration
def test_a_copy_made_while_others_write_is_of_one_state(filled_path: Path) -> None:
    ready, stop = FORK.Event(), FORK.Event()
    writer = FORK.Process(target=write, args=(str(filled_path), ready, stop))
    writer.start()
    try:
        assert ready.wait(60)
        store, copies = db.connect(str(filled_path)), []
        with closing(sqlite3.connect(filled_path)) as reader:
            # While one reads, what is committed stays in the log, out of the file itself.
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM sweeps").fetchone()
            for n in range(3):
                own = db.Sweep(id=f"own{n}", name="own", spec="{}")
                store.register(db.Registration(sweeps=(own,)))
                copies.append(store.database.backup(filled_path.with_name(f"copy{n}.db")))
        assert writer.is_alive()
    finally:
        stop.set()
        writer.join(60)
    assert writer.exitcode == 0
    for n, copy in enumerate(copies):
        assert check_integrity(db.locate(str(copy))).findings == ()
        store = db.connect(str(copy), create=False)
        assert len(store.view("results")) == 3
        with sa.create_engine(store.url, poolclass=sa.NullPool).connect() as connection:
            counts = [
                connection.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one()
                for table in ("flow_trials", "sweeps", "jobs")
            ]
        assert counts == [counts[0], counts[0] - 3 + (n + 1), counts[0] + 2]
    assert not list(filled_path.parent.glob(".*"))


def test_nothing_is_written_over(filled_path: Path, tmp_path: Path) -> None:
    database = db.locate(str(filled_path))
    other, link = tmp_path / "other.db", tmp_path / "link.db"
    other.write_text("mine")
    link.symlink_to(tmp_path / "nowhere")
    for there in (other, link, filled_path, tmp_path):
        with pytest.raises(UserError, match="is there already"):
            database.backup(there)
    with pytest.raises(UserError, match="there is no folder"):
        database.backup(tmp_path / "gone" / "copy.db")
    assert other.read_text() == "mine"
    assert link.is_symlink()
    assert not (tmp_path / "nowhere").exists()
    assert not list(tmp_path.glob(".*"))


def test_a_copy_stands_beside_the_database_by_default(filled_path: Path) -> None:
    copy = db.locate(str(filled_path)).backup(None)
    assert copy.parent == filled_path.parent
    assert copy.name.startswith(f"{filled_path.stem}.backup-")
    assert stat.S_IMODE(copy.stat().st_mode) == stat.S_IMODE(filled_path.stat().st_mode)
    assert len(db.connect(str(copy), create=False).view("results")) == 3


@pytest.mark.integration
def test_the_command_that_copies_a_server_s_database_leads_there_without_a_password(
    postgres_templates: Any, postgres: Any, tmp_path: Path
) -> None:
    name = postgres_templates.copy("filled")
    url = sa.make_url(postgres.url(name))
    secret = url.set(password="s3cret").update_query_dict({"sslpassword": "hidd3n"})
    out = tmp_path / "a copy.dump"
    with pytest.raises(UserError) as caught:
        db.locate(secret.render_as_string(hide_password=False)).backup(out)
    message = str(caught.value)
    assert "\n" not in message
    assert "s3cret" not in message
    assert "hidd3n" not in message
    command = shlex.split(message[message.index("pg_dump") :])
    assert command[:3] == ["pg_dump", "--format=custom", f"--file={out}"]
    password = {} if url.password is None else {"password": url.password}
    with psycopg.connect(command[3], **password) as connection:
        assert connection.execute("SELECT count(*) FROM results").fetchone() == (3,)
    postgres.drop(name)
