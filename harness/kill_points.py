"""Points at which a run changes something that other processes see, except database commits.

Examples are a file that gets its name and a task that is handed out. A process may die right before
or right after each point. The fault tests find the points by searching the code for `kill_point`,
and kill the process there.
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
    """Call the hook, if one is set, before the block, and after it unless the block raised."""
    if hook is not None:
        hook(name, "before")
    yield
    if hook is not None:
        hook(name, "after")
