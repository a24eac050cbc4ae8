"""The half hour on a GPU, run on a CPU: every section comes to an end, and one that fails stops no
other."""

import json
import os
import subprocess
import sys
import time
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


@pytest.mark.slow
def test_the_recipes_of_all_rows_against_the_peer_are_valid(tmp_path: Path) -> None:
    pytest.importorskip("normflows", reason="normflows is not installed")
    assert main(["peer", "--device", "cpu", "--quick", "--out", str(tmp_path)]) == 0
    document = json.loads((tmp_path / "gpu-half-hour.json").read_text())
    assert [row["row"] for row in document["peer"]["rows"]] == ["realnvp/tiny", "glow/tiny"]


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


@pytest.mark.slow
def test_a_program_that_is_ended_keeps_what_it_printed() -> None:
    sleeps = "import time; print('so far'); time.sleep(600)"
    done = gpu_half_hour._python("-c", sleeps, seconds=0)
    assert done.code is None
    assert done.stdout == "so far\n"


@pytest.mark.slow
def test_a_process_that_fails_ends_the_others(tmp_path: Path) -> None:
    run = Run("cpu", True, None, time.monotonic() + 300)
    with pytest.raises(RuntimeError, match=r"2 processes: .*no such flow"):
        gpu_half_hour._in_processes(run, "no such flow", "tiny", 2)


def test_nothing_is_begun_when_time_is_over(tmp_path: Path) -> None:
    assert main(["--device", "cpu", "--quick", "--minutes", "0", "--out", str(tmp_path)]) == 0
    document = json.loads((tmp_path / "gpu-half-hour.json").read_text())
    assert {document[key]["not run"] for key in gpu_half_hour.SECTIONS} == {"no time left"}


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
        assert document[key]["errors"] == []
    assert all(row["same bits"] for row in document["bits"]["rows"])
    assert all(row["processes, ms a model"] > 0 for row in document["stacks"]["rows"])
