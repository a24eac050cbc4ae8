"""A Ray cluster that asks for its token, and launches that have none or another one."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LCMA = [sys.executable, "-m", "lcma"]
RAY = [sys.executable, "-c", "from ray.scripts.scripts import main; main()"]

pytestmark = [pytest.mark.slow, pytest.mark.ray]


@dataclass
class Head:
    address: str
    environment: dict[str, str]


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    folder = tempfile.mkdtemp(prefix="lcma-ray-", dir="/tmp")  # sockets need a short path
    token = Path(folder, "token")
    token.write_text(secrets.token_hex(32))
    environment = os.environ | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "PYTHONPATH": str(ROOT / "src"),
    }
    with socket.create_server(("", 0)) as found:
        port = found.getsockname()[1]
    options = ["--num-cpus=1", "--num-gpus=0", "--min-worker-port=0", "--max-worker-port=0"]
    options += [f"--port={port}", f"--temp-dir={folder}/r", "--include-dashboard=false"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(
        [*RAY, "start", "--head", "--block", *options], env=environment, **quiet
    )
    address = f"127.0.0.1:{port}"
    asked = [*RAY, "health-check", "--address", address]
    until = time.monotonic() + 120
    while subprocess.run(asked, env=environment, check=False, **quiet).returncode:
        assert process.poll() is None
        assert time.monotonic() < until
    yield Head(address, environment)
    process.terminate()
    process.wait()
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"RAY_AUTH_MODE": "disabled"}, "Authentication token is missing or incorrect"),
        ({"RAY_AUTH_TOKEN": "another"}, "Authentication token is missing or incorrect"),
        ({"RAY_AUTH_TOKEN_PATH": "/nowhere"}, "cannot be opened or is empty: /nowhere"),
    ],
    ids=["no mode", "another token", "no file"],
)
def test_a_launch_that_is_refused_says_what_to_set_in_one_line(
    head: Head, changed: dict[str, str], why: str, in_tmp: Path
) -> None:
    done = subprocess.run(
        [*LCMA, "launch", "demo", "--gpus", "0", "--ray", head.address],
        env=head.environment | changed,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"lcma: Ray at {head.address} lets nobody in without its token")
    assert why in line
    assert "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH" in line
    assert not list(in_tmp.iterdir())
