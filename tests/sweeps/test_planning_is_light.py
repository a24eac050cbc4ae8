"""Planning needs neither torch nor Ray nor SQL, so that it answers at once."""

import subprocess
import sys

PROGRAM = """
import sys
from lcma.sweeps import expansion, spec

found = expansion.expand(spec.load("demo"))
assert found.trials and [t.id for t in found.trials] and found.pretrainings
heavy = {"torch", "ray", "sqlalchemy", "alembic", "pandas", "numpy", "harness", "models", "db"}
print(sorted(heavy & {name.partition(".")[0] for name in sys.modules}))
"""


def test_planning_imports_nothing_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
