"""What makes a process die at the moment that it is ordered to.

It watches the files' and the launch's kill points (`lcma.harness.kill_points`) and, by SQLAlchemy's
events,
every commit to the database: before it, with all written and nothing committed, and after it, with
all committed and nobody told. A commit is named by the method of the store that makes it, so that
one that is added later is found too.
"""

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.pool import Pool

from lcma.db import Store
from lcma.harness.kill_points import When, install_hook
from lcma.harness.selftest.kills import NOW, STOP, How, Kill, Order, Orders, now

OFTEN = {"settle": 0.2, "submit": 0.3, "checkpoint": 0.3, "heartbeat": 0.5}
"""Moments that a process passes again and again: by this chance it looks whether to die there, so
that it is not always the first time."""

LOOK_SECONDS = 3.0
"""Within which a worker looks whether to die at no moment in particular."""

_armed: "_Armed | None" = None


def arm_process(folder: Path, who: Literal["worker", "driver"], job_id: str | None = None) -> None:
    """Carry out the orders in a folder from here on; ``job_id`` is what the process works on."""
    global _armed
    if _armed is None:
        _armed = _Armed(Orders(folder), who)
    _armed.job_id = job_id


class _Armed:
    def __init__(self, orders: Orders, who: Literal["worker", "driver"]) -> None:
        self.orders, self.who = orders, who
        self.job_id: str | None = None
        self._store: Store | None = None
        self._last = threading.local()
        self._chance = random.SystemRandom()  # no seed of anybody else's is touched
        install_hook(self._passing)
        event.listen(sa.Engine, "commit", self._commits)
        event.listen(sa.Engine, "handle_error", self._failed)
        event.listen(Pool, "checkin", self._returned)
        if who == "worker":
            threading.Thread(target=self._watch, name="selftest", daemon=True).start()

    def _passing(self, name: str, when: When) -> None:
        if name in OFTEN and self._chance.random() > OFTEN[name]:
            return
        order = self.orders.take(f"{name}.{when}")
        if order is not None:
            self._die(order)

    def _commits(self, connection: sa.Connection) -> None:
        name = self._of_whom(sys._getframe(1))
        if name is not None:
            self._passing(name, "before")
        self._last.name = name

    def _failed(self, context: sa.engine.ExceptionContext) -> None:
        self._last.name = None

    def _returned(self, connection: Any, record: Any) -> None:
        name, self._last.name = getattr(self._last, "name", None), None
        if name is not None:
            self._passing(name, "after")

    def _of_whom(self, frame: FrameType | None) -> str | None:
        """The store's method that commits; 'create' for what makes the tables, 'deliver' for what
        a dead worker left."""
        method: str | None = None
        while frame is not None:
            found = frame.f_locals
            if isinstance(store := found.get("self"), Store):
                self._store = store
                claim = found.get("claim")
                self.job_id = found.get("job_id") or getattr(claim, "job_id", self.job_id)
                method = frame.f_code.co_name
            if method and frame.f_globals.get("__name__") == "lcma.harness.run.spool":
                return "deliver"
            if (
                frame.f_globals.get("__name__") == "lcma.db.migrate"
                and frame.f_code.co_name == "upgrade"
            ):
                return "create"
            frame = frame.f_back
        return method

    def _watch(self) -> None:
        while True:
            time.sleep(self._chance.uniform(0.0, LOOK_SECONDS))
            if self._store is None:
                continue  # it has not begun yet
            order = self.orders.take(NOW)
            if order is not None:
                self._die(order)
            order = self.orders.take(STOP)
            if order is not None:
                self._stop(order)

    def _die(self, order: Order) -> None:
        self.orders.log(self._kill(order, "killed"))
        os.kill(os.getpid(), signal.SIGKILL)

    def _stop(self, order: Order) -> None:
        """Stand still; a process beside it wakes it up."""
        wake = f"sleep {order.seconds:g}; kill -CONT {os.getpid()}"
        subprocess.Popen(["/bin/sh", "-c", wake], start_new_session=True)  # noqa: S603 - our own words
        self.orders.log(self._kill(order, "stopped"))
        os.kill(os.getpid(), signal.SIGSTOP)

    def _kill(self, order: Order, how: How) -> Kill:
        return Kill(
            number=order.number,
            round=order.round,
            who=self.who,
            how=how,
            moment=order.moment,
            when=order.when,
            host=socket.gethostname(),
            pid=os.getpid(),
            time=now(),
            **self._state(),
        )

    def _state(self) -> dict[str, Any]:
        """As the database shows it to others, so without what is not committed yet."""
        found: dict[str, Any] = {"job_id": self.job_id}
        with suppress(Exception):
            if self._store is not None and self.job_id is not None:
                job = self._store.job(self.job_id)
                assert job is not None
                found |= {
                    "kind": job.kind,
                    "state": job.state,
                    "step": job.step,
                    "steps": job.steps,
                    "token": job.token,
                }
            elif self._store is not None:
                found["jobs"] = self._store.job_counts().by_state
        return found
