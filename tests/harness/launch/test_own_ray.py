"""The Ray that a launch starts: who can reach it, and how the launch ends with it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from lcma import db
from tests.harness.conftest import SMALL, merged
from tests.harness.launch.machines import head_by_hand, node_by_hand, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.ray]

SECRET = "canary"


def without_token(home: Path) -> dict[str, str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_AUTH")}
    return environment | {"HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.fixture
def launch(in_tmp: Path, few_photos_root: Path, postgres: Any) -> Iterator["subprocess.Popen[str]"]:
    """A launch that starts Ray, with a database that has a password and without a Ray token."""
    (in_tmp / "small.yaml").write_text(yaml.safe_dump(SMALL))
    name = postgres.make()
    environment = without_token(in_tmp)
    command = [sys.executable, "-m", "lcma", "launch", "small.yaml"]
    command += ["--data", str(few_photos_root), "--set", "training.steps=100000"]
    with postgres.role("lcma_launches", SECRET) as user:
        postgres.run(f"ALTER DATABASE {name} OWNER TO {user}")
        environment["LCMA_DB"] = postgres.url(name, username=user, password=SECRET)
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        yield process
        process.kill()
        process.wait()
        postgres.drop(name)


def wait_for(launch: "subprocess.Popen[str]", name: str) -> list[psutil.Process]:
    """Wait until a process with this name runs; return all processes that the launch started."""

    def list_processes() -> list[psutil.Process]:
        assert launch.poll() is None, launch.communicate()
        with suppress(psutil.NoSuchProcess):
            processes = psutil.Process(launch.pid).children(recursive=True)
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    if name in " ".join(process.cmdline()):
                        return processes
        return []

    return wait_until(list_processes, 120)


def test_only_this_user_on_this_machine_reaches_ray_and_no_password_is_shown(
    launch, in_tmp
) -> None:
    processes = [psutil.Process(launch.pid), *wait_for(launch, "ray::train")]
    addresses = [
        connection.laddr.ip
        for process in processes
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert {ip.removeprefix("::ffff:") for ip in addresses} == {"127.0.0.1"}
    for process in processes:
        assert SECRET not in " ".join(process.cmdline())
    assert not list(in_tmp.rglob("auth_token"))
    launch.send_signal(signal.SIGTERM)
    out, err = launch.communicate()
    assert launch.returncode == 143
    assert err == ""
    assert "Go on with: lcma launch small.yaml --set training.steps=100000" in out
    assert SECRET not in out


@pytest.mark.parametrize("moment", ["gcs_server", "raylet/raylet"])
def test_a_signal_while_ray_starts_ends_the_launch_with_its_code(launch, moment) -> None:
    servers = [p for p in wait_for(launch, moment) if p.name() in ("gcs_server", "raylet")]
    launch.send_signal(signal.SIGTERM)
    out, _ = launch.communicate()
    assert launch.returncode == 143
    assert "Go on with: lcma launch small.yaml" in out
    assert psutil.wait_procs(servers, timeout=60)[1] == []


@pytest.mark.parametrize(("part", "title"), [("raylet", "raylet"), ("gcs_server", "head")])
def test_a_lost_part_of_ray_ends_the_launch_in_one_line(launch, part, title) -> None:
    for process in wait_for(launch, "ray::train"):
        if process.name() == part:
            process.kill()
    out, err = launch.communicate(timeout=60)
    assert launch.returncode == 5
    assert f"Stopped: the Ray of this launch is lost, its {title}" in out
    assert "Go on with: lcma launch small.yaml" in out
    assert "state-dump" not in out + err
    assert err == ""


@pytest.mark.timeout(1800)
def test_a_cluster_that_starts_after_a_launch_needs_no_token(in_tmp, few_photos_root) -> None:
    environment = without_token(in_tmp)

    def launch(name: str, steps: int, *options: str) -> None:
        body = merged(SMALL, {"name": name, "recipe": {"training": {"steps": steps}}})
        (in_tmp / f"{name}.yaml").write_text(yaml.safe_dump(body))
        command = [sys.executable, "-m", "lcma", "launch", f"{name}.yaml"]
        command += ["--data", str(few_photos_root), *options]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stdout + ended.stderr

    launch("before", 10)
    assert not list(in_tmp.rglob("auth_token"))
    with head_by_hand(environment, 0) as address, node_by_hand(address, environment, 1):
        launch("after", 20, "--ray", address)
    assert set(db.connect(f"sqlite:///{in_tmp / 'lcma.db'}").view("attempts").outcome) == {"done"}
