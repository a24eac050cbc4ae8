"""Published results as the reference database, which commands read and never write."""

import hashlib
import json
import lzma
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

import lcma as package
from lcma import db
from lcma.db import migrate
from lcma.db.integrity import check_integrity
from lcma.db.sqlite import MAGIC
from lcma.harness import shards
from lcma.harness.cli import main as cli
from lcma.harness.place import Place
from lcma.sweeps.errors import UserError
from tests.db.conftest import TRIALS, World, fill
from tests.db.inspecting import make_older
from tests.harness.cli.conftest import Lcma, output_of, refused, run_lcma, train
from tests.processes import ROOT

GREEDY = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 2**28}]
"""Filters of an archive that takes much memory to unpack."""

READING = {
    "board": [],
    "budgets": [],
    "curves": [],
    "db backup": ["--out", "copy.db"],
    "db check": [],
    "db publish": ["again.sqlite"],
    "diff": [TRIALS[0].id, TRIALS[2].id],
    "doctor": [],
    "export": [],
    "logs": [TRIALS[0].id],
    "maps": [],
    "plan": ["demo"],
    "reproduce": [TRIALS[0].id],
    "samples": [],
    "serve": ["--by", "nope"],
    "sql": ["select * from results"],
    "status": [],
    "verdicts": [],
    "why": [TRIALS[0].id],
}
"""Commands that read a database, with their other arguments."""

LACKING = {"samples": "weights", "reproduce": "photos16", "serve": "nope", "budgets": ""}
"""Commands that fail on results without files and images, and a word of their errors."""

WRITING = {
    "db merge": ["other.db"],
    "db upgrade": [],
    "clean": ["--dry-run"],
    "forget": ["demo", "--dry-run"],
    "launch": ["demo"],
    "measure": ["swd"],
    "rerun": [TRIALS[0].id],
    "stop": ["demo"],
    "tune": ["tune"],
}


