"""A Ray cluster of several nodes on this machine, any of which may be lost."""

import builtins
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

DEADLINE = 600.0
"""Seconds within which any awaited event happens, also on a busy machine."""


class Machines:
    """Nodes beside a head that runs nothing. Its processes are ended by their own ids."""

    def __init__(self, port: int | None = None) -> None:
        from ray.cluster_utils import Cluster

        head: dict[str, Any] = {"num_cpus": 0} | ({} if port is None else {"gcs_server_port": port})
        self._cluster: Any = Cluster(initialize_head=True, head_node_args=head)

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def add(
        self,
        *,
        cpus: int = 1,
        gpus: int = 0,
        address: str | None = None,
        environment: dict[str, str] | None = None,
        **options: Any,
    ) -> Any:
        options |= {} if address is None else {"node_ip_address": address}
        node = self._cluster.add_node(
            wait=False, num_cpus=cpus, num_gpus=gpus, env_vars=environment or {}, **options
        )
        self._cluster._wait_for_node(node, timeout=DEADLINE)
        return node

    def lose(self, node: Any) -> None:
        """Kill all processes of a node at once."""
        self._cluster.remove_node(node, allow_graceful=False)

    def drain(self, node: Any) -> None:
        """Announce that a node will be taken away, as a cloud does for a spot machine."""
        from ray._raylet import GcsClient
        from ray.core.generated.autoscaler_pb2 import DrainNodeReason

        reason = DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
        deadline = int((time.time() + 60) * 1000)
        gcs = GcsClient(address=self._cluster.gcs_address)
        accepted, message = gcs.drain_node(node.node_id, reason, "taken away", deadline)
        assert accepted, message

    def replace_one(self, chance: Random, environment: dict[str, str]) -> None:
        """Lose any node, and add another one in its place."""
        self.lose(chance.choice(sorted(self._cluster.worker_nodes, key=lambda n: n.unique_id)))
        self.add(environment=environment)

    def lose_head(self) -> None:
        self.lose(self._cluster.head_node)

    def kill_store(self) -> None:
        """Kill the process of the head that holds the cluster's state."""
        (store,) = self._cluster.head_node.all_processes["gcs_server"]
        store.process.kill()

    def find_node(self, pid: int) -> Any:
        """Return the node on which a worker process runs."""
        parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        for node in self._cluster.worker_nodes:
            if parent in (p.process.pid for p in node.all_processes["raylet"]):
                return node
        raise AssertionError(f"process {pid} runs on no node")

    def kill_silent_store(self) -> None:
        """Kill that process after it has left a request without an answer for a while."""
        (store,) = self._cluster.head_node.all_processes["gcs_server"]
        store.process.send_signal(signal.SIGSTOP)
        time.sleep(4)
        store.process.kill()

    def clear(self) -> None:
        """Lose all nodes except the head."""
        for node in list(self._cluster.worker_nodes):
            self.lose(node)

    def close(self) -> None:
        self._cluster.shutdown()


RAY = [sys.executable, "-c", "from ray.scripts.scripts import main; main()"]
QUIET: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
HAS_CPUS = """
import ray, sys
ray.init(sys.argv[1], log_to_driver=False)
sys.exit(ray.cluster_resources().get("CPU", 0) != int(sys.argv[2]))
"""


@contextmanager
def head_by_hand(environment: Mapping[str, str], cpus: int) -> Iterator[str]:
    """Start a head with `ray start` in an environment; provide its address."""
    folder = tempfile.mkdtemp(prefix="lcma-ray-", dir="/tmp")  # sockets need a short path
    address = f"127.0.0.1:{(port := free_port())}"
    options = ["--head", f"--port={port}", f"--temp-dir={folder}/r", "--include-dashboard=false"]
    try:
        with _by_hand(options, address, environment, cpus):
            yield address
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def node_by_hand(address: str, environment: Mapping[str, str], cpus: int) -> Iterator[None]:
    """Add a node to a head with `ray start`."""
    with _by_hand([f"--address={address}"], address, environment, cpus):
        yield


@contextmanager
def _by_hand(
    options: list[str], address: str, environment: Mapping[str, str], cpus: int
) -> Iterator[None]:
    options += [f"--num-cpus={cpus}", "--num-gpus=0", "--min-worker-port=0", "--max-worker-port=0"]
    options += ["--dashboard-agent-listen-port=0"]
    check = [sys.executable, "-c", HAS_CPUS, address, str(cpus)]
    process = subprocess.Popen([*RAY, "start", "--block", *options], env=environment, **QUIET)

    def is_there() -> bool:
        assert process.poll() is None, f"it ended with {process.returncode}"
        return subprocess.run(check, env=environment, **QUIET).returncode == 0

    try:
        wait_until(is_there, 300)
        yield
    finally:
        process.terminate()
        process.wait()


HOOK = "LCMA_TEST_HOOK"
"""The variable that names what workers call; see `tests/faults/site/sitecustomize.py`."""

SLOW_STEPS = f"{__name__}:make_steps_slow:0.05"
"""For `HOOK`: workers sleep in each step, so that trainings last without computing."""


def make_steps_slow(seconds: str) -> None:
    """Make each step of any training of this process last at least so long."""
    from lcma.harness.train.stack import Stack
    from lcma.harness.train.trainer import Trainer

    def slow(step: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def slow_step(training: Any) -> Any:
            time.sleep(float(seconds))
            return step(training)

        return slow_step

    if Trainer.make_step.__module__ != __name__:  # it is called for each task
        Trainer.make_step = slow(Trainer.make_step)
        Stack.step = slow(Stack.step)


FAILING_STEPS = f"{__name__}:make_steps_fail:"
"""For `HOOK`: steps raise what the variable SICK says."""


def make_steps_fail(argument: str = "") -> None:
    """Let steps of this process raise what the variable SICK says, as `RuntimeError: its text`."""
    import torch

    from lcma.harness.train.trainer import Trainer

    make_step = Trainer.make_step

    def fail_or_make_step(trainer: Any) -> Any:
        kind, _, text = os.environ.get("SICK", "").partition(": ")
        if kind:
            raise (getattr(torch, kind, None) or getattr(builtins, kind))(text)
        return make_step(trainer)

    Trainer.make_step = fail_or_make_step


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def wait_until(condition: Callable[[], Any], seconds: float = DEADLINE) -> Any:
    """Wait until a function returns something true, and return that."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
    return value


DIE = f"{__name__}:die:"
"""For `HOOK`: workers die before they claim anything."""


def die(argument: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
