"""The half hour on a GPU, run on a CPU: a section that fails does not stop the others."""

import json
from pathlib import Path

import pytest

from benchmarks import gpu_half_hour
from benchmarks.gpu_half_hour import NotRunError, Row, Run, as_markdown, main
from tests.processes import read_output, run_python


def test_failed_rows_and_sections_stop_no_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure(run: Run, name: str) -> Row:
        if name == "compiled":
            raise ValueError("compile is refused\nsee the log")
        return {"gain": 2, "expected": 3}

    def fail(run: Run) -> None:
        for name in ("before", "compiled", "after"):
            run.attempt(name, measure, name)
        raise RuntimeError("no kernel image")

    def refuse(run: Run) -> None:
        raise NotRunError("give --data DIR")

    sections = {"stacks": ("Stacks", fail), "maps": ("Maps", refuse)}
    monkeypatch.setattr(gpu_half_hour, "SECTIONS", sections)
    assert main(["--device", "cpu", "--quick", "--out", str(tmp_path)]) == 1
    document = json.loads((tmp_path / "gpu-half-hour.json").read_text())
    assert "in measure" in document["stacks"]["tracebacks"][0]
    text = (tmp_path / "gpu-half-hour.md").read_text()
    assert text == as_markdown(document)
    assert "| row | gain | expected |\n| --- | --- | --- |\n| before | 2 | 3 |\n| after |" in text
    assert "\n- Failed: compiled: ValueError: compile is refused\n" in text
    assert "\n- Failed: all of it: RuntimeError: no kernel image\n" in text
    assert "\n- Not run: give --data DIR\n" in text
    assert "| after | 2 | 3 |" in capsys.readouterr().out


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
    pytest_v = ["-m", "pytest", "-v", "-p", "no:cacheprovider", "tests"]
    ended = run_python(*pytest_v, folder=tmp_path)
    assert gpu_half_hour.read_outcomes(ended.stdout) == [
        ("tests/test_few.py::test_passes[{'compile': True}]", "PASSED"),
        ("tests/test_few.py::test_fails", "FAILED"),
        ("tests/test_few.py::test_skips", "SKIPPED"),
        ("tests/test_few.py::test_has_no_fixture", "ERROR"),
    ]


@pytest.mark.parametrize("section", ["maps", "cell"])
def test_without_its_data_set_a_section_says_how_to_get_it(section: str, tmp_path: Path) -> None:
    assert main([section, "--device", "cpu", "--out", str(tmp_path)]) == 0
    (note,) = json.loads((tmp_path / "gpu-half-hour.json").read_text())[section]["notes"]
    assert "lcma data prepare cifar10" in note


@pytest.mark.slow
def test_every_section_runs_on_a_cpu(tmp_path: Path) -> None:
    pytest.importorskip("normflows", reason="normflows is not installed")
    options = ["--device", "cpu", "--quick", "--out", tmp_path]
    read_output("-m", "benchmarks.gpu_half_hour", *options)
    document = json.loads((tmp_path / "gpu-half-hour.json").read_text())
    for key in gpu_half_hour.SECTIONS:
        assert all("expected" in row for row in document[key]["rows"]), key
        assert document[key]["rows"], key
        assert document[key]["notes"] == document[key]["errors"] == []
