"""The benchmark of workers runs on the harness as it is, and says if one of them fails."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import find_pooler

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


def measured(*command: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.workers", *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("more", [[], ["--pooled"]], ids=["straight", "pooled"])
def test_each_worker_claims_reports_and_ends_trials(more: list[str]) -> None:
    if more and find_pooler() is None:
        pytest.skip("there is no PgBouncer")
    found = measured("--workers", "4", "--seconds", "20", "--trial-seconds", "0.1", *more)
    assert found["claims"] >= found["trials_ended"] >= 4
    assert found["beats"] >= found["trials_ended"]
    assert found["leases_lost"] == 0
