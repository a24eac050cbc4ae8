"""The package works in a folder with other modules named `models`, `db`, `harness`, `sweeps`."""

import subprocess
import sys
from pathlib import Path

import pytest

SWEEP = """\
name: beside
matrix: {flow: realnvp, dataset: photos8, factorization: low, budget: 10}
recipe:
  model: {architecture: {width: 4, checkerboard_couplings: 1, channel_couplings: 1}}
  training: {steps: 10}
resources: {gpus: 0}
"""
BROKEN = "raise RuntimeError('this is not the module that lcma means')\n"


@pytest.mark.integration
def test_the_package_is_imported_beside_them(tmp_path: Path) -> None:
    names = ("models/__init__.py", "models/unet.py", "sweeps/__init__.py", "db.py", "harness.py")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(BROKEN)
    (tmp_path / "beside.yaml").write_text(SWEEP)
    code = "import lcma; print(lcma.plan('beside.yaml'))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "<plan of beside: 1 new>\n"), done.stderr
