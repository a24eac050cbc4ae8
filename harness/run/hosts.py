"""The hosts of a launch that get no trials for a while, since something fails there beforehand.

What fails before a trial is claimed is the host's fault and never counts against the trial: a host
without lcma, with other code, without the database's driver, with a PyTorch for CPUs. A host
that is set aside is asked again after its pause, which doubles each time until a trial ends there.
"""

import math
import time
from collections.abc import Callable

from lcma.db import Store
from lcma.harness.run.executor import Executor
from lcma.harness.run.preflight import Answer, Preflight
from lcma.harness.storage import StorageError
from lcma.harness.text import format_count

CHECK_SECONDS = 5.0
"""Interval between looks at hosts that joined, and at those that are set aside."""

SHORTEST, LONGEST = 30.0, 600.0
"""Seconds for which a host is set aside, at first and at most."""


class Hosts:
    """A launch's view of its hosts. Which are set aside is in the database, for other launches and
    for `lcma status`."""

    def __init__(
        self,
        store: Store,
        executor: Executor,
        note: Callable[[str], None],
        preflight: Preflight,
        *,
        owner: str,
        sweep_id: str,
    ) -> None:
        self._store, self._executor, self._note = store, executor, note
        self._preflight, self._owner, self._sweep_id = preflight, owner, sweep_id
        self._last_check = -math.inf
        self._answers: list[Answer] = []
        self._pauses: dict[str, float] = {}  # the next of each that was set aside
        self._aside: set[str] = set()
        self._unstored: dict[str, tuple[str, bool, float]] = {}
        for host, problem in preflight.problems.items():
            self.set_aside(host, problem, own=True)

    def refresh(self) -> None:
        """Ask new hosts and read which are set aside, at most once in `CHECK_SECONDS`.

        Raises Unavailable.
        """
        now = time.monotonic()
        if now - self._last_check < CHECK_SECONDS:
            return
        self._last_check = now
        self._read_answers()
        for host, (why, own, seconds) in tuple(self._unstored.items()):
            self._store.set_host_aside(
                host,
                why=why,
                seconds=seconds,
                owner=self._owner,
                sweep_id=self._sweep_id,
                own=own,
            )
            del self._unstored[host]
        found = self._store.hosts_aside()
        aside = {one.host for one in found if one.owner == self._owner or not one.own}
        for host in sorted(self._aside - aside):
            self._note(f"host {host} is asked again whether it can run trials")
        self._aside = aside
        self._executor.set_aside(aside)

    def set_aside(self, host: str, why: str, *, own: bool = False) -> None:
        """Give a host no more trials for a while; ``own`` if only this launch's fail there."""
        if host in self._aside:  # of a task that was on its way there
            return
        self._aside.add(host)
        seconds = min(self._pauses.get(host, SHORTEST), LONGEST)
        self._pauses[host] = 2 * seconds
        self._unstored[host] = why, own, seconds
        self._executor.set_aside(self._aside)
        self._last_check = -math.inf  # so that it is stored at once
        pause = format_count(round(seconds), "second")
        self._note(f"host {host} gets no trials for {pause}: {why}")

    def welcome(self, host: str) -> None:
        """Note that a trial has ended on a host, so that its next pause is the shortest again."""
        self._pauses.pop(host, None)

    def _read_answers(self) -> None:
        self._answers += self._executor.poll_answers()
        try:
            problems = self._preflight.find_problems(self._answers)
        except StorageError:  # the place is unreachable from here; they are kept until it is not
            return
        self._answers.clear()
        for host, problem in problems.items():
            self.set_aside(host, problem, own=True)
