"""Launches of a self-test that are copies of the server of local workers: a process of their own,
whose imports cost nothing."""

import io
import os
import runpy
import signal
import sys
import traceback
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

from lcma.harness.run import local
from lcma.harness.selftest.driver import LaunchTask

_server: Any = forkserver._forkserver


class CopiedLaunch:
    """One of them, with what a self-test asks of a process. Its workers are copies of that server
    too, as if it had started one for itself."""

    def __init__(self, task: LaunchTask, log: Path) -> None:
        context: Any = local._context()
        address = _server._forkserver_address
        given = task.command(), task.text(), log, dict(os.environ), address
        self._process = context.Process(target=_launch, args=given)
        self._process.start()
        self.pid = self._process.pid

    def poll(self) -> int | None:
        code: int | None = self._process.exitcode
        return code

    def wait(self) -> int | None:
        self._process.join()
        return self.poll()

    def kill(self) -> None:
        self._process.kill()

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def _launch(
    command: list[str], text: str, log: Path, environment: dict[str, str], address: str
) -> None:
    """Do what the command does in a new process that reads the text."""
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    local._server_start = None
    _server._forkserver_address = address  # which is no child of this process, and runs
    _server.ensure_running = forkserver.ensure_running = lambda: None
    _, option, module = command
    assert option == "-m"
    with log.open("a") as sys.stdout:
        sys.stderr, sys.stdin = sys.stdout, io.StringIO(text)
        try:
            runpy.run_module(module, run_name="__main__")
        except SystemExit as end:
            os._exit(int(end.code or 0))
        except BaseException:
            traceback.print_exc()
            raise
