"""Hosts on which trials cannot run cost no trial, whenever they come and whatever they lack."""

import os
import re
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest
import torch
import yaml

from lcma import db
from tests.harness.conftest import SMALL, merged
from tests.harness.run.machines import DEADLINE, Machines, until
from tests.harness.run.test_sick_hosts import ECC, FLOW

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800), pytest.mark.xdist_group("ray")]

SITE = """
import dataclasses, importlib.metadata, os, sys
from importlib.machinery import PathFinder

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name in os.environ["BLOCKED"].split(","):
            raise ModuleNotFoundError(f"No module named {name!r}")

sys.meta_path.insert(0, Blocked())
if "OTHER_CODE" in os.environ:
    read = importlib.metadata.version
    importlib.metadata.version = lambda name: "0.0.9" if name == "lcma" else read(name)

class StandIn:
    def find_spec(self, name, path=None, target=None):
        if name not in ("torch.cuda", "lcma.harness.run.worker"):
            return None
        spec = PathFinder.find_spec(name, path)
        run = spec.loader.exec_module

        def exec_module(module):
            run(module)
            if "DEADLY" in os.environ:
                module.run_works = die
            elif name == "torch.cuda":
                module.is_available = lambda: True
            else:
                works = module.run_works
                module.run_works = lambda given: works([on_cpu(one) for one in given])

        spec.loader.exec_module = exec_module
        return spec

def die(given):
    os.kill(os.getpid(), 9)

def on_cpu(work):
    return dataclasses.replace(work, device="cpu")

if {"GPU_STAND_IN", "DEADLY"} & os.environ.keys():
    sys.meta_path.insert(0, StandIn())
"""
"""The start of a Python that lacks modules, has another version of lcma, can let a worker die, or
has its CPU for a GPU that PyTorch can use."""

WITHOUT_LCMA, WITHOUT_PSYCOPG = {"BLOCKED": "lcma"}, {"BLOCKED": "psycopg"}
OTHER_CODE = {"BLOCKED": "", "OTHER_CODE": "1"}
GPU = {"BLOCKED": "", "GPU_STAND_IN": "1"}
WITHOUT_SAFETENSORS = {"BLOCKED": "safetensors"}
"""Which a worker imports, and nothing that a node is asked before."""
DEADLY = {"BLOCKED": "", "DEADLY": "1"}
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
        (folder / "site").mkdir()
        (folder / "site" / "sitecustomize.py").write_text(SITE)
        body = merged(SMALL, {"recipe": {"training": {"steps": 600}}, "seeds": 4})
        (folder / "hosts.yaml").write_text(yaml.safe_dump(body))

    def add(self, address: str, changed: dict[str, str] | None = None, gpus: int = 0) -> str:
        """Add a node with an environment of its own; return its address."""
        path = [*([] if changed is None else [str(self.folder / "site")]), *sys.path]
        environment = {"PYTHONPATH": os.pathsep.join(path)} | (changed or {})
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
        return db.exists(self.url) and bool(db.connect(self.url).running_jobs())

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
    }
    launch = started.launch()
    until(lambda: launch.poll() is not None or started.runs())
    assert launch.poll() is None, started.out.read_text()
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
    attempts = db.connect(started.url).attempts()
    assert set(attempts.outcome) == {"done"}, out
    assert "times without" not in out
    assert all(out.count(f"({address}) gets no more trials") == 1 for address in bad), out


@pytest.mark.skipif(torch.cuda.is_available(), reason="a PyTorch that can use no GPU is needed")
def test_gpu_nodes_whose_pytorch_cannot_use_one_burn_nothing_and_are_named(
    started: Started,
) -> None:
    """They offer Ray a GPU as the good one does, one at the start and one that comes late."""
    good = {started.add("127.0.0.11", GPU, gpus=1)}
    bad = {started.add("127.0.0.12", gpus=1)}
    launch = started.launch("--gpus", "0.5")
    until(lambda: launch.poll() is not None or started.runs())
    assert launch.poll() is None, started.out.read_text()
    bad.add(started.add("127.0.0.13", gpus=1))
    said = started.wait_until_aside(launch, bad)
    out = started.end(launch)
    assert said.keys() == bad, out
    assert all("offers GPUs, and its PyTorch" in why for why in said.values()), said
    assert launch.returncode == 0, out
    attempts = db.connect(started.url).attempts()
    assert set(attempts.outcome) == {"done"}, out
    assert "times without" not in out
    assert all(out.count(f"({address}) gets no more trials") == 1 for address in bad), out
    assert not any(f"({address}) gets no more trials" in out for address in good), out


def test_a_node_whose_workers_die_before_the_claim_burns_nothing_and_is_named(
    started: Started,
) -> None:
    good, bad = started.add("127.0.0.11"), started.add("127.0.0.12", DEADLY)
    out = started.end(started.launch())
    assert "times without" not in out
    why = "(a new launch tries it again): its worker died (WorkerCrashedError)"
    assert f"({bad}) gets no more trials of this launch {why}" in out
    assert f"({good}) gets no more trials" not in out
    assert set(db.connect(started.url).attempts().outcome) == {"done"}, out


def test_a_node_whose_device_fails_in_trials_burns_nothing_and_is_named(started: Started) -> None:
    """A launch that has no other one gives its trials up; with another one it ends them."""
    (started.folder / "sick.py").write_text(FLOW.format(name="sick"))
    matrix = {"flow": "sick", "dataset": "photos8", "factorization": "channel"}
    body = {"name": "sick", "matrix": matrix, "profile": "tiny", "seeds": 6, "plugins": "sick.py"}
    (started.folder / "hosts.yaml").write_text(yaml.safe_dump(body))
    bad = started.add("127.0.0.12", {"BLOCKED": "", "SICK": ECC})
    launch = started.launch()
    out = started.end(launch)
    assert launch.returncode == 1, out
    assert f"({bad}): its device failed: {ECC}, 3 times without getting beyond step 0" in out
    good = started.add("127.0.0.11")
    launch = started.launch()
    out = started.end(launch)
    assert launch.returncode == 0, out
    why = f"(a new launch tries it again): its device failed: {ECC}"
    assert f"({bad}) gets no more trials of this launch {why}" in out
    assert f"({good}) gets no more" not in out
    outcomes = list(db.connect(started.url).attempts().outcome)
    assert set(outcomes) == {"done", "node_lost"}, out
    assert outcomes.count("done") == 6


def test_a_cluster_of_bad_nodes_alone_ends_a_launch_before_it_begins(started: Started) -> None:
    started.add("127.0.0.12", OTHER_CODE, gpus=1)
    for more, said in (((), "other code, 0.0.9"), (("--gpus", "0.5", "--any-code"), "for CPUs")):
        launch = started.launch(*more)
        out = started.end(launch)
        assert launch.returncode == 2
        assert "127.0.0.12" in out
        assert said in out
    assert not db.exists(started.url)
