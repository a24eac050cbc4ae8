"""Waiting for a database, or a place of files, that is away."""

import math
import secrets
import time
from collections.abc import Callable
from typing import TypeVar

from lcma.db import Unavailable
from lcma.harness.storage import UnreachableError

SHORTEST, LONGEST = 0.1, 5.0
"""Seconds before the first and the later tries."""

_random = secrets.SystemRandom()  # no seed of anybody else's is touched

Value = TypeVar("Value")


def wait_out(
    action: Callable[[], Value],
    *,
    seconds: float = math.inf,
    noticed: Callable[[], None] = lambda: None,
) -> Value:
    """What the action gives, tried again as long as it raises Unavailable or UnreachableError.

    ``noticed`` is called when it did. Raises the last of them after so many seconds, at once
    where they are 0.
    """
    until, pause = time.monotonic() + seconds, SHORTEST
    while True:
        try:
            return action()
        except (Unavailable, UnreachableError):
            noticed()
            if time.monotonic() + pause > until:
                raise
        # Those who lost the database together shall not come back together.
        time.sleep(pause * _random.uniform(0.5, 1.0))
        pause = min(2 * pause, LONGEST)
