"""The built wheel holds all that the package needs away from its sources."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("harness", "models", "sweeps", "db")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT],
        check=True,
        capture_output=True,
    )
    (built,) = out.glob("lcma-*.whl")
    return built


def test_the_wheel_holds_every_tracked_file_of_the_packages(wheel: Path) -> None:
    """Python, YAML, migrations and their template: an ignore pattern would drop them silently."""
    inside = set(zipfile.ZipFile(wheel).namelist())
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", *PACKAGES], capture_output=True, text=True
    )
    if listed.returncode:
        wanted = {
            str(p.relative_to(ROOT))
            for name in PACKAGES
            for p in (ROOT / name).rglob("*")
            if p.is_file() and p.suffix != ".pyc"
        }
    else:
        wanted = set(listed.stdout.split())
    assert len([w for w in wanted if w.endswith(".yaml")]) >= 3
    assert any("migrations/versions" in w for w in wanted)
    assert wanted <= inside, wanted - inside


def test_the_wheel_holds_nothing_else(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {t for t in tops if not t.endswith(".dist-info")} == set(PACKAGES)


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
        [python, "-c", "import harness; print(harness.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert where.stdout.startswith(str(environment))
