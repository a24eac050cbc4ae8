"""The notice that this process's machine is about to be taken away: SIGTERM, or its node's word.

A training that is noticed writes a checkpoint at its next look, and its attempt ends as preempted.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

WATCH_SECONDS = 5.0
"""Interval between looks at whether the node is ending."""

_notice = threading.Event()


def is_noticed() -> bool:
    """Return whether what runs here should end with a checkpoint now."""
    return _notice.is_set()


@contextmanager
def expect_notice(is_ending: Callable[[], bool] | None = None) -> Iterator[None]:
    """Take SIGTERM for a notice during a block, and ``is_ending`` too.

    Outside of the main thread, where no signal can be handled, only the latter.
    """
    _notice.clear()
    handles = threading.current_thread() is threading.main_thread()
    if handles:
        former = signal.signal(signal.SIGTERM, lambda number, frame: _notice.set())
    ended = threading.Event()

    def watch(is_ending: Callable[[], bool]) -> None:
        while not ended.wait(WATCH_SECONDS):
            if is_ending():
                _notice.set()

    if is_ending is not None:
        threading.Thread(target=watch, args=(is_ending,), name="notice", daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        if handles:
            signal.signal(signal.SIGTERM, former)
