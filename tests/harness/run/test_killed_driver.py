"""A launch killed at a random moment and launched again equals one left alone, to the bit."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.harness.run.machines import DEADLINE

SWEEP = """
name: killed
matrix:
  flow: realnvp
  dataset: photos8
  factorization: [conventional, random, low, HL]
  budget: [0, 50]
seeds: 2
recipe:
  model: {architecture: {width: 4}}
  training: {steps: 200}
"""
LCMA = [sys.executable, "-m", "lcma"]
RESULTS = """
select trial_id, data_digest, protocol, bits_per_dim, standard_error, holdout_bits_per_dim,
       log_det, log_prior, trial_id
from trial_results order by trial_id
"""
MAPS = """
select pretraining_id, budget, split, digest, mean_log_det from contribution_maps
order by pretraining_id, budget, split
"""
CURVES = (
    "select distinct job_id, name, step, value from metrics join curves on curves.id = curve_id "
    "join attempts on attempts.id = attempt_id order by job_id, name, step"
)


def launch(folder: Path, data: Path, *options: str, kill: int | None, after: float) -> int:
    """Launch the sweep; send a signal after some seconds if asked to. The exit code."""
    log = (folder / "launch.log").open("w")
    process = subprocess.Popen(
        [*LCMA, "launch", "killed.yaml", "--no-pictures", "--data", str(data), *options],
        cwd=folder,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    if kill is not None:
        time.sleep(after)
        if process.poll() is None:
            os.kill(process.pid, kill)
    try:
        return process.wait(timeout=3 * DEADLINE)  # three minutes of CPU
    finally:
        process.kill()
        log.close()


def said(folder: Path) -> str:
    """What the last launch printed."""
    return (folder / "launch.log").read_text()


def sql(folder: Path, query: str) -> list[dict[str, object]]:
    done = subprocess.run(
        [*LCMA, "sql", query, "--json", "--all"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    return [dict(zip(found["columns"], row, strict=True)) for row in found["rows"]]


def fresh(folder: Path) -> Path:
    folder.mkdir()
    (folder / "killed.yaml").write_text(SWEEP)
    return folder


@pytest.mark.slow
@pytest.mark.timeout(5400)
@pytest.mark.xdist_group("ray")
@pytest.mark.parametrize("options", [["--local"], []], ids=["local", "ray"])
def test_killed_and_launched_again_equals_undisturbed(
    tmp_path: Path, photos_root: Path, options: list[str]
) -> None:
    undisturbed, killed = fresh(tmp_path / "undisturbed"), fresh(tmp_path / "killed")
    code = launch(undisturbed, photos_root, *options, kill=None, after=0)
    assert code == 0, said(undisturbed)
    moments = random.Random(0)
    for number in (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
        launch(killed, photos_root, *options, kill=number, after=moments.uniform(5, 25))
    code = launch(killed, photos_root, *options, kill=None, after=0)
    assert code == 0, said(killed)

    for query in (RESULTS, MAPS, CURVES):
        wanted, found = sql(undisturbed, query), sql(killed, query)
        assert wanted
        assert found == wanted
    assert len(sql(killed, RESULTS)) == 12
    # Each job was brought to its end by one attempt, however many began.
    ends = "select job_id, count(*) as n from attempts where outcome = 'done' group by job_id"
    assert {row["n"] for row in sql(killed, ends)} == {1}
    assert len(sql(killed, ends)) == 16
    plan = subprocess.run(
        [*LCMA, "plan", "killed.yaml", "--data", photos_root, "--json"],
        cwd=killed,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(plan.stdout)["left"] == {"pretrainings": 0, "trainings": 0}
