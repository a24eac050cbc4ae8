"""Harmful input: refused in one line with code 2, shown escaped, nothing changed."""

import os
import shlex
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
from tests.harness.cli.conftest import Lcma, refused
from tests.hostile.cases import EVIL
from tests.hostile.rooms import judge_text

pytestmark = pytest.mark.usefixtures("without_plugins")

SPEC = "name: x\nmatrix: {flow: realnvp, dataset: photos8, factorization: none}\n"


def damage(*statements: str) -> None:
    """Change the database in the current folder without the store."""
    with closing(sqlite3.connect("lcma.db")) as connection:
        for statement in statements:
            connection.execute(statement, (EVIL,) if "?" in statement else ())
        connection.commit()


# Output


HOSTILE = (
    "UPDATE sweeps SET name = 's' || ?",
    "UPDATE attempts SET message = 'm' || ?, log = 'l' || ?1 || char(10) || 'next'",
    "UPDATE flow_trials SET profile = 'p' || ?, factorization = 'f' || id || ?1",
    "UPDATE data_sets SET name = 'd' || ?",
    "UPDATE artifacts SET path = 'a' || ? || '/b'",
)


READING = (
    *("board", "status", "verdicts", "curves", "budgets", "maps", "samples", "clean", "db check"),
    *(
        "logs channel-1",
        "why channel-1",
        "export results",
        "export --format csv",
        "export --format json",
    ),
    *("export --format md", "export --format latex", "db merge lcma.db --db new.db"),
)


@pytest.mark.parametrize("command", READING)
def test_stored_text_is_shown_escaped(lcma: Lcma, filled_folder: Path, command: str) -> None:
    damage(*HOSTILE)
    code, out, err = lcma(*shlex.split(command))
    assert code in (0, 1, 2)
    assert judge_text(code, out, err) == []
    if command.split(" --")[0] not in ("verdicts", "maps", "clean", "db check", "db merge lcma.db"):
        assert "x1b" in out + err


def test_hostile_names_of_image_files_are_shown_escaped(lcma: Lcma, in_tmp: Path) -> None:
    (in_tmp / "images").mkdir()
    for number, pixels in enumerate(np.random.RandomState(0).randint(0, 256, (60, 8, 8, 3))):
        Image.fromarray(pixels.astype(np.uint8)).save(in_tmp / "images" / f"{number}.png")
    (in_tmp / "images" / f"{EVIL}.png").write_bytes(b"junk")
    prepare = ("data", "prepare", "cats", "--size", "8", "--from", "images")
    refused(lcma(*prepare), "\\x1b")
    Path(os.fsdecode(b"images/\xff.png")).write_bytes(b"junk")
    code, out, err = lcma(*prepare, "--skip-bad")
    assert code == 0
    assert judge_text(code, out, err) == []
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
    lcma: Lcma, filled_folder: Path, change: str
) -> None:
    damage(change, "PRAGMA journal_mode=DELETE" if "'0005'" in change else "SELECT 1")
    before = Path("lcma.db").read_bytes()
    for command in ("db upgrade --force", "status"):
        refused(lcma(*command.split()), "lcma.db")
    assert Path("lcma.db").read_bytes() == before
    assert [path.name for path in filled_folder.iterdir()] == ["lcma.db"]


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


def plan_with_plugin(lcma: Lcma, code: str) -> tuple[int, str, str]:
    Path("p.py").write_text(code)
    Path("s.yaml").write_text(f"{SPEC}plugins: p.py\n")
    return lcma("plan", "s.yaml")


@pytest.mark.parametrize("message", PLUGINS)
def test_a_plugin_may_raise_anything(lcma: Lcma, message: str) -> None:
    refused(plan_with_plugin(lcma, PLUGINS[message]), "p.py", message)


def test_an_interruption_in_a_plugin_interrupts_the_command(lcma: Lcma) -> None:
    assert plan_with_plugin(lcma, "raise KeyboardInterrupt")[0] == 130


