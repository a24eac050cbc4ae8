"""What a launch keeps to while it runs: its cap, requests that it end, what its nodes can do."""

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from lcma.db import StopRequest
from lcma.harness.run.executor import Executor
from lcma.harness.run.work import Work

NODES_SECONDS = 5.0
"""Between two looks at what the nodes have."""


@dataclass(frozen=True)
class Course:
    """A launch as the database knows it: of which sweep, since which event; and how many jobs of
    the sweep may run at once, None for any number."""

    sweep_id: str
    begun: int
    parallel: int | None = None


class AskedToStopError(Exception):
    """Somebody wants the launch to end."""

    def __init__(self, request: StopRequest) -> None:
        super().__init__(f"asked to stop by {request.by}")
        self.request = request


def free_places(
    course: Course | None, in_flight: Collection[str], held: Iterable[str]
) -> int | None:
    """How many more jobs of the sweep may be started, where some are in the executor and some are
    held, by any launch; None for any number."""
    if course is None or course.parallel is None:
        return None
    return course.parallel - len({*in_flight, *held})


class NodeWatch:
    """Tells in one line when no node could run the work any more, and when one can again."""

    def __init__(self, executor: Executor, say: Callable[[str], None]) -> None:
        self._executor, self._say = executor, say
        self._looked = time.monotonic()  # a launch has looked before it began
        self._since: float | None = None

    def look(self, left: Iterable[Work]) -> None:
        """Where it is time to: whether each kind of the work that is left could run."""
        now = time.monotonic()
        if now - self._looked < NODES_SECONDS:
            return
        self._looked = now
        kinds = {(work.threads, work.gpus, work.terms.memory_gb): work for work in left}
        lacks = filter(None, map(self._executor.lack, kinds.values()))
        lack = next(lacks, None)
        if lack is not None and self._since is None:
            self._since = now
            self._say(
                f"{lack}: waiting for a node that has it; `lcma stop` or Ctrl-C ends the launch"
            )
        elif lack is None and self._since is not None:
            self._say(f"a node has what trials ask for again, after {now - self._since:.0f} s")
            self._since = None
