"""The notice that this process's machine is about to be taken away, by SIGTERM or by its node.

A training then writes a checkpoint, and its attempt ends as preempted.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

WATCH_SECONDS = 5.0
"""Interval between checks whether the node is ending."""

_notice = threading.Event()


def is_noticed() -> bool:
    """Return whether trainings of this process should end with a checkpoint now."""
    return _notice.is_set()


@contextmanager
def expect_notice(is_ending: Callable[[], bool] | None = None) -> Iterator[None]:
    """Take SIGTERM, or a true ``is_ending``, as a notice during a block.

    Only the main thread can handle signals; other threads take only ``is_ending``.
    """
    _notice.clear()
    handles = threading.current_thread() is threading.main_thread()
    if handles:
        handler = signal.signal(signal.SIGTERM, lambda number, frame: _notice.set())
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
            signal.signal(signal.SIGTERM, handler)
