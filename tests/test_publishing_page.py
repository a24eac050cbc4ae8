"""docs/publishing.md: its workflow for GitHub Pages is one, and what it runs works."""

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from lcma.harness.cli import main as cli
from lcma.harness.show.site import files

ROOT = Path(__file__).parents[1]
SHARD = ROOT / "evidence" / "searches" / "002.sqlite.xz"


@pytest.fixture
def workflow() -> dict[str, Any]:
    page = (ROOT / "docs" / "publishing.md").read_text()
    (text,) = re.findall(r"`\.github/workflows/pages\.yml`.*?```yaml\n(.*?)```", page, re.S)
    # YAML 1.1 reads the key `on` as true, which GitHub does not.
    return yaml.load(text, yaml.BaseLoader)


@pytest.mark.integration
def test_what_it_runs_makes_the_folder_that_it_uploads(
    workflow, in_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(files.ASSETS, "vega.js", bytes)  # takes seconds to bundle
    (job,) = workflow["jobs"].values()
    (file,) = [one for one in workflow["on"]["push"]["paths"] if one.endswith(".xz")]
    shutil.copy(SHARD, in_tmp / file)
    lines = [step["run"] for step in job["steps"] if "run" in step]
    ours = [line for line in lines if not line.startswith("pip install ")]
    assert ours
    for line in ours:
        command, *arguments = shlex.split(line)
        assert command == "lcma"
        with pytest.raises(SystemExit) as end:
            cli.main(arguments)
        assert end.value.code == 0
    (uploaded,) = [s["with"]["path"] for s in job["steps"] if "path" in s.get("with", {})]
    board = (in_tmp / uploaded / "index.html").read_text()
    assert "results, made 2026-" in board
