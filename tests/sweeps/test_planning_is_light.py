"""Planning needs neither torch nor Ray nor SQL, and a database no pandas: they answer at once."""

import subprocess
import sys

import pytest

HEAVY = {"torch", "ray", "pandas", "alembic"}
PLANNING = """
from lcma.sweeps import expansion, spec
found = expansion.expand(spec.load("demo"))
assert found.trials and [t.id for t in found.trials] and found.pretrainings
"""


@pytest.mark.parametrize(
    ("program", "heavy"),
    [(PLANNING, HEAVY | {"sqlalchemy", "numpy"}), ("from lcma import db; db.connect", HEAVY)],
    ids=["planning", "database"],
)
def test_nothing_heavy_is_imported(program: str, heavy: set[str]) -> None:
    code = f"{program}\nimport sys\nprint({heavy} & {{n.partition('.')[0] for n in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "set()"), done.stderr
