"""Hosts on which trials cannot run cost no trial, whenever they come and whatever they lack."""

import os
import re
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from lcma import db
from tests.conftest import SITE as SITE_OF_TESTS
from tests.harness.conftest import SMALL, merged
from tests.harness.launch.machines import DEADLINE, DIE, HOOK, Machines, wait_until
from tests.stores import list_running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800), pytest.mark.xdist_group("ray")]

SITE = """
import importlib.metadata, os, sys, time

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name in os.environ["BLOCKED"].split(","):
            raise ModuleNotFoundError(f"No module named {name!r}")

sys.meta_path.insert(0, Blocked())
if "OTHER_CODE" in os.environ:
    read = importlib.metadata.version
    importlib.metadata.version = lambda name: "0.0.9" if name == "lcma" else read(name)
if "HANGS" in os.environ:
    def hang(event, arguments):
        if event == "open" and "/probe-" in str(arguments[0]):
            time.sleep(1e6)

    sys.addaudithook(hang)
"""
"""The start of a Python that lacks modules, has another version of lcma, or hangs when it opens a
file that the launch wrote beside the checkpoints."""

WITHOUT_LCMA, WITHOUT_PSYCOPG = {"BLOCKED": "lcma"}, {"BLOCKED": "psycopg"}
OTHER_CODE = {"BLOCKED": "", "OTHER_CODE": "1"}
HANGING = {"BLOCKED": "", "HANGS": "1"}
WITHOUT_SAFETENSORS = {"BLOCKED": "safetensors"}
"""A worker imports it; the checks of a node do not."""
DEADLY = {HOOK: DIE}
"""A worker dies after the checks of its node and before it claims a trial."""


class Nodes:
    """Nodes of a cluster, and a launch on them in a process of its own."""

    def __init__(self, machines: Machines, folder: Path, url: str, data: Path) -> None:
        self.machines, self.folder, self.url, self.data = machines, folder, url, data
        self.site = folder / "site"
        self.site.mkdir()
        (self.site / "sitecustomize.py").write_text(SITE)
        body = merged(SMALL, {"recipe": {"training": {"steps": 600}}, "seeds": 4})
        (folder / "hosts.yaml").write_text(yaml.safe_dump(body))

    def add(self, address: str, variables: dict[str, str] | None = None, gpus: int = 0) -> str:
        """Add a node with some variables in its environment; return its address."""
        site = SITE_OF_TESTS if HOOK in (variables or {}) else str(self.site)
        paths = sys.path if variables is None else [site, *sys.path]
        environment = {"PYTHONPATH": os.pathsep.join(paths)} | (variables or {})
        self.newest = self.machines.add(address=address, environment=environment, gpus=gpus)
        return address

    def launch(self, *options: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "lcma", "launch", "hosts.yaml", *options]
        command += ["--ray", self.machines.address, "--db", self.url]
        command += ["--runs", str(self.folder / "runs"), "--data", str(self.data)]
        with self.out.open("w") as out:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "500"},
            )

    @property
    def out(self) -> Path:
        return self.folder / "out.txt"

    def wait(self, launch: "subprocess.Popen[str]") -> str:
        """Wait for a launch to end; return what it printed."""
        launch.wait(timeout=DEADLINE)
        return self.out.read_text()

    def has_trial(self) -> bool:
        return db.exists(self.url) and bool(list_running(db.connect(self.url)))

    def wait_until_aside(
        self, launch: "subprocess.Popen[str]", addresses: Collection[str]
    ) -> dict[str, str]:
        """Wait until each host is set aside; return the reasons by address."""

        def read_reasons() -> dict[str, str]:
            line = r"\(([0-9.]+)\) gets no more trials of this launch \(a new launch.*?\): (.*)"
            return dict(re.findall(line, self.out.read_text()))

        wait_until(lambda: launch.poll() is not None or read_reasons().keys() >= set(addresses))
        return read_reasons()


@pytest.fixture
def nodes(tmp_path: Path, postgres_url: str, photos_root: Path) -> Iterator[Nodes]:
    with closing(Machines()) as machines:
        yield Nodes(machines, tmp_path, postgres_url, photos_root)


def test_bad_nodes_are_named_and_good_ones_run_every_trial(nodes) -> None:
    """Nodes come before the start and later."""
    good = {nodes.add("127.0.0.11")}
    bad = {
        nodes.add("127.0.0.12", WITHOUT_LCMA): "No module named 'lcma'",
        nodes.add("127.0.0.13", WITHOUT_PSYCOPG): "psycopg",
        nodes.add("127.0.0.14", OTHER_CODE): "other code, 0.0.9",
        nodes.add("127.0.0.17", WITHOUT_SAFETENSORS): "cannot run lcma (ModuleNotFoundError",
        nodes.add("127.0.0.18", DEADLY): "its worker died (WorkerCrashedError)",
    }
    launch = nodes.launch()
    wait_until(lambda: launch.poll() is not None or nodes.has_trial())
    assert launch.poll() is None, nodes.out.read_text()
    bad[nodes.add("127.0.0.19", HANGING)] = "did not report within 120 s"
    for _ in range(2):  # the second time as another node
        bad[nodes.add("127.0.0.15", WITHOUT_LCMA)] = "No module named 'lcma'"
        nodes.wait_until_aside(launch, bad)
        nodes.machines.lose(nodes.newest)
    good.add(nodes.add("127.0.0.16"))
    reasons = nodes.wait_until_aside(launch, bad)
    assert reasons.keys() == bad.keys()
    assert all(bad[address] in reason for address, reason in reasons.items()), reasons
    out = nodes.wait(launch)
    assert launch.returncode == 0, out
    attempts = db.connect(nodes.url).view("attempts")
    assert set(attempts.outcome) == {"done"}, out
    assert "times without" not in out
    assert all(out.count(f"({address}) gets no more trials") == 1 for address in bad), out


def test_a_launch_does_not_begin_where_all_nodes_are_bad(nodes) -> None:
    nodes.add("127.0.0.12", OTHER_CODE, gpus=1)
    for options, message in (
        ((), "other code, 0.0.9"),
        (("--gpus", "0.5", "--any-code"), "for CPUs"),
    ):
        launch = nodes.launch(*options)
        out = nodes.wait(launch)
        assert launch.returncode == 2
        assert "127.0.0.12" in out
        assert message in out
    assert not db.exists(nodes.url)
