"""A server that is stopped at chosen moments of a program, and started again a little later."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

from lcma.harness.kill_points import When, kill_point
from tests.harness.run.conftest import Server

Moment = tuple[str, When]

AWAY_SECONDS = 2.0


class Outages:
    """Stops a server at each of the moments, and has it started a little later."""

    def __init__(self, server: Server, at: Mapping[Moment, int]) -> None:
        self.server, self.left = server, dict(at)
        self._back = threading.Thread()
        self._lock = threading.Lock()

    def __call__(self, name: str, when: When) -> None:
        with self._lock:
            left = self.left.get((name, when), 0) - 1
            if left > 0:
                self.left[name, when] = left
            if left == 0:
                del self.left[name, when]
                self.wait()
                self.server.off()
                self._back = threading.Timer(AWAY_SECONDS, self.server.on)
                self._back.start()

    def wait(self) -> None:
        """Until the server is back."""
        if self._back.ident is not None:
            self._back.join()


def passing(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """The same call, inside a moment."""

    def passes(*arguments: Any, **named: Any) -> Any:
        with kill_point(name):
            return call(*arguments, **named)

    return passes
