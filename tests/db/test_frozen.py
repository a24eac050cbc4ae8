"""Databases of every released schema, frozen as text: they open, come up, go down and up again."""

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from lcma import db
from lcma.db import migrate
from lcma.db.engine import Found
from lcma.db.integrity import check_integrity
from lcma.db.schema import REVISIONS, VERSION_TABLE
from lcma.sweeps.errors import UserError
from tests.db import freeze
from tests.db.freeze import FROZEN, dump_sqlite, file_of, work
from tests.db.inspecting import Row, contents, execute, objects, rows_of

ENGINES = ("sqlite", "postgresql")
NEWEST = REVISIONS[-1]

MOVED: Mapping[str, Mapping[str, str]] = {
    "0004": {
        "metrics": "SELECT curves.job_id, curves.name, metrics.step, metrics.value "
        "FROM metrics JOIN curves ON curves.id = metrics.curve_id"
    },
}
"""What an upgrade from a schema moves to other tables: by that schema and the old table's name, a
query that gives the old rows after it."""

RENAMED: Mapping[str, Mapping[tuple[str, str], Mapping[str, str]]] = {
    "0004": {("attempts", "outcome"): {"lease_lost": "node_lost"}},
}
"""What an upgrade from a schema calls otherwise, and a downgrade cannot take back: by that schema,
table and column, the new words for the old ones."""


WRITTEN = ("dictionary", "reference_results")
"""Tables that an upgrade writes anew, from the package."""


def frozen() -> list[tuple[str, str]]:
    """Revision and engine of every fixture."""
    files = sorted(FROZEN.glob("*.sql"))
    return [(revision, engine) for revision, engine, _ in (f.name.split(".") for f in files)]


@pytest.fixture
def load(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str, str], str]]:
    """Makes a database of a fixture, a new one each time; its URL."""
    made: list[str] = []

    def make(revision: str, engine: str) -> str:
        if engine == "sqlite":
            url = f"sqlite:///{tmp_path / f'old{len(list(tmp_path.iterdir()))}.db'}"
        else:
            server = request.getfixturevalue("postgres")
            made.append(server.make())
            url = str(server.url(made[-1]))
        freeze.load(revision, url)
        return url

    yield make
    for name in made:
        request.getfixturevalue("postgres").drop(name)


def test_every_released_schema_is_frozen() -> None:
    missing = {
        revision
        for revision in REVISIONS[:-1]
        for engine in ENGINES
        if not file_of(revision, engine).is_file()
    }
    commands = " && ".join(f"python -m tests.db.freeze {name}" for name in sorted(missing))
    assert not missing, f"freeze what is released: {commands}"
    assert {revision for revision, _ in frozen()} <= set(REVISIONS)


def known(rows: dict[str, list[Row]], revision: str) -> dict[str, list[Row]]:
    """The rows of a fixture in the words that its upgrade to the newest schema uses."""
    words: dict[tuple[str, str], dict[str, str]] = {}
    for since, renamed in RENAMED.items():
        if revision <= since:
            for place, names in renamed.items():
                words.setdefault(place, {}).update(names)

    def word(table: str, column: str, value: Any) -> Any:
        return words.get((table, column), {}).get(value, value)

    return {
        table: [{name: word(table, name, value) for name, value in row.items()} for row in listed]
        for table, listed in rows.items()
        if table not in WRITTEN
    }


def survivors(url: str, table: str, columns: set[str], revision: str) -> list[Row]:
    """What a table of a fixture holds after the upgrade, in the columns that it still has."""
    moved = {
        name: query for since in MOVED if revision <= since for name, query in MOVED[since].items()
    }
    rows = rows_of(url, moved.get(table, f'SELECT * FROM "{table}"'))
    return [{name: value for name, value in row.items() if name in columns} for row in rows]


def ordered(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: repr(sorted(row.items())))


OF_EACH = pytest.mark.parametrize(
    ("revision", "engine"),
    [
        # The oldest goes through all that lies between, and the newest is what is next.
        pytest.param(*one, marks=pytest.mark.slow) if REVISIONS[0] < one[0] < REVISIONS[-2] else one
        for one in frozen()
    ],
)


@OF_EACH
def test_a_frozen_schema_comes_up_and_goes_down_and_comes_up(
    load: Callable[[str, str], str], revision: str, engine: str
) -> None:
    url = load(revision, engine)
    database = db.locate(url)
    rows, made = contents(url), objects(url)
    assert database.identify() == Found(exists=True, revision=revision)

    db.connect(url, create=False)
    assert database.identify().revision == NEWEST
    assert check_integrity(database).findings == ()
    migrate.check(database)
    for table, old in known(rows, revision).items():
        now = survivors(url, table, set(old[0]), revision)
        columns = set(now[0])
        kept = [{name: value for name, value in row.items() if name in columns} for row in old]
        assert ordered(now) == ordered(kept), table
    newest = contents(url), objects(url)

    migrate.downgrade(database, revision)
    assert database.identify().revision == revision
    assert objects(url) == made
    again = {table: listed for table, listed in contents(url).items() if table not in WRITTEN}
    assert again == {name: ordered(listed) for name, listed in known(rows, revision).items()}

    db.connect(url, create=False)
    assert (contents(url), objects(url)) == newest
    assert check_integrity(database).findings == ()
    migrate.check(database)


