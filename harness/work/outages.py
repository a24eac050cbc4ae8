"""Retry while a database, or a place of files, is unreachable."""

import math
import secrets
import time
from collections.abc import Callable
from typing import TypeVar

from lcma.db import Unavailable
from lcma.harness.storage import UnreachableError

MIN_PAUSE, MAX_PAUSE = 0.1, 5.0
"""Seconds of the first pause between two tries, and of the longest pause."""

_random = secrets.SystemRandom()  # does not change the state of `random`, which may be seeded

Value = TypeVar("Value")


def wait_out(
    action: Callable[[], Value],
    *,
    seconds: float = math.inf,
    on_failure: Callable[[], None] = lambda: None,
) -> Value:
    """Return what an action returns; retry it while it raises Unavailable or UnreachableError.

    Args:
        action: The action.
        seconds: Time after which the last error is raised; 0 for a single try.
        on_failure: Called after each such error.
    """
    until, pause = time.monotonic() + seconds, MIN_PAUSE
    while True:
        try:
            return action()
        except (Unavailable, UnreachableError):
            on_failure()
            if time.monotonic() + pause > until:
                raise
        # Random, so that processes that lost the database together do not come back together.
        time.sleep(pause * _random.uniform(0.5, 1.0))
        pause = min(2 * pause, MAX_PAUSE)
