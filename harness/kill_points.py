"""The moments at which what others see of a run changes, beside the database's commits.

A file that gets its name, a task that is handed out: a process may die right before or right after
each of them. `lcma selftest` hooks in here, and does; nobody else is told.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

FILES = ("checkpoint", "weights", "spool-create", "spool-end", "spool-remove", "leftover-remove")
"""What workers do to files."""

DRIVER = ("submit", "settle")
"""What a launch does without writing anything."""

TUNER = ("ask", "take", "suggest", "report", "note", "tell")
"""What a tuner does to its study. The self-test's sweep has none; tests of tuning kill there."""

When = Literal["before", "after"]
Hook = Callable[[str, When], None]

_hook: Hook | None = None


def install_hook(hook: Hook | None) -> None:
    """Have a hook told of every moment that this process passes; None takes it out."""
    global _hook
    _hook = hook


@contextmanager
def kill_point(name: str) -> Iterator[None]:
    """Pass a moment: before the block, and after it if it ended well."""
    if _hook is None:
        yield
        return
    _hook(name, "before")
    yield
    _hook(name, "after")
