"""Task bodies in processes of this machine, without Ray."""

import os
import signal
import socket
import sys
import threading
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import forkserver, get_context, parent_process
from multiprocessing.context import BaseContext

import numpy as np

from lcma.harness.run.executor import Executor, Finished
from lcma.harness.run.work import Report, Work
from lcma.harness.run.worker import run_work


class LocalExecutor(Executor):
    """A number of slots, each a process of its own, so that one's death touches no other.

    With ``per_gpu`` the slots are dealt to the GPUs of the machine, that many on each; work for a
    whole GPU waits until all slots of one are free, and has them all.
    """

    def __init__(self, slots: int, per_gpu: int | None = None) -> None:
        self.per_gpu = per_gpu
        self._pools = [self._new_pool(slot) for slot in range(slots)]
        self._free = set(range(slots))
        self._running: dict[Future[Report], tuple[str, list[int]]] = {}
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
        kept: set[int] = set()
        waiting: deque[tuple[Work, Report | None]] = deque()
        while self._ready and not self._free <= kept:
            work, after = self._ready.popleft()
            slots = self._slots_for(work, kept)
            if not slots:
                waiting.append((work, after))
                continue
            self._free -= set(slots)
            self._running[self._start(slots[0], work, after)] = work.job_id, slots
        self._ready = waiting + self._ready

    def _slots_for(self, work: Work, kept: set[int]) -> list[int]:
        """Free slots that the work may have now. None for a whole GPU that is not free yet: the
        slots of the GPU that has most of them free are ``kept`` for it."""
        if self.per_gpu is None or self.per_gpu == 1 or work.gpus < 1:
            return sorted(self._free - kept)[:1]
        slots = range(len(self._pools))
        gpus = [set(slots[at : at + self.per_gpu]) for at in range(0, len(slots), self.per_gpu)]
        best = max(
            (gpu for gpu in gpus if not gpu & kept), key=lambda g: len(g & self._free), default=None
        )
        if best is None:
            return []
        if best <= self._free:
            return sorted(best)
        kept |= best
        return []

    def _start(self, slot: int, work: Work, after: Report | None) -> Future[Report]:
        try:
            return self._pools[slot].submit(run_work, work, after)
        except BrokenProcessPool:  # it died while it was idle
            self._pools[slot] = self._new_pool(slot)
            return self._pools[slot].submit(run_work, work, after)

    def _collect(self, future: Future[Report]) -> Finished:
        job_id, (slot, *others) = self._running.pop(future)
        self._free |= {slot, *others}
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
            mp_context=get_context("spawn") if gpu is not None else _context(),
            initializer=_start_worker,
            initargs=(dict(os.environ), gpu),
        )


_PRELOADED = (run_work.__module__, "torch._dynamo")
"""The second is what the first optimizer of a process imports, for a second."""

_LATE = ("LCMA_", "RAY_", "CUBLAS_", "TORCHINDUCTOR_CACHE_", "COLUMNS", "PYTHONBREAKPOINT")
"""Variables that no module reads while it is imported begin with one of these."""

_served: tuple[int, dict[str, str], list[str]] | None = None
"""The process that started a server of workers, and its environment and path then."""


def _context() -> BaseContext:
    """How a worker starts: as a copy of a process that has the bodies imported already, which takes
    no time; by itself where that process is another than this one would start now."""
    global _served
    if sys.platform != "linux":  # elsewhere libraries may not be used after a fork
        return get_context("spawn")
    # What is read when a module is imported cannot be handed over.
    variables = {k: v for k, v in os.environ.items() if not k.startswith(_LATE)}
    if _served is None:
        _served = os.getpid(), variables, list(sys.path)
    pid, same, path = _served
    if (os.getpid(), variables, sys.path[: len(path)]) != (pid, same, path):
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload([*_PRELOADED])
    # The server is a `python -c`, which would prefer modules of the current folder.
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        forkserver.ensure_running()
    finally:
        if (before := variables.get("PYTHONSAFEPATH")) is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before
    return context


def _kill(pool: ProcessPoolExecutor) -> None:
    # Python 3.14 has ProcessPoolExecutor.kill_workers for this.
    for process in list((pool._processes or {}).values()):
        process.kill()


def _start_worker(environment: dict[str, str], gpu: int | None) -> None:
    """Be as if started by the launching process now; leave interrupts to it, do not outlive it, and
    keep to one GPU."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if environment != os.environ:
        os.environ.clear()
        os.environ.update(environment)
    np.random.seed()  # a plug-in may draw from it: not the same in all workers
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(gpu)
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
