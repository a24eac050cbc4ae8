"""The leases of a worker, and the thread that extends them and delivers points of curves."""

import secrets
import threading
import time
from array import array
from collections.abc import Callable, Sequence
from typing import Self

import numpy as np
import torch

from lcma.db import Claim, Cost, Heartbeat, Metric, Store
from lcma.harness.train.trainer import Curves
from lcma.harness.work.log import logger
from lcma.sweeps.errors import UserError
from lcma.sweeps.recipe import TRAIN_CURVE

BEAT_SECONDS = 7.5
"""Mean interval between heartbeats; at most a quarter of the lease."""

JITTER = 0.25
"""Share of an interval by which it may be longer or shorter."""

LOG_LENGTH = 8 * 1024
"""Characters of a running attempt's log, from its end, that heartbeats send."""

LEAVE_SECONDS = 5.0
"""Time that a hanging heartbeat gets at the end of the block."""

_random = secrets.SystemRandom()  # does not change the state of `random`, which may be seeded


def draw_pause(mean: float, *, refused: bool = False) -> float:
    """Return the seconds until the next heartbeat.

    They are random, so that workers do not come in waves, and fewer after a refused heartbeat, as
    by a server with too many clients.
    """
    return (mean / 4 if refused else mean) * _random.uniform(1 - JITTER, 1 + JITTER)


class HeartbeatThread:
    """A thread that extends all leases of a process in one transaction, during a block.

    While the database is unreachable it keeps trying. Between heartbeats it keeps no connection, so
    that a server can have many more workers than connections.
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

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self.wake()
        self._thread.join(LEAVE_SECONDS)

    def add(self, lease: "Lease") -> None:
        """Extend a lease from now on."""
        with self._lock:
            self._leases.append(lease)

    def remove(self, lease: "Lease") -> None:
        """Extend a lease no longer."""
        with self._lock:
            self._leases = [other for other in self._leases if other is not lease]

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
        """Extend leases; return whether the database accepted that."""
        try:
            alive = self._store.heartbeats([lease.make_heartbeat(self._store) for lease in leases])
        except UserError as error:  # only the database can take the jobs away, and it may return
            # A single refusal is not logged: the next try comes long before the leases expire.
            late = time.monotonic() - self._last_success > 2 * self._pause
            if late and not self._unreachable:
                logger.warning("the database is unreachable, and the work goes on: %s", error)
                self._unreachable = True
            return False
        except Exception:  # noqa: BLE001 - no error of a heartbeat may end the work
            # If the leases expire by this, the database decides at the end whose the jobs are.
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
    """A claim that is extended during a block, with what its heartbeats send.

    Only the database decides that a claim is lost or that its attempt must end. While it is
    unreachable, points of curves are kept in memory and in checkpoints. No method waits for it.
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
        self.lost = False  # whether another worker may have the job
        self.end_request = ""  # why the attempt must end at its next checkpoint
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
        self._other_curves: Curves = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self.thread.add(self)
        return self

    def __exit__(self, *exception: object) -> None:
        self.thread.remove(self)

    def progress(self, step: int) -> None:
        """Set the step that the next heartbeat reports."""
        self.step = step

    def report_problem(self, problem: str = "") -> None:
        """Set the problem that heartbeats report, '' for none."""
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

        The next heartbeat sends points of this job that the database lacks. Points of other jobs go
        into the next checkpoint.
        """
        with self._lock:
            self.step = self.first_step = step
            restored = curves.get(self.claim.job_id, {})
            self._points = {k: array("d", v.flatten().tolist()) for k, v in restored.items()}
            self._restored = self._all_points()
            self._other_curves = {k: v for k, v in curves.items() if k != self.claim.job_id}
            self._start_unreported = True
        self.thread.wake()

    def points(self) -> list[Metric]:
        """Return all points of the job's curves so far."""
        with self._lock:
            return self._all_points()

    def curves(self) -> Curves:
        """Return all curves for a checkpoint, including those of other jobs."""
        with self._lock:
            curves = {
                name: torch.from_numpy(np.array(points).reshape(-1, 2))
                for name, points in self._points.items()
            }
        return self._other_curves | ({self.claim.job_id: curves} if curves else {})

    def _all_points(self) -> list[Metric]:
        return [
            Metric(name, int(step), value)
            for name, points in self._points.items()
            for step, value in zip(points[::2], points[1::2], strict=True)
        ]

    def make_heartbeat(self, store: Store) -> Heartbeat:
        """Return a heartbeat with new points, and restored ones that the database lacks."""
        with self._lock:
            self._sent, points = self._restored, list(self._pending)
            self._sent_points = len(points)
            first_step = self.first_step if self._start_unreported else None
            log = self._log()
            if len(log) > LOG_LENGTH:
                log = log[-LOG_LENGTH:].partition("\n")[2]  # whole lines
            self._log_now = log
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
        """Forget what the last heartbeat sent, and keep the database's answer."""
        self.end_request, self._log_sent = end_request, self._log_now
        with self._lock:
            del self._pending[: self._sent_points]
            if self._restored is self._sent:  # else the attempt started after that heartbeat
                self._restored, self._start_unreported = [], False


def find_missing(store: Store, claim: Claim, points: Sequence[Metric]) -> list[Metric]:
    """Return the points that the stored curves of the claim's attempt lack.

    A database that was restored from a copy, or lost its last transactions, lacks points that it
    had acknowledged.
    """
    if not points:
        return []
    stored = store.points({(claim.attempt_id, point.name) for point in points})
    stored_points = {
        (name, step, repr(value)) for (_, name), curve in stored.items() for step, value in curve
    }
    return [p for p in points if (p.name, p.step, repr(float(p.value))) not in stored_points]
