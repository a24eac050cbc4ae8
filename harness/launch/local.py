"""The local executor: task bodies in processes of this machine, without Ray."""

import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import forkserver, get_context, parent_process
from multiprocessing.context import BaseContext

import numpy as np

from lcma.harness.launch.executor import Executor, Finished, run_body
from lcma.harness.work.units import Report, Work

_Ended = tuple[list[Report], bool]
"""The reports of a task, and whether a device has failed in its process."""


class LocalExecutor(Executor):
    """An executor with a process for each slot, so that the death of one touches no other."""

    def __init__(self, slots: int, gpus: int = 0) -> None:
        """Prepare the slots.

        Args:
            slots: The number of tasks at once.
            gpus: The number of GPUs, over which the slots are dealt. Work for a whole GPU takes
                all slots of one.
        """
        self.gpus = gpus
        self._pools = [self._new_pool(slot) for slot in range(slots)]
        self._free = set(range(slots))
        self._running: dict[Future[_Ended], tuple[list[str], list[int]]] = {}

    def hosts(self) -> list[str]:
        return [socket.gethostname()]

    def submit(self, works: Sequence[Work]) -> None:
        slots = self._find_slots(works[0], self._free)
        self._free -= set(slots)
        self._running[self._start(slots[0], works)] = [work.job_id for work in works], slots

    def wait(self, seconds: float) -> list[Finished]:
        done, _ = wait(self._running, timeout=seconds, return_when=FIRST_COMPLETED)
        return [finished for future in done for finished in self._collect(future)]

    def free_slots(self, work: Work, before: Sequence[Work] = ()) -> int:
        free, count = set(self._free), 0
        for other in before:
            free -= set(self._find_slots(other, free))
        while slots := self._find_slots(work, free):
            free -= set(slots)
            count += 1
        return count

    def _find_slots(self, work: Work, free: set[int]) -> list[int]:
        """Return the first free slot, or the slots of the first free GPU for work that takes it
        whole; [] if there is none."""
        slots = range(len(self._pools))
        if len(slots) <= self.gpus or work.gpus < 1:
            return sorted(free)[:1]
        gpus = (slots[gpu :: self.gpus] for gpu in range(self.gpus))
        return next((list(gpu) for gpu in gpus if free.issuperset(gpu)), [])

    def close(self, *, kill: bool) -> None:
        for pool in self._pools:
            if kill:  # Python 3.14 has ProcessPoolExecutor.kill_workers for this
                for process in list((pool._processes or {}).values()):
                    process.kill()
            pool.shutdown(wait=not kill, cancel_futures=True)

    def _start(self, slot: int, works: Sequence[Work]) -> Future[_Ended]:
        try:
            return self._pools[slot].submit(_run, works)
        except BrokenProcessPool:  # it died while it was idle
            self._pools[slot] = self._new_pool(slot)
            return self._pools[slot].submit(_run, works)

    def _collect(self, future: Future[_Ended]) -> list[Finished]:
        job_ids, (slot, *others) = self._running.pop(future)
        self._free |= {slot, *others}
        error = future.exception()
        if error is None:
            reports, has_failed = future.result()
            if has_failed:
                self._pools[slot].shutdown(wait=False)
                self._pools[slot] = self._new_pool(slot)
            return [Finished(report.job_id, report) for report in reports]
        if isinstance(error, BrokenProcessPool):
            self._pools[slot].shutdown(wait=False)
            self._pools[slot] = self._new_pool(slot)
            return [Finished(job_id, None, "its process died", "process") for job_id in job_ids]
        why = f"{type(error).__name__}: {error}"
        return [Finished(job_id, None, why) for job_id in job_ids]

    def _new_pool(self, slot: int) -> ProcessPoolExecutor:
        gpu = slot % self.gpus if self.gpus else None
        return ProcessPoolExecutor(
            1,
            mp_context=get_context("spawn") if gpu is not None else _choose_context(),
            initializer=_start_worker,
            initargs=(dict(os.environ), gpu),
        )


_PRELOADED_MODULE = "lcma.harness.launch.preloaded"
"""The module that imports what workers have imported when they start."""

_LATE_PREFIXES = (
    *("LCMA_", "RAY_", "TUNE_", "CUBLAS_", "TORCHINDUCTOR_CACHE_"),
    *("COLUMNS", "PYTHONBREAKPOINT"),
)
"""Prefixes of variables that no module reads while it is imported."""

_RAY_FOLDER = "/ray/thirdparty_files"
"""Suffix of a folder that Ray puts at the front of sys.path when it is imported; we need none of
it."""

_server_start: tuple[int, dict[str, str], list[str]] | None = None
"""The process that started the fork server, with its environment and sys.path at that time."""


def _choose_context() -> BaseContext:
    """Return how workers start.

    They are forked from a server that has imported the bodies, which takes no time. They are
    spawned if the server's environment or path differs from what this process would give it now.
    """
    global _server_start
    if sys.platform != "linux":  # elsewhere libraries may not be used after a fork
        return get_context("spawn")
    # What a module reads while it is imported cannot be set afterwards.
    variables = {k: v for k, v in os.environ.items() if not k.startswith(_LATE_PREFIXES)}
    path = [entry for entry in sys.path if not entry.endswith(_RAY_FOLDER)]
    if _server_start is None:
        _server_start = os.getpid(), variables, path
    pid, same, server_path = _server_start
    if (os.getpid(), variables, path[: len(server_path)]) != (pid, same, server_path):
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload([_PRELOADED_MODULE])
    # The server is a `python -c`, which would prefer modules in the current folder.
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        forkserver.ensure_running()
    finally:
        if (before := variables.get("PYTHONSAFEPATH")) is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before
    return context


def _run(works: Sequence[Work]) -> _Ended:
    reports = run_body(works)
    from lcma.harness.train import devices  # imports torch, as the body does

    return reports, devices.has_failed()


def _start_worker(environment: dict[str, str], gpu: int | None) -> None:
    """Take over the launching process's environment, ignore interrupts, use one GPU, and end when
    that process ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if environment != os.environ:
        os.environ.clear()
        os.environ.update(environment)
    np.random.seed()  # else plug-ins that draw from it would draw the same in all forked workers
    if gpu is not None:
        # The launch counted only visible GPUs.
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        os.environ["CUDA_VISIBLE_DEVICES"] = visible.split(",")[gpu] if visible else str(gpu)
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
