"""A study on this machine, without Ray: a thread for each errand, all on one executor."""

import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, Queue

from lcma.harness.run.driver import Display
from lcma.harness.run.executor import Executor, Finished
from lcma.harness.run.work import Report, Work
from lcma.harness.tuning.errand import Ending, Errand, Rung, carry_out
from lcma.harness.tuning.tuner import Tuner

# One executor for several launches of one process, each in a thread of its own

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


LOOK_SECONDS = 0.5
"""Between two looks at the study where others are at work on it."""


@dataclass(frozen=True)
class _Said:
    """What an errand's thread says, and where it hears whether it ends."""

    errand: Errand
    what: Rung | Ending | BaseException
    reply: "Queue[bool]" = field(default_factory=Queue)


def run_local(tuner: Tuner, executor: Executor, display: Display, parallel: int) -> None:
    """Until the tuner has nothing left, with so many errands at once."""
    shared, inbox = Shared(executor), Queue[_Said]()
    try:
        _until_done(tuner, shared, inbox, display, parallel)
    finally:
        shared.end()


def _until_done(
    tuner: Tuner, shared: Shared, inbox: "Queue[_Said]", display: Display, parallel: int
) -> None:
    busy = 0
    while True:
        errand = tuner.next() if busy < parallel else "wait"
        if isinstance(errand, Errand):
            work = (errand, shared.share(), display, inbox)
            threading.Thread(target=_carry_out, args=work, daemon=True).start()
            busy += 1
            continue
        if errand is None and not busy:
            return
        with suppress(Empty):
            busy -= _heard(tuner, inbox.get(timeout=LOOK_SECONDS))


def _heard(tuner: Tuner, said: _Said) -> bool:
    """Pass on what an errand says; whether it has ended."""
    if isinstance(said.what, BaseException):
        raise said.what
    if isinstance(said.what, Rung):
        said.reply.put(tuner.rung(said.errand.number, said.what))
        return False
    tuner.ended(said.errand.number, said.what)
    return True


def _carry_out(errand: Errand, executor: Executor, display: Display, inbox: "Queue[_Said]") -> None:
    try:
        for what in carry_out(errand, executor, display):
            said = _Said(errand, what)
            inbox.put(said)
            if isinstance(what, Rung) and said.reply.get():
                inbox.put(_Said(errand, Ending("pruned")))
                return
    except BaseException as error:  # noqa: BLE001 - the main thread raises it
        inbox.put(_Said(errand, error))
