"""A worker's hold on a job: a thread that extends the lease and delivers what was measured."""

import threading
from types import TracebackType
from typing import Self

from lcma.db import Claim, Metric, Store
from lcma.harness.run.log import own
from lcma.harness.run.spool import Spool
from lcma.harness.train.trainer import Undelivered
from lcma.sweeps.errors import UserError

BEAT_SECONDS = 2.0

LEAVE_SECONDS = 5.0
"""How long the end of the block waits for a heartbeat that hangs."""


class Lease:
    """Keeps a claim alive while the block runs; ``lost`` tells when it is no longer ours.

    Only the database can say so: while it is away the thread keeps trying, and what is to be told
    is kept in the spool and in memory. None of the methods waits for the database.
    """

    def __init__(self, store: Store, claim: Claim, seconds: float, spool: Spool) -> None:
        self.store, self.claim, self.seconds, self.spool = store, claim, seconds, spool
        self.step = claim.step
        self.first_step: int | None = None
        self._untold = self._away = False
        self._pending: list[Metric] = []
        self._spooled = 0
        self._of_others: Undelivered = {}
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
        """The step that the next heartbeat reports."""
        self.step = step

    def metric(self, name: str, step: int, value: float) -> None:
        """Keep a point of a curve for the next heartbeat."""
        with self._lock:
            self._pending.append(Metric(name, step, value))

    def started_at(self, step: int, undelivered: Undelivered) -> None:
        """Say from which step the attempt went on, and what its checkpoint brought along: points
        of this job, which are delivered now, and of others, which go into the next checkpoint."""
        with self._lock:
            self.step = self.first_step = step
            own = undelivered.get(self.claim.job_id, ())
            self._pending += (Metric(*point) for point in own)
            self._of_others = {k: v for k, v in undelivered.items() if k != self.claim.job_id}
            self._untold = True
        self._wake.set()

    def pending(self) -> tuple[Metric, ...]:
        """The points that the database has not acknowledged."""
        with self._lock:
            return tuple(self._pending)

    def undelivered(self) -> Undelivered:
        """The same for a checkpoint, with those of other jobs on this run."""
        own = [(metric.name, metric.step, metric.value) for metric in self.pending()]
        return {**self._of_others, self.claim.job_id: own} if own else dict(self._of_others)

    def _beat(self) -> None:
        while True:
            self._wake.wait(min(BEAT_SECONDS, self.seconds / 4))
            self._wake.clear()
            if self._ended.is_set():
                return
            if not self._tell():
                self._lost.set()
                return

    def _tell(self) -> bool:
        with self._lock:
            points, first_step = list(self._pending), self.first_step if self._untold else None
            new, self._spooled = points[self._spooled :], len(points)
        if new:
            self.spool.metrics(new)
        try:
            alive = self.store.heartbeat(
                self.claim,
                step=self.step,
                lease_seconds=self.seconds,
                first_step=first_step,
                metrics=points,
            )
        except UserError as error:  # it may be back; nobody but it can take the job away
            if not self._away:
                own.warning("the database is away, and the work goes on: %s", error)
            self._away = True
            return True
        except Exception:  # noqa: BLE001 - whatever it is, the work is not lost by it
            # Without a heartbeat the job would be another's; who goes on is told at the end.
            own.exception("a heartbeat failed, and the work goes on")
            return True
        if self._away:
            own.info("the database is back")
            self._away = False
        if alive:
            with self._lock:
                del self._pending[: len(points)]
                self._spooled = 0
                self._untold = self._untold and first_step is None
            self.spool.acknowledged()
        return alive
