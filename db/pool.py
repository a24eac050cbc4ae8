"""A pool whose connection stays open for a moment, so that a burst of calls opens one."""

import atexit
import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry, Pool

IDLE_SECONDS = 1.0
"""How long a connection stays open that nobody uses."""

_forking = threading.Lock()
"""Held while a thread closes a connection, and while this process forks: what the driver has locked
then would stay locked in the child for ever."""

_pools: "weakref.WeakSet[BriefPool]" = weakref.WeakSet()
_inherited: list[ConnectionPoolEntry] = []
"""What a fork took along: neither used nor closed, since it is the parent's."""


class BriefPool(Pool):
    """A pool that keeps the connection that came back last for a second; any number may be in use.

    None is kept over a fork or at exit, and one that is found dead when it is wanted again is
    opened anew; see `replace_dead`.
    """

    def __init__(self, creator: Any, **options: Any) -> None:
        super().__init__(creator, **options)
        self._start_afresh()
        _pools.add(self)

    def _start_afresh(self) -> None:
        self._lock = threading.Lock()
        self._idle: ConnectionPoolEntry | None = None
        self._since = 0.0
        self._closing = False

    def _do_get(self) -> ConnectionPoolEntry:
        with self._lock:
            kept, self._idle = self._idle, None
        return kept or self._create_connection()

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        with self._lock:
            former, self._idle = self._idle, record
            self._since = time.monotonic()
            start, self._closing = not self._closing, True
        if former is not None:
            former.close()
        if start:
            try:
                threading.Thread(target=self._close_idle, daemon=True).start()
            except RuntimeError:  # the interpreter is shutting down
                self.dispose()

    def _close_idle(self) -> None:
        kept, wait = None, IDLE_SECONDS
        while wait > 0:
            time.sleep(wait)
            with self._lock:
                wait = self._since + IDLE_SECONDS - time.monotonic()
                if wait <= 0:
                    kept, self._idle, self._closing = self._idle, None, False
        if kept is not None:
            with _forking:
                kept.close()

    def dispose(self) -> None:
        with self._lock:
            kept, self._idle = self._idle, None
        if kept is not None:
            kept.close()

    def recreate(self) -> Self:
        return type(self)(
            self._creator,
            recycle=self._recycle,
            echo=self.echo,
            logging_name=self._orig_logging_name,
            reset_on_return=self._reset_on_return,
            pre_ping=self._pre_ping,
            _dispatch=self.dispatch,
            dialect=self._dialect,
        )

    def status(self) -> str:
        return "a connection is kept" if self._idle else "no connection is kept"

    def leave_to_parent(self) -> None:
        """Forget, in a forked process, what is the parent's, and whatever its threads held."""
        if self._idle is not None:
            _inherited.append(self._idle)
        self._start_afresh()


def replace_dead(engine: sa.Engine, alive: Callable[[Any, ConnectionPoolEntry], bool]) -> sa.Engine:
    """Make an engine open a new connection where the kept one is not `alive` any more.

    Returns:
        The same engine.
    """

    @event.listens_for(engine, "checkout")
    def _check(connection: Any, record: ConnectionPoolEntry, proxy: object) -> None:
        if not alive(connection, record):
            raise DisconnectionError

    return engine


def _close_all() -> None:
    for pool in list(_pools):
        pool.dispose()


def _before_fork() -> None:
    _close_all()
    _forking.acquire()


def _after_fork_in_child() -> None:
    for pool in list(_pools):
        pool.leave_to_parent()
    _forking.release()


atexit.register(_close_all)
os.register_at_fork(
    before=_before_fork, after_in_parent=_forking.release, after_in_child=_after_fork_in_child
)
