"""The leases of a worker, and the thread that extends them and delivers points of curves."""

import secrets
import threading
import time
from array import array
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

import numpy as np
import torch

from lcma.db import Claim, Cost, Heartbeat, Metric, Store
from lcma.harness.train.trainer import Curves
from lcma.harness.work.log import logger
from lcma.sweeps.errors import UserError
from lcma.sweeps.recipe import TRAIN_CURVE

BEAT_SECONDS = 7.5
"""Mean interval between heartbeats, unless a quarter of the lease is less."""

JITTER = 0.25
"""Share of an interval by which it may be longer or shorter."""

LOG_LENGTH = 8 * 1024
"""Characters of the log that heartbeats bring while the attempt runs, the last ones."""

LEAVE_SECONDS = 5.0
"""Wait at the end of the block for a heartbeat that hangs."""

_random = secrets.SystemRandom()  # leaves the state of `random` alone, which may be seeded


def draw_pause(mean: float, *, refused: bool = False) -> float:
    """Return seconds until the next heartbeat: random, so that workers do not come in waves, and
    fewer after one that was refused, as by a server with too many clients."""
    return (mean / 4 if refused else mean) * _random.uniform(1 - JITTER, 1 + JITTER)


class HeartbeatThread:
    """A thread that keeps leases alive while the block runs, all of them in one transaction.

    While the database is unreachable it keeps trying. Between heartbeats it keeps no connection, so
    that a server admits many more workers than connections.
    """

    def __init__(self, store: Store, lease_seconds: float) -> None:
        self._store, self._pause = store, min(BEAT_SECONDS, lease_seconds / 4)
        self._last_success = time.monotonic()
        self._leases: list[Lease] = []
        self._unreachable = False
        self._lock = threading.Lock()
        self._wake, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._ended.set()
        self.wake()
        self._thread.join(LEAVE_SECONDS)

    def add(self, lease: "Lease") -> None:
        """Keep a lease alive from now on."""
        with self._lock:
            self._leases.append(lease)

    def remove(self, lease: "Lease") -> None:
        """Keep a lease alive no longer."""
        with self._lock:
            self._leases = [one for one in self._leases if one is not lease]

    def wake(self) -> None:
        """Send the next heartbeats at once."""
        self._wake.set()

    def _run(self) -> None:
        refused = False
        while True:
            self._wake.wait(draw_pause(self._pause, refused=refused))
            self._wake.clear()
            if self._ended.is_set():
                return
            with self._lock:
                leases = list(self._leases)
            if leases:
                refused = not self._beat(leases)

    def _beat(self, leases: "Sequence[Lease]") -> bool:
        """Extend leases; return whether the database took it."""
        try:
            alive = self._store.heartbeats([one.make_heartbeat(self._store) for one in leases])
        except UserError as error:  # only the database can take the jobs away, and it may return
            # A single refusal is no news: it is tried again long before the leases run out.
            late = time.monotonic() - self._last_success > 2 * self._pause
            if late and not self._unreachable:
                logger.warning("the database is unreachable, and the work goes on: %s", error)
                self._unreachable = True
            return False
        except Exception:  # noqa: BLE001 - whatever it is, the work is not lost by it
            # The leases may run out by this; the database decides at the end whose the jobs are.
            logger.exception("a heartbeat failed, and the work goes on")
            return False
        self._last_success = time.monotonic()
        if self._unreachable:
            logger.info("the database is back")
            self._unreachable = False
        for lease in leases:
            if lease.claim.job_id in alive:
                lease.acknowledge(alive[lease.claim.job_id])
            else:
                lease.lost = True
                self.remove(lease)
        return True


