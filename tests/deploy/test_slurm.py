"""deploy/slurm.sbatch, run for real with Ray on this machine. Only `srun` and `scontrol` are
stand-ins, which start each step here and write down what is asked of the scheduler."""

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "deploy" / "slurm.sbatch"
SRUN = """#!/usr/bin/env bash
# Runs the command after its own options, as one process and on this machine.
echo "$*" >> "$STAND_IN/srun"
while [[ $1 == --* ]]; do shift; done
exec "$@"
"""
SCONTROL = """#!/usr/bin/env bash
if [[ $1 == show ]]; then printf 'one\\ntwo\\n'; else echo "$*" >> "$STAND_IN/scontrol"; fi
"""
SWEEP = """
name: on-slurm
matrix:
  flow: realnvp
  dataset: photos8
  factorization: [conventional, channel, random, low]
  budget: 10
profile: tiny
seeds: 1
recipe:
  model:
    splits: 1
    architecture:
      {width: 4, checkerboard_couplings: 1, channel_couplings: 1, last_couplings: 1}
  optimization: {batch: 8, stacked: false}
  training: {steps: 300}
resources: {gpus: 0}
"""

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(600)]


@dataclass
class Job:
    """One Slurm job's folder and environment."""

    folder: Path
    environment: dict[str, str]

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                ["bash", str(SCRIPT), *arguments],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def count(self, query: str) -> int:
        """What a query for one number gives; 0 while there is no such table."""
        with suppress(sqlite3.OperationalError):
            found = sqlite3.connect(f"file:{self.folder / 'lcma.db'}?mode=ro", uri=True)
            with found:
                return int(found.execute(query).fetchone()[0])
        return 0

    @property
    def ray(self) -> list[int]:
        """The Ray processes of this job that live, by the folder that is in their arguments."""
        mine = f"/tmp/lcma-ray-{self.environment['SLURM_JOB_ID']}".encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                if mine in entry.read_bytes():
                    found.append(int(entry.parent.name))
        return found


def wait_for(condition: Callable[[], bool], job: Job) -> None:
    until = time.monotonic() + 240
    while not condition():
        assert time.monotonic() < until, job.log
        time.sleep(0.2)


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    stand_in = tmp_path / "bin"
    stand_in.mkdir()
    for name, text in {"srun": SRUN, "scontrol": SCONTROL}.items():
        (stand_in / name).write_text(text)
        (stand_in / name).chmod(0o755)
    (tmp_path / "mine.yaml").write_text(SWEEP)
    for port in range(20000 + os.getpid() % 4000, 25000):
        with suppress(OSError), socket.create_server(("", port)):
            break
    path = [str(stand_in), str(Path(sys.executable).parent), os.environ["PATH"]]
    environment = {
        **{n: v for n, v in os.environ.items() if not n.startswith(("LCMA_", "RAY_", "SLURM_"))},
        "PATH": os.pathsep.join(path),
        "PYTHONPATH": str(ROOT / "src"),
        "STAND_IN": str(stand_in.parent),
        "LCMA_DB": str(tmp_path / "lcma.db"),
        "LCMA_RUNS": str(tmp_path / "runs"),
        "LCMA_DATA": str(tmp_path / "data"),
        "LCMA_CACHE": str(tmp_path / "cache"),
        "SLURM_JOB_ID": str(port - 20000 + 4_000_000),
        "SLURM_JOB_NODELIST": "[one-two]",
        "SLURM_CPUS_PER_TASK": "1",
    }
    job = Job(tmp_path, environment)
    yield job
    for pid in job.ray:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    shutil.rmtree(f"/tmp/lcma-ray-{environment['SLURM_JOB_ID']}", ignore_errors=True)


def test_a_job_out_of_time_is_queued_again_and_goes_on(job: Job) -> None:
    options = ["mine.yaml", "--no-pictures"]
    first = job.start(*options)
    running = "select count(*) from attempts where outcome is null"
    wait_for(lambda: job.count(running) > 0 or first.poll() is not None, job)
    token = job.folder / "runs" / f".ray-token-{job.environment['SLURM_JOB_ID']}"
    assert first.poll() is None, job.log
    assert token.stat().st_mode & 0o077 == 0
    assert len(token.read_text()) == 64
    first.send_signal(signal.SIGUSR1)
    assert first.wait(120) == 128 + signal.SIGTERM, job.log
    assert "2 of 2 nodes have joined" in job.log
    assert "Stopped;" in job.log
    asked = f"requeue {job.environment['SLURM_JOB_ID']}\n"
    assert (job.folder / "scontrol").read_text() == asked
    assert not token.exists()
    wait_for(lambda: not job.ray, job)
    assert job.count("select count(*) from results") < 4

    second = job.start(*options)
    assert second.wait(240) == 0, job.log
    assert job.count("select count(*) from results") == 4
    assert job.count("select count(*) from attempts where outcome = 'cancelled'") > 0
    assert (job.folder / "scontrol").read_text() == asked
    wait_for(lambda: not job.ray, job)
    steps = (job.folder / "srun").read_text().splitlines()
    assert len(steps) == 4
    assert {"--nodes=1", "--nodelist=one", "--head"} <= set(steps[0].split())
    assert {"--nodes=1", "--exclude=one", "--no-kill"} <= set(steps[1].split())


def test_a_job_that_lost_its_head_is_queued_again_but_not_for_ever(job: Job) -> None:
    def lose_head(restarts: int) -> None:
        job.environment["SLURM_RESTART_COUNT"] = str(restarts)
        before = job.count("select count(*) from attempts")
        one = job.start("mine.yaml", "--no-pictures")
        running = f"select count(*) from attempts where outcome is null and id > {before}"
        wait_for(lambda: job.count(running) > 0 or one.poll() is not None, job)
        assert one.poll() is None, job.log
        for pid in job.ray:
            if b"gcs_server" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]:
                os.kill(pid, signal.SIGKILL)
        assert one.wait(120) == 5, job.log
        wait_for(lambda: not job.ray, job)

    asked = f"requeue {job.environment['SLURM_JOB_ID']}\n"
    lose_head(restarts=0)
    assert (job.folder / "scontrol").read_text() == asked
    lose_head(restarts=10)
    assert (job.folder / "scontrol").read_text() == asked


def test_a_mistake_is_not_queued_again(job: Job) -> None:
    done = job.start("mine.yaml", "--gpus", "1")
    assert done.wait(240) == 2, job.log
    assert "a trial asks for 1 CPU, 1 GPU, and no node has that" in job.log
    assert not (job.folder / "scontrol").exists()
    wait_for(lambda: not job.ray, job)


def test_what_is_not_named_is_asked_for_before_anything_starts(job: Job) -> None:
    for missing in ("LCMA_DB", "LCMA_RUNS", "LCMA_DATA"):
        place = job.environment.pop(missing)
        assert job.start("mine.yaml").wait(60) != 0
        assert missing in job.log
        job.environment[missing] = place
    assert not (job.folder / "srun").exists()
