"""Harmful input: refused in one line with code 2, shown escaped, nothing changed."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lcma.db.migrate import current_version
from lcma.db.schema import VERSION_TABLE
from lcma.sweeps import plugins
from tests.db.conftest import SqliteTemplates
from tests.harness.cli.conftest import Lcma
from tests.hostile.cases import EVIL

SPEC = "name: x\nmatrix: {flow: realnvp, dataset: photos8, factorization: none}\n"


@pytest.fixture(autouse=True)
def _forgotten() -> object:
    plugins.unload()
    yield
    plugins.unload()


@pytest.fixture
def known(sqlite_templates: SqliteTemplates, in_tmp: Path) -> Path:
    """A database with results, without a log beside it, in the current folder."""
    path = in_tmp / "known.db"
    sqlite_templates.copy("filled", in_tmp).rename(path)
    return path


def damage(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA foreign_keys=OFF")
        for statement in statements:
            connection.execute(statement, (EVIL,) if "?" in statement else ())
        connection.commit()


def is_raw(text: str) -> bool:
    return any(not c.isprintable() and c not in "\n\t" for c in text)


def refused(answer: tuple[int, str, str], *words: str) -> None:
    code, out, err = answer
    assert (code, out) == (2, "")
    assert err.startswith("lcma: ")
    assert err.count("\n") == 1
    assert len(err) < 2100
    assert not is_raw(err)
    for word in words:
        assert word in err


def test_gc_removes_nothing_behind_a_link(lcma: Lcma, known: Path) -> None:
    outside = known.with_name("outside")
    outside.mkdir()
    (outside / "mine").touch()
    os.utime(outside / "mine", (0, 0))
    known.with_name("runs").mkdir()
    known.with_name("runs").joinpath("probe-1234567812345678").symlink_to(outside)
    code, out, _ = lcma("clean", "--db", "known.db", "--runs", "runs")
    assert (code, out.startswith("freed 0 B")) == (0, True)
    assert (outside / "mine").exists()


# Output


HOSTILE = (
    "UPDATE sweeps SET name = 's' || ?",
    "UPDATE attempts SET message = 'm' || ?, log = 'l' || ?1 || char(10) || 'next'",
    "UPDATE flow_trials SET profile = 'p' || ?, factorization = 'f' || ?1",
    "UPDATE data_sets SET name = 'd' || ?",
    "UPDATE artifacts SET path = 'a' || ? || '/b'",
)


SHOWING = """\
board, status, verdicts, curves, budgets, maps, samples, clean, db check, logs f, why f,
export results, export --format csv, export --format json, export --format md,
export --format latex, db merge hostile.db --db new.db, sql SELECT/message/FROM/attempts"""


@pytest.mark.parametrize("command", SHOWING.replace("\n", " ").split(", "))
def test_stored_text_is_shown_escaped(lcma: Lcma, known: Path, command: str) -> None:
    hostile = known.rename(known.with_name("hostile.db"))
    damage(hostile, *HOSTILE)
    words = [word.replace("/", " ") for word in command.split()]
    where = [] if "--db" in words else ["--db", str(hostile)]
    code, out, err = lcma(*words, *where)
    assert code in (0, 1, 2)
    assert out + err
    assert not is_raw(out + err)


def test_names_of_image_files(lcma: Lcma, in_tmp: Path) -> None:
    (in_tmp / "images").mkdir()
    for number, pixels in enumerate(np.random.RandomState(0).randint(0, 256, (60, 8, 8, 3))):
        Image.fromarray(pixels.astype(np.uint8)).save(in_tmp / "images" / f"{number}.png")
    (in_tmp / "images" / f"{EVIL}.png").write_bytes(b"junk")
    prepare = ("data", "prepare", "cats", "--size", "8", "--from", "images")
    refused(lcma(*prepare), "\\x1b")
    Path(os.fsdecode(b"images/\xff.png")).write_bytes(b"junk")
    code, out, err = lcma(*prepare, "--skip-bad")
    assert code == 0
    assert not is_raw(out + err)
    assert "\\x1b" in out
    assert "\\udcff" in out


# Files and databases


@pytest.mark.parametrize(
    "change",
    [
        f"UPDATE {VERSION_TABLE} SET version_num = '0005'",
        f"UPDATE {VERSION_TABLE} SET version_num = ?",
        f"UPDATE {VERSION_TABLE} SET version_num = x'00ff'",
        f"DELETE FROM {VERSION_TABLE}",
        f"INSERT INTO {VERSION_TABLE} VALUES ('0002')",
        f"ALTER TABLE {VERSION_TABLE} RENAME COLUMN version_num TO other",
    ],
)
def test_a_wrong_version_is_refused_and_nothing_changed(
    lcma: Lcma, known: Path, change: str
) -> None:
    damage(known, change, "PRAGMA journal_mode=DELETE" if "'0005'" in change else "SELECT 1")
    before = known.read_bytes()
    for command in ("db init", "db upgrade --force", "status"):
        refused(lcma(*command.split(), "--db", "known.db"), "known.db")
    assert known.read_bytes() == before
    assert list(known.parent.iterdir()) == [known]


PLUGINS = {
    "BaseException": 'raise BaseException("x")',
    "SystemExit": "raise SystemExit(0)",
    "that cannot": "class E(BaseException):\n    def __str__(self): raise SystemExit\nraise E()",
    "name is a text, not 5": "import lcma\nlcma.factorization(5)",
    "conventional is a text": "import lcma\n"
    "lcma.flow('f', architecture=5, conventional=5, recipes={})",
    "unit is a text": "import lcma\nlcma.measure('m', unit=5, direction='lower', meaning='x')",
    "\\x1b": f"raise ValueError({EVIL!r})",
}


@pytest.mark.parametrize("message", PLUGINS)
def test_a_plugin_may_raise_anything(lcma: Lcma, in_tmp: Path, message: str) -> None:
    (in_tmp / "p.py").write_text(PLUGINS[message])
    (in_tmp / "s.yaml").write_text(f"{SPEC}plugins: p.py\n")
    refused(lcma("plan", "s.yaml"), "p.py", message)


def test_an_interruption_stays_one(lcma: Lcma, in_tmp: Path) -> None:
    (in_tmp / "p.py").write_text("raise KeyboardInterrupt")
    (in_tmp / "s.yaml").write_text(f"{SPEC}plugins: p.py\n")
    assert lcma("plan", "s.yaml")[0] == 130


def test_bytes_that_are_no_text(in_tmp: Path) -> None:
    command = [sys.executable, "-m", "lcma", "status", "--db", b"postgresql://u@h/\xff"]
    done = subprocess.run(command, capture_output=True)
    refused((done.returncode, done.stdout.decode(), done.stderr.decode()), "not UTF-8")
    assert list(in_tmp.iterdir()) == []


# The command line


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("sql --limit abc", ("--limit", "'abc'", "integer")),
        ("sql --timeout x", ("--timeout", "'x'")),
        ("plan", ("SWEEP",)),
        ("statsu", ("statsu", "status")),
    ],
)
def test_wrong_options_are_one_line(lcma: Lcma, typed: str, words: tuple[str, ...]) -> None:
    refused(lcma(*typed.split()), *words, "--help")


def test_a_grid_of_too_many_cells(
    lcma: Lcma, in_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (in_tmp / "s.yaml").write_text(f"{SPEC}seeds: 20\n")
    monkeypatch.setenv("LCMA_MAX_CELLS", "19")
    refused(lcma("plan", "s.yaml"), "20 cells", "LCMA_MAX_CELLS")
    monkeypatch.setenv("LCMA_MAX_CELLS", "20")
    assert lcma("plan", "s.yaml")[0] == 0
    monkeypatch.setenv("LCMA_MAX_CELLS", "many")
    refused(lcma("plan", "s.yaml"), "LCMA_MAX_CELLS='many'")


def test_a_plan_refuses_l2_where_nothing_shrinks(lcma: Lcma, in_tmp: Path) -> None:
    (in_tmp / "s.yaml").write_text(SPEC)
    setting = ["--set", "optimization.l2=0.1"]
    assert lcma("plan", "s.yaml", *setting)[0] == 0
    (in_tmp / "s.yaml").write_text(SPEC.replace("realnvp", "glow"))
    refused(lcma("plan", "s.yaml", *setting), "optimization.l2", "glow", "realnvp")


def test_a_plan_refuses_to_compile_on_a_cpu(lcma: Lcma, in_tmp: Path) -> None:
    setting = "recipe: {optimization: {compile: true, stacked: false}}\n"
    (in_tmp / "s.yaml").write_text(SPEC + setting)
    refused(lcma("plan", "s.yaml"), "optimization.compile", "gpus")
    launch = ("launch", "s.yaml", "--local", "--gpus", "0")
    refused(lcma(*launch), "`optimization.compile: true` is for GPUs")
    assert [path.name for path in in_tmp.iterdir()] == ["s.yaml"]
    (in_tmp / "s.yaml").write_text(SPEC + setting + "resources: {gpus: 1}\n")
    assert lcma("plan", "s.yaml")[0] == 0


def test_a_measure_in_another_unit_is_refused_by_the_plan(lcma: Lcma, known: Path) -> None:
    (known.parent / "p.py").write_text(
        "import lcma\n"
        "@lcma.measure('glow_of', unit='lux', direction='lower', meaning='x')\n"
        "def compute(flow, images, seed): return 1.0\n"
    )
    (known.parent / "s.yaml").write_text(f"{SPEC}plugins: p.py\n")
    assert lcma("plan", "s.yaml", "--db", "known.db")[0] == 0
    damage(known, "INSERT INTO measure_kinds VALUES ('glow_of', 'candela', 'lower', 'y')")
    refused(lcma("plan", "s.yaml", "--db", "known.db"), "'glow_of'", "candela", "lux")


def test_an_upgrade_that_fails_leaves_no_copy(lcma: Lcma, known: Path) -> None:
    older = current_version().rpartition("-")[0] + "-00000000"
    damage(
        known,
        f"UPDATE {VERSION_TABLE} SET version_num = '{older}'",
        "UPDATE index_tables SET data_digest = 'none'",
        "PRAGMA journal_mode=delete",
    )
    before = known.read_bytes()
    refused(lcma("db", "upgrade", "--force", "--db", "known.db"), "refers to a missing data_sets")
    assert known.read_bytes() == before
    assert list(known.parent.iterdir()) == [known]
