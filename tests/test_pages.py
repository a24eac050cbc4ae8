"""What the documentation's pages print works: code, sweeps, commands, workflows for GitHub."""

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from lcma.harness.show.site import files
from tests.harness.cli.conftest import run_lcma
from tests.processes import ROOT, read_output


def find_blocks(page: str, language: str) -> list[str]:
    text = (ROOT / "docs" / page).read_text()
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_commands_of_the_first_page_succeed(tmp_path: Path) -> None:
    (sweep,) = find_blocks("start.md", "yaml")
    (tmp_path / "first.yaml").write_text(sweep)
    lines = "".join(find_blocks("start.md", "sh")).splitlines()
    assert len(lines) > 10
    for line in lines:
        command, *arguments = shlex.split(line)
        assert command == "lcma"
        read_output("-m", "lcma", *arguments, folder=tmp_path)
    assert (tmp_path / "site" / "index.html").is_file()
    assert (tmp_path / "forest.svg").is_file()


def run_code(page: str) -> dict[str, Any]:
    """Run the Python blocks of a page in order; return their global names."""
    names: dict[str, Any] = {"__name__": "page"}
    for number, block in enumerate(find_blocks(page, "python"), start=1):
        exec(compile(block, f"{page}, block {number}", "exec"), names)
    return names


def test_the_flows_alone_run(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = run_code("flows.md")
    (layers,) = find_blocks("flows.md", "text")
    assert layers in capsys.readouterr().out
    for name, weight in names["flow"].state_dict().items():
        assert weight.equal(names["again"].state_dict()[name])


@pytest.mark.integration
def test_the_loop_and_its_replacement_run(in_tmp: Path) -> None:
    board = run_code("loop.md")["board"].to_pandas()
    assert len(Path("results.csv").read_text().splitlines()) == 4
    assert list(board["n"].dropna()) == [2, 2]


# YAML 1.1 reads the key `on` as true, which GitHub does not.
(WORKFLOW,) = (yaml.load(text, yaml.BaseLoader) for text in find_blocks("publishing.md", "yaml"))


@pytest.mark.integration
def test_the_workflow_of_a_site_makes_the_folder_that_it_uploads(
    in_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(files.ASSETS, "vega.js", bytes)  # takes seconds to bundle
    (job,) = WORKFLOW["jobs"].values()
    (shard,) = [path for path in WORKFLOW["on"]["push"]["paths"] if path.endswith(".xz")]
    shutil.copy(ROOT / "evidence" / "searches" / "002.sqlite.xz", in_tmp / shard)
    lines = [step["run"] for step in job["steps"] if "run" in step]
    commands = [line for line in lines if not line.startswith("pip install ")]
    assert commands
    for line in commands:
        command, *arguments = shlex.split(line)
        assert command == "lcma"
        assert run_lcma(*arguments) == 0
    (folder,) = [s["with"]["path"] for s in job["steps"] if "path" in s.get("with", {})]
    page = (in_tmp / folder / "index.html").read_text()
    assert re.search(r"results, made \d{4}-", page)
