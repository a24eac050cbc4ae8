"""The Python code of docs/flows.md and docs/loop.md runs as printed."""

import re
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[1] / "docs"


def run(page: str) -> dict[str, Any]:
    """Run the blocks of a page in order; return their global names."""
    names: dict[str, Any] = {"__name__": "page"}
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    for number, block in enumerate(blocks, start=1):
        exec(compile(block, f"{page}, block {number}", "exec"), names)
    return names


def test_the_flows_alone_run(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = run("flows.md")
    (layers,) = re.findall(r"```text\n(.*?)```", (DOCS / "flows.md").read_text(), re.DOTALL)
    assert layers in capsys.readouterr().out
    for name, weight in names["flow"].state_dict().items():
        assert weight.equal(names["again"].state_dict()[name])


@pytest.mark.integration
def test_the_loop_and_its_replacement_run(in_tmp: Path) -> None:
    board = run("loop.md")["board"].to_pandas()
    assert len(Path("results.csv").read_text().splitlines()) == 4
    assert list(board["n"].dropna()) == [2, 2]
