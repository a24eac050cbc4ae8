"""Mistakes and bad disks: one line says what to do, and the file is unchanged."""

import os
import resource
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lcma import db
from lcma.db import run_sql
from lcma.db.publishing import compact
from lcma.db.sqlite import SqliteDatabase
from lcma.sweeps.errors import UserError
from tests.db.inspecting import execute, make_older
from tests.processes import FORK, run_in_fork
from tests.refusals import catch_refusal

OPENERS: dict[str, Callable[[str], object]] = {
    "connect": db.connect,
    "connect without creating": lambda url: db.connect(url, create=False),
    "query": lambda url: run_sql(url, "SELECT 1"),
}


def refused(opener: Callable[[str], object], path: Path, *parts: str) -> None:
    """Check that an opener refuses a database in one line with its path and these parts."""
    catch_refusal(lambda: opener(str(path)), str(path), *parts)


def refused_by_all(path: Path, *parts: str) -> None:
    for opener in OPENERS.values():
        refused(opener, path, *parts)


def read_files(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder, except those that a reader of a WAL database makes."""
    files = (file for file in folder.rglob("*") if file.is_file())
    return {str(f): f.read_bytes() for f in files if not f.name.endswith(("-wal", "-shm"))}


def write_content(content: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content) and None


def write_other_database(*statements: str) -> Callable[[Path], None]:
    """A change that puts a database of another program in the place of ours."""

    def change(path: Path) -> None:
        path.unlink()
        execute(f"sqlite:///{path}", *statements)

    return change


def truncate(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def damage_schema(path: Path) -> None:
    sql = "CAST(x'435245415445205441424c45206a6f627320ed' AS TEXT)"  # CREATE TABLE jobs, and a byte
    update = f"UPDATE sqlite_master SET sql = {sql} WHERE name = 'jobs'"
    execute(f"sqlite:///{path}", "PRAGMA writable_schema=ON", update)


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (write_content(b"bits per dim: 3.5\n" * 100), "not a SQLite database"),
        (write_content(b"SQLite format 3\0" + b"\xff" * 200), "not a SQLite database"),
        (write_other_database("CREATE TABLE trials (id INTEGER)"), "another program"),
        (write_other_database("PRAGMA application_id=7"), "another program"),
        (truncate, "damaged"),
        (damage_schema, "damaged"),
        (make_folder, "not a file"),
    ],
)
def test_a_file_that_is_not_our_database_is_refused_and_unchanged(
    path: Path, change: Callable[[Path], None], message: str
) -> None:
    change(path)
    before = read_files(path.parent)
    refused_by_all(path, message)
    assert read_files(path.parent) == before


def damage_pages(path: Path, mode: str, tables: str, most: int) -> None:
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
    damage_pages(filled_path, "wal", "'results', 'flow_trials'", 2**20)
    before = read_files(filled_path.parent)
    refused(lambda url: db.connect(url).view("results"), filled_path, "damaged")
    refused(lambda url: run_sql(url, "SELECT * FROM results"), filled_path, "damaged")
    assert read_files(filled_path.parent) == before


def test_without_creating_a_missing_database_is_refused(tmp_path: Path) -> None:
    path, missing = tmp_path / "results.db", tmp_path / "no" / "results.db"
    refused_by_all(missing, "make the folder first")
    for empty in (False, True):
        if empty:
            path.touch()
        before = read_files(tmp_path)
        for name in ("connect without creating", "query"):
            refused(OPENERS[name], path, "lcma launch demo")
        assert read_files(tmp_path) == before
    assert db.connect(str(path)).sweeps() == [], "an empty file becomes a database"


@pytest.mark.parametrize("journal", [False, True])
@pytest.mark.parametrize("opener", OPENERS)
def test_a_database_on_a_read_only_medium_is_to_be_copied(
    filled_path: Path, read_only: Callable[..., Path], opener: str, journal: bool
) -> None:
    path = read_only(filled_path, *([leave_journal(filled_path, *CHANGE)] if journal else []))
    before = read_files(path.parent)
    words = ("-journal, both, to a writable",) if journal else (f"{path.name}-wal", "copy it")
    refused(OPENERS[opener], path, *words)
    assert read_files(path.parent) == before


def test_a_compacted_database_on_a_read_only_medium_is_read(
    filled_path: Path, tmp_path: Path, read_only: Callable[..., Path]
) -> None:
    """Published databases are compacted, and so is the reference."""
    out = tmp_path / "compact.db"
    compact(SqliteDatabase(filled_path), out)
    path = read_only(out)
    before = read_files(path.parent)
    assert run_sql(str(path), "SELECT count(*) FROM results").rows == ((3,),)
    store = db.connect(str(path), create=False)
    assert len(store.view("results")) == 3
    refused(lambda _: store.release("me"), path)
    refused(db.connect, path.with_name("new.db"))
    assert read_files(path.parent) == before


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
def test_the_next_opener_undoes_what_a_killed_writer_did_not_commit(
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


def store_on_full_disk(url: str, size: int, opened: bool = True) -> str:
    """Store many rows while no file may be larger than ``size``; return the error."""

    def fill() -> str:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        store = db.connect(url) if opened else None
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
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
    for size in (0, 8192):  # full from the start
        message = store_on_full_disk(f"sqlite:///{new}", size, opened=False)
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
    """A file like the kernel's table of mounts stands for a real mount."""
    table = tmp_path / "mountinfo"
    monkeypatch.setattr("lcma.db.sqlite.MOUNTS", table)
    folder = filled_path.parent / "a данные"
    inside, local = folder / filled_path.name, folder / "scratch" / filled_path.name
    (folder / "below").mkdir(parents=True)
    local.parent.mkdir()
    for copy in (inside, local):
        copy.write_bytes(filled_path.read_bytes())
    escaped = str(folder).replace(" ", "\\040")
    table.write_text(MOUNTS.format(folder=escaped, kind=kind))
    before = read_files(tmp_path)
    for path in (inside, inside.with_name("new.db"), folder / "below" / "new.db"):
        refused_by_all(path, kind, "postgresql://")
    assert read_files(tmp_path) == before
    for path in (filled_path, local):
        assert len(db.connect(str(path)).view("results")) == 3
    table.write_text(MOUNTS.format(folder=escaped, kind="fuse.ntfs"))
    assert len(db.connect(str(inside)).view("results")) == 3


def test_a_value_of_any_size_takes_bounded_memory(
    filled_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{filled_path}"
    execute(url, "UPDATE contribution_maps SET halves = zeroblob(1100000)")
    monkeypatch.setattr("lcma.db.sqlite.MAX_VALUE_BYTES", 2**20)
    before = read_files(filled_path.parent)
    refused(lambda url: db.connect(url).maps(), filled_path, "a value of over", "go back to a copy")
    assert read_files(filled_path.parent) == before


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("DROP TABLE protocols", "another table protocols"),
        ("ALTER TABLE measurements RENAME COLUMN created TO made", "another table measurements"),
        ("CREATE TRIGGER t AFTER INSERT ON jobs BEGIN DELETE FROM attempts; END", "a trigger t"),
        ("CREATE TABLE maps (x)", "has a table maps"),
    ],
)
@pytest.mark.parametrize("older", [False, True])
def test_a_file_without_the_relations_of_its_schema_is_refused(
    filled_path: Path, statement: str, message: str, older: bool
) -> None:
    """Also if the views would be brought to the current version first."""
    if older:
        make_older(f"sqlite:///{filled_path}")
    statements = ("PRAGMA legacy_alter_table=ON", "DROP VIEW maps", statement)
    execute(f"sqlite:///{filled_path}", *statements)
    before = read_files(filled_path.parent)
    refused_by_all(filled_path, message, "go back to a copy")
    assert read_files(filled_path.parent) == before
