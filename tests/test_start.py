"""The sweep and the commands of docs/start.md work as printed."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "start.md"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_page_runs_as_printed(tmp_path: Path) -> None:
    (spec,) = re.findall(r"`first\.yaml`:\n\n```yaml\n(.*?)```", PAGE.read_text(), re.S)
    (tmp_path / "first.yaml").write_text(spec)
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.S)
    lines = [line for block in blocks for line in block.splitlines()]
    assert len(lines) > 10
    for line in lines:
        command, *arguments = shlex.split(line)
        assert command == "lcma"
        done = subprocess.run(
            [sys.executable, "-m", "lcma", *arguments],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(PAGE.parents[1] / "src")},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, (line, done.stderr)
    assert (tmp_path / "site" / "index.html").is_file()
    assert (tmp_path / "forest.svg").is_file()
