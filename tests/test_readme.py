"""The README's sweep, its rule and its commands, from its own text and in their order."""

import os
import re
import shlex
from pathlib import Path

import pytest

from tests.harness.launch.machines import head_by_hand
from tests.processes import ROOT, read_output

TEXT = (ROOT / "README.md").read_text()

QUICK = ["--seeds", "1", "--set", "training.steps=20", "--budget", "0,10"]
"""Options of a launch with which it takes seconds instead of hours."""


def read_block(kind: str, heading: str) -> str:
    """Return the first block of a kind below a heading."""
    section = TEXT.split(f"\n## {heading}\n")[1]
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    return str(next(text for name, text in blocks if name == kind))


@pytest.mark.integration
@pytest.mark.ray
@pytest.mark.timeout(1200)
def test_the_commands_of_the_readme_run_in_their_order(tmp_path: Path, postgres_url: str) -> None:
    """In a clean folder: the sweep with its own rule, only shorter."""
    sweep = read_block("yaml", "A sweep of your own")
    commands = read_block("", "A sweep of your own").splitlines()
    rules = next(iter(re.findall(r"\(`(plugins: \[my_rules\.py\])`\)", TEXT)))
    (tmp_path / "my_rules.py").write_text(read_block("python", "A rule of your own"))
    (tmp_path / "words.yaml").write_text(
        f"{rules}\n{sweep}".replace("[conventional,", "[columns, conventional,")
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LCMA_")}

    def run(*words: str) -> str:
        return read_output("-m", "lcma", *words, folder=tmp_path, RAY_DEDUP_LOGS="0")

    done = []
    with head_by_hand(environment, cpus=2) as address:
        for command in commands:
            program, *words = shlex.split(command, comments=True)
            assert program == "lcma", command
            if words[0] == "launch":
                words += QUICK
            if words[0] == "tune":
                words += ["--seeds", "1", "--set", "training.steps=20", "--trials", "2"]
            if "HOST:6379" in words:
                words[words.index("HOST:6379")] = address
                words += ["--db", postgres_url]
            done.append((words[0], run(*words)))
    assert len(done) == len(commands) >= 9
    printed = dict(done)
    assert "columns" in printed["board"]
    assert "columns" in printed["sql"]
    assert (tmp_path / "site" / "index.html").exists()
    assert "columns" in run("board", "--db", postgres_url)
