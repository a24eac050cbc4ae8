"""A folder that holds somebody's own `models`, `db`, `harness` and `sweeps` is a usual place."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.conftest import few_photos_root

__all__ = ["few_photos_root"]

SWEEP = """\
name: beside
matrix: {flow: realnvp, dataset: photos8, factorization: low, budget: 10}
recipe:
  model: {architecture: {width: 4, checkerboard_couplings: 1, channel_couplings: 1}}
  training: {steps: 10}
resources: {gpus: 0}
"""
BROKEN = "raise RuntimeError('this is not the module that lcma means')\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("models/__init__.py", "models/unet.py", "db.py", "harness.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(BROKEN)
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "__init__.py").write_text(BROKEN)
    (tmp_path / "beside.yaml").write_text(SWEEP)
    return tmp_path


def run(project: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow  # what Ray's workers import: tests/harness/run/test_cluster.py
@pytest.mark.parametrize(
    "options",
    [
        ["--local"],
        pytest.param([], marks=[pytest.mark.ray, pytest.mark.xdist_group("ray")]),
    ],
    ids=["local", "ray"],
)
def test_a_launch_runs_beside_them(
    project: Path, few_photos_root: Path, options: list[str]
) -> None:
    options = ["--data", str(few_photos_root), *options]
    lcma = (sys.executable, "-m", "lcma")
    out = run(project, *lcma, "launch", "beside.yaml", "--no-pictures", *options)
    assert "low (LL)" in out


@pytest.mark.integration
def test_the_package_is_imported_beside_them(project: Path) -> None:
    code = "import lcma; print(lcma.plan('beside.yaml'))"
    assert run(project, sys.executable, "-c", code) == "<plan of beside: 1 new>\n"
