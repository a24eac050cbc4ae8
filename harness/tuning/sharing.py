"""One executor for several launches of one process, each in a thread of its own."""

import threading
import time
from collections import deque

from lcma.harness.run.executor import Executor, Finished
from lcma.harness.run.work import Report, Work

STEP_SECONDS = 0.1
"""How long one of them looks after all tasks before the others may."""


class Shared:
    """An executor that is dealt out in shares. A task waits until no other share runs the same job,
    as its lease would have it wait anyway."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        self._lock = threading.Lock()
        self._queue: deque[tuple[Share, Work]] = deque()
        self._running: dict[str, Share] = {}
        self._ended = False

    def end(self) -> None:
        """Hand out nothing any more, whatever the launches ask for."""
        with self._lock:
            self._ended = True

    def share(self) -> "Share":
        """A new share, for one launch."""
        return Share(self)

    def add(self, share: "Share", work: Work) -> None:
        with self._lock:
            self._queue.append((share, work))
            self._start()

    def pump(self, seconds: float) -> None:
        """Wait this long for any task to end, and give what ended to whose it is."""
        with self._lock:
            if self._ended:
                return
            for finished in self.executor.wait(seconds):
                self._running.pop(finished.job_id).take(finished)
            self._start()

    def _start(self) -> None:
        if self._ended:
            return
        held: deque[tuple[Share, Work]] = deque()
        while self._queue:
            share, work = self._queue.popleft()
            if work.job_id in self._running:
                held.append((share, work))
            else:
                self._running[work.job_id] = share
                self.executor.submit(work, None)
        self._queue = held


class Share(Executor):
    """The part of it that one launch sees."""

    def __init__(self, whole: Shared) -> None:
        self._whole = whole
        self._inbox: deque[Finished] = deque()
        self._after: list[tuple[Work, str]] = []
        self._flying = 0

    def hosts(self) -> list[str]:
        return self._whole.executor.hosts()

    def submit(self, work: Work, after: str | None) -> None:
        if after is not None:
            self._after.append((work, after))
            return
        self._flying += 1
        self._whole.add(self, work)

    def take(self, finished: Finished) -> None:
        """One of its tasks has ended."""
        self._inbox.append(finished)

    def wait(self, seconds: float) -> list[Finished]:
        left = seconds
        while self._flying and not self._inbox and left > 0:
            began = time.monotonic()
            self._whole.pump(STEP_SECONDS)
            time.sleep(max(0.0, STEP_SECONDS / 10 - (time.monotonic() - began)))
            left -= STEP_SECONDS
        found = [self._inbox.popleft() for _ in range(len(self._inbox))]
        self._flying -= len(found)
        return found + [late for one in found for late in self._freed(one)]

    def lack(self, work: Work) -> str | None:
        return self._whole.executor.lack(work)

    def close(self, *, kill: bool) -> None:
        """Nothing: the whole is closed by whom it belongs to."""

    def _freed(self, finished: Finished) -> list[Finished]:
        """Submit what waited for a task, if that ended well; else what waited is blocked."""
        freed = [work for work, after in self._after if after == finished.job_id]
        self._after = [(w, after) for w, after in self._after if after != finished.job_id]
        report = finished.report
        if report is not None and report.ending == "done":
            for work in freed:
                self.submit(work, None)
            return []
        how = finished.crash if report is None else report.ending
        lost = [Finished(w.job_id, Report(w.job_id, "blocked", how)) for w in freed]
        return lost + [later for one in lost for later in self._freed(one)]
