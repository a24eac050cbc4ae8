"""The lease of a worker: a thread that extends it and delivers points of curves."""

import threading
from array import array
from types import TracebackType
from typing import Self

import numpy as np
import torch

from lcma.db import Claim, Metric, Store
from lcma.harness.run.log import logger
from lcma.harness.run.spool import Spool
from lcma.harness.train.trainer import Curves
from lcma.sweeps.errors import UserError

BEAT_SECONDS = 2.0
"""Longest interval between heartbeats."""

LEAVE_SECONDS = 5.0
"""Wait at the end of the block for a heartbeat that hangs."""


class Lease:
    """A claim that is kept alive while the block runs; ``lost`` once it is another worker's.

    Only the database decides that: while it is unreachable the thread keeps trying, and points of
    curves are kept in the spool and in memory. None of the methods waits for the database.
    """

    def __init__(self, store: Store, claim: Claim, seconds: float, spool: Spool) -> None:
        self.store, self.claim, self.seconds, self.spool = store, claim, seconds, spool
        self.step = claim.step
        self._problem = ""
        self.first_step: int | None = None
        self._start_unreported = self._unreachable = False
        self._points: dict[str, array[float]] = {}
        self._restored: list[Metric] = []
        self._pending: list[Metric] = []
        self._spooled = 0
        self._of_others: Curves = {}
        self._lock = threading.Lock()
        self._wake, self._ended, self._lost = (threading.Event() for _ in range(3))
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

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
        self._wake.set()
        self._thread.join(LEAVE_SECONDS)

    @property
    def lost(self) -> bool:
        return self._lost.is_set()

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
        self._wake.set()

    def pending(self) -> tuple[Metric, ...]:
        """Return the points that the database has not acknowledged."""
        with self._lock:
            return *self._restored, *self._pending

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

    def _beat(self) -> None:
        while True:
            self._wake.wait(min(BEAT_SECONDS, self.seconds / 4))
            self._wake.clear()
            if self._ended.is_set():
                return
            if not self._send_heartbeat():
                self._lost.set()
                return

    def _send_heartbeat(self) -> bool:
        with self._lock:
            restored, points = self._restored, list(self._pending)
            first_step = self.first_step if self._start_unreported else None
            new, self._spooled = points[self._spooled :], len(points)
        if new:
            self.spool.metrics(new)
        try:
            lacking = self.store.missing_metrics(self.claim, restored)
            alive = self.store.heartbeat(
                self.claim,
                step=self.step,
                lease_seconds=self.seconds,
                first_step=first_step,
                message=self._problem or self.spool.problem,
                metrics=[*lacking, *points],
            )
        except UserError as error:  # only the database can take the job away, and it may return
            if not self._unreachable:
                logger.warning("the database is unreachable, and the work goes on: %s", error)
            self._unreachable = True
            return True
        except Exception:  # noqa: BLE001 - whatever it is, the work is not lost by it
            # The lease may run out by this; the database decides at the end whose the job is.
            logger.exception("a heartbeat failed, and the work goes on")
            return True
        if self._unreachable:
            logger.info("the database is back")
            self._unreachable = False
        if alive:
            with self._lock:
                del self._pending[: len(points)]
                self._restored = [] if restored is self._restored else self._restored
                self._spooled = 0
                self._start_unreported = self._start_unreported and first_step is None
            self.spool.acknowledge()
        return alive
