"""Kills of this process, and outages of a server, at chosen moments of a program in this process.

A moment is a side of a kill point, or of any call that is passed as one.
"""

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from lcma.harness import kill_points
from lcma.harness.kill_points import Hook, When, kill_point
from tests.harness.launch.conftest import StoppableServer

Moment = tuple[str, When]

AWAY_SECONDS = 2.0


class Death:
    """Kills this process when a moment comes."""

    def __init__(self, name: str, when: When) -> None:
        self.moment = name, when

    def __call__(self, name: str, when: When) -> None:
        if (name, when) == self.moment:
            os.kill(os.getpid(), signal.SIGKILL)


class Outages:
    """Stops a server at each of the moments, the n-th time that it comes, and starts it a little
    later."""

    def __init__(self, server: StoppableServer, moments: Iterable[tuple[str, When, int]]) -> None:
        self.server, self.remaining, self._seen = server, set(moments), Counter[Moment]()
        self._start = threading.Thread()
        self._lock = threading.Lock()

    def __call__(self, name: str, when: When) -> None:
        with self._lock:
            self._seen[name, when] += 1
            moment = (name, when, self._seen[name, when])
            if moment in self.remaining:
                self.remaining.remove(moment)
                self.wait()
                self.server.off()
                self._start = threading.Timer(AWAY_SECONDS, self.server.on)
                self._start.start()

    def wait(self) -> None:
        """Wait until the server runs."""
        if self._start.ident is not None:
            self._start.join()


@contextmanager
def hooked(hook: Hook | None) -> Iterator[None]:
    """Call a hook at the kill points that are passed during a block."""
    kill_points.hook = hook
    try:
        yield
    finally:
        kill_points.hook = None


def with_kill_point(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that does the same inside a kill point."""

    def call(*arguments: Any, **named: Any) -> Any:
        with kill_point(name):
            return function(*arguments, **named)

    return call


def in_child(action: Callable[[], Any], hook: Hook | None = None) -> int:
    """Do an action in a child process with a hook; return its wait status."""
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1]
    try:
        with hooked(hook):
            action()
    except BaseException:  # noqa: BLE001 - no test goes on in the child
        os._exit(1)
    os._exit(0)