@pytest.mark.parametrize("revision", [name for name, engine in frozen() if engine == "sqlite"])
def test_the_copy_of_a_frozen_file_holds_what_it_held(
    load: Callable[[str, str], str], tmp_path: Path, revision: str
) -> None:
    url = load(revision, "sqlite")
    (file,) = tmp_path.glob("*.db")
    before = dump_sqlite(file)
    assert before == file_of(revision, "sqlite").read_text(encoding="utf-8")
    db.connect(url)
    copy = tmp_path / f"{file.stem}.schema-{revision}.db"
    if revision == NEWEST:
        assert not copy.exists()
    else:
        assert dump_sqlite(copy) == before


@OF_EACH
def test_the_migrations_still_make_what_is_frozen(
    load: Callable[[str, str], str],
    request: pytest.FixtureRequest,
    tmp_path: Path,
    revision: str,
    engine: str,
) -> None:
    """Nobody has changed a migration after its release."""
    url = load(revision, engine)
    if engine == "sqlite":
        fresh = f"sqlite:///{tmp_path / 'fresh.db'}"
    else:
        fresh = request.getfixturevalue("postgres_url")
    migrate.upgrade(db.locate(fresh), revision)
    assert objects(url) == objects(fresh)


@OF_EACH
def test_what_is_frozen_has_seen_everything(
    load: Callable[[str, str], str], revision: str, engine: str
) -> None:
    url = load(revision, engine)
    assert not [table for table, rows in contents(url).items() if not rows]
    for table, column in (("jobs", "state"), ("attempts", "outcome")):
        seen = {value for (value,) in execute(url, f"SELECT DISTINCT {column} FROM {table}")}
        assert seen - {None} == allowed(url, table, column)


def allowed(url: str, table: str, column: str) -> set[str]:
    """The closed list of words of a column."""
    inspector = sa.inspect(sa.create_engine(url, poolclass=sa.NullPool))
    (rule,) = (
        found["sqltext"]
        for found in inspector.get_check_constraints(table)
        if found["name"] == f"ck_{table}_{column}"
    )
    return set(re.findall(r"'(\w+)'", rule))


@pytest.mark.parametrize("revision", REVISIONS[-2:])
def test_the_newest_schema_and_the_one_before_can_be_frozen(new_place: str, revision: str) -> None:
    work(new_place, revision)
    assert db.locate(new_place).identify().revision == revision
    empty = [table for table, rows in contents(new_place).items() if not rows]
    assert not empty, "tests/db/worked.py has to fill these too"
    db.connect(new_place)
    assert check_integrity(db.locate(new_place)).findings == ()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_frozen_schema_under_a_newer_name_is_refused(
    load: Callable[[str, str], str], engine: str
) -> None:
    url = load(REVISIONS[0], engine)
    execute(url, f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    before = contents(url), objects(url)
    for opening in (db.connect, lambda place: db.connect(place, create=False)):
        with pytest.raises(UserError, match=r"schema 9999, newer than .*upgrade lcma"):
            opening(url)
    assert db.locate(url).identify().revision == "9999"
    assert (contents(url), objects(url)) == before


KILLED = """
import os, signal, sys
import sqlalchemy as sa
from lcma import db

url, last, seen = sys.argv[1], int(sys.argv[2]), 0

def count(*arguments):
    "Die before the statement, or the commit, of that number."
    global seen
    seen += 1
    if seen == last:
        os.kill(os.getpid(), signal.SIGKILL)

sa.event.listen(sa.Engine, "before_cursor_execute", count)
sa.event.listen(sa.Engine, "commit", count)
db.connect(url)
print(seen)
"""


@pytest.mark.parametrize("engine", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def test_an_upgrade_that_is_killed_leaves_one_schema_or_the_other(
    load: Callable[[str, str], str], engine: str
) -> None:
    """Whole, and the next one to open it takes it up again."""

    def upgrade(url: str, last: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", KILLED, url, str(last)],
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )

    oldest = REVISIONS[0]
    url = load(oldest, engine)
    old = contents(url), objects(url)
    done = upgrade(url, 0)
    assert done.returncode == 0, done.stderr
    new, statements = (contents(url), objects(url)), int(done.stdout)
    found = Counter[str]()
    for last in sorted({statements * part // 4 for part in range(1, 5)}):
        url = load(oldest, engine)
        assert upgrade(url, last).returncode == -signal.SIGKILL
        revision = db.locate(url).identify().revision
        assert (contents(url), objects(url)) == (old if revision == oldest else new)
        found[str(revision)] += 1
        db.connect(url)
        assert (contents(url), objects(url)) == new
    assert found[oldest] >= 4
    assert found.keys() <= {oldest, NEWEST}