def commands_with_db() -> Iterator[str]:
    def walk(command: typer.core.TyperGroup, words: tuple[str, ...]) -> Iterator[str]:
        for name, child in command.commands.items():
            if hasattr(child, "commands"):
                yield from walk(child, (*words, name))
            elif any("--db" in option.opts for option in child.params):
                yield " ".join((*words, name))

    yield from walk(typer.main.get_command(cli.app), ())


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two shards, of two trials each, and the database that they are from."""
    folder = tmp_path_factory.mktemp("published")
    fill(db.connect(str(folder / "whole.db"))).store.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "evidence").mkdir()
        for number, words in enumerate((["LLL", "HHH"], ["channel"]), start=1):
            where = [f"--where=factorization={word}" for word in words]
            shard = f"evidence/00{number}.sqlite.xz"
            assert run_lcma("db", "publish", shard, *where, "--db", "whole.db") == 0
    return folder


@pytest.fixture
def reference(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make these the shards of the package, with an empty cache; return the folder in it."""
    monkeypatch.setattr(shards, "EVIDENCE_FOLDER", published / "evidence")
    monkeypatch.setenv("LCMA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "reference"


@pytest.fixture
def database(reference: Path, published: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The reference database, made once for all tests that only read it."""
    monkeypatch.setenv("LCMA_CACHE", str(published / "cache"))
    return shards.open_reference()


def test_every_command_that_takes_a_database_is_known_to_read_or_to_write_it() -> None:
    assert sorted(commands_with_db()) == sorted([*READING, *WRITING])


@pytest.mark.parametrize("command", sorted(READING))
def test_a_command_that_reads_takes_the_reference_and_leaves_it(
    database: Path, lcma: Lcma, command: str
) -> None:
    before = database.read_bytes()
    code, out, err = lcma(*command.split(), *READING[command], "--db", "reference")
    if command in LACKING and code:
        refused((code, out, err), LACKING[command])
    elif command != "doctor":  # it fails on other faults of this machine
        assert code == 0, err
        assert out
    assert list(database.parent.iterdir()) == [database]
    assert database.read_bytes() == before


@pytest.mark.parametrize("command", ["why", "logs"])
def test_a_host_that_is_not_published_leaves_no_gap(
    database: Path, lcma: Lcma, command: str
) -> None:
    out = output_of(lcma(command, TRIALS[0].id, "--db", "reference"))
    assert "attempt 1" in out
    assert "lcma samples" not in out, "the reference has no weights"
    assert not re.search(r"\bon(,| ,|  |$)", out, re.MULTILINE)
    assert " on was" not in out


@pytest.mark.parametrize("command", sorted(WRITING))
def test_a_command_that_writes_refuses_the_reference_in_one_line(
    reference: Path, lcma: Lcma, command: str, in_tmp: Path
) -> None:
    outcome = lcma(*command.split(), *WRITING[command], "--db", "reference")
    # To merge the reference does not help a measure, since a merge brings no weights.
    remedy = "has no weights" if command == "measure" else "lcma db merge reference"
    refused(outcome, "the reference database is never written", remedy)
    assert not reference.exists()
    assert not list(in_tmp.glob("*.db"))


def test_the_reference_has_all_shards_and_is_made_once(
    reference: Path, published: Path, lcma: Lcma, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = lcma("export", "results", "--db", published / "whole.db")
    monkeypatch.setenv("LCMA_DB", "reference")
    assert lcma("export", "results") == outcome
    (database,) = reference.iterdir()
    status = database.stat()
    assert lcma("db", "check")[0] == 0
    assert list(reference.iterdir()) == [database]
    assert database.stat().st_ino == status.st_ino
    assert not status.st_mode & 0o222
    with pytest.raises(UserError, match="read-only"):
        db.connect(str(database)).register(db.Registration())


def test_python_opens_it_only_for_reading(database: Path) -> None:
    with package.connect("reference") as store:
        assert len(store.view("results")) == 3
        with pytest.raises(UserError, match="was opened for reading"):
            store.register(db.Registration())
    with pytest.raises(UserError, match="never written"):
        package.connect("reference", write=True)
    with pytest.raises(UserError, match="never written"):
        package.launch("demo", "reference")


def test_a_shard_of_an_older_schema_is_upgraded_in_the_cache(
    reference: Path, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evidence = tmp_path / "evidence"
    evidence.mkdir()
    for number, shard in enumerate(sorted((published / "evidence").glob("*.xz"))):
        plain = tmp_path / f"{number}.db"
        plain.write_bytes(lzma.decompress(shard.read_bytes()))
        make_older(f"sqlite:///{plain}")
        (evidence / shard.name).write_bytes(lzma.compress(plain.read_bytes()))
    monkeypatch.setattr(shards, "EVIDENCE_FOLDER", evidence)
    before = {path: path.read_bytes() for path in evidence.iterdir()}
    with package.connect("reference") as store:
        assert store.database.identify().revision == migrate.current_version()
        assert len(store.view("board")) > 0
    assert {path: path.read_bytes() for path in evidence.iterdir()} == before
    assert len(list(reference.iterdir())) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "has no shard"), (b"no archive", "is damaged: install lcma again")],
)
def test_a_package_without_results_says_so_in_one_line(
    reference: Path,
    lcma: Lcma,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: bytes | None,
    message: str,
) -> None:
    evidence = tmp_path / "evidence"
    monkeypatch.setattr(shards, "EVIDENCE_FOLDER", evidence)
    if content is not None:
        evidence.mkdir()
        (evidence / "001.sqlite.xz").write_bytes(content)
    refused(lcma("board", "--db", "reference"), message)
    assert not reference.exists()


def test_a_shard_is_read_wherever_a_database_is_named(
    reference: Path, published: Path, lcma: Lcma
) -> None:
    shard = published / "evidence" / "002.sqlite.xz"
    before = {path: path.read_bytes() for path in shard.parent.iterdir()}
    out = output_of(lcma("board", "--db", shard, "--json"))
    labels = {row["label"] for group in json.loads(out)["groups"] for row in group["rows"]}
    assert labels == {"channel"}, "only those of this shard"
    message = f"{shard}, a published database, is never written"
    refused(lcma("db", "upgrade", "--db", shard), message)
    output_of(lcma("db", "merge", shard, "--db", "own.db"))
    assert {path: path.read_bytes() for path in shard.parent.iterdir()} == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b"no archive", "x.sqlite.xz is damaged: name another file"),
        (lzma.compress(b"SQLite format 3\0")[:-5], "is damaged: name another file"),
        (lzma.compress(b"no database"), "x.sqlite.xz contains no SQLite database"),
        (lzma.compress(MAGIC + bytes(3000)), "unpacks to more than 2.0 KiB: unpack it by hand"),
        (lzma.compress(MAGIC, filters=GREEDY), "more than 128.0 MiB of memory"),
    ],
)
def test_a_file_that_is_no_shard_is_one_line(
    reference: Path,
    lcma: Lcma,
    monkeypatch: pytest.MonkeyPatch,
    content: bytes | None,
    message: str,
) -> None:
    monkeypatch.setattr(shards, "MAX_UNPACKED_BYTES", 2048)
    if content is not None:
        Path("x.sqlite.xz").write_bytes(content)
    refused(lcma("board", "--db", "x.sqlite.xz"), message)
    assert not reference.exists()


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ('{"file":{"sha256":"00"}}', "x.sqlite.xz is not the file that x.sqlite.xz.manifest.json"),
        ("[]", "x.sqlite.xz.manifest.json is not a manifest of a shard"),
        ("x", "x.sqlite.xz.manifest.json is not a manifest of a shard"),
        pytest.param(" " * shards.MAX_MANIFEST_BYTES + "{}", "is not a manifest", id="long"),
    ],
)
def test_a_shard_is_the_one_of_the_manifest_beside_it(
    published: Path, lcma: Lcma, manifest: str, message: str
) -> None:
    shard = Path(shutil.copy(published / "evidence" / "002.sqlite.xz", "x.sqlite.xz"))
    path = shard.with_name(f"{shard.name}.manifest.json")
    for command in ("board --db x.sqlite.xz", "db merge x.sqlite.xz --db own.db"):
        path.unlink(missing_ok=True)
        assert lcma(*command.split())[0] == 0
        path.write_text(manifest)
        refused(lcma(*command.split()), message)


def test_a_machine_without_a_cache_says_so(
    reference: Path, lcma: Lcma, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LCMA_CACHE", str(tmp_path / "file"))
    refused(lcma("board", "--db", "reference"), "LCMA_CACHE")


def test_a_manifest_says_what_a_shard_has(published: Path) -> None:
    shard = published / "evidence" / "002.sqlite.xz"
    manifest = json.loads(shard.with_name(shard.name + ".manifest.json").read_text())
    plain = lzma.decompress(shard.read_bytes())
    assert manifest["file"]["sha256"] == hashlib.sha256(shard.read_bytes()).hexdigest()
    assert manifest["database"] == {
        "sha256": hashlib.sha256(plain).hexdigest(),
        "bytes": len(plain),
    }
    assert manifest["schema"] == migrate.current_version()
    assert manifest["selection"] == {"sweeps": [], "where": ["factorization=channel"]}
    assert manifest["trials"] == {"done": 1, "failed": 1}
    (data,) = manifest["data"]
    assert (data["name"], data["digest"]) == ("photos16", "d" * 64)
    assert "seven are public domain or CC0" in data["licence"]
    assert "benchmark (vision.middlebury.edu/stereo/data)" in data["licence"]
    assert manifest["code"][0]["torch"] == "2.6.0"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("out.zip", "out.zip ends in none of .db, .sqlite, .sqlite.xz"),
        ("mine.db", "mine.db exists already"),
        ("nowhere/out.db", "there is no folder nowhere"),
        ("out.db --where bits_per_dim=3", "what is known before they run"),
        ("out.db --where seed=x", "seed"),
        ("out.db --sweep nope", "nope"),
        ("out.db --where flow=glow", "none of the selected trials of "),
        ("out.db --where factorization=conventional", "such as checkerboard-even of"),
    ],
)
def test_what_cannot_be_published_is_one_line(
    published: Path, lcma: Lcma, in_tmp: Path, arguments: str, message: str
) -> None:
    Path("mine.db").write_text("mine")
    refused(lcma("db", "publish", *arguments.split(), "--db", published / "whole.db"), message)
    assert list(in_tmp.iterdir()) == [in_tmp / "mine.db"]
    assert Path("mine.db").read_text() == "mine"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, photos_root: Path) -> Path:
    """A folder with a sweep and a published shard of its trained trial."""
    folder = tmp_path_factory.mktemp("trained")
    store = train(Place(f"sqlite:///{folder / 'theirs.db'}", folder / "runs", photos_root))
    (sweep,) = store.sweeps()
    (folder / "small.yaml").write_text(sweep.spec)  # JSON is YAML
    (folder / "evidence").mkdir()
    shard = folder / "evidence" / "001.sqlite.xz"
    assert run_lcma("db", "publish", shard, "--sweep", "small", "--db", store.url) == 0
    return folder


@pytest.fixture
def trained_reference(
    trained: Path,
    photos_root: Path,
    in_tmp: Path,  # first, since it removes the variables
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """Make that the shard of the package, and prepare images."""
    monkeypatch.setattr(shards, "EVIDENCE_FOLDER", trained / "evidence")
    monkeypatch.setenv("LCMA_CACHE", str(in_tmp / "cache"))
    monkeypatch.setenv("LCMA_DATA", str(photos_root))
    return trained


def test_a_sweep_takes_merged_results(trained_reference: Path, lcma: Lcma) -> None:
    code, out, _ = lcma("db", "merge", "reference", "--db", "mine.db")
    assert (code, " copied from reference to " in out) == (0, True)
    spec = trained_reference / "small.yaml"
    code, out, _ = lcma("plan", spec, "--db", "mine.db")
    assert (code, "Nothing is left to do." in out) == (0, True)
    world = World(db.connect("mine.db", create=False))
    before = world.dump()
    code, out, _ = lcma("launch", spec, "--local", "--db", "mine.db")
    assert (code, "checkerboard-even" in out) == (0, True)
    assert world.dump()["attempts"] == before["attempts"]
    assert check_integrity(world.store.database).findings == ()


def test_a_sample_of_the_reference_is_trained_again(trained_reference: Path, lcma: Lcma) -> None:
    command = ("reproduce", "--db", "reference", "--sample")
    refused(lcma(*command, "2"), "has 1 trial with such a result")
    code, out, _ = lcma(*command, "1")
    assert code == 0
    assert out.endswith("1 of 1 were reproduced, 1 of them to the last bit\n")


def test_the_shards_of_the_package_are_small_and_as_their_manifests_say() -> None:
    paths = sorted((ROOT / "evidence").glob("*.sqlite.xz"))
    assert sum(shard.stat().st_size for shard in paths) < 10_000_000
    ranges = [shard.name.removesuffix(".sqlite.xz").split("-") for shard in paths]
    numbers = [n for r in ranges for n in range(int(r[0]), int(r[-1]) + 1)]
    assert numbers == list(range(1, len(numbers) + 1)), "consecutive: 001-025, 026, 027, ..."
    for shard in paths:
        manifest = json.loads(shard.with_name(shard.name + ".manifest.json").read_text())
        assert manifest["file"]["sha256"] == hashlib.sha256(shard.read_bytes()).hexdigest()
