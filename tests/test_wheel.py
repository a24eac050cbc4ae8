"""The built wheel has all that the package needs without its sources, and their commit."""

import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from lcma.harness.version import read_code_version, read_commit

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[1]
FOLDERS = ("harness", "models", "sweeps", "db", "evidence")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def distribution(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))


@pytest.fixture
def source(distribution: Path, tmp_path: Path) -> Path:
    """An unpacked source distribution."""
    with tarfile.open(distribution) as archive:
        # No links, since unpacked archives may lose them.
        assert not [m.name for m in archive.getmembers() if m.issym() or m.islnk()]
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11.2 has none
        archive.extractall(tmp_path / "source")
    (source,) = (tmp_path / "source").iterdir()
    return source


def build(kind: str, folder: Path, out: Path, **variables: str) -> Path:
    """Build without `python -m build`, which itself takes as long as a build."""
    out.mkdir(exist_ok=True)
    code = f"import sys, hatchling.build as b; b.build_{kind}(sys.argv[1])"
    command, environment = [sys.executable, "-c", code, out], {**os.environ, **variables}
    subprocess.run(command, cwd=folder, check=True, capture_output=True, env=environment)
    (built,) = out.iterdir()
    return built


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    """Python, YAML, templates, migrations: an ignore pattern would drop them silently."""
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", *FOLDERS, "src/lcma"], capture_output=True, text=True
    )
    if listed.returncode:
        tracked = [
            str(p.relative_to(ROOT))
            for name in (*FOLDERS, "src/lcma")
            for p in (ROOT / name).rglob("*")
            if p.suffix != ".pyc"
        ]
    else:
        tracked = listed.stdout.split()
    wanted = {
        f"lcma/{name.removeprefix('src/lcma/')}" for name in tracked if (ROOT / name).is_file()
    }
    if read_commit(ROOT):
        wanted.add("lcma/_commit")
    assert len([w for w in wanted if w.endswith(".yaml")]) >= 3
    assert any("migrations/versions" in w for w in wanted)
    inside = {name for name in contents(wheel) if ".dist-info/" not in name}
    assert inside == wanted


def test_a_wheel_made_from_the_source_distribution_is_the_same(
    wheel: Path, source: Path, tmp_path: Path
) -> None:
    assert contents(build("wheel", source, tmp_path / "wheel")) == contents(wheel)


def read_version(wheel: Path, folder: Path) -> list[str]:
    """Return the code version of an installed wheel: version with commit, digest of changes."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    code = (
        "import sys; from lcma.harness.version import read_code_version\n"
        "print(*read_code_version(), __import__('lcma').__file__)\n"
        "assert not {'torch', 'ray', 'sqlalchemy'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        check=True,
        capture_output=True,
        text=True,
    )
    *version, where = done.stdout.split()
    assert where == str(folder / "lcma" / "__init__.py")
    return version


def test_a_wheel_tells_the_commit_of_its_checkout(wheel: Path, tmp_path: Path) -> None:
    assert read_version(wheel, tmp_path) == [str(part) for part in read_code_version()]


def test_a_build_without_git_is_told_the_commit(source: Path, tmp_path: Path) -> None:
    (source / "src" / "lcma" / "_commit").unlink(missing_ok=True)
    shutil.rmtree(source / "evidence")  # the largest part, and not tested here
    unknown = build("wheel", source, tmp_path / "unknown")
    assert "+" not in read_version(unknown, tmp_path / "unknown-env")[0]
    told = build("wheel", source, tmp_path / "told", LCMA_COMMIT="498830264bff-5b1e")
    version, digest = read_version(told, tmp_path / "told-env")
    assert version.endswith("+498830264bff")
    assert digest == "5b1e"
    with pytest.raises(subprocess.CalledProcessError) as refused:
        build("wheel", source, tmp_path / "wrong", LCMA_COMMIT="main")
    assert "not 'main'" in refused.value.stderr.decode()


@pytest.mark.slow
def test_a_build_tells_uncommitted_changes_and_leaves_none(source: Path, tmp_path: Path) -> None:
    (source / "src" / "lcma" / "_commit").unlink(missing_ok=True)

    def git(*arguments: str) -> str:
        settings = ("-c", "user.name=A", "-c", "user.email=a@example.org")
        command = ["git", "-C", source, *settings, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init")
    git("add", "--all")
    git("commit", "--message", "All")
    with (source / "harness" / "text.py").open("a") as text:
        text.write("# changed\n")
    built = build("wheel", source, tmp_path / "built", LCMA_COMMIT="498830264bff")
    assert git("status", "--porcelain") == "M harness/text.py"
    version, digest = read_version(built, tmp_path / "env")
    assert version.endswith("+" + git("rev-parse", "--short=12", "HEAD"))
    printed = [sys.executable, source / "harness" / "version.py"]
    assert subprocess.run(printed, capture_output=True, text=True).stdout.endswith(f"-{digest}\n")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_sweep_runs_from_an_environment_outside_the_source_tree(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Installed by pip, with the dependencies of this environment."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    environment = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", wheel], check=True)
    site = next((environment / "lib").glob("python*")) / "site-packages"
    here = next(p for p in sys.path if p.endswith("site-packages"))
    # The dependencies are the ones already installed; the package itself must come from the wheel.
    (site / "dependencies.pth").write_text(f"import sys; sys.path.append({here!r})\n")
    (tmp_path / "small.yaml").write_text(
        "name: small\n"
        "matrix: {flow: realnvp, dataset: photos8, factorization: [conventional, low],\n"
        "         budget: 10}\n"
        "recipe: {training: {steps: 20}}\n"
    )
    lcma = environment / "bin" / "lcma"
    for options in (["--local"], ["--seeds", "2"]):
        done = subprocess.run(
            [lcma, "launch", "small.yaml", *options],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert "low (LL)" in done.stdout
    where = subprocess.run(
        [python, "-c", "import lcma; print(lcma.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert where.stdout.startswith(str(environment))
    with closing(sqlite3.connect(tmp_path / "lcma.db")) as connection:
        recorded = connection.execute("SELECT code_version, dirty FROM environments").fetchall()
    assert set(recorded) == {read_code_version()}
