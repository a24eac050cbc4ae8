"""Mistakes and bad disks: one line says what to do, and the file is unchanged."""

import os
import resource
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lcma import db
from lcma.db import run_sql
from lcma.db.publishing import compact
from lcma.db.sqlite import SqliteDatabase
from lcma.sweeps.errors import UserError
from tests.db.inspecting import make_older
from tests.processes import FORK, run_in_fork

OPENERS: dict[str, Callable[[str], object]] = {
    "connect": db.connect,
    "connect without creating": lambda url: db.connect(url, create=False),
    "query": lambda url: run_sql(url, "SELECT 1"),
}


def refused(action: Callable[[], object], *words: str) -> None:
    with pytest.raises(UserError) as caught:
        action()
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    for word in words:
        assert word in message


def listing(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder, except those that a reader of a WAL database makes."""
    files = (file for file in folder.rglob("*") if file.is_file())
    return {str(f): f.read_bytes() for f in files if not f.name.endswith(("-wal", "-shm"))}


def foreign(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def fill(content: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content) and None


def other_program(*statements: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.unlink()
        foreign(path, *statements)

    return make


def truncated(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def schema_that_is_no_text(path: Path) -> None:
    sql = "CAST(x'435245415445205441424c45206a6f627320ed' AS TEXT)"  # CREATE TABLE jobs, and a byte
    foreign(
        path,
        "PRAGMA writable_schema=ON",
        f"UPDATE sqlite_master SET sql = {sql} WHERE name = 'jobs'",
    )


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


SPOILED: dict[str, tuple[Callable[[Path], None], str]] = {
    "text": (fill(b"bits per dim: 3.5\n" * 100), "not a SQLite database"),
    "header only": (fill(b"SQLite format 3\0" + b"\xff" * 200), "not a SQLite database"),
    "other tables": (other_program("CREATE TABLE trials (id INTEGER)"), "another program"),
    "other application": (other_program("PRAGMA application_id=7"), "another program"),
    "truncated": (truncated, "damaged"),
    "schema that is no text": (schema_that_is_no_text, "damaged"),
    "folder": (folder, "not a file"),
}


@pytest.mark.parametrize("case", SPOILED)
def test_a_file_that_is_not_our_database_is_unchanged(path: Path, case: str) -> None:
    spoil, words = SPOILED[case]
    spoil(path)
    before = listing(path.parent)
    for opener in OPENERS.values():
        refused(lambda opener=opener: opener(str(path)), str(path), words)
    assert listing(path.parent) == before


def overwrite(path: Path, mode: str, tables: str, most: int) -> None:
    """Set the journal mode of a file, and overwrite the beginnings of the tables' pages."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode={mode}")
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        query = f"SELECT rootpage FROM sqlite_master WHERE tbl_name IN ({tables})"
        pages = connection.execute(query).fetchall()
    content = bytearray(path.read_bytes())
    for (page,) in pages:
        content[(page - 1) * size : (page - 1) * size + min(most, size)] = b"\xff" * min(most, size)
    path.write_bytes(content)


def test_damage_inside_is_found_when_it_is_read(filled_path: Path) -> None:
    path = filled_path
    overwrite(path, "wal", "'results', 'flow_trials'", 2**20)
    before = listing(path.parent)
    refused(lambda: db.connect(str(path)).view("results"), str(path), "damaged")
    refused(lambda: run_sql(str(path), "SELECT * FROM results"), str(path), "damaged")
    assert listing(path.parent) == before


def test_without_creating_a_missing_database_is_refused(tmp_path: Path) -> None:
    path, missing = tmp_path / "results.db", tmp_path / "no" / "results.db"
    for opener in OPENERS.values():
        refused(lambda opener=opener: opener(str(missing)), str(missing), "make it first")
    for empty in (False, True):
        if empty:
            path.touch()
        before = listing(tmp_path)
        for name in ("connect without creating", "query"):
            refused(lambda name=name: OPENERS[name](str(path)), str(path), "lcma launch demo")
        assert listing(tmp_path) == before
    assert db.connect(str(path)).sweeps() == [], "an empty file becomes a database"


@pytest.mark.parametrize("opener", OPENERS)
def test_a_database_on_a_read_only_medium_is_to_be_copied(
    filled_path: Path, read_only: Callable[..., Path], opener: str
) -> None:
    path = read_only(filled_path)
    before = listing(path.parent)
    refused(lambda: OPENERS[opener](str(path)), str(path), f"{path.name}-wal", "copy it")
    assert listing(path.parent) == before


def test_a_compacted_database_on_a_read_only_medium_is_read(
    filled_path: Path, tmp_path: Path, read_only: Callable[..., Path]
) -> None:
    """Published databases are compacted, and so is the reference."""
    out = tmp_path / "compact.db"
    compact(SqliteDatabase(filled_path), out)
    path = read_only(out)
    before = listing(path.parent)
    assert run_sql(str(path), "SELECT count(*) FROM results").rows == ((3,),)
    store = db.connect(str(path), create=False)
    assert len(store.view("results")) == 3
    refused(lambda: store.release("me"), str(path))
    refused(lambda: db.connect(str(path.with_name("new.db"))), "new.db")
    assert listing(path.parent) == before


def leave_journal(path: Path, *statements: str) -> Path:
    """Kill a writer in rollback mode before its commit; return the journal that it leaves."""

    def write() -> None:
        connection = sqlite3.connect(path, isolation_level=None)
        for statement in ("PRAGMA journal_mode=DELETE", "PRAGMA cache_size=5", "BEGIN IMMEDIATE"):
            connection.execute(statement)
        for statement in statements:
            connection.execute(statement)
        os.kill(os.getpid(), signal.SIGKILL)

    child = FORK.Process(target=write)
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    journal = path.with_name(f"{path.name}-journal")
    assert journal.stat().st_size
    return journal


CHANGE = (
    "UPDATE contribution_maps SET halves = zeroblob(50000)",
    "UPDATE measurements SET value = value + 1",
)


@pytest.mark.parametrize("opener", OPENERS)
def test_what_a_killed_writer_did_not_commit_is_undone_by_whoever_comes_next(
    filled_path: Path, opener: str
) -> None:
    before = contents(filled_path)
    journal = leave_journal(filled_path, *CHANGE)
    OPENERS[opener](str(filled_path))
    assert not journal.exists()
    assert contents(filled_path) == before
    journal.write_text("not a journal\n" * 100)  # any other file of that name is ignored
    OPENERS[opener](str(filled_path))
    assert contents(filled_path) == before


@pytest.mark.parametrize("opener", OPENERS)
def test_a_journal_on_a_read_only_medium_is_not_passed_over(
    filled_path: Path, read_only: Callable[..., Path], opener: str
) -> None:
    path = read_only(filled_path, leave_journal(filled_path, *CHANGE))
    refused(lambda: OPENERS[opener](str(path)), str(path), "-journal, both, to a writable")


def store_on_full_disk(url: str, room: int, opened: bool = True) -> str:
    """Store many rows while no file may be larger than ``room``; return the error."""

    def fill() -> str:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        store = db.connect(url) if opened else None
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        sweeps = tuple(db.Sweep(id=str(i), name="x" * 1000, spec="{}") for i in range(2000))
        try:
            (store or db.connect(url)).register(db.Registration(sweeps=sweeps))
        except UserError as error:
            return str(error)
        return "stored"

    return run_in_fork(fill)


def contents(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def test_a_disk_that_fills_up_in_the_middle_of_a_write(filled_path: Path) -> None:
    path, url = filled_path, f"sqlite:///{filled_path}"
    before = contents(path)
    message = store_on_full_disk(url, path.stat().st_size + 300_000)
    assert len(message.splitlines()) == 1
    assert "nothing was changed: make room on its disk" in message
    assert str(path) in message
    assert contents(path) == before
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert store_on_full_disk(url, resource.RLIM_INFINITY) == "stored"
    assert len(db.connect(url).sweeps()) == 2001
    new = path.with_name("new.db")
    for room in (0, 8192):  # full from the start
        message = store_on_full_disk(f"sqlite:///{new}", room, opened=False)
        assert "make room on its disk" in message
        assert not db.exists(str(new))
    assert db.connect(str(new)).sweeps() == []


MOUNTS = """\
21 1 254:0 / / rw,relatime - ext4 /dev/vda rw
22 21 0:40 / {folder} rw,relatime shared:5 - {kind} server:/export rw,vers=4.2
23 22 254:1 / {folder}/scratch rw,relatime - xfs /dev/vdb rw
"""


@pytest.mark.parametrize("kind", ["nfs4", "smb3", "fuse.sshfs"])
def test_a_file_on_a_network_file_system_is_refused(
    filled_path: Path, tmp_path: Path, monkeypatch: Any, kind: str
) -> None:
    """A copy of the kernel's table of mounts stands for a real mount."""
    table = tmp_path / "mountinfo"
    monkeypatch.setattr("lcma.db.sqlite.MOUNTS", table)
    folder = filled_path.parent / "a b"
    scratch = folder / "scratch"
    scratch.mkdir(parents=True)
    (folder / "below").mkdir()
    inside, local = folder / filled_path.name, scratch / filled_path.name
    for copy in (inside, local):
        copy.write_bytes(filled_path.read_bytes())
    escaped = str(folder).replace(" ", "\\040")
    table.write_text(MOUNTS.format(folder=escaped, kind=kind))
    before = listing(tmp_path)
    for opener in OPENERS.values():
        for path in (inside, inside.with_name("new.db"), folder / "below" / "new.db"):
            refused(partial(opener, str(path)), str(path), kind, "postgresql://")
    assert listing(tmp_path) == before
    for path in (filled_path, local):
        assert len(db.connect(str(path)).view("results")) == 3
    table.write_text(MOUNTS.format(folder=escaped, kind="fuse.ntfs"))
    assert len(db.connect(str(inside)).view("results")) == 3


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DROP TABLE protocols", "another table protocols"),
        ("ALTER TABLE measurements RENAME COLUMN created TO made", "another table measurements"),
        (
            "CREATE TRIGGER late AFTER INSERT ON jobs BEGIN DELETE FROM attempts; END",
            "has a trigger late",
        ),
        ("CREATE TABLE maps (x)", "has a table maps"),
    ],
)
@pytest.mark.parametrize("older", [False, True])
def test_a_file_without_the_relations_of_its_schema_is_refused(
    filled_path: Path, statement: str, said: str, older: bool
) -> None:
    """Also if the views would be brought to the current version first."""
    path = filled_path
    if older:
        make_older(f"sqlite:///{path}")
    foreign(path, "PRAGMA legacy_alter_table=ON", "DROP VIEW maps", statement)
    before = listing(path.parent)
    for opener in OPENERS.values():
        refused(lambda opener=opener: opener(str(path)), str(path), said, "go back to a copy")
    assert listing(path.parent) == before
