"""Points at which what others see of a run changes, beside the database's commits.

A file gets its name, a task is handed out: a process may die right before or right after each of
them. A hook that is installed here learns of each; that of `lcma selftest` kills the process there.
"""

import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

HOOK_VARIABLE = "LCMA_KILL_POINTS"
"""Names the function that arms a worker, as MODULE:FUNCTION:ARGUMENT; see `call_worker_hook`."""

FILES = ("checkpoint", "weights", "spool-create", "spool-end", "spool-remove", "leftover-remove")
"""Points at which workers change files."""

DRIVER = ("submit", "settle")
"""Points of a launch at which it writes nothing."""

TUNER = ("ask", "take", "suggest", "report", "note", "tell")
"""Points at which a tuner changes its study. The self-test has none; tests of tuning kill there."""

When = Literal["before", "after"]
Hook = Callable[[str, When], None]

_hook: Hook | None = None


def install_hook(hook: Hook | None) -> None:
    """Call a hook at every kill point that this process passes from now on; None removes it."""
    global _hook
    _hook = hook


def call_worker_hook(job_id: str) -> None:
    """Call the function that LCMA_KILL_POINTS names with its argument and the id of a job.

    Does nothing where the variable is not set. A worker calls this before it touches the database
    on behalf of a job. Raises ValueError, ImportError or AttributeError where the variable names no
    function: a self-test that kills nothing must not pass.
    """
    hook = os.environ.get(HOOK_VARIABLE)
    if hook is None:
        return
    module, function, argument = hook.split(":", 2)
    getattr(importlib.import_module(module), function)(argument, job_id)


@contextmanager
def kill_point(name: str) -> Iterator[None]:
    """Pass a kill point: call the hook before the block, and after it unless it raised."""
    if _hook is None:
        yield
        return
    _hook(name, "before")
    yield
    _hook(name, "after")
