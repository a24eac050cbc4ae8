"""A launch on a cluster without a node for trials, to which Ray's autoscaler could add one."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest
import yaml

from tests.harness.conftest import SMALL
from tests.harness.run.machines import DEADLINE, free_port, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200), pytest.mark.xdist_group("ray")]

RAY = [sys.executable, "-c", "from ray.scripts.scripts import main; main()"]
LISTS = (
    *("initialization_commands", "setup_commands", "cluster_synced_files"),
    *("head_setup_commands", "worker_setup_commands", "rsync_exclude", "rsync_filter"),
    *("head_start_ray_commands", "worker_start_ray_commands"),
)
AUTOSCALING: dict[str, Any] = {
    "cluster_name": "zero",
    "max_workers": 2,
    "idle_timeout_minutes": 1,
    "upscaling_speed": 1,
    "provider": {"type": "fake_multinode", "head_node_id": "f" * 51 + "00000"},
    "head_node_type": "head",
    "available_node_types": {
        "head": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
        "worker": {"resources": {"CPU": 1}, "node_config": {}, "min_workers": 0, "max_workers": 2},
    },
    "file_mounts_sync_continuously": False,
    **{name: {} for name in ("auth", "docker", "file_mounts")},
    **{name: [] for name in LISTS},
}
"""For Ray's provider for tests, which starts nodes for a head at port 6379 alone, so none here."""


class Cluster:
    """A head that runs nothing, with an autoscaler, and nodes that are started by hand."""

    def __init__(self, folder: Path) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []
        self.folder, self.port = folder, free_port()
        self.environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(sys.path),
            "RAY_AUTH_MODE": "disabled",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_FAKE_CLUSTER": "1",
            "AUTOSCALER_UPDATE_INTERVAL_S": "1",
            "COLUMNS": "300",
        }
        config = folder / "autoscaling.yaml"
        config.write_text(yaml.safe_dump(AUTOSCALING))
        self._start("--head", "--num-cpus=0", f"--port={self.port}", "--include-dashboard=false")
        until(self._is_reached)

    def _is_reached(self) -> bool:
        assert self._processes[0].poll() is None, (self.folder / "ray.log").read_text()
        reach = [sys.executable, "-c", f"import ray; ray.init({self.address!r})"]
        return not subprocess.run(reach, env=self.environment, capture_output=True).returncode

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def add(self) -> None:
        self._start(f"--address={self.address}", "--num-cpus=1")

    def _start(self, *options: str) -> None:
        ports = ["--min-worker-port=0", "--max-worker-port=0", "--dashboard-agent-listen-port=0"]
        if "--head" in options:
            ports += [f"--autoscaling-config={self.folder / 'autoscaling.yaml'}"]
            ports += [f"--temp-dir={self.folder}/r"]
        with (self.folder / "ray.log").open("ab") as log:
            self._processes.append(
                subprocess.Popen(
                    [*RAY, "start", "--block", *ports, *options],
                    env=self.environment,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )

    def close(self) -> None:
        for process in reversed(self._processes):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="lcma-", dir="/tmp"))  # sockets need a short path
    made = Cluster(folder)
    yield made
    made.close()
    rmtree(folder, ignore_errors=True)


def test_a_launch_waits_for_the_first_node_and_ends_on_it(
    cluster: Cluster, tmp_path: Path, photos_root: Path
) -> None:
    (tmp_path / "zero.yaml").write_text(yaml.safe_dump(SMALL))
    said = tmp_path / "said"
    with said.open("w") as out:
        launch = subprocess.Popen(
            [
                *(sys.executable, "-m", "lcma", "launch", "zero.yaml", "--no-pictures"),
                *("--gpus", "0", "--ray", cluster.address, "--data", str(photos_root)),
            ],
            cwd=tmp_path,
            env=cluster.environment,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    waits = "a trial asks for 1 CPU, and no node has that (the nearest has 0 CPU, 0 GPU): waiting"
    until(lambda: launch.poll() is not None or waits in said.read_text())
    assert launch.poll() is None, said.read_text()
    cluster.add()
    assert launch.wait(DEADLINE) == 0, said.read_text()
