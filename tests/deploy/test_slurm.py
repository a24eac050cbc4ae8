"""deploy/slurm.sbatch, run for real with Ray on this machine, except that stand-ins for `srun` and
`scontrol` start each step here and record their arguments."""

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
import yaml

from tests.deploy.conftest import write_program
from tests.harness.conftest import SMALL, merged
from tests.processes import ROOT

SCRIPT = ROOT / "deploy" / "slurm.sbatch"
SRUN = """
# Runs the command after its own options, as one process and on this machine.
echo "$*" >> "$STAND_IN/srun"
while [[ $1 == --* ]]; do shift; done
exec "$@"
"""
SCONTROL = """
if [[ $1 == show ]]; then printf 'one\\ntwo\\n'; else echo "$*" >> "$STAND_IN/scontrol"; fi
"""
CHANGE = {
    "matrix": {"factorization": ["conventional", "channel", "random", "low"]},
    "recipe": {"training": {"steps": 300}},
    "resources": {"gpus": 0},
}

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
        """Return the number that a query gives, or 0 while there is no such table."""
        with suppress(sqlite3.OperationalError):
            connection = sqlite3.connect(f"file:{self.folder / 'lcma.db'}?mode=ro", uri=True)
            with connection:
                return int(connection.execute(query).fetchone()[0])
        return 0

    def list_ray(self) -> list[int]:
        """List the running Ray processes of this job, whose arguments name its folder."""
        folder = f"/tmp/lcma-ray-{self.environment['SLURM_JOB_ID']}".encode()
        pids = []
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                if folder in file.read_bytes():
                    pids.append(int(file.parent.name))
        return pids


def wait_for(condition: Callable[[], bool], job: Job) -> None:
    until = time.monotonic() + 240
    while not condition():
        assert time.monotonic() < until, job.log
        time.sleep(0.2)


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    write_program(tmp_path / "bin", "srun", SRUN)
    write_program(tmp_path / "bin", "scontrol", SCONTROL)
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(merged(SMALL, CHANGE)))
    for port in range(20000 + os.getpid() % 4000, 25000):
        with suppress(OSError), socket.create_server(("", port)):
            break
    path = [str(tmp_path / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
    environment = {
        **{n: v for n, v in os.environ.items() if not n.startswith(("LCMA_", "RAY_", "SLURM_"))},
        "PATH": os.pathsep.join(path),
        "PYTHONPATH": str(ROOT / "src"),
        "STAND_IN": str(tmp_path),
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
    for pid in job.list_ray():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    shutil.rmtree(f"/tmp/lcma-ray-{environment['SLURM_JOB_ID']}", ignore_errors=True)


def start_and_wait(job: Job) -> "subprocess.Popen[bytes]":
    """Start the job, and wait for a new attempt."""
    before = time.time()
    process = job.start("mine.yaml")
    running = f"select count(*) from attempts where outcome is null and started > {before}"
    wait_for(lambda: job.count(running) > 0 or process.poll() is not None, job)
    assert process.poll() is None, job.log
    return process


def test_a_job_out_of_time_is_queued_again_and_resumed(job: Job) -> None:
    first = start_and_wait(job)
    token = job.folder / "runs" / f".ray-token-{job.environment['SLURM_JOB_ID']}"
    assert token.stat().st_mode & 0o077 == 0
    assert len(token.read_text()) == 64
    first.send_signal(signal.SIGUSR1)
    assert first.wait(120) == 128 + signal.SIGTERM, job.log
    assert "2 of 2 nodes have joined" in job.log
    assert "Stopped;" in job.log
    requeued = f"requeue {job.environment['SLURM_JOB_ID']}\n"
    assert (job.folder / "scontrol").read_text() == requeued
    assert not token.exists()
    wait_for(lambda: not job.list_ray(), job)
    assert job.count("select count(*) from results") < 4

    assert job.start("mine.yaml").wait(240) == 0, job.log
    assert job.count("select count(*) from results") == 4
    assert job.count("select count(*) from attempts where outcome = 'cancelled'") > 0
    assert (job.folder / "scontrol").read_text() == requeued
    wait_for(lambda: not job.list_ray(), job)
    steps = (job.folder / "srun").read_text().splitlines()
    assert len(steps) == 4
    assert {"--nodes=1", "--nodelist=one", "--head"} <= set(steps[0].split())
    assert {"--nodes=1", "--exclude=one", "--no-kill"} <= set(steps[1].split())


def test_a_job_that_lost_its_head_is_queued_again_but_not_for_ever(job: Job) -> None:
    for restarts in ("0", "10"):
        job.environment["SLURM_RESTART_COUNT"] = restarts
        process = start_and_wait(job)
        for pid in job.list_ray():
            if b"gcs_server" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]:
                os.kill(pid, signal.SIGKILL)
        assert process.wait(120) == 5, job.log
        wait_for(lambda: not job.list_ray(), job)
        requests = (job.folder / "scontrol").read_text()
        assert requests == f"requeue {job.environment['SLURM_JOB_ID']}\n"


def test_a_mistake_is_not_queued_again(job: Job) -> None:
    assert job.start("mine.yaml", "--gpus", "1").wait(240) == 2, job.log
    assert "a trial asks for 1 CPU, 1 GPU, and no node has that" in job.log
    assert not (job.folder / "scontrol").exists()
    wait_for(lambda: not job.list_ray(), job)


def test_a_missing_place_is_refused_before_anything_starts(job: Job) -> None:
    for name in ("LCMA_DB", "LCMA_RUNS", "LCMA_DATA"):
        value = job.environment.pop(name)
        assert job.start("mine.yaml").wait(60) != 0
        assert name in job.log
        job.environment[name] = value
    assert not (job.folder / "srun").exists()
