"""Processes of tests: forks that race or keep this process unchanged, and Python in a new one."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

ROOT = Path(__file__).parents[1]

FORK = get_context("fork")
"""A fork has this process's imports; a new process would take longer for them than for its work."""

TIMEOUT_SECONDS = 120.0


def race(processes: int, work: Callable[[int], object]) -> None:
    """Call ``work(index)`` in that many forks of this process at one moment; fail if one fails.

    The traceback of a fork is on its standard error.
    """
    start = time.time() + 0.1 + 0.02 * processes  # forking takes some of that time

    def wait_and_work(index: int) -> None:
        time.sleep(max(0.0, start - time.time()))
        work(index)

    children = [FORK.Process(target=wait_and_work, args=(index,)) for index in range(processes)]
    for child in children:
        child.start()
    for child in children:
        child.join(TIMEOUT_SECONDS)
    assert [child.exitcode for child in children] == [0] * processes


def run_in_fork(action: Callable[[], T]) -> T:
    """Return the result of ``action()`` in a fork of this process.

    Raises EOFError if it raised anything; its traceback is on the fork's standard error.
    """
    receiver, sender = FORK.Pipe(duplex=False)
    child = FORK.Process(target=lambda: sender.send(action()))
    child.start()
    sender.close()
    with receiver:
        assert receiver.poll(TIMEOUT_SECONDS)
        value: T = receiver.recv()
    child.join(TIMEOUT_SECONDS)
    assert child.exitcode == 0
    return value


def run_python(
    *arguments: object, folder: Path = ROOT, **variables: str
) -> "subprocess.CompletedProcess[str]":
    """Run Python, which finds this checkout's package, in a folder and without input."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")} | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def read_output(*arguments: object, folder: Path = ROOT, **variables: str) -> str:
    """Return the output of Python that succeeds."""
    ended = run_python(*arguments, folder=folder, **variables)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout
