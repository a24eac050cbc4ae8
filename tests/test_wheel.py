"""The built wheel holds all that the package needs away from its sources."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("harness", "models", "sweeps", "db")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("--wheel", ROOT, tmp_path_factory.mktemp("wheel"))


def build(kind: str, folder: Path, out: Path) -> Path:
    command = [sys.executable, "-m", "build", kind, "--no-isolation", "--outdir", out, folder]
    subprocess.run(command, check=True, capture_output=True)
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
    assert len([w for w in wanted if w.endswith(".yaml")]) >= 3
    assert any("migrations/versions" in w for w in wanted)
    inside = {name for name in contents(wheel) if ".dist-info/" not in name}
    assert inside == wanted


def test_a_wheel_made_from_the_source_distribution_is_the_same(wheel: Path, tmp_path: Path) -> None:
    """A source distribution holds no links, as an unpacked zip of the repository may not."""
    packed = build("--sdist", ROOT, tmp_path / "sdist")
    with tarfile.open(packed) as archive:
        assert not [m.name for m in archive.getmembers() if m.issym() or m.islnk()]
        archive.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    assert contents(build("--wheel", source, tmp_path / "wheel")) == contents(wheel)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_sweep_runs_from_an_environment_outside_the_source_tree(
    wheel: Path, tmp_path: Path
) -> None:
    """Installed as a person would, with this environment's packages beside it."""
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
