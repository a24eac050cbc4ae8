"""Task bodies in processes of this machine, without Ray."""

import os
import signal
import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

from harness.run import bodies
from harness.run.executor import Executor, Finished
from harness.run.work import Report, Work


class LocalExecutor(Executor):
    """As many processes as fit: cores by the threads of each task."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._pool = self._new_pool()
        self._running: dict[Future[Report], str] = {}
        self._waiting: list[tuple[Work, str]] = []
        self._reports: dict[str, Report] = {}

    def submit(self, work: Work, after: str | None) -> None:
        self._reports.pop(work.job_id, None)
        if after is None or after in self._reports:
            self._start(work, None if after is None else self._reports[after])
        else:
            self._waiting.append((work, after))

    def wait(self, seconds: float) -> list[Finished]:
        done, _ = wait(self._running, timeout=seconds, return_when=FIRST_COMPLETED)
        if not self._running:
            time.sleep(seconds)
        finished = []
        broken = False
        for future in done:
            job_id = self._running.pop(future)
            try:
                report = future.result()
            except BrokenProcessPool:
                broken = True
                finished.append(Finished(job_id, None, "a worker process died"))
            else:
                self._reports[job_id] = report
                finished.append(Finished(job_id, report))
        if broken:
            finished += self._rebuild()
        self._start_waiting({f.job_id: f.report for f in finished})
        return finished

    def close(self, *, kill: bool) -> None:
        if kill:
            _kill(self._pool)
        self._pool.shutdown(wait=not kill, cancel_futures=True)

    def _start(self, work: Work, after: Report | None) -> None:
        self._running[self._pool.submit(bodies.run, work, after)] = work.job_id

    def _start_waiting(self, ended: dict[str, Report | None]) -> None:
        still = []
        for work, after in self._waiting:
            if after not in ended:
                still.append((work, after))
            else:
                report = ended[after] or Report(after, "stopped", "its worker died")
                self._start(work, report)
        self._waiting = still

    def _rebuild(self) -> list[Finished]:
        """A dead worker breaks its pool: all that was in it is lost, and a new one is made."""
        lost = [Finished(j, None, "a worker beside it died") for j in self._running.values()]
        self._running.clear()
        _kill(self._pool)
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = self._new_pool()
        return lost

    def _new_pool(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            self.workers,
            mp_context=get_context("spawn"),
            initializer=_start_worker,
            initargs=(os.getpid(),),
        )


def _kill(pool: ProcessPoolExecutor) -> None:
    # Python 3.14 has ProcessPoolExecutor.kill_workers for this.
    for process in list((pool._processes or {}).values()):
        process.kill()


def _start_worker(parent: int) -> None:
    """Leave interrupts to the launching process, and do not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
