"""A benchmark harness with a results database for factorizations of multi-scale flows.

`connect` opens a database, `plan` and `launch` run sweeps, `results` reads their results, `board`
ranks them, `verdicts` judges claims on them, `budgets` compares budgets, `load_flow` loads what was
trained; `factorization`, `flow` and `measure` register plug-ins. docs/python.md has examples.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lcma.db import Store
    from lcma.harness.api import (
        board,
        budgets,
        connect,
        launch,
        load_flow,
        plan,
        results,
        verdicts,
    )
    from lcma.harness.launch.driver import LaunchStoppedError
    from lcma.harness.launch.plan import Plan
    from lcma.harness.launch.policy import LimitReachedError
    from lcma.harness.launch.sweep import LaunchReport, Progress
    from lcma.sweeps.errors import UserError
    from lcma.sweeps.plugins import factorization, flow, measure

_WHERE = {
    "LaunchReport": "lcma.harness.launch.sweep",
    "LaunchStoppedError": "lcma.harness.launch.driver",
    "LimitReachedError": "lcma.harness.launch.policy",
    "Plan": "lcma.harness.launch.plan",
    "Progress": "lcma.harness.launch.sweep",
    "Store": "lcma.db",
    "UserError": "lcma.sweeps.errors",
    "board": "lcma.harness.api",
    "budgets": "lcma.harness.api",
    "connect": "lcma.harness.api",
    "factorization": "lcma.sweeps.plugins",
    "flow": "lcma.sweeps.plugins",
    "launch": "lcma.harness.api",
    "load_flow": "lcma.harness.api",
    "measure": "lcma.sweeps.plugins",
    "plan": "lcma.harness.api",
    "results": "lcma.harness.api",
    "verdicts": "lcma.harness.api",
}

__all__ = [
    "LaunchReport",
    "LaunchStoppedError",
    "LimitReachedError",
    "Plan",
    "Progress",
    "Store",
    "UserError",
    "board",
    "budgets",
    "connect",
    "factorization",
    "flow",
    "launch",
    "load_flow",
    "measure",
    "plan",
    "results",
    "verdicts",
]


def __getattr__(name: str) -> Any:
    # `import lcma` alone must import neither torch nor SQLAlchemy.
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("lcma")
    if name not in _WHERE:
        raise AttributeError(f"module 'lcma' has no attribute {name!r}")
    found = getattr(importlib.import_module(_WHERE[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
