"""Hosts on which trials cannot run cost no trial, whenever they come and whatever they lack."""

import os
import re
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest
import yaml

from lcma import db
from tests.conftest import SITE as SITE_OF_TESTS
from tests.harness.conftest import SMALL, merged
from tests.harness.launch.machines import DEADLINE, DIE, HOOK, Machines, until
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
    def hang(event, given):
        if event == "open" and "/probe-" in str(given[0]):
            time.sleep(1e6)

    sys.addaudithook(hang)
"""
"""The start of a Python that lacks modules, has another version of lcma, or waits for ever for what
the launch has put into the place of checkpoints."""

WITHOUT_LCMA, WITHOUT_PSYCOPG = {"BLOCKED": "lcma"}, {"BLOCKED": "psycopg"}
OTHER_CODE = {"BLOCKED": "", "OTHER_CODE": "1"}
HANGING = {"BLOCKED": "", "HANGS": "1"}
WITHOUT_SAFETENSORS = {"BLOCKED": "safetensors"}
"""Which a worker imports, and nothing that a node is asked before."""
DEADLY = {HOOK: DIE}
"""A worker dies once its node has been asked, and before it claims a trial."""


@pytest.fixture
def machines() -> Iterator[Machines]:
    made = Machines()
    yield made
    made.close()


class Started:
    """A launch in a process of its own, on the nodes of a cluster."""

    def __init__(self, machines: Machines, folder: Path, url: str, data: Path) -> None:
        self.machines, self.folder, self.url, self.data = machines, folder, url, data
        self.site = folder / "site"
        self.site.mkdir()
        (self.site / "sitecustomize.py").write_text(SITE)
        body = merged(SMALL, {"recipe": {"training": {"steps": 600}}, "seeds": 4})
        (folder / "hosts.yaml").write_text(yaml.safe_dump(body))

    def add(self, address: str, changed: dict[str, str] | None = None, gpus: int = 0) -> str:
        """Add a node with an environment of its own; return its address."""
        own = [] if changed is None else [SITE_OF_TESTS if HOOK in changed else str(self.site)]
        environment = {"PYTHONPATH": os.pathsep.join([*own, *sys.path])} | (changed or {})
        self.newest = self.machines.add(address=address, environment=environment, gpus=gpus)
        return address

    def launch(self, *more: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "lcma", "launch", "hosts.yaml", "--no-pictures", *more]
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

    def end(self, launch: "subprocess.Popen[str]") -> str:
        """Wait for a launch to end; return what it printed."""
        launch.wait(timeout=DEADLINE)
        return self.out.read_text()

    def runs(self) -> bool:
        return db.exists(self.url) and bool(list_running(db.connect(self.url)))

    def wait_until_aside(
        self, launch: "subprocess.Popen[str]", addresses: Collection[str]
    ) -> dict[str, str]:
        """Wait until each host is set aside; return why, by their addresses."""

        def aside() -> dict[str, str]:
            line = r"\(([0-9.]+)\) gets no more trials of this launch \(a new launch.*?\): (.*)"
            return dict(re.findall(line, self.out.read_text()))

        until(lambda: launch.poll() is not None or aside().keys() >= set(addresses))
        return aside()


@pytest.fixture
def started(machines: Machines, tmp_path: Path, postgres_url: str, photos_root: Path) -> Started:
    return Started(machines, tmp_path, postgres_url, photos_root)


def test_bad_nodes_burn_nothing_and_are_named(started: Started, machines: Machines) -> None:
    """Every trial is done on the good ones, whether a node is there at the start or comes late."""
    good = {started.add("127.0.0.11")}
    bad = {
        started.add("127.0.0.12", WITHOUT_LCMA): "No module named 'lcma'",
        started.add("127.0.0.13", WITHOUT_PSYCOPG): "psycopg",
        started.add("127.0.0.14", OTHER_CODE): "other code, 0.0.9",
        started.add("127.0.0.17", WITHOUT_SAFETENSORS): "cannot run lcma (ModuleNotFoundError",
        started.add("127.0.0.18", DEADLY): "its worker died (WorkerCrashedError)",
    }
    launch = started.launch()
    until(lambda: launch.poll() is not None or started.runs())
    assert launch.poll() is None, started.out.read_text()
    bad[started.add("127.0.0.18", HANGING)] = "did not report within 120 s"
    for _ in range(2):  # the second time as another node
        bad[started.add("127.0.0.15", WITHOUT_LCMA)] = "No module named 'lcma'"
        started.wait_until_aside(launch, bad)
        machines.lose(started.newest)
    good.add(started.add("127.0.0.16"))
    said = started.wait_until_aside(launch, bad)
    assert said.keys() == bad.keys()
    assert all(bad[address] in why for address, why in said.items()), said
    out = started.end(launch)
    assert launch.returncode == 0, out
    attempts = db.connect(started.url).view("attempts")
    assert set(attempts.outcome) == {"done"}, out
    assert "times without" not in out
    assert all(out.count(f"({address}) gets no more trials") == 1 for address in bad), out


def test_a_cluster_of_bad_nodes_alone_ends_a_launch_before_it_begins(started: Started) -> None:
    started.add("127.0.0.12", OTHER_CODE, gpus=1)
    for more, said in (((), "other code, 0.0.9"), (("--gpus", "0.5", "--any-code"), "for CPUs")):
        launch = started.launch(*more)
        out = started.end(launch)
        assert launch.returncode == 2
        assert "127.0.0.12" in out
        assert said in out
    assert not db.exists(started.url)
