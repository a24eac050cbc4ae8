"""The Ray that a launch starts: who can reach it, what it tells, a signal while it starts, and what
it leaves to a cluster that is started afterwards."""

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
from tests.harness.launch.machines import head_by_hand, node_by_hand, until

pytestmark = [pytest.mark.slow, pytest.mark.ray]

SECRET = "canary"


def without_token(home: Path) -> dict[str, str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_AUTH")}
    return environment | {"HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.fixture
def launch(in_tmp: Path, few_photos_root: Path, postgres: Any) -> Iterator["subprocess.Popen[str]"]:
    """A launch that starts Ray, on a database with a password, as someone without a token."""
    (in_tmp / "small.yaml").write_text(yaml.safe_dump(SMALL))
    name = postgres.make()
    environment = without_token(in_tmp)
    command = [sys.executable, "-m", "lcma", "launch", "small.yaml", "--no-pictures"]
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


def children(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(process.pid).children(recursive=True)
    return []


def wait_for(process: "subprocess.Popen[str]", name: str) -> list[psutil.Process]:
    def look() -> list[psutil.Process]:
        assert process.poll() is None, process.communicate()
        found = children(process)
        for one in found:
            with suppress(psutil.NoSuchProcess):
                if name in " ".join(one.cmdline()):
                    return found
        return []

    return until(look, 120)


def test_only_this_user_on_this_machine_reaches_it_and_no_password_is_told(
    launch: "subprocess.Popen[str]", in_tmp: Path
) -> None:
    everyone = [psutil.Process(launch.pid), *wait_for(launch, "ray::train")]
    listening = [
        connection.laddr.ip
        for one in everyone
        for connection in one.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening
    assert {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}
    for one in everyone:
        assert SECRET not in " ".join(one.cmdline())
    assert not list(in_tmp.rglob("auth_token"))
    launch.send_signal(signal.SIGTERM)
    out, err = launch.communicate()
    assert launch.returncode == 143
    assert err == ""
    assert "Go on with: lcma launch small.yaml --set training.steps=100000" in out
    assert SECRET not in out


@pytest.mark.parametrize("moment", ["gcs_server", "raylet/raylet"])
def test_a_signal_while_it_starts_ends_the_launch_with_its_code(
    launch: "subprocess.Popen[str]", moment: str
) -> None:
    servers = [p for p in wait_for(launch, moment) if p.name() in ("gcs_server", "raylet")]
    launch.send_signal(signal.SIGTERM)
    out, _ = launch.communicate()
    assert launch.returncode == 143
    assert "Go on with: lcma launch small.yaml" in out
    assert psutil.wait_procs(servers, timeout=60)[1] == []


@pytest.mark.parametrize(("part", "said"), [("raylet", "its raylet"), ("gcs_server", "its head")])
def test_a_lost_part_of_it_ends_the_launch_in_one_line(
    launch: "subprocess.Popen[str]", part: str, said: str
) -> None:
    found = wait_for(launch, "ray::train")
    for one in found:
        if one.name() == part:
            one.kill()
    out, err = launch.communicate(timeout=60)
    assert launch.returncode == 5
    assert f"Stopped: the Ray of this launch is lost, {said}" in out
    assert "Go on with: lcma launch small.yaml" in out
    assert "state-dump" not in out + err
    assert err == ""


@pytest.mark.timeout(1800)
def test_a_head_that_is_started_after_a_launch_takes_its_workers(
    in_tmp: Path, few_photos_root: Path
) -> None:
    """Though the shells say nothing of tokens."""
    environment = without_token(in_tmp)

    def launch(name: str, steps: int, *more: str) -> None:
        body = merged(SMALL, {"name": name, "recipe": {"training": {"steps": steps}}})
        (in_tmp / f"{name}.yaml").write_text(yaml.safe_dump(body))
        command = [sys.executable, "-m", "lcma", "launch", f"{name}.yaml", "--no-pictures"]
        command += ["--data", str(few_photos_root), *more]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    launch("before", 10)
    assert not list(in_tmp.rglob("auth_token"))
    with head_by_hand(environment, 0) as address, node_by_hand(address, environment, 1):
        launch("after", 20, "--ray", address)
    assert set(db.connect(f"sqlite:///{in_tmp / 'lcma.db'}").view("attempts").outcome) == {"done"}
