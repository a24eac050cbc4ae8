"""Kill this process where it is ordered to die.

An order is a file named by its target: `POINT.before` or `POINT.after`, `worker` for a death of a
worker at any moment, and `stop` for one that stands still for a while. A process that passes the
target moves the file away, so that only it takes the order, and dies by SIGKILL. Before a commit
all is written and nothing committed; after it all is committed and the caller does not know.
"""

import importlib
import inspect
import os
import random
import signal
import subprocess
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.pool import Pool

from lcma.db import Store
from lcma.harness import kill_points
from tests.faults.points import FUNCTIONS, STEP

OFTEN = {"settle": 0.2, "submit": 0.3, "checkpoint": 0.3, "heartbeats": 0.5, STEP: 0.03}
"""The chance that a process looks for an order at a point that it passes again and again, so that
it does not always die there the first time."""

CHECK_SECONDS = 3.0
"""Longest interval between two checks of a worker whether to die at any moment."""

STOP_SECONDS = 12.0
"""Time for which a worker stands still: four leases, so that another launch may take its job."""


class Orders:
    """A folder with orders to all processes, and with the orders that were carried out."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open, self._taken = folder / "open", folder / "taken"
        self._open.mkdir(parents=True, exist_ok=True)
        self._taken.mkdir(exist_ok=True)

    def give(self, target: str) -> None:
        (self._open / target).touch()

    def take(self, target: str) -> bool:
        """Take an order, so that no other process gets it."""
        try:
            (self._open / target).rename(self._taken / f"{target}~{uuid.uuid4().hex}")
        except FileNotFoundError:
            return False
        return True

    def note(self, target: str) -> None:
        """Count a kill that another process carries out."""
        (self._taken / f"{target}~{uuid.uuid4().hex}").touch()

    def is_open(self, target: str) -> bool:
        return (self._open / target).exists()

    def withdraw(self) -> None:
        for file in self._open.iterdir():
            file.unlink(missing_ok=True)

    def carried_out(self) -> Counter[str]:
        """Count the kills at each target."""
        return Counter(file.name.partition("~")[0] for file in self._taken.iterdir())


_armed: "_Armed | None" = None


def arm(folder: str) -> None:
    """Carry out the orders in a folder in this process, from here on."""
    global _armed
    _armed = _armed or _Armed(Orders(Path(folder)))


def arm_worker(folder: str) -> None:
    """Carry out the orders in a worker, which also dies and stands still at any moment."""
    if _armed is None:
        arm(folder)
        assert _armed is not None
        _armed.follow_trainings()
        threading.Thread(target=_armed.watch, daemon=True).start()


class _Operations(threading.local):
    """Names of the operations on the database that this thread has entered, outermost first."""

    def __init__(self) -> None:
        self.entered: list[str] = []
        self.committed: str | None = None


class _Armed:
    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        self.checkpoint: int | None = None
        self._operations = _Operations()
        self._chance = random.SystemRandom()  # it touches no seed of the process
        for name, _ in inspect.getmembers(Store, inspect.isfunction):
            if not name.startswith("_"):
                self._name(Store, name, name)
        for name, (module, function) in FUNCTIONS.items():
            self._name(importlib.import_module(module), function, name)
        kill_points.hook = self._pass
        event.listen(sa.Engine, "commit", self._before_commit)
        event.listen(sa.Engine, "handle_error", self._after_error)
        event.listen(Pool, "checkin", self._after_return)

    def _name(self, owner: Any, function: str, name: str) -> None:
        """Replace a function by one that records that it is entered."""
        original: Callable[..., Any] = getattr(owner, function)

        @wraps(original)
        def named(*args: Any, **kwargs: Any) -> Any:
            self._operations.entered.append(name)
            try:
                return original(*args, **kwargs)
            finally:
                self._operations.entered.pop()

        setattr(owner, function, named)

    def follow_trainings(self) -> None:
        """Pass a point with each step that comes after a checkpoint."""
        from lcma.harness.train.checkpoint import CheckpointFolder
        from lcma.harness.train.stack import Stack
        from lcma.harness.train.trainer import Trainer

        resume, save = Trainer.resume, CheckpointFolder.save
        trainer_step, stack_step = Trainer.make_step, Stack.step

        def resumed(trainer: Trainer, *args: Any, **kwargs: Any) -> int:
            step = resume(trainer, *args, **kwargs)
            self.checkpoint = step or None  # at step 0 there is no checkpoint
            return step

        def saved(folder: CheckpointFolder, step: int, *args: Any, **kwargs: Any) -> Any:
            stored = save(folder, step, *args, **kwargs)
            self.checkpoint = step
            return stored

        def make_step(trainer: Trainer, make: Callable[[], Any]) -> Any:
            if self.checkpoint is None or trainer.step <= self.checkpoint:
                return make()
            with kill_points.kill_point(STEP):
                return make()

        # Patched here, since the package has no code for tests.
        Trainer.resume, CheckpointFolder.save = resumed, saved
        Trainer.make_step = lambda trainer: make_step(trainer, lambda: trainer_step(trainer))
        Stack.step = lambda stack: make_step(stack.trainers[0], lambda: stack_step(stack))

    def watch(self) -> None:
        """Check repeatedly whether to die or to stand still."""
        while True:
            time.sleep(self._chance.uniform(0.0, CHECK_SECONDS))
            self._look("worker")
            if self.orders.take("stop"):
                wake = f"sleep {STOP_SECONDS:g}; kill -CONT {os.getpid()}"
                subprocess.Popen(["/bin/sh", "-c", wake], start_new_session=True)
                os.kill(os.getpid(), signal.SIGSTOP)

    def _pass(self, name: str, when: str) -> None:
        if self._chance.random() < OFTEN.get(name, 1.0):
            self._look(f"{name}.{when}")

    def _look(self, target: str) -> None:
        if self.orders.take(target):
            os.kill(os.getpid(), signal.SIGKILL)

    def _before_commit(self, connection: sa.Connection) -> None:
        entered = self._operations.entered
        self._operations.committed = entered[0] if entered else None
        if entered:
            self._pass(entered[0], "before")

    def _after_error(self, context: sa.engine.ExceptionContext) -> None:
        self._operations.committed = None

    def _after_return(self, connection: Any, record: Any) -> None:
        name, self._operations.committed = self._operations.committed, None
        if name is not None:
            self._pass(name, "after")
