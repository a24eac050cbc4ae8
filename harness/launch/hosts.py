"""The hosts of a launch that get no more of its trials, since something fails there.

What fails before a trial is claimed is the host's fault and never counts against the trial: a host
without lcma, with other code, without the database's driver, with a PyTorch for CPUs.

A device that fails in a trial is the host's fault too, and so are first steps that fail there in a
row. Trials that failed so run elsewhere. Where they fail on another host too it was their own
fault, and the host is taken back.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping

from lcma.harness.launch.executor import Executor
from lcma.harness.text import format_count
from lcma.sweeps.errors import UserError

ROW = 3
"""First steps that fail in a row on a host before it gets no more trials."""


class Hosts:
    """A launch's view of its hosts: which are set aside, for as long as it runs.

    Those with ``problems``, by their names, are from the start.
    """

    def __init__(
        self, executor: Executor, note: Callable[[str], None], problems: Mapping[str, str]
    ) -> None:
        self._executor, self._note = executor, note
        self._aside: dict[str, str] = {}  # and why
        self._blamed: dict[str, list[Hashable]] = {}  # what failed on each, one or more times
        self._failed_on: dict[Hashable, Counter[str]] = {}
        self._begun: set[Hashable] = set()  # recipes of which some host made steps
        for host, problem in problems.items():
            self.set_aside(host, problem)

    def require_any(self) -> None:
        """Raise UserError if every host that could run trials is set aside."""
        if self._aside and self._executor.is_closed():
            host, why = list(self._aside.items())[-1]
            count = format_count(len(self._aside), "host")
            raise UserError(
                f"no host is left, {count} set aside, the last {host}: {why}; what is not done "
                "stays pending: launch again once a host can run it"
            )

    def set_aside(self, host: str, why: str) -> None:
        """Give a host no more trials."""
        if host in self._aside:  # of a task that was on its way there
            return
        self._aside[host] = why
        self._executor.set_aside(self._aside)
        self._note(
            f"host {host} gets no more trials of this launch (a new launch tries it again): {why}"
        )

    def can_spare(self, host: str) -> bool:
        """Return whether another host could run trials that get none on this one."""
        return self._executor.count_machines() > (host not in self._aside)

    def blame(self, host: str, subject: Hashable, why: str, times: int = ROW) -> None:
        """Note that what became of a job may be its host's fault, which `ROW` times in a row is."""
        if host in self._aside:
            return
        blamed = self._blamed.setdefault(host, [])
        blamed += [subject] * times
        if len(blamed) >= ROW:
            self.set_aside(host, why)

    def acquit(self, subject: Hashable) -> None:
        """Take back the hosts that were set aside for what fails on others too."""
        for host, blamed in self._blamed.items():
            left = [one for one in blamed if one != subject]
            if len(left) < ROW <= len(blamed):
                del self._aside[host]
                self._executor.set_aside(self._aside)
                self._note(f"host {host} gets trials again: what failed there fails on others too")
            blamed[:] = left

    def note_steps(self, host: str, recipe: Hashable) -> None:
        """Note that a host made steps of a recipe."""
        self._begun.add(recipe)
        if host not in self._aside:
            self._blamed.pop(host, None)

    def excuse(self, host: str, job_id: str, recipe: Hashable, why: str) -> bool:
        """Return whether a job that failed before its first step runs again, as its host may be to
        blame.

        It is not if the job, or a recipe of which nobody made steps, failed on two hosts, or the
        job in a row on one.
        """
        begun = recipe in self._begun
        subject = job_id if begun else recipe
        failed_on = self._failed_on.setdefault(subject, Counter())
        failed_on[host] += 1
        own_fault = len(failed_on) > 1 or (begun and failed_on[host] >= ROW)
        if own_fault or not self.can_spare(host):
            self.acquit(subject)
            return False
        if not begun or failed_on[host] == 1:
            reason = f"{ROW} trials in a row failed there at their first step, the last with {why}"
            self.blame(host, subject, reason, times=1)
        return True
