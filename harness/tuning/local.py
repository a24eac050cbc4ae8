"""A study on this machine without Ray: a thread for each task, all on one executor."""

import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, Queue

from lcma.harness.run.driver import Display
from lcma.harness.run.executor import Executor, Finished
from lcma.harness.run.work import Report, Work
from lcma.harness.tuning.task import Rung, StudyTask, TaskEnding, run_task
from lcma.harness.tuning.tuner import Tuner

STEP_SECONDS = 0.1
"""Seconds that one launch polls the executor before the others may."""


class SharedExecutor:
    """An executor for several launches of one process, each in a thread of its own with a share.

    A task waits until no other share runs one of its jobs, as their leases would make it wait
    anyway.
    """

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        self._lock = threading.Lock()
        self._queue: deque[tuple[ExecutorShare, Sequence[Work]]] = deque()
        self._running: dict[str, ExecutorShare] = {}
        self._ended = False

    def end(self) -> None:
        """Start nothing any more, whatever the launches submit."""
        with self._lock:
            self._ended = True

    def share(self) -> "ExecutorShare":
        """Return a new share, for one launch."""
        return ExecutorShare(self)

    def add(self, share: "ExecutorShare", works: Sequence[Work]) -> None:
        """Submit a task of a share."""
        with self._lock:
            self._queue.append((share, works))
            self._start()

    def free_slots(self, work: Work) -> int | None:
        """Return how many tasks like the work would start at once, of whichever share."""
        with self._lock:
            return self.executor.free_slots(work)

    def pump(self, seconds: float) -> None:
        """Wait up to so many seconds for any work to end; hand what ended to its shares."""
        with self._lock:
            if self._ended:
                return
            for finished in self.executor.wait(seconds):
                self._running.pop(finished.job_id).take(finished)
            self._start()

    def _start(self) -> None:
        if self._ended:
            return
        held: deque[tuple[ExecutorShare, Sequence[Work]]] = deque()
        while self._queue:
            share, works = self._queue.popleft()
            if any(work.job_id in self._running for work in works):
                held.append((share, works))
            else:
                self._running |= {work.job_id: share for work in works}
                self.executor.submit(works, None)
        self._queue = held


class ExecutorShare(Executor):
    """The part of a shared executor that one launch sees."""

    def __init__(self, whole: SharedExecutor) -> None:
        self._whole = whole
        self._inbox: deque[Finished] = deque()
        self._after: list[tuple[Sequence[Work], str]] = []
        self._flying = 0

    def hosts(self) -> list[str]:
        return self._whole.executor.hosts()

    def submit(self, works: Sequence[Work], after: str | None) -> None:
        if after is not None:
            self._after.append((works, after))
            return
        self._flying += len(works)
        self._whole.add(self, works)

    def take(self, finished: Finished) -> None:
        """Keep a finished work of this share until the launch waits for it."""
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

    def free_slots(self, work: Work) -> int | None:
        return self._whole.free_slots(work)

    def lack(self, work: Work, *, aside: bool = False) -> str | None:
        return self._whole.executor.lack(work, aside=aside)

    def close(self, *, kill: bool) -> None:
        """Do nothing: the owner of the shared executor closes it."""

    def _freed(self, finished: Finished) -> list[Finished]:
        """Submit the work that waited for this one; return it as blocked if this one is lost."""
        freed = [works for works, after in self._after if after == finished.job_id]
        self._after = [(w, after) for w, after in self._after if after != finished.job_id]
        report = finished.report
        if report is not None and report.ending == "done":
            for works in freed:
                self.submit(works, None)
            return []
        how = finished.crash if report is None else report.ending
        lost = [Finished(w.job_id, Report(w.job_id, "blocked", how)) for (w,) in freed]
        return lost + [later for one in lost for later in self._freed(one)]


LOOK_SECONDS = 0.5
"""Time between two looks at the study while other tuners work on it."""


@dataclass(frozen=True)
class _Message:
    """A report of the thread of a task; ``reply`` gets whether the task ends at a rung."""

    task: StudyTask
    what: Rung | TaskEnding | BaseException
    reply: "Queue[bool]" = field(default_factory=Queue)


def run_local(tuner: Tuner, executor: Executor, display: Display, parallel: int) -> None:
    """Run tasks until the tuner has none left, at most ``parallel`` at once."""
    shared, inbox = SharedExecutor(executor), Queue[_Message]()
    try:
        _until_done(tuner, shared, inbox, display, parallel)
    finally:
        shared.end()


def _until_done(
    tuner: Tuner, shared: SharedExecutor, inbox: "Queue[_Message]", display: Display, parallel: int
) -> None:
    busy = 0
    while True:
        task = tuner.next_task() if busy < parallel else "wait"
        if isinstance(task, StudyTask):
            work = (task, shared.share(), display, inbox)
            threading.Thread(target=_run_in_thread, args=work, daemon=True).start()
            busy += 1
            continue
        if task is None and not busy:
            return
        with suppress(Empty):
            busy -= _handle(tuner, inbox.get(timeout=LOOK_SECONDS))


def _handle(tuner: Tuner, message: _Message) -> bool:
    """Report a message to the tuner; return True if the task has ended."""
    if isinstance(message.what, BaseException):
        raise message.what
    if isinstance(message.what, Rung):
        message.reply.put(tuner.report_rung(message.task.number, message.what))
        return False
    tuner.report_ending(message.task.number, message.what)
    return True


def _run_in_thread(
    task: StudyTask, executor: Executor, display: Display, inbox: "Queue[_Message]"
) -> None:
    try:
        for what in run_task(task, executor, display):
            message = _Message(task, what)
            inbox.put(message)
            if isinstance(what, Rung) and message.reply.get():
                inbox.put(_Message(task, TaskEnding("pruned")))
                return
    except BaseException as error:  # noqa: BLE001 - the main thread raises it
        inbox.put(_Message(task, error))
