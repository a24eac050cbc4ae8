"""Optional libraries are extras, and errors name the extra to install."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from lcma.harness.extras import MODULES

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
COMMANDS = {
    "digits": ["data", "prepare", "digits"],
    "parquet": ["export", "--format", "parquet", "--out", "board.parquet"],
    "pictures": ["serve"],
    "quality": ["measure", "kid"],
    "tensorboard": ["launch", "demo", "--local", "--no-pictures", "--tensorboard", "curves"],
}


def name_of(requirement: str) -> str:
    return re.split(r"[\[><=;, ]", requirement)[0].lower().replace("-", "_")


def test_errors_and_pyproject_name_the_same_libraries() -> None:
    brought = packages_distributions()
    extras = PROJECT["optional-dependencies"]
    for extra, modules in MODULES.items():
        named = {name_of(requirement) for requirement in extras[extra]}
        assert {name_of(brought[module][0]) for module in modules} == named, extra
    assert set(MODULES) == set(extras["all"][0].removeprefix("lcma[").rstrip("]").split(","))


@pytest.mark.integration
@pytest.mark.parametrize(
    "extra",
    [e if e == "pictures" else pytest.param(e, marks=pytest.mark.slow) for e in COMMANDS],
)
def test_what_is_not_installed_is_one_line_and_changes_nothing(extra: str, tmp_path: Path) -> None:
    missing = MODULES[extra][0]
    empty = (
        "from lcma import db; db.connect('lcma.db')\n" if extra in ("pictures", "parquet") else ""
    )
    code = (
        f"import sys\n{empty}sys.modules[{missing!r}] = None\n"
        f"from lcma.harness.cli.main import main\nmain({COMMANDS[extra]!r})"
    )
    expected = {"lcma.db", "lcma.db-shm", "lcma.db-wal"} if empty else set()
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, input=""
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert f"pip install 'lcma[{extra}]'" in done.stderr
    assert {path.name for path in tmp_path.iterdir()} <= expected
