"""Copies of a test's process: for what several do at once, or what must not be done to this one."""

import time
from collections.abc import Callable
from multiprocessing import get_context
from typing import TypeVar

T = TypeVar("T")

FORK = get_context("fork")
"""A copy has imported what this process has; a new one would need longer for that than for most
that a test asks of it."""

SECONDS = 120.0


def race(processes: int, work: Callable[[int], object]) -> None:
    """Call ``work(index)`` in as many copies of this process, all at one moment; fail if one does.

    What a copy raised is on its standard error.
    """
    start = time.time() + 0.1 + 0.02 * processes  # copying this process takes some of that

    def wait_and_work(index: int) -> None:
        time.sleep(max(0.0, start - time.time()))
        work(index)

    children = [FORK.Process(target=wait_and_work, args=(index,)) for index in range(processes)]
    for child in children:
        child.start()
    for child in children:
        child.join(SECONDS)
    assert [child.exitcode for child in children] == [0] * processes


def apart(action: Callable[[], T]) -> T:
    """Return what ``action()`` returned in a copy of this process.

    Raises EOFError where it raised anything, which is on the copy's standard error.
    """
    receiver, sender = FORK.Pipe(duplex=False)
    child = FORK.Process(target=lambda: sender.send(action()))
    child.start()
    sender.close()
    with receiver:
        assert receiver.poll(SECONDS)
        value: T = receiver.recv()
    child.join(SECONDS)
    assert child.exitcode == 0
    return value
