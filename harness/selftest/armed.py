"""Kill this process at the point where it is ordered to die.

The points are those of `lcma.harness.kill_points`, both sides of each step of a training and, by
SQLAlchemy's events, of every commit to the database: before it, with all written and nothing
committed, and after it, with all committed and the caller not told. A commit is named by the public
method of the store that makes it, so that a method added later is found too.
"""

import importlib
import inspect
import os
import random
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.pool import Pool

from lcma.db import Claim, Store
from lcma.harness.kill_points import When, install_hook
from lcma.harness.selftest.kills import NOW, STOP, How, Kill, KillOrder, KillOrders, now
from lcma.harness.selftest.schedule import FUNCTIONS, STEP, STORE_METHODS

OFTEN = {"settle": 0.2, "submit": 0.3, "checkpoint": 0.3, "heartbeats": 0.5, STEP: 0.03}
"""Points that a process passes again and again: it looks with this chance whether to die there, so
that it is not always the first time."""

LOOK_SECONDS = 3.0
"""Longest time between two looks of a worker whether to die at no point in particular."""

_armed: "_Armed | None" = None


def arm_driver(folder: Path) -> None:
    """Carry out the orders in a folder in this process, a launch, from here on."""
    _arm(folder, "driver")


def arm_worker(folder: str, job_id: str) -> None:
    """Carry out the orders in a folder in this process, which works on a job from here on.

    `lcma.harness.kill_points.HOOK_VARIABLE` names this function to the workers of a self-test.
    """
    armed = _arm(Path(folder), "worker")
    armed.job_id, armed.trained, armed.checkpoint = job_id, None, None


def _arm(folder: Path, who: Literal["worker", "driver"]) -> "_Armed":
    global _armed
    if _armed is None:
        _armed = _Armed(KillOrders(folder), who)
    return _armed


@dataclass(frozen=True)
class _Operation:
    name: str
    job_id: str | None


class _Operations(threading.local):
    """Operations on the database that this thread has entered, outermost first."""

    def __init__(self) -> None:
        self.entered: list[_Operation] = []
        self.committed: str | None = None