class Lease:
    """A claim that is kept alive while the block runs; ``lost`` once it is another worker's.

    ``end_request`` says why the attempt shall end at its next checkpoint, '' while it may go on.
    Only the database decides that: while it is unreachable, points of curves are kept in memory and
    in checkpoints. None of the methods waits for the database.
    """

    def __init__(
        self,
        thread: HeartbeatThread,
        claim: Claim,
        seconds: float,
        cost: Callable[[], Cost],
        log: Callable[[], str],
    ) -> None:
        self.thread, self.claim, self.seconds = thread, claim, seconds
        self.lost, self.end_request = False, ""
        self._cost, self._log, self._log_sent = cost, log, ""
        self._bits: float | None = None
        self.step = claim.step
        self._problem = ""
        self.first_step: int | None = None
        self._start_unreported = False
        self._points: dict[str, array[float]] = {}
        self._restored: list[Metric] = []
        self._pending: list[Metric] = []
        self._sent_points = 0
        self._sent: list[Metric] = []
        self._of_others: Curves = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self.thread.add(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.thread.remove(self)

    def progress(self, step: int) -> None:
        """Set the step that the next heartbeat reports."""
        self.step = step

    def report_problem(self, problem: str = "") -> None:
        """Set what heartbeats report that the attempt cannot do at present, '' for nothing."""
        self._problem = problem

    def metric(self, name: str, step: int, value: float) -> None:
        """Keep a point of a curve for the next heartbeat."""
        with self._lock:
            self._points.setdefault(name, array("d")).extend((step, value))
            self._pending.append(Metric(name, step, value))
            if name == TRAIN_CURVE:
                self._bits = value

    def started_at(self, step: int, curves: Curves) -> None:
        """Report the step from which the attempt goes on, and take over its checkpoint's curves.

        Points of this job that the database lacks are delivered with the next heartbeat; those of
        other jobs go into the next checkpoint.
        """
        with self._lock:
            self.step = self.first_step = step
            own = curves.get(self.claim.job_id, {})
            self._points = {name: array("d", one.flatten().tolist()) for name, one in own.items()}
            self._restored = self._all_points()
            self._of_others = {k: v for k, v in curves.items() if k != self.claim.job_id}
            self._start_unreported = True
        self.thread.wake()

    def points(self) -> list[Metric]:
        """Return all points of the job's curves so far."""
        with self._lock:
            return self._all_points()

    def curves(self) -> Curves:
        """Return all curves for a checkpoint, those of other jobs included."""
        with self._lock:
            own = {
                name: torch.from_numpy(np.array(points).reshape(-1, 2))
                for name, points in self._points.items()
            }
        return {**self._of_others, self.claim.job_id: own} if own else dict(self._of_others)

    def _all_points(self) -> list[Metric]:
        return [
            Metric(name, int(step), value)
            for name, points in self._points.items()
            for step, value in zip(points[::2], points[1::2], strict=True)
        ]

    def make_heartbeat(self, store: Store) -> Heartbeat:
        """Return a heartbeat with the points that are new, and restored ones that lack."""
        with self._lock:
            self._sent, points = self._restored, list(self._pending)
            self._sent_points = len(points)
            first_step = self.first_step if self._start_unreported else None
            self._log_now = log = _cut_log(self._log())
        return Heartbeat(
            claim=self.claim,
            step=self.step,
            lease_seconds=self.seconds,
            first_step=first_step,
            message=self._problem,
            metrics=[*find_missing(store, self.claim, self._sent), *points],
            cost=self._cost(),
            bits_per_dim=self._bits,
            log=None if log == self._log_sent else log,
        )

    def acknowledge(self, end_request: str) -> None:
        """Forget what the last heartbeat delivered, and keep the answer."""
        self.end_request, self._log_sent = end_request, self._log_now
        with self._lock:
            del self._pending[: self._sent_points]
            if self._restored is self._sent:
                self._restored, self._start_unreported = [], False


def _cut_log(text: str) -> str:
    """Return the last whole lines of a log."""
    return text if len(text) <= LOG_LENGTH else text[-LOG_LENGTH:].partition("\n")[2]


def find_missing(store: Store, claim: Claim, points: Sequence[Metric]) -> list[Metric]:
    """Return those of the points that the curves of the claim's attempt do not have.

    A database that was put back from a copy, or lost its last transactions, lacks points that it
    had acknowledged.
    """
    stored = store.points({(claim.attempt_id, one.name) for one in points})
    known = {(name, step, repr(value)) for (_, name), of in stored.items() for step, value in of}
    return [one for one in points if (one.name, one.step, repr(float(one.value))) not in known]
