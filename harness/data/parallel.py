"""Parallel work on all cores, with results in order."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

A = TypeVar("A")
B = TypeVar("B")

_MOST: Final = 16
_AHEAD: Final = 2


def in_order(work: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
    """Yield `work` of every item in order, by threads that are at most two items per core ahead.

    An exception is raised when its item's turn comes.
    """
    cores = min(_MOST, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 4)
    waiting: deque[Future[B]] = deque()
    pool = ThreadPoolExecutor(cores)
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= _AHEAD * cores:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
