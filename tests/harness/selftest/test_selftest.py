"""`lcma selftest`: sweeps that are killed, as a person runs it."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from lcma.harness.cli import main as cli
from lcma.harness.data.digits import _PARTS
from lcma.harness.run.spool import VARIABLE
from lcma.harness.selftest import campaign, sweep
from lcma.harness.selftest.kills import parse_kill
from lcma.harness.selftest.schedule import BOUNDARIES, EACH

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("selftest")]

LCMA = [sys.executable, "-m", "lcma"]


def selftest(folder: Path, *options: str) -> dict[str, Any]:
    """Run it to an end that is equal; its JSON, and the log of kills that it left."""
    done = subprocess.run(
        [*LCMA, "selftest", "--json", "--keep", "--runs", str(folder), *options],
        cwd=folder,
        env={k: v for k, v in os.environ.items() if not k.startswith("LCMA_DB")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    return checked(folder, done.stdout, results=10)


def checked(folder: Path, printed: str, *, results: int) -> dict[str, Any]:
    """The JSON of one that ended, if its runs were equal and its log is whole."""
    found: dict[str, Any] = json.loads(printed)
    (log,) = folder.glob("lcma-selftest-*/kills/kills.jsonl")
    lines = [parse_kill(line) for line in log.read_text().splitlines()]
    assert len(lines) == len(found["kills"])
    assert found["equal"]
    assert found["differences"] == []
    assert found["unmet"] == []
    assert found["compared"]["results"] == results
    return found


def states(found: dict[str, Any]) -> set[str]:
    """The states of jobs whose workers were killed."""
    return {kill["state"] for kill in found["kills"] if kill["who"] == "worker"} - {None}


@pytest.mark.timeout(600)
def test_a_few_kills_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of fewer jobs, one after the other, of fewer images, with leases that are over sooner."""
    shorter = {
        "self, variance-low, low": "low",
        "[20, 50]": "[10, 20]",
        "60, ema": "40, ema",
        ", {optimization: {stacked: true}}": "",
        "{gpus: 0}": f"{{gpus: 0, cpus: {os.cpu_count()}}}",
    }
    spec = sweep.SPEC
    for long, short in shorter.items():
        assert long in spec
        spec = spec.replace(long, short)
    monkeypatch.setattr(sweep, "SPEC", spec)
    few = {name: slice(part.start, (part.start or 0) + 160) for name, part in _PARTS.items()}
    monkeypatch.setattr("lcma.harness.data.digits._PARTS", few)
    monkeypatch.setattr(campaign, "LEASE_SECONDS", 2.0)
    monkeypatch.setenv(VARIABLE, "its own")
    options = ("--keep", "--local", "--kill", "3", "--seed", "202")
    with pytest.raises(SystemExit) as end:
        cli.main(["selftest", "--json", "--runs", str(tmp_path), *options])
    assert end.value.code == 0
    found = checked(tmp_path, capsys.readouterr().out, results=3)
    assert {kill["who"] for kill in found["kills"]} == {"worker", "driver"}
    assert {kill["moment"] for kill in found["kills"]} == {"step", "checkpoint", "driver"}
    assert found["between_checkpoints"] >= 1, "a training is resumed"
    assert found["launches"] >= found["rounds"]


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_272_kills_over_all_boundaries_change_nothing(tmp_path: Path) -> None:
    """At least five before and five after each, with the state of each on record, and fifty
    between two checkpoints of a training."""
    found = selftest(tmp_path, "--local", "--kill", "272")
    assert len(found["kills"]) >= 272
    assert found["between_checkpoints"] >= 50
    met = Counter(f"{kill['moment']}.{kill['when']}" for kill in found["kills"])
    few = {
        side: met[side]
        for moment in BOUNDARIES
        for side in (f"{moment}.before", f"{moment}.after")
        if met[side] < EACH
    }
    assert few == {}
    assert {"pending", "running", "done"} <= states(found)
    assert {kill["who"] for kill in found["kills"]} == {"worker", "driver", "connection"}


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_kills_with_a_server_change_nothing(tmp_path: Path, postgres_url: str) -> None:
    found = selftest(tmp_path, "--local", "--kill", "40", "--db", postgres_url)
    assert len(found["kills"]) >= 40
    assert found["who"]["connection"] >= 1


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.xdist_group("ray")
def test_kills_on_a_cluster_change_nothing(tmp_path: Path) -> None:
    """Nodes too, of a cluster that it starts for itself."""
    found = selftest(tmp_path, "--kill", "40", "--seed", "1")
    assert len(found["kills"]) >= 40
    assert found["who"]["node"] >= 1
