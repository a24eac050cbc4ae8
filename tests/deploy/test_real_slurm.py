"""deploy/slurm.sbatch and deploy/slurm-array.sbatch under a real Slurm: a controller and two nodes,
which the test starts on this machine, with GPUs that are only counted."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from lcma import db
from tests.conftest import SITE
from tests.faults.conftest import photos_root, run_undisturbed
from tests.faults.contents import compare_rows, find_faults, read_rows
from tests.faults.sweeps import SWEEP
from tests.harness.conftest import few_photos_root, merged
from tests.harness.launch.machines import HOOK, free_port

__all__ = ["few_photos_root", "photos_root", "run_undisturbed"]

DEPLOY = Path(__file__).parents[2] / "deploy"
PATH = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
# A job that is queued again waits until the credentials of its steps have expired.
CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=bf_interval=2
MessageTimeout=60
SlurmdTimeout=20
KillWait=15
FirstJobId={first}
GresTypes=gpu
SlurmdParameters=config_overrides
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2 Gres=gpu:2
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2 Gres=gpu:2
PartitionName=all Nodes=n[1-2] Default=YES
"""
CHANGE = {"seeds": 3}
"""Three pretrainings, three trainings that wait for them, and three that wait for nothing."""
SLOW = "tests.harness.launch.machines:make_steps_slow:"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.ray,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        not all(shutil.which(name, path=PATH) for name in PROGRAMS) or os.geteuid() != 0,
        reason="needs Slurm and root: apt-get install slurmctld slurmd slurm-client munge",
    ),
]


