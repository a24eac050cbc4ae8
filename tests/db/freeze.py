"""Freezes a schema: `python -m tests.db.freeze REVISION` writes a database of it as SQL, once.

What is frozen is never written again. It is text that SQLite's and PostgreSQL's own tools made of a
database that has been worked with.
"""

import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import psycopg
import sqlalchemy as sa

from lcma import db
from lcma.db import migrate
from lcma.db.schema import REVISIONS
from tests.conftest import Postgres, serving
from tests.db.inspecting import execute
from tests.db.worked import Work

FROZEN = Path(__file__).with_name("frozen")

HEAD, FOOT = "\nCREATE ", "\n--\n-- PostgreSQL database dump complete"
"""What pg_dump writes before the first and after the other depends on its version."""


def file_of(revision: str, engine: str) -> Path:
    """Where a schema is frozen for an engine, 'sqlite' or 'postgresql'."""
    return FROZEN / f"{revision}.{engine}.sql"


LEFT_OUT: Mapping[str, Sequence[str]] = {
    "0004": (
        "DELETE FROM events",
        "UPDATE attempts SET devices = NULL, gpu_seconds = NULL, lease_seconds = NULL, log = NULL",
        "UPDATE environments SET driver = NULL, flags = NULL",
        "UPDATE artifacts SET place = NULL",
    ),
    "0007": ("DELETE FROM events WHERE event IN ('again', 'give_up', 'launch', 'stop')",),
}
"""By schema, how to take away what the next one holds and it cannot: a downgrade refuses that."""


def go_down(url: str, revision: str) -> None:
    """Downgrade without what the schemas on the way cannot hold."""
    for older in reversed(REVISIONS[REVISIONS.index(revision) : -1]):
        for statement in LEFT_OUT.get(older, ()):
            execute(url, statement)
        migrate.downgrade(db.locate(url), older)


def work(url: str, revision: str) -> None:
    """Make a database of a schema that has been worked with, where nothing is yet."""
    Work(db.connect(url)).do()
    go_down(url, revision)


def dump_sqlite(path: Path) -> str:
    """A file's schema, rows and header as SQL."""
    with closing(sqlite3.connect(path)) as connection:
        numbers = {
            name: connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("application_id", "user_version")
        }
        header = [f"PRAGMA {name}={number};" for name, number in numbers.items()]
        return "\n".join((*header, *connection.iterdump(), ""))


def dump_postgres(server: Postgres, name: str) -> str:
    """A database's schema and rows as SQL, without what only one version of a server takes."""
    plain = ("inserts", "no-owner", "no-privileges", "no-tablespaces")
    options = (*plain, "no-table-access-method", "no-toast-compression", "encoding=UTF8")
    url = sa.make_url(server.url(name)).set(drivername="postgresql")
    done = subprocess.run(
        [
            Path(server.value("SELECT setting FROM pg_config WHERE name = 'BINDIR'")) / "pg_dump",
            *(f"--{option}" for option in options),
            url.render_as_string(hide_password=False),
        ],
        check=True,
        capture_output=True,
        encoding="utf-8",
    )
    dump = done.stdout
    return dump[dump.index(HEAD) : dump.rindex(FOOT)].strip() + "\n"


def load(revision: str, url: str) -> None:
    """Make what is frozen of a schema at a place where nothing is yet."""
    place = sa.make_url(url)
    dump = file_of(revision, place.get_backend_name()).read_text(encoding="utf-8")
    if place.get_backend_name() == "sqlite":
        with closing(sqlite3.connect(str(place.database))) as connection:
            connection.execute("PRAGMA journal_mode=WAL")  # as all of ours are
            connection.executescript(dump)
        return
    plain = place.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain) as server:
        server.execute(dump.encode())


def freeze(revision: str) -> list[Path]:
    """Write what is missing of a schema; the files."""
    if revision not in REVISIONS:
        sys.exit(f"there is no schema {revision}: give one of {', '.join(REVISIONS)}")
    FROZEN.mkdir(exist_ok=True)
    written = []
    with tempfile.TemporaryDirectory() as folder, serving() as server:
        file, name = Path(folder) / "results.db", server.make()
        if not file_of(revision, "sqlite").exists():
            work(str(file), revision)
            file_of(revision, "sqlite").write_text(dump_sqlite(file), encoding="utf-8")
            written.append(file_of(revision, "sqlite"))
        if not file_of(revision, "postgresql").exists():
            work(server.url(name), revision)
            file_of(revision, "postgresql").write_text(
                dump_postgres(server, name), encoding="utf-8"
            )
            written.append(file_of(revision, "postgresql"))
        server.drop(name)
    return written


if __name__ == "__main__":
    for revision in sys.argv[1:] or REVISIONS[-1:]:
        for written in freeze(revision):
            print(f"frozen: {written}")