def test_an_argument_that_is_no_text_is_refused(in_tmp: Path) -> None:
    command = [sys.executable, "-m", "lcma", "status", "--db", b"postgresql://u@h/\xff"]
    done = subprocess.run(command, capture_output=True)
    refused((done.returncode, done.stdout.decode(), done.stderr.decode()), "not UTF-8")
    assert list(in_tmp.iterdir()) == []


# The command line


@pytest.mark.parametrize(
    ("command", "parts"),
    [
        ("sql --limit abc", ("--limit", "'abc'", "integer")),
        ("sql --timeout x", ("--timeout", "'x'")),
        ("plan", ("SWEEP",)),
        ("statsu", ("statsu", "status")),
    ],
)
def test_wrong_options_are_one_line(lcma: Lcma, command: str, parts: tuple[str, ...]) -> None:
    refused(lcma(*command.split()), *parts, "--help")


def test_a_grid_of_too_many_cells_is_refused(
    lcma: Lcma, in_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("s.yaml").write_text(f"{SPEC}seeds: 20\n")
    monkeypatch.setenv("LCMA_MAX_CELLS", "19")
    refused(lcma("plan", "s.yaml"), "20 cells", "LCMA_MAX_CELLS")
    monkeypatch.setenv("LCMA_MAX_CELLS", "20")
    assert lcma("plan", "s.yaml")[0] == 0
    monkeypatch.setenv("LCMA_MAX_CELLS", "many")
    refused(lcma("plan", "s.yaml"), "LCMA_MAX_CELLS='many'")


def test_a_plan_refuses_l2_where_nothing_shrinks(lcma: Lcma, in_tmp: Path) -> None:
    Path("s.yaml").write_text(SPEC)
    setting = ["--set", "optimization.l2=0.1"]
    assert lcma("plan", "s.yaml", *setting)[0] == 0
    Path("s.yaml").write_text(SPEC.replace("realnvp", "glow"))
    refused(lcma("plan", "s.yaml", *setting), "optimization.l2", "glow", "realnvp")


def test_a_plan_refuses_to_compile_on_a_cpu(lcma: Lcma, in_tmp: Path) -> None:
    setting = "recipe: {optimization: {compile: true, stacked: false}}\n"
    Path("s.yaml").write_text(SPEC + setting)
    refused(lcma("plan", "s.yaml"), "optimization.compile", "gpus")
    launch = ("launch", "s.yaml", "--local", "--gpus", "0")
    refused(lcma(*launch), "`optimization.compile: true` is for GPUs")
    assert [path.name for path in in_tmp.iterdir()] == ["s.yaml"]
    Path("s.yaml").write_text(SPEC + setting + "resources: {gpus: 1}\n")
    assert lcma("plan", "s.yaml")[0] == 0


def test_a_measure_in_another_unit_is_refused_by_the_plan(lcma: Lcma, filled_folder: Path) -> None:
    code = (
        "import lcma\n"
        "@lcma.measure('glow_of', unit='lux', direction='lower', meaning='x')\n"
        "def compute(flow, images, seed): return 1.0\n"
    )
    assert plan_with_plugin(lcma, code)[0] == 0
    damage("INSERT INTO measure_kinds VALUES ('glow_of', 'candela', 'lower', 'y')")
    refused(lcma("plan", "s.yaml"), "'glow_of'", "candela", "lux")


def test_an_upgrade_that_fails_leaves_no_copy(lcma: Lcma, filled_folder: Path) -> None:
    older = current_version().rpartition("-")[0] + "-00000000"
    damage(
        f"UPDATE {VERSION_TABLE} SET version_num = '{older}'",
        "UPDATE index_tables SET data_digest = 'none'",
        "PRAGMA journal_mode=delete",
    )
    before = Path("lcma.db").read_bytes()
    refused(lcma("db", "upgrade", "--force"), "refers to a missing data_sets")
    assert Path("lcma.db").read_bytes() == before
    assert [path.name for path in filled_folder.iterdir()] == ["lcma.db"]
