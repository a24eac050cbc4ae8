"""Copies of a database in use."""

import shlex
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from lcma import db
from lcma.db.integrity import check_integrity
from lcma.sweeps.errors import UserError
from tests.refusals import catch_refusal


def test_a_copy_during_a_write_has_what_was_committed(filled_path: Path) -> None:
    with closing(sqlite3.connect(filled_path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO sweeps VALUES ('own', 'own', '{}', 1.0)")
        copy = db.locate(str(filled_path)).backup(filled_path.with_name("copy.db"))
        other.execute("COMMIT")
    assert check_integrity(db.locate(str(copy))).findings == ()
    store = db.connect(str(copy), create=False)
    assert len(store.view("results")) == 3
    assert [sweep.id for sweep in store.sweeps()] == ["s"]
    assert not list(filled_path.parent.glob(".*"))


def test_nothing_is_written_over(filled_path: Path, tmp_path: Path) -> None:
    database = db.locate(str(filled_path))
    other, link = tmp_path / "other.db", tmp_path / "link.db"
    other.write_text("mine")
    link.symlink_to(tmp_path / "nowhere")
    for path in (other, link, filled_path, tmp_path):
        with pytest.raises(UserError, match="is there already"):
            database.backup(path)
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


@pytest.mark.integration
def test_the_command_that_copies_a_server_s_database_has_no_password(
    postgres: Any, filled_name: str, tmp_path: Path
) -> None:
    url = sa.make_url(postgres.url(filled_name))
    secret = url.set(password="s3cret").update_query_dict({"sslpassword": "hidd3n"})
    out = tmp_path / "a copy.dump"
    database = db.locate(secret.render_as_string(hide_password=False))
    message = str(catch_refusal(lambda: database.backup(out)))
    assert "hidd3n" not in message
    command = shlex.split(message[message.index("pg_dump") :])
    assert command[:3] == ["pg_dump", "--format=custom", f"--file={out}"]
    password = {} if url.password is None else {"password": url.password}
    with psycopg.connect(command[3], **password) as connection:
        assert connection.execute("SELECT count(*) FROM results").fetchone() == (3,)