class Slurm:
    """The daemons, which write to a folder of their own, and their jobs."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.log = folder, folder / "jobs.log"
        self.environment = environment | {"SLURM_CONF": f"{folder}/slurm.conf"}
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}
        self.first = 4_000_000 + os.getpid() % 4000
        facts = {"folder": folder, "first": self.first, "ports": [free_port() for _ in range(3)]}
        facts["host"] = socket.gethostname().partition(".")[0]
        files = {"gpu0": "", "gpu1": "", "munge.key": os.urandom(64).hex()} | {
            "slurm.conf": CONFIGURATION.format_map(facts),
            "gres.conf": f"Name=gpu File={folder}/gpu[0-1] Flags=nvidia_gpu_env\n",
            "cgroup.conf": "CgroupPlugin=disabled\n",
        }
        folder.chmod(0o755)
        for name, text in files.items():
            (folder / name).touch(0o600)
            (folder / name).write_text(text)

    def start(self) -> None:
        options = ("key-file", "socket", "pid-file", "log-file", "seed-file")
        munge = [f"--{o}={self.folder}/munge.{o.removesuffix('-file')}" for o in options]
        self._start("munged", "munged", "--foreground", *munge)
        self.wait_for((self.folder / "munge.socket").exists)
        self._start("slurmctld", "slurmctld", "-D", "-i")
        cpus = os.sched_getaffinity(0)
        for node, cpu in {"n1": min(cpus), "n2": max(cpus)}.items():
            os.sched_setaffinity(0, {cpu})  # jobs have that of their node's daemon
            self._start(node, "slurmd", "-D", "-N", node)
        os.sched_setaffinity(0, cpus)
        self.wait_for(lambda: self.ask("sinfo", "-h", "-N", "-o", "%T").split() == ["idle"] * 2)

    def _start(self, name: str, *command: str) -> None:
        (self.folder / ("state" if name == "slurmctld" else name)).mkdir()
        with (self.folder / "daemons.log").open("ab") as log:
            streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
            self.daemons[name] = subprocess.Popen(
                command, env=self.environment, start_new_session=True, **streams
            )

    def ask(self, *command: str) -> str:
        options: dict[str, Any] = {"env": self.environment, "cwd": self.folder}
        return subprocess.run(command, capture_output=True, text=True, **options).stdout

    def fact(self, job: str, name: str) -> str:
        """Return a fact of a job or of an element of an array, such as its state."""
        match = re.search(rf"\b{name}=(\S+)", self.ask("scontrol", "show", "job", job))
        return match[1] if match else ""

    def processes(self, node: str = "n.") -> dict[int, str]:
        """Return the commands of all steps, on a node or on both, by the sessions of Slurm."""
        configured = f"\0SLURM_CONF={self.folder}/slurm.conf\0"
        commands, sessions = dict[int, tuple[str, str]](), set[str]()
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                status = (folder / "stat").read_text().rpartition(")")[2].split()
                if status[0] != "Z":
                    commands[int(folder.name)] = status[3], (folder / "cmdline").read_text()
                variables = f"\0{(folder / 'environ').read_bytes().decode(errors='replace')}"
                if configured in variables and re.search(f"\0SLURMD_NODENAME={node}\0", variables):
                    sessions.add(status[3])
        return {pid: command for pid, (session, command) in commands.items() if session in sessions}

    def kill(self, processes: Iterable[int]) -> None:
        for pid in processes:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def lose(self, node: str) -> None:
        """Kill a node at once: its daemon, the steps on it and the processes that they started."""
        self.daemons[node].kill()
        self.kill(self.processes(node))

    def stop(self) -> None:
        for daemon in reversed(self.daemons.values()):
            daemon.terminate()
            with suppress(subprocess.TimeoutExpired):
                daemon.wait(60)
            daemon.kill()
            daemon.wait()
        while processes := self.processes():
            self.kill(processes)
        for number in range(self.first, self.first + 9):
            shutil.rmtree(f"/tmp/lcma-ray-{number}", ignore_errors=True)

    def wait_for(self, condition: Callable[[], Any]) -> None:
        until = time.monotonic() + 600
        while not condition():
            assert time.monotonic() < until, self.read_logs()
            time.sleep(0.5)

    def read_logs(self) -> str:
        return "\n".join(file.read_text()[-8000:] for file in sorted(self.folder.glob("*.log")))


@pytest.fixture
def slurm(tmp_path: Path, photos_root: Path, postgres_url: str) -> Iterator[Slurm]:
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(merged(SWEEP, CHANGE)))
    environment = {n: v for n, v in os.environ.items() if not n.startswith(("LCMA_", "SLURM"))}
    environment |= {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), PATH]),
        "PYTHONPATH": os.pathsep.join([SITE, *sys.path]),
        "LCMA_DB": postgres_url,
        "LCMA_RUNS": str(tmp_path / "runs"),
        "LCMA_DATA": str(photos_root),
        "LCMA_CACHE": str(tmp_path / "cache"),
        HOOK: f"{SLOW}0.5",
    }
    folder = Path(tempfile.mkdtemp(prefix="lcma-slurm-", dir="/tmp"))  # sockets need a short path
    slurm = Slurm(folder, environment)
    try:
        slurm.start()
        yield slurm
    finally:
        slurm.stop()
        shutil.rmtree(folder)


@pytest.mark.parametrize("way", ["slurm", "slurm-array"])
def test_a_sweep_goes_on_however_its_job_ends(
    slurm: Slurm, run_undisturbed: Callable[..., Any], tmp_path: Path, way: str
) -> None:
    url, is_array, seen = slurm.environment["LCMA_DB"], way == "slurm-array", set[str]()

    def submit() -> list[str]:
        options = ["--parsable", f"--output={slurm.log}", "--gpus-per-node=2", "--cpus-per-task=1"]
        nodes, more = ("--array=0-1", []) if is_array else ("--nodes=2", [])
        script = str(DEPLOY / f"{way}.sbatch")
        output = slurm.ask("sbatch", *options, nodes, script, str(tmp_path / "mine.yaml"), *more)
        assert output, slurm.read_logs()
        return [f"{output.strip()}_{i}" for i in (0, 1)] if is_array else [output.strip()]

    def facts(name: str) -> set[str]:
        return {slurm.fact(job, name) for job in jobs}

    def have_trained() -> bool:
        """Whether both nodes have trained a step, one of them in an attempt that is new."""
        assert not {"FAILED", "COMPLETED"} & facts("JobState"), slurm.read_logs()
        if not db.exists(url):
            return False
        attempts = db.connect(url).view("attempts")
        run = attempts[attempts.outcome.isna() & (attempts.last_step > attempts.first_step)]
        if both := len(run) > 1 and run.owner.nunique() > is_array and not seen.issuperset(run.id):
            seen.update(attempts.id)
        return both

    def cut_and_wait(cut: Callable[[], object]) -> None:
        before = int(slurm.fact(jobs[0], "Restarts"))
        cut()
        slurm.wait_for(lambda: int(slurm.fact(jobs[0], "Restarts")) > before)
        slurm.wait_for(have_trained)

    jobs = submit()
    slurm.wait_for(have_trained)
    if not is_array:
        head = [p for p, command in slurm.processes().items() if "/gcs_server\0" in command]
        cut_and_wait(lambda: slurm.kill(head))
    for command in ("scontrol requeue", "scancel --batch --signal=USR1"):  # as before its time ends
        cut_and_wait(lambda command=command: slurm.ask(*command.split(), jobs[0]))
    for job in jobs:
        slurm.ask("scancel", "--batch", "--signal=TERM", job)
    slurm.wait_for(lambda: facts("JobState") == {"FAILED"})
    assert facts("ExitCode") == {"143:0"}

    slurm.environment[HOOK] = f"{SLOW}0.2"
    jobs = submit()
    slurm.wait_for(have_trained)
    slurm.lose("n2")
    slurm.wait_for(lambda: facts("JobState") == {"COMPLETED"})
    assert not is_array or facts("Restarts") == {"0", "1"}
    slurm.wait_for(lambda: not slurm.processes())
    assert not list((tmp_path / "runs").glob(".ray-token-*"))
    assert find_faults(db.connect(url)) == []
    assert compare_rows(run_undisturbed(CHANGE), read_rows(db.connect(url))) == []
