"""The workflows for GitHub Pages in docs/publishing.md are valid, and their commands work."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
import yaml

from docs import reference
from lcma.harness.cli import main as cli
from lcma.harness.show.site import files

ROOT = Path(__file__).parents[1]
SHARD = ROOT / "evidence" / "searches" / "002.sqlite.xz"


# YAML 1.1 reads the key `on` as true, which GitHub does not.
WORKFLOW, STEPS = (
    yaml.load(text, yaml.BaseLoader)
    for text in re.findall(
        r"```yaml\n(.*?)```", (ROOT / "docs" / "publishing.md").read_text(), re.S
    )
)


@pytest.mark.integration
def test_what_it_runs_makes_the_folder_that_it_uploads(
    in_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(files.ASSETS, "vega.js", bytes)  # takes seconds to bundle
    (job,) = WORKFLOW["jobs"].values()
    (file,) = [path for path in WORKFLOW["on"]["push"]["paths"] if path.endswith(".xz")]
    shutil.copy(SHARD, in_tmp / file)
    lines = [step["run"] for step in job["steps"] if "run" in step]
    commands = [line for line in lines if not line.startswith("pip install ")]
    assert commands
    for line in commands:
        command, *arguments = shlex.split(line)
        assert command == "lcma"
        with pytest.raises(SystemExit) as end:
            cli.main(arguments)
        assert end.value.code == 0
    (uploaded,) = [s["with"]["path"] for s in job["steps"] if "path" in s.get("with", {})]
    board = (in_tmp / uploaded / "index.html").read_text()
    assert "results, made 2026-" in board


def test_the_workflow_of_the_documentation_uploads_what_make_docs_writes() -> None:
    makefile = (ROOT / "Makefile").read_text()
    lines = [step["run"] for step in STEPS if "run" in step]
    for target in (line.split()[1] for line in lines if line.startswith("make ")):
        assert re.search(rf"^{target}:", makefile, re.M)
    (uploaded,) = [s["with"]["path"] for s in STEPS if "path" in s.get("with", {})]
    assert f"-b html docs {uploaded}\n" in makefile
    (export,) = [shlex.split(line) for line in lines if "lcma export" in line]
    command = reference.list_commands()
    options = {o for name, one in command if name == "export" for p in one.params for o in p.opts}
    assert {word for word in export if word.startswith("--")} <= options
    assert export[export.index("--out") + 1].startswith(f"{uploaded}/")
