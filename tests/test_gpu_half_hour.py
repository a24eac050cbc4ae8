"""The half hour on a GPU, run on a CPU: every section comes to an end, and one that fails stops no
other."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import gpu_half_hour
from benchmarks.gpu_half_hour import NotRunError, Run, as_markdown, main

ROOT = Path(__file__).parents[1]


def test_a_section_that_fails_or_cannot_be_run_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(run: Run) -> None:
        run.rows.append({"row": "measured before"})
        with run.apart("realnvp/tiny"):
            raise ValueError("compile is refused")
        run.rows.append({"row": "measured after"})
        raise RuntimeError("no kernel image")

    def cannot(run: Run) -> None:
        raise NotRunError("give --data DIR")

    def measures(run: Run) -> None:
        run.notes.append("one is left out")
        run.rows += [
            {"row": "a", "same bits": True},
            {"row": "b", "same bits": False, "quartiles": [1, 2]},
        ]

    sections = {"bits": ("Bits", fails), "maps": ("Maps", cannot), "stacks": ("Stacks", measures)}
    monkeypatch.setattr(gpu_half_hour, "SECTIONS", sections)
    assert main(["--device", "cpu", "--quick", "--out", str(tmp_path)]) == 1
    document = json.loads((tmp_path / "gpu-half-hour.json").read_text())
    assert document["bits"]["errors"] == [
        "realnvp/tiny: ValueError: compile is refused",
        "RuntimeError: no kernel image",
    ]
    assert "in fails" in document["bits"]["tracebacks"][1]
    assert document["maps"]["not run"] == "give --data DIR"
    text = (tmp_path / "gpu-half-hour.md").read_text()
    assert text == as_markdown(document)
    assert "| measured before |\n| measured after |" in text
    assert "- Failed: RuntimeError: no kernel image" in text
    assert "| b | **no** | 1 to 2 |" in text
    assert "- one is left out" in text
    assert "Not run: give --data DIR." in text
    assert "same bits" in capsys.readouterr().out


def test_the_outcome_of_each_gpu_test_is_read(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_few.py").write_text(
        "import pytest\n"
        "@pytest.fixture\n"
        "def broken(): raise RuntimeError('50%]')\n"
        "@pytest.mark.parametrize('way', [{'compile': True}], ids=str)\n"
        "def test_passes(way): pass\n"
        "def test_fails(): assert False\n"
        "def test_skips(): pytest.skip('no device')\n"
        "def test_has_no_fixture(broken): pass\n"
    )
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert gpu_half_hour.read_outcomes(done.stdout) == [
        ("tests/test_few.py::test_passes[{'compile': True}]", "PASSED"),
        ("tests/test_few.py::test_fails", "FAILED"),
        ("tests/test_few.py::test_skips", "SKIPPED"),
        ("tests/test_few.py::test_has_no_fixture", "ERROR"),
    ]


def test_maps_of_the_whole_set_need_it(tmp_path: Path) -> None:
    given = ["maps", "--device", "cpu", "--out", str(tmp_path)]
    assert main(given) == 0
    document = json.loads((tmp_path / "gpu-half-hour.json").read_text())
    assert "cifar10-16" in document["maps"]["not run"]


def test_a_folder_without_the_set_is_refused_by_its_whole_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["maps", "--device", "cpu", "--data", "data"])
    assert ended.value.code == 2
    assert f"{tmp_path / 'data'} holds no cifar10-16" in capsys.readouterr().err


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
        assert document[key]["errors"] == []
    assert all(row["same bits"] for row in document["bits"]["rows"])
    assert all(row["processes, ms a model"] > 0 for row in document["stacks"]["rows"])
