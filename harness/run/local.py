"""Task bodies in processes of this machine, without Ray."""

import os
import signal
import socket
import threading
import time
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

from harness.run import bodies
from harness.run.executor import Executor, Finished
from harness.run.work import Report, Work


class LocalExecutor(Executor):
    """A number of slots, each a process of its own, so that one's death touches no other.

    With ``per_gpu`` the slots are dealt to the GPUs of the machine, that many on each.
    """

    def __init__(self, slots: int, per_gpu: int | None = None) -> None:
        self.per_gpu = per_gpu
        self._pools = [self._new_pool(slot) for slot in range(slots)]
        self._free = deque(range(slots))
        self._running: dict[Future[Report], tuple[str, int]] = {}
        self._ready: deque[tuple[Work, Report | None]] = deque()
        self._waiting: list[tuple[Work, str]] = []

    def hosts(self) -> list[str]:
        return [socket.gethostname()]

    def submit(self, work: Work, after: str | None) -> None:
        if after is None:
            self._ready.append((work, None))
        else:
            self._waiting.append((work, after))
        self._fill()

    def wait(self, seconds: float) -> list[Finished]:
        done, _ = wait(self._running, timeout=seconds, return_when=FIRST_COMPLETED)
        finished = [self._collect(future) for future in done]
        ended = {f.job_id: f.report or Report(f.job_id, "stopped", f.crash) for f in finished}
        freed = [(w, ended[after]) for w, after in self._waiting if after in ended]
        self._ready.extendleft(reversed(freed))  # before what was submitted with less to wait for
        self._waiting = [(w, after) for w, after in self._waiting if after not in ended]
        self._fill()
        return finished

    def close(self, *, kill: bool) -> None:
        for pool in self._pools:
            if kill:
                _kill(pool)
            pool.shutdown(wait=not kill, cancel_futures=True)

    def _fill(self) -> None:
        while self._free and self._ready:
            slot = self._free.popleft()
            work, after = self._ready.popleft()
            try:
                future = self._pools[slot].submit(bodies.run, work, after)
            except BrokenProcessPool:  # it died while it was idle
                self._pools[slot] = self._new_pool(slot)
                future = self._pools[slot].submit(bodies.run, work, after)
            self._running[future] = work.job_id, slot

    def _collect(self, future: Future[Report]) -> Finished:
        job_id, slot = self._running.pop(future)
        self._free.append(slot)
        error = future.exception()
        if error is None:
            return Finished(job_id, future.result())
        if isinstance(error, BrokenProcessPool):
            self._pools[slot].shutdown(wait=False)
            self._pools[slot] = self._new_pool(slot)
            return Finished(job_id, None, "its process died", "process")
        return Finished(job_id, None, f"{type(error).__name__}: {error}")

    def _new_pool(self, slot: int) -> ProcessPoolExecutor:
        gpu = None if self.per_gpu is None else slot // self.per_gpu
        return ProcessPoolExecutor(
            1,
            mp_context=get_context("spawn"),
            initializer=_start_worker,
            initargs=(os.getpid(), gpu),
        )


def _kill(pool: ProcessPoolExecutor) -> None:
    # Python 3.14 has ProcessPoolExecutor.kill_workers for this.
    for process in list((pool._processes or {}).values()):
        process.kill()


def _start_worker(parent: int, gpu: int | None) -> None:
    """Leave interrupts to the launching process, do not outlive it, and keep to one GPU."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(gpu)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
