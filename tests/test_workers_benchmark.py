"""The benchmark of workers runs, and fails if a worker fails."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


def test_each_worker_claims_reports_and_ends_trials() -> None:
    arguments = ["--workers", "4", "--seconds", "20", "--trial-seconds", "0.1"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.workers", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    numbers = json.loads(done.stdout.splitlines()[-1])
    assert numbers["claims"] >= numbers["trials_ended"] >= 4
    assert numbers["beats"] >= numbers["trials_ended"]
    assert numbers["leases_lost"] == 0
