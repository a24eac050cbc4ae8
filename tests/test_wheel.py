"""A wheel has all that the package needs, and its commit; other people's modules do not matter."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from lcma.harness.version import read_code_version, read_commit
from tests.db.inspecting import execute
from tests.processes import ROOT, read_output

pytestmark = pytest.mark.integration

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
    read_output("-c", code, out, folder=folder, **variables)
    (distribution,) = out.iterdir()
    return distribution


def read_contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    """Python, YAML, templates, migrations: an ignore pattern would drop them silently."""
    folders = (*FOLDERS, "src/lcma")
    git = ["git", "-C", ROOT, "ls-files", *folders]
    listing = subprocess.run(git, capture_output=True, text=True)
    tracked = listing.stdout.split()
    if listing.returncode:
        paths = [path for name in folders for path in (ROOT / name).rglob("*")]
        tracked = [str(path.relative_to(ROOT)) for path in paths if path.suffix != ".pyc"]
    names = {
        f"lcma/{name.removeprefix('src/lcma/')}" for name in tracked if (ROOT / name).is_file()
    }
    if read_commit(ROOT):
        names.add("lcma/_commit")
    assert len([name for name in names if name.endswith(".yaml")]) >= 3
    assert any("migrations/versions" in name for name in names)
    assert {name for name in read_contents(wheel) if ".dist-info/" not in name} == names


def test_a_wheel_made_from_the_source_distribution_is_the_same(
    wheel: Path, source: Path, tmp_path: Path
) -> None:
    copy = build("wheel", source, tmp_path / "wheel")
    assert read_contents(copy) == read_contents(wheel)


def read_version(wheel: Path, folder: Path) -> list[str]:
    """Return the code version of an installed wheel: version with commit, digest of changes."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    code = (
        "import sys; from lcma.harness.version import read_code_version\n"
        "print(*read_code_version(), __import__('lcma').__file__)\n"
        "assert not {'torch', 'ray', 'sqlalchemy'} & set(sys.modules)"
    )
    *version, path = read_output("-c", code, folder=folder, PYTHONPATH=str(folder)).split()
    assert path == str(folder / "lcma" / "__init__.py")
    return version


def test_a_wheel_has_the_commit_of_its_checkout(wheel: Path, tmp_path: Path) -> None:
    assert read_version(wheel, tmp_path) == [str(part) for part in read_code_version()]


def test_a_build_without_git_takes_the_commit_from_a_variable(source: Path, tmp_path: Path) -> None:
    (source / "src" / "lcma" / "_commit").unlink(missing_ok=True)
    shutil.rmtree(source / "evidence")  # the largest part, and not tested here
    unknown = build("wheel", source, tmp_path / "unknown")
    assert "+" not in read_version(unknown, tmp_path / "unknown-env")[0]
    known = build("wheel", source, tmp_path / "known", LCMA_COMMIT="498830264bff-5b1e")
    version, digest = read_version(known, tmp_path / "known-env")
    assert version.endswith("+498830264bff")
    assert digest == "5b1e"
    with pytest.raises(AssertionError, match="not 'main'"):
        build("wheel", source, tmp_path / "wrong", LCMA_COMMIT="main")


@pytest.mark.slow
def test_a_build_records_uncommitted_changes_and_makes_none(source: Path, tmp_path: Path) -> None:
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
    changed = build("wheel", source, tmp_path / "changed", LCMA_COMMIT="498830264bff")
    assert git("status", "--porcelain") == "M harness/text.py"
    version, digest = read_version(changed, tmp_path / "env")
    assert version.endswith("+" + git("rev-parse", "--short=12", "HEAD"))
    assert read_output(source / "harness" / "version.py").endswith(f"-{digest}\n")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_sweep_runs_from_an_environment_outside_the_source_tree(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pip installs it, without its dependencies, which are those of this environment."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    environment = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", wheel], check=True)
    site = next((environment / "lib").glob("python*")) / "site-packages"
    dependencies = next(path for path in sys.path if path.endswith("site-packages"))
    (site / "dependencies.pth").write_text(f"import sys; sys.path.append({dependencies!r})\n")
    (tmp_path / "small.yaml").write_text(
        "name: small\n"
        "matrix: {flow: realnvp, dataset: photos8, factorization: [conventional, low],\n"
        "         budget: 10}\n"
        "recipe: {training: {steps: 20}}\n"
    )
    lcma = environment / "bin" / "lcma"
    for options in (["--local"], ["--seeds", "2"]):
        launch = [lcma, "launch", "small.yaml", *options]
        ended = subprocess.run(launch, cwd=tmp_path, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        assert "low (LL)" in ended.stdout
    command = [python, "-c", "import lcma; print(lcma.__file__)"]
    path = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert path.startswith(str(environment))
    versions = execute(
        f"sqlite:///{tmp_path / 'lcma.db'}", "SELECT code_version, dirty FROM environments"
    )
    assert set(versions) == {read_code_version()}


def test_the_package_works_beside_modules_with_names_of_its_folders(tmp_path: Path) -> None:
    for name in (
        "models/__init__.py",
        "models/unet.py",
        "sweeps/__init__.py",
        "db.py",
        "harness.py",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(
            "raise RuntimeError('this is not the module that lcma means')\n"
        )
    sweep = {"flow": "realnvp", "dataset": "photos8", "factorization": "low", "budget": 10}
    code = f"import lcma; print(lcma.plan({{'name': 'beside', 'matrix': {sweep}}}))"
    assert read_output("-c", code, folder=tmp_path) == "<plan of beside: 1 new>\n"
