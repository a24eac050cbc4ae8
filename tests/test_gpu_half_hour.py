"""The half hour on a GPU, run on a CPU: every section comes to an end, and one that fails stops no
other."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import gpu_half_hour
from benchmarks.gpu_half_hour import NotRunError, Run, as_markdown, main

ROOT = Path(__file__).parents[1]


def test_a_section_that_fails_or_cannot_be_run_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(run: Run) -> list[dict[str, Any]]:
        raise RuntimeError("no kernel image")

    def cannot(run: Run) -> list[dict[str, Any]]:
        raise NotRunError("give --data DIR")

    def measures(run: Run) -> list[dict[str, Any]]:
        run.notes.append("one is left out")
        return [
            {"row": "a", "same bits": True},
            {"row": "b", "same bits": False, "quartiles": [1, 2]},
        ]

    sections = {"bits": ("Bits", fails), "maps": ("Maps", cannot), "stacks": ("Stacks", measures)}
    monkeypatch.setattr(gpu_half_hour, "SECTIONS", sections)
    assert main(["--device", "cpu", "--quick", "--out", str(tmp_path)]) == 1
    document = json.loads((tmp_path / "gpu-half-hour.json").read_text())
    assert document["bits"]["error"] == "RuntimeError: no kernel image"
    assert document["maps"]["not run"] == "give --data DIR"
    text = (tmp_path / "gpu-half-hour.md").read_text()
    assert text == as_markdown(document)
    assert "| b | **no** | 1 to 2 |" in text
    assert "- one is left out" in text
    assert "Not run: give --data DIR." in text
    assert "same bits" in capsys.readouterr().out


def test_nothing_is_begun_when_time_is_over(tmp_path: Path) -> None:
    assert main(["--device", "cpu", "--quick", "--minutes", "0", "--out", str(tmp_path)]) == 0
    document = json.loads((tmp_path / "gpu-half-hour.json").read_text())
    assert {document[key]["not run"] for key in gpu_half_hour.SECTIONS} == {"no time left"}


def test_maps_of_the_whole_set_need_it(tmp_path: Path) -> None:
    given = ["maps", "--device", "cpu", "--out", str(tmp_path)]
    assert main(given) == 0
    document = json.loads((tmp_path / "gpu-half-hour.json").read_text())
    assert "cifar10-16" in document["maps"]["not run"]


def test_a_section_that_is_not_known_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["stakcs"])
    assert ended.value.code == 2
    assert "no section 'stakcs'; sections are exactness, bits" in capsys.readouterr().err


@pytest.mark.slow
def test_every_section_runs_on_a_cpu(tmp_path: Path) -> None:
    pytest.importorskip("normflows", reason="normflows is not installed")
    command = [sys.executable, "-m", "benchmarks.gpu_half_hour", "--device", "cpu", "--quick"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads((tmp_path / "gpu-half-hour.json").read_text())
    for key in gpu_half_hour.SECTIONS:
        assert document[key]["rows"], key
        assert document[key]["notes"] == []
    assert all(row["same bits"] for row in document["bits"]["rows"])
    assert all(row["processes, ms a model"] > 0 for row in document["stacks"]["rows"])
