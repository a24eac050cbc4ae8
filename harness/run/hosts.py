"""The hosts of a launch that get no trials, since something fails there that is no trial's fault.

What fails before a trial is claimed is the host's fault and never counts against the trial: a host
without lcma, with other code, without the database's driver, with a PyTorch for CPUs. A host
that is set aside is asked again after its pause, which doubles each time until a trial ends there.

A device that fails in a trial is the host's fault too, and so are first steps that fail there in a
row, while other hosts end trials of the same recipe (`FirstSteps`). Such a host gets no more trials
of the launch.
"""

import math
import time
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass

from lcma.db import Store
from lcma.harness.run.executor import Executor
from lcma.harness.run.preflight import Answer, Preflight
from lcma.harness.storage import StorageError
from lcma.harness.text import format_count

CHECK_SECONDS = 5.0
"""Interval between looks at hosts that joined, and at those that are set aside."""

SHORTEST, LONGEST = 30.0, 600.0
"""Seconds for which a host is set aside, at first and at most."""

LAUNCH_SECONDS = 24 * 3600.0
"""Seconds for which a host is set aside that gets no more trials of the launch."""

ROW = 3
"""First steps that fail in a row on a host before it can be its fault."""


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
        self._blamed_by: dict[str, set[str]] = {}
        self._returned: set[str] = set()
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
        if self._blamed_by and not self._executor.count_ready():
            self._note("no other host is left: those that were set aside for this launch are back")
            self._returned |= self._blamed_by.keys()
            self._blamed_by.clear()
        for host in tuple(self._returned):
            self._store.take_host_back(host, by=self._owner, owner=self._owner)
            self._returned.remove(host)
        found = self._store.hosts_aside()
        aside = {one.host for one in found if one.owner == self._owner or not one.own}
        for host in sorted(self._aside - aside):
            self._note(f"host {host} is asked again whether it can run trials")
            self._blamed_by.pop(host, None)
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

    def can_spare(self, host: str) -> bool:
        """Return whether another host could run trials that get none on this one."""
        return self._executor.count_ready() > (host not in self._aside)

    def blame(self, host: str, why: str, job_ids: Iterable[str]) -> None:
        """Give a host no more trials of this launch for what became of jobs there."""
        known = host in self._blamed_by
        self._blamed_by.setdefault(host, set()).update(job_ids)
        if known:
            return
        self._aside.add(host)
        self._unstored[host] = why, True, LAUNCH_SECONDS
        self._executor.set_aside(self._aside)
        self._last_check = -math.inf
        self._note(f"host {host} gets no more trials of this launch: {why}")

    def acquit(self, job_id: str) -> None:
        """Take back the hosts that were blamed for a job which fails on others too, and for no
        other one."""
        for host, job_ids in tuple(self._blamed_by.items()):
            job_ids.discard(job_id)
            if not job_ids:
                del self._blamed_by[host]
                self._returned.add(host)
                self._last_check = -math.inf

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


@dataclass(frozen=True)
class FirstFailure:
    """A job that failed before it had made a step, and why; ``recipe`` is what its own is known
    by."""

    job_id: str
    recipe: Hashable
    why: str


class FirstSteps:
    """Jobs that failed on a host before they had made a step, held until it is known whose fault
    that is.

    It is the host's if `ROW` in a row fail there and others make steps of their recipe. It is not
    if the host makes steps, if a job fails on two hosts, or if a recipe does that nobody begins.
    ``held_since`` and ``released`` are the jobs that are held, and no longer, since these were
    cleared.
    """

    def __init__(self) -> None:
        self.held_since: list[str] = []
        self.released: list[str] = []
        self._held: dict[str, list[FirstFailure]] = {}
        self._hosts_of: dict[str, set[str]] = {}  # on which a job failed
        self._beginners: dict[Hashable, set[str]] = {}  # the hosts that made steps of a recipe
        self._bad: set[Hashable] = set()

    def holds(self, job_id: str) -> bool:
        """Return whether it is not known yet for a job."""
        return any(one.job_id == job_id for some in self._held.values() for one in some)

    def count(self, host: str) -> int:
        """Return how many jobs are held that failed in a row on a host."""
        return len(self._held.get(host, ()))

    def fail(self, host: str, failure: FirstFailure) -> bool:
        """Take a failure; return whether it is held."""
        recipe = failure.recipe
        failed_on = self._hosts_of.setdefault(failure.job_id, set())
        failed_on.add(host)
        elsewhere = {h for h, some in self._held.items() for one in some if one.recipe == recipe}
        if recipe not in self._beginners and elsewhere - {host}:
            self._bad.add(recipe)
            for some in self._held.values():
                self.released += [one.job_id for one in some if one.recipe == recipe]
                some[:] = [one for one in some if one.recipe != recipe]
        if recipe in self._bad or len(failed_on) > 1:
            return False
        self._held.setdefault(host, []).append(failure)
        self.held_since.append(failure.job_id)
        return True

    def end(self, host: str, recipe: Hashable) -> None:
        """Note that a host made steps of a recipe."""
        self.released += [one.job_id for one in self._held.pop(host, ())]
        self._beginners.setdefault(recipe, set()).add(host)
        self._bad.discard(recipe)

    def find_bad(self) -> list[tuple[str, list[FirstFailure]]]:
        """Return the hosts whose fault it is, with what is held of each."""
        return [
            (host, some)
            for host, some in self._held.items()
            if sum(bool(self._beginners.get(one.recipe, set()) - {host}) for one in some) >= ROW
        ]

    def forget(self, host: str) -> None:
        """Hold nothing of a host any more: it was its fault."""
        self._held.pop(host, None)

    def release(self) -> None:
        """Hold nothing more: nobody is left who could tell."""
        for some in self._held.values():
            self.released += [one.job_id for one in some]
        self._held.clear()
