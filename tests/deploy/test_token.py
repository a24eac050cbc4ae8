"""A Ray cluster that asks for its token, and launches without it."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.harness.launch.machines import head_by_hand
from tests.processes import ROOT, run_python

pytestmark = [pytest.mark.slow, pytest.mark.ray]


class Head(NamedTuple):
    address: str
    environment: dict[str, str]


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    token = tmp_path_factory.mktemp("token") / "token"
    token.write_text(secrets.token_hex(32))
    environment = os.environ | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "PYTHONPATH": str(ROOT / "src"),
    }
    with head_by_hand(environment, cpus=1) as address:
        yield Head(address, environment)


@pytest.mark.parametrize(
    ("changed", "cause"),
    [
        ({"RAY_AUTH_MODE": "disabled"}, "Authentication token is missing or incorrect"),
        ({"RAY_AUTH_TOKEN": "another"}, "Authentication token is missing or incorrect"),
        ({"RAY_AUTH_TOKEN_PATH": "/nowhere"}, "cannot be opened or is empty: /nowhere"),
    ],
    ids=["no mode", "another token", "no file"],
)
def test_a_launch_that_is_refused_says_what_to_set_in_one_line(
    head: Head, changed: dict[str, str], cause: str, in_tmp: Path
) -> None:
    launch = ("-m", "lcma", "launch", "demo", "--gpus", "0", "--ray", head.address)
    process = run_python(*launch, folder=in_tmp, **head.environment | changed)
    assert process.returncode == 2
    (line,) = process.stderr.splitlines()
    assert line.startswith(f"lcma: Ray at {head.address} lets nobody in without its token")
    assert cause in line
    assert "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH" in line
    assert not list(in_tmp.iterdir())
