"""Imports, help and planning need neither torch nor Ray, and a database needs no pandas."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"torch", "ray", "pandas", "alembic", "altair", "skimage"}
HEAVIER = HEAVY | {"sqlalchemy", "statsmodels", "scipy", "pyarrow"}
PLANNING = """
from lcma.sweeps import expansion, spec
expansion = expansion.expand(spec.load("demo"))
assert [trial.id for trial in expansion.trials] and expansion.pretrainings
"""
COMMAND = """
from lcma.harness.cli.main import main
try:
    main({})
except SystemExit as end:
    assert not end.code
"""


REFUSED = """
from lcma.harness.cli.main import main
try:
    main({})
except SystemExit as end:
    assert end.code == 2
"""


@pytest.mark.parametrize(
    ("program", "heavy"),
    [
        (PLANNING, HEAVIER | {"numpy"}),
        ("from lcma import db; db.connect", HEAVY),
        ("import lcma; dir(lcma); lcma.factorization", HEAVIER),
        (COMMAND.format(["--help"]), HEAVIER),
        (COMMAND.format(["launch", "--help"]), HEAVIER),
        (COMMAND.format(["plan", "demo"]), HEAVY - {"pandas", "alembic"}),
        (REFUSED.format(["measure", "nope"]), HEAVY - {"alembic"}),
        (REFUSED.format(["reproduce", "--sample", "0"]), HEAVY),
        (REFUSED.format(["reproduce", "nope", "--db", "reference"]), {"torch", "ray"}),
        (REFUSED.format(["samples", "nope", "--db", "reference"]), {"torch", "ray"}),
    ],
    ids=[
        "planning",
        "database",
        "package",
        "help",
        "help of a command",
        "plan",
        "measure",
        "sample",
        "reproduce",
        "samples",
    ],
)
def test_nothing_heavy_is_imported(program: str, heavy: set[str], in_tmp: Path) -> None:
    code = f"{program}\nimport sys\nprint({heavy} & {{n.partition('.')[0] for n in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "set()"), done.stderr