class _Armed:
    def __init__(self, orders: KillOrders, who: Literal["worker", "driver"]) -> None:
        self.orders, self.who = orders, who
        self.job_id: str | None = None
        self.trained: int | None = None
        self.checkpoint: int | None = None
        self._store: Store | None = None
        self._here = _Operations()
        self._chance = random.SystemRandom()  # no seed of anybody else's is touched
        self._name_operations()
        install_hook(self._pass)
        event.listen(sa.Engine, "commit", self._before_commit)
        event.listen(sa.Engine, "handle_error", self._after_error)
        event.listen(Pool, "checkin", self._after_return)
        if who == "worker":
            self._follow_trainings()
            threading.Thread(target=self._watch, name="selftest", daemon=True).start()

    def _name_operations(self) -> None:
        methods = [n for n, _ in inspect.getmembers(Store, inspect.isfunction) if n[0] != "_"]
        if missing := set(STORE_METHODS) - set(methods):
            raise RuntimeError(f"the store has no {', '.join(sorted(missing))} to be killed in")
        for name in methods:
            self._name(Store, name, name)
        for name, (module, function) in FUNCTIONS.items():
            self._name(importlib.import_module(module), function, name)

    def _name(self, owner: Any, function: str, name: str) -> None:
        """Replace a function of a class or module by one that keeps note of being entered."""
        original: Callable[..., Any] = getattr(owner, function)
        signature = inspect.signature(original)

        @wraps(original)
        def named(*args: Any, **kwargs: Any) -> Any:
            given = signature.bind(*args, **kwargs).arguments
            entered = self._here.entered
            job_id = entered[-1].job_id if entered else None
            for value in given.values():
                if isinstance(value, Store):
                    self._store = value
                elif isinstance(value, Claim):
                    job_id = value.job_id
            entered.append(_Operation(name, given.get("job_id", job_id)))
            try:
                return original(*args, **kwargs)
            finally:
                entered.pop()

        setattr(owner, function, named)

    def _follow_trainings(self) -> None:
        """Pass a point with each step, and keep note of the step and of the last checkpoint's."""
        from lcma.harness.train.checkpoint import CheckpointFolder
        from lcma.harness.train.stack import Stack
        from lcma.harness.train.trainer import Trainer

        resume, save = Trainer.resume, CheckpointFolder.save

        @wraps(resume)
        def resumed(trainer: Trainer, *args: Any, **kwargs: Any) -> int:
            self.trained = resume(trainer, *args, **kwargs)
            self.checkpoint = self.trained or None  # a start leaves none
            return self.trained

        def followed(
            make_step: Callable[[Any], Any], trainer_of: Callable[[Any], Trainer]
        ) -> Callable[[Any], Any]:
            @wraps(make_step)
            def made(one: Any) -> Any:
                trainer = trainer_of(one)
                between = self.checkpoint is not None and trainer.step > self.checkpoint
                if between:
                    self._pass(STEP, "before")
                found = make_step(one)
                self.trained = trainer.step
                if between:
                    self._pass(STEP, "after")
                return found

            return made

        @wraps(save)
        def saved(folder: CheckpointFolder, step: int, *args: Any, **kwargs: Any) -> Any:
            found = save(folder, step, *args, **kwargs)
            self.checkpoint = step
            return found

        for owner, name, function in (
            (Trainer, "resume", resumed),
            (Trainer, "_one_step", followed(Trainer._one_step, lambda trainer: trainer)),
            (Stack, "step", followed(Stack.step, lambda stack: stack.trainers[0])),
            (CheckpointFolder, "save", saved),
        ):
            setattr(owner, name, function)

    def _pass(self, name: str, when: When) -> None:
        if name in OFTEN and self._chance.random() > OFTEN[name]:
            return
        order = self.orders.take(f"{name}.{when}")
        if order is not None:
            self._die(order)

    def _before_commit(self, connection: sa.Connection) -> None:
        entered = self._here.entered
        if entered:
            self._pass(entered[0].name, "before")
        self._here.committed = entered[0].name if entered else None

    def _after_error(self, context: sa.engine.ExceptionContext) -> None:
        self._here.committed = None

    def _after_return(self, connection: Any, record: Any) -> None:
        name, self._here.committed = self._here.committed, None
        if name is not None:
            self._pass(name, "after")

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

    def _die(self, order: KillOrder) -> None:
        self.orders.log(self._kill(order, "killed"))
        os.kill(os.getpid(), signal.SIGKILL)

    def _stop(self, order: KillOrder) -> None:
        """Stand still; a process beside this one wakes it up."""
        wake = f"sleep {order.seconds:g}; kill -CONT {os.getpid()}"
        subprocess.Popen(["/bin/sh", "-c", wake], start_new_session=True)  # noqa: S603 - our own words
        self.orders.log(self._kill(order, "stopped"))
        os.kill(os.getpid(), signal.SIGSTOP)

    def _kill(self, order: KillOrder, how: How) -> Kill:
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
            trained=self.trained,
            checkpoint=self.checkpoint,
            **self._state(),
        )

    def _state(self) -> dict[str, Any]:
        """Return the job's state as the database shows it to others, without open transactions."""
        entered = self._here.entered
        job_id = (entered[-1].job_id if entered else None) or self.job_id
        found: dict[str, Any] = {"job_id": job_id}
        with suppress(Exception):
            if self._store is None:
                return found
            job = None if job_id is None else self._store.job(job_id)
            if job is None:
                found["jobs"] = self._store.job_counts().by_state
            else:
                found |= {
                    "kind": job.kind,
                    "state": job.state,
                    "step": job.step,
                    "steps": job.steps,
                    "token": job.token,
                }
        return found
