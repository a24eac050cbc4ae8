"""The benchmark of workers runs on the harness as it is, and says if one of them fails."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


def test_each_worker_claims_reports_and_ends_trials() -> None:
    asked = ["--workers", "4", "--seconds", "20", "--trial-seconds", "0.1"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.workers", *asked],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["claims"] >= found["trials_ended"] >= 4
    assert found["beats"] >= found["trials_ended"]
    assert found["leases_lost"] == 0
