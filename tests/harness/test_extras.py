"""Optional libraries are extras, and errors name the extra to install."""

import re
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from lcma import db
from lcma.harness.extras import MODULES
from tests.harness.cli.conftest import refused
from tests.processes import ROOT, run_python

EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
COMMANDS = {
    "digits": ["data", "prepare", "digits"],
    "parquet": ["export", "--format", "parquet", "--out", "board.parquet"],
    "pictures": ["serve"],
    "postgres": ["status", "--db", "postgresql://me@127.0.0.1:1/results"],
    "quality": ["measure", "kid"],
    "tensorboard": ["launch", "demo", "--local", "--tensorboard", "curves"],
}


def read_name(requirement: str) -> str:
    return re.split(r"[\[><=;, ]", requirement)[0].lower().replace("-", "_")


def test_errors_and_pyproject_name_the_same_libraries() -> None:
    packages = packages_distributions()
    for extra, modules in MODULES.items():
        names = {read_name(requirement) for requirement in EXTRAS[extra]}
        assert {read_name(packages[module][0]) for module in modules} == names, extra
    inside = set(EXTRAS["all"][0].removeprefix("lcma[").rstrip("]").split(","))
    assert set(MODULES) == inside | {"postgres"}


@pytest.mark.integration
@pytest.mark.parametrize(
    "extra",
    [
        extra if extra == "pictures" else pytest.param(extra, marks=pytest.mark.slow)
        for extra in COMMANDS
    ],
)
def test_a_missing_library_is_one_line_and_changes_nothing(extra: str, tmp_path: Path) -> None:
    if extra in ("pictures", "parquet"):
        db.connect(f"sqlite:///{tmp_path / 'lcma.db'}")
    before = {path.name for path in tmp_path.iterdir()}
    code = (
        f"import sys\nsys.modules[{MODULES[extra][0]!r}] = None\n"
        f"from lcma.harness.cli.main import main\nmain({COMMANDS[extra]!r})"
    )
    ended = run_python("-c", code, folder=tmp_path)
    refused((ended.returncode, ended.stdout, ended.stderr), f"pip install 'lcma[{extra}]'")
    assert {path.name for path in tmp_path.iterdir()} <= before | {"lcma.db-shm", "lcma.db-wal"}
