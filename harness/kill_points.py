"""Points at which what others see of a run changes, beside the database's commits.

A file gets its name, a task is handed out: a process may die right before or right after each of
them. The fault tests find the points in the code by this name, and kill there.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

When = Literal["before", "after"]
Hook = Callable[[str, When], None]

hook: Hook | None = None
"""Called at each point; only tests set it."""


@contextmanager
def kill_point(name: str) -> Iterator[None]:
    """Call the hook, if there is one, before the block, and after it unless it raised."""
    if hook is not None:
        hook(name, "before")
    yield
    if hook is not None:
        hook(name, "after")
