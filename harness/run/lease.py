"""A worker's hold on a job: heartbeats from a thread, metrics in batches."""

import threading
import time
from types import TracebackType
from typing import Self

from db import Claim, Metric, Store
from sweeps.errors import UserError

BEAT_SECONDS = 2.0


class Lease:
    """Keeps a claim alive while the block runs; ``lost`` tells when it is no longer ours."""

    def __init__(self, store: Store, claim: Claim, seconds: float) -> None:
        self.store, self.claim, self.seconds = store, claim, seconds
        self.step = claim.step
        self._metrics: list[Metric] = []
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._lost = threading.Event()
        self._renewed = time.monotonic()
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
        self._thread.join()

    @property
    def lost(self) -> bool:
        return self._lost.is_set()

    def progress(self, step: int) -> None:
        """The step that the next heartbeat reports."""
        self.step = step

    def metric(self, name: str, step: int, value: float) -> None:
        """Keep a point of a curve for the next heartbeat."""
        with self._lock:
            self._metrics.append(Metric(name, step, value))

    def started_at(self, step: int) -> None:
        """Say from which step the attempt went on."""
        self.step = step
        self.store.heartbeat(self.claim, step=step, lease_seconds=self.seconds, first_step=step)

    def take_metrics(self) -> list[Metric]:
        """What has not been stored yet."""
        with self._lock:
            taken, self._metrics = self._metrics, []
        return taken

    def flush(self) -> None:
        """Store what was measured so far: a checkpoint must not be ahead of its curve."""
        taken = self.take_metrics()
        if taken and not self.store.add_metrics(self.claim, taken):
            self._lost.set()

    def _beat(self) -> None:
        while not self._ended.wait(min(BEAT_SECONDS, self.seconds / 4)):
            try:
                alive = self.store.heartbeat(self.claim, step=self.step, lease_seconds=self.seconds)
            except UserError:  # the database is away for now; the lease decides for how long
                alive = time.monotonic() - self._renewed < self.seconds
            else:
                self._renewed = time.monotonic()
            if not alive:
                self._lost.set()
                return
