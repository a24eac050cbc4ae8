"""The benchmark of workers runs, and fails if a worker fails."""

import json

import pytest

from tests.processes import read_output


@pytest.mark.slow
def test_each_worker_claims_reports_and_ends_trials() -> None:
    arguments = ("--workers", 4, "--seconds", 20, "--trial-seconds", 0.1)
    out = read_output("-m", "benchmarks.workers", *arguments)
    numbers = json.loads(out.splitlines()[-1])
    assert numbers["claims"] >= numbers["trials_ended"] >= 4
    assert numbers["beats"] >= numbers["trials_ended"]
    assert numbers["leases_lost"] == 0
