"""Input that would harm: refused in one line with code 2, shown as escapes, nothing changed."""

import io
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.text import Text

from lcma.db.migrate import current_version
from lcma.db.schema.base import VERSION_TABLE
from lcma.harness.terminal import Console
from lcma.sweeps import plugins
from tests.db.conftest import SqliteTemplates
from tests.harness.cli.conftest import Typed
from tests.hostile.cases import EVIL, make_socket

SPEC = "name: x\nmatrix: {flow: realnvp, dataset: photos8, factorization: none}\n"
LONG = "x" * 5000


@pytest.fixture(autouse=True)
def _forgotten() -> object:
    plugins.unload()
    yield
    plugins.unload()


@pytest.fixture
def known(sqlite_templates: SqliteTemplates, in_tmp: Path) -> Path:
    """A database with results in the current folder, whose log is in it."""
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


def make_link(path: Path) -> None:
    path.with_name("target").write_text("kept")
    path.symlink_to("target")


SPECIAL: dict[str, Callable[[Path], object]] = {
    "fifo": os.mkfifo,
    "link": make_link,
    "broken link": lambda path: path.symlink_to("nothing"),
    "socket": make_socket,
}
if os.geteuid() == 0:
    SPECIAL["device"] = lambda path: os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3))


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["export", "--out"], "out"),
        (["export", "--out", "good.csv", "--manifest"], "out"),
        (["curves", "--out"], "out.png"),
        (["samples", "--out"], "out"),
        (["db", "backup", "--out"], "out"),
        (["export", "--format", "html", "--out"], "out"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_only_regular_files_are_replaced(
    lcma: Typed, known: Path, kind: str, arguments: list[str], name: str
) -> None:
    path = known.parent / name
    SPECIAL[kind](path)
    before, names = path.lstat(), sorted(known.parent.iterdir())
    refused(lcma(*arguments, str(path), "--db", str(known)), name)
    after = path.lstat()
    assert (after.st_mode, after.st_ino) == (before.st_mode, before.st_ino)
    assert sorted(known.parent.iterdir()) == names


@pytest.mark.parametrize("option", ["--out", "--manifest"])
def test_a_folder_is_not_replaced_by_a_file(lcma: Typed, known: Path, option: str) -> None:
    (known.parent / "out").mkdir()
    other = ["--out", "good.csv"] if option == "--manifest" else []
    refused(
        lcma("export", *other, option, "out", "--db", str(known)), "out: it is a folder", option
    )
    assert not (known.parent / "good.csv").exists()


def test_a_copy_is_not_written_through_a_link(lcma: Typed, known: Path) -> None:
    other = known.with_name("other.db")
    other.write_bytes(known.read_bytes() + bytes(4096))
    before = other.read_bytes()
    for number in range(20):  # where it was once made aside, by the process's number
        known.with_name(f".copy.db.{os.getpid() + number}.tmp").symlink_to(other)
    assert lcma("db", "backup", "--db", "known.db", "--out", "copy.db")[0] == 0
    assert other.read_bytes() == before
    assert not known.with_name("copy.db").is_symlink()


def test_gc_removes_nothing_behind_a_link(lcma: Typed, known: Path) -> None:
    outside = known.with_name("outside")
    outside.mkdir()
    (outside / "mine").touch()
    os.utime(outside / "mine", (0, 0))
    known.with_name("runs").mkdir()
    known.with_name("runs").joinpath("probe-1234567812345678").symlink_to(outside)
    code, out, _ = lcma("clean", "--db", "known.db", "--runs", "runs")
    assert (code, out.startswith("freed 0 B")) == (0, True)
    assert (outside / "mine").exists()


@pytest.mark.parametrize(
    ("column", "value", "fault"),
    [
        ("recipes.flow", "NULL", "its flow is null, not text"),
        ("environments.created", "'x'", "its created is text, not real"),
    ],
)
def test_a_source_without_our_constraints_is_refused(
    lcma: Typed, known: Path, column: str, value: str, fault: str
) -> None:
    table, name = column.split(".")
    damage(
        known,
        "PRAGMA legacy_alter_table=ON",
        f"CREATE TABLE loose AS SELECT * FROM {table}",
        f"DROP TABLE {table}",
        f"ALTER TABLE loose RENAME TO {table}",
        f"UPDATE {table} SET {name} = {value}",
    )
    refused(lcma("db", "merge", "known.db", "--db", "new.db"), fault)
    assert not known.with_name("new.db").exists()


def test_no_variable_of_matplotlib_hinders_pictures(
    lcma: Typed, known: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MPLBACKEND", "bogus")
    assert lcma("curves", "--db", "known.db", "--out", "out")[0] == 0
    assert "MPLBACKEND" not in os.environ


def test_folders_on_the_way_may_be_links(lcma: Typed, known: Path) -> None:
    (known.parent / "real").mkdir()
    (known.parent / "way").symlink_to("real")
    assert lcma("export", "--out", "way/out.csv", "--db", str(known))[0] == 0
    assert (known.parent / "real" / "out.csv").is_file()


# What is shown


HOSTILE = (
    "UPDATE sweeps SET name = 's' || ?",
    "UPDATE attempts SET message = 'm' || ?, log = 'l' || ?1 || char(10) || 'next'",
    "UPDATE flow_trials SET profile = 'p' || ?, factorization = 'f' || ?1",
    "UPDATE cells SET profile = 'p' || ?, factorization = 'f' || ?1",
    "UPDATE data_sets SET name = 'd' || ?",
    "UPDATE artifacts SET path = 'a' || ? || '/b'",
)


@pytest.mark.parametrize(
    "command",
    [
        *(
            "board",
            "status",
            "verdicts",
            "curves",
            "budgets",
            "maps",
            "samples",
            "clean",
            "db check",
        ),
        *("logs f", "why f", "db merge hostile.db --db new.db", "sql SELECT/message/FROM/attempts"),
        *(f"export --format {form}" for form in ("csv", "json", "md", "latex")),
        "export results",
    ],
)
def test_stored_text_is_shown_escaped(lcma: Typed, known: Path, command: str) -> None:
    hostile = known.rename(known.with_name("hostile.db"))
    damage(hostile, *HOSTILE)
    words = [word.replace("/", " ") for word in command.split()]
    where = [] if "--db" in words else ["--db", str(hostile)]
    code, out, err = lcma(*words, *where)
    assert code in (0, 1, 2)
    assert out + err
    assert not is_raw(out + err)


@pytest.mark.parametrize("width", [12, 80])
def test_the_console_escapes_whatever_renders_the_text(width: int) -> None:
    console = Console(file=io.StringIO(), width=width, record=True, force_terminal=True)
    console.print(f"[bold]{EVIL}[/]\nnext", Text(EVIL), EVIL)
    console.log(EVIL)
    shown = console.export_text()
    assert not is_raw(shown)
    assert "\\x1b" in shown.replace("\n", "")
    assert "next" in shown


@pytest.mark.parametrize(
    "line",
    [
        '"\\e]0;pwn\\a\\u202E": 1',
        'plugins: "\\e]0;pwn\\a.py"',
        'profile: "\\e\\u202E"',
        f"{LONG}: 1",
        f"profile: {LONG}",
        'plugins: "a\\0b.py"',
        'plugins: "\\uD800.py"',
        'description: "\\0"',
    ],
    ids=lambda value: value[:20],
)
def test_texts_of_a_sweep_file(lcma: Typed, in_tmp: Path, line: str) -> None:
    (in_tmp / "s.yaml").write_text(f"{SPEC}{line}\n")
    refused(lcma("plan", "s.yaml"))


def test_names_of_image_files(lcma: Typed, in_tmp: Path) -> None:
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


# What is read


@pytest.mark.parametrize("kind", ["fifo", "device"])
@pytest.mark.parametrize("what", ["spec", "plug-in", "image", "database", "weights"])
@pytest.mark.timeout(60)
def test_what_never_ends_is_not_read(lcma: Typed, known: Path, kind: str, what: str) -> None:
    if kind not in SPECIAL:
        pytest.skip("only root makes devices")
    folder = known.parent
    name = {"spec": "x.yaml", "plug-in": "x.py", "image": "images/x.png", "database": "x.db"}
    path = folder / name.get(what, "lcma-runs/a/b")
    path.parent.mkdir(parents=True, exist_ok=True)
    SPECIAL[kind](path)
    if what == "plug-in":
        (folder / "s.yaml").write_text(f"{SPEC}plugins: x.py\n")
    arguments = {
        "spec": ["plan", "x.yaml"],
        "plug-in": ["plan", "s.yaml"],
        "image": ["data", "prepare", "cats", "--size", "8", "--from", "images"],
        "database": ["status", "--db", "x.db"],
        "weights": ["samples", "--db", "known.db"],
    }
    refused(lcma(*arguments[what]), path.name)


def test_an_artifacts_path_stays_below_the_runs(lcma: Typed, known: Path) -> None:
    paths = ("../../etc/passwd", "/etc/passwd", "a/../../b")
    damage(
        known,
        *(f"UPDATE artifacts SET path = '{p}' WHERE id = {i + 1}" for i, p in enumerate(paths)),
    )
    refused(lcma("samples", "--db", "known.db"), "leads out of the folder of runs")


@pytest.mark.parametrize(
    "change",
    [
        f"UPDATE {VERSION_TABLE} SET version_num = '0005'",
        f"UPDATE {VERSION_TABLE} SET version_num = ?",
        f"UPDATE {VERSION_TABLE} SET version_num = x'00ff'",
        f"UPDATE {VERSION_TABLE} SET version_num = CAST(x'ff00' AS TEXT)",
        f"DELETE FROM {VERSION_TABLE}",
        f"INSERT INTO {VERSION_TABLE} VALUES ('0002')",
        f"ALTER TABLE {VERSION_TABLE} RENAME COLUMN version_num TO other",
    ],
)
def test_a_wrong_version_is_refused_and_nothing_changed(
    lcma: Typed, known: Path, change: str
) -> None:
    damage(known, change, "PRAGMA journal_mode=DELETE" if "'0005'" in change else "SELECT 1")
    before = known.read_bytes()
    for command in ("db init", "db upgrade --force", "status"):
        refused(lcma(*command.split(), "--db", "known.db"), "known.db")
    assert known.read_bytes() == before
    assert list(known.parent.iterdir()) == [known]


def test_a_damaged_database_stays_as_it_is(lcma: Typed, known: Path) -> None:
    with closing(sqlite3.connect(known)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'results'"
        (page,) = connection.execute(query).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    content = bytearray(known.read_bytes())
    content[(page - 1) * size : (page - 1) * size + 200] = b"\xff" * 200
    known.write_bytes(content)
    for command in ("db upgrade", "stop --all"):
        refused(lcma(*command.split(), "--db", "known.db"), "known.db is damaged")
        assert known.read_bytes() == content
    assert not list(known.parent.glob("known.db-*"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_no_database_is_left_on_a_full_disk(lcma: Typed, in_tmp: Path) -> None:
    (in_tmp / "tiny").mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", "tiny"])
    if mounted.returncode:
        pytest.skip("mounts are not allowed here")
    try:
        refused(lcma("db", "init", "--db", "tiny/x.db"), "disk is full", "nothing was changed")
        assert list((in_tmp / "tiny").iterdir()) == []
    finally:
        subprocess.run(["umount", "tiny"], check=True)


def test_an_empty_file_is_no_database_to_upgrade(lcma: Typed, in_tmp: Path) -> None:
    (in_tmp / "empty.db").touch()
    refused(lcma("db", "upgrade", "--force", "--db", "empty.db"), "lcma db init")
    assert (in_tmp / "empty.db").stat().st_size == 0


PLUGINS = {
    "BaseException": 'raise BaseException("x")',
    "GeneratorExit": "raise GeneratorExit",
    "SystemExit": "raise SystemExit(0)",
    "cannot be shown": "class E(Exception):\n    def __str__(self): raise ValueError\nraise E()",
    "that cannot": "class E(BaseException):\n    def __str__(self): raise SystemExit\nraise E()",
    "name is a text, not 5": "import lcma\nlcma.factorization(5)",
    "conventional is a text": "import lcma\n"
    "lcma.flow('f', architecture=5, conventional=5, recipes={})",
    "unit is a text": "import lcma\nlcma.measure('m', unit=5, direction='lower', meaning='x')",
    "\\x1b": f"raise ValueError({EVIL!r})",
}


@pytest.mark.parametrize("said", PLUGINS)
def test_a_plugin_may_raise_anything(lcma: Typed, in_tmp: Path, said: str) -> None:
    (in_tmp / "p.py").write_text(PLUGINS[said])
    (in_tmp / "s.yaml").write_text(f"{SPEC}plugins: p.py\n")
    refused(lcma("plan", "s.yaml"), "p.py", said)


def test_an_interruption_stays_one(lcma: Typed, in_tmp: Path) -> None:
    (in_tmp / "p.py").write_text("raise KeyboardInterrupt")
    (in_tmp / "s.yaml").write_text(f"{SPEC}plugins: p.py\n")
    assert lcma("plan", "s.yaml")[0] == 130


@pytest.mark.parametrize(
    ("variables", "arguments"),
    [
        ({b"LCMA_DB": b"\xff.db"}, ["status"]),
        ({}, ["db", "merge", b"\xff.db", "--db", "new.db"]),
        ({}, ["status", "--db", b"postgresql://u@h/\xff"]),
    ],
)
def test_bytes_that_are_no_text(
    in_tmp: Path, variables: dict[bytes, bytes], arguments: list[str | bytes]
) -> None:
    command = [sys.executable, "-m", "lcma", *arguments]
    done = subprocess.run(command, env=os.environb | variables, capture_output=True)
    refused((done.returncode, done.stdout.decode(), done.stderr.decode()), "not UTF-8")
    assert list(in_tmp.iterdir()) == []


def test_a_terminal_without_unicode(lcma: Typed, known: Path) -> None:
    variables = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "LCMA_DB": "known.db"}
    command = [sys.executable, "-m", "lcma", "board", "--notes"]
    done = subprocess.run(command, env=os.environ | variables, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert b"anks" in done.stdout
    assert max(done.stdout) < 128


# What is typed


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("status --limit abc", ("--limit", "'abc'", "integer")),
        ("status --limit=-1", ("--limit", "'-1'", "0")),
        ("status --interval nan --watch", ("--interval", "'nan'")),
        ("export --format xyz", ("--format", "'xyz'", "'csv'", "'latex'")),
        ("launch demo --gpus x", ("--gpus", "'x'", "number")),
        ("plan", ("spec",)),
        ("status --lmit 3", ("--lmit", "--limit")),
        ("statsu", ("statsu", "status")),
        ("rerun --where", ("--where",)),
    ],
)
def test_wrong_options_are_one_line(
    lcma: Typed, in_tmp: Path, typed: str, words: tuple[str, ...]
) -> None:
    refused(lcma(*typed.split()), *words, "--help")


def test_a_column_that_is_not_there(lcma: Typed, known: Path) -> None:
    refused(lcma("rerun", "--where", "flwo=x", "--db", "known.db"), "did you mean 'flow'?")
    refused(lcma("rerun", "--where", "=x", "--db", "known.db"), "lcma sql --schema trial_results")


def write_grid(folder: Path, seeds: int, variations: int) -> None:
    entries = "".join(f"    - {{training: {{steps: {i + 1}}}}}\n" for i in range(variations))
    (folder / "grid.yaml").write_text(
        "name: grid\nmatrix:\n  flow: realnvp\n  dataset: photos8\n  factorization: random\n"
        f"  recipe:\n{entries}seeds: {seeds}\n"
    )


def test_a_grid_of_a_million_cells(
    lcma: Typed, in_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_grid(in_tmp, 10_000, 100)
    refused(lcma("plan", "grid.yaml"), "1,000,000 cells", "100,000", "LCMA_MAX_CELLS")
    write_grid(in_tmp, 10, 2)
    monkeypatch.setenv("LCMA_MAX_CELLS", "19")
    refused(lcma("plan", "grid.yaml"), "20 cells")
    monkeypatch.setenv("LCMA_MAX_CELLS", "20")
    assert lcma("plan", "grid.yaml")[0] == 0
    monkeypatch.setenv("LCMA_MAX_CELLS", "many")
    refused(lcma("plan", "grid.yaml"), "LCMA_MAX_CELLS='many'")


@pytest.mark.parametrize("flow", ["glow", "iresnet", "resflow"])
def test_a_plan_refuses_l2_where_nothing_shrinks(lcma: Typed, in_tmp: Path, flow: str) -> None:
    setting = ["--set", "optimization.l2=0.1"]
    spec = SPEC.replace("realnvp", flow)
    (in_tmp / "s.yaml").write_text(spec)
    refused(lcma("plan", "s.yaml", *setting), "optimization.l2", flow, "realnvp")
    (in_tmp / "s.yaml").write_text(SPEC)
    assert lcma("plan", "s.yaml", *setting)[0] == 0


def test_a_plan_refuses_to_compile_on_a_cpu(lcma: Typed, in_tmp: Path) -> None:
    setting = "recipe: {optimization: {compile: true, stacked: false}}\n"
    (in_tmp / "s.yaml").write_text(SPEC + setting)
    refused(lcma("plan", "s.yaml"), "optimization.compile", "gpus")
    (in_tmp / "s.yaml").write_text(SPEC + setting + "resources: {gpus: 1}\n")
    assert lcma("plan", "s.yaml")[0] == 0


def test_a_measure_in_another_unit_is_refused_by_the_plan(lcma: Typed, known: Path) -> None:
    (known.parent / "p.py").write_text(
        "import lcma\n"
        "@lcma.measure('glow_of', unit='lux', direction='lower', meaning='x')\n"
        "def compute(flow, images, seed): return 1.0\n"
    )
    (known.parent / "s.yaml").write_text(f"{SPEC}plugins: p.py\n")
    assert lcma("plan", "s.yaml", "--db", "known.db")[0] == 0
    damage(known, "INSERT INTO measure_kinds VALUES ('glow_of', 'candela', 'lower', 'y')")
    refused(lcma("plan", "s.yaml", "--db", "known.db"), "'glow_of'", "candela", "lux")


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_an_upgrade_that_fails_leaves_no_copy(lcma: Typed, known: Path, mode: str) -> None:
    older = current_version().rpartition("-")[0] + "-00000000"
    damage(
        known,
        f"UPDATE {VERSION_TABLE} SET version_num = '{older}'",
        "UPDATE results SET data_digest = 'none'",
        f"PRAGMA journal_mode={mode}",
    )
    before = known.read_bytes()
    refused(lcma("db", "upgrade", "--force", "--db", "known.db"), "refers to a missing data_sets")
    assert known.read_bytes() == before
    assert list(known.parent.iterdir()) == [known]
