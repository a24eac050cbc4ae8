"""The hosts that get no more trials of a launch, since something fails there.

- A failure before a trial is claimed is the host's fault, and never counts against the trial: the
  host lacks lcma, has other code, lacks the database's driver, or has a PyTorch for CPUs.
- A device that fails in a trial is the host's fault, and so are `MAX_FAILURES` first steps in a row
  that fail there. These trials run elsewhere. If they fail on another host too, it was their own
  fault, and the first host gets trials again.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping

from lcma.harness.launch.executor import Executor
from lcma.harness.text import format_count
from lcma.sweeps.errors import UserError

MAX_FAILURES = 3
"""First steps that fail in a row on a host before it gets no more trials."""


class Hosts:
    """The hosts of a launch, and which of them are set aside."""

    def __init__(
        self, executor: Executor, note: Callable[[str], None], problems: Mapping[str, str]
    ) -> None:
        """Set aside the hosts that have ``problems``, by their names."""
        self._executor, self._note = executor, note
        self._aside: dict[str, str] = {}  # by host, the reason
        # A job or a recipe for each failure in a row.
        self._blamed: dict[str, list[Hashable]] = {}
        self._failed_on: dict[Hashable, Counter[str]] = {}  # by job or recipe
        self._begun: set[Hashable] = set()  # recipes that made a step on some host
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
        if host in self._aside:  # by an earlier task that was on its way there
            return
        self._aside[host] = why
        self._executor.set_aside(self._aside)
        self._note(
            f"host {host} gets no more trials of this launch (a new launch tries it again): {why}"
        )

    def can_spare(self, host: str) -> bool:
        """Return whether another host could run the trials of this one."""
        return self._executor.count_machines() > (host not in self._aside)

    def blame(self, host: str, subject: Hashable, why: str, times: int = MAX_FAILURES) -> None:
        """Count failures of a job or recipe against a host; set it aside if they are too many."""
        if host in self._aside:
            return
        blamed = self._blamed.setdefault(host, [])
        blamed += [subject] * times
        if len(blamed) >= MAX_FAILURES:
            self.set_aside(host, why)

    def acquit(self, subject: Hashable) -> None:
        """Give trials again to hosts that were set aside for what fails on others too."""
        for host, blamed in self._blamed.items():
            left = [other for other in blamed if other != subject]
            if len(left) < MAX_FAILURES <= len(blamed):
                del self._aside[host]
                self._executor.set_aside(self._aside)
                self._note(f"host {host} gets trials again: what failed there fails on others too")
            blamed[:] = left

    def note_steps(self, host: str, recipe: Hashable) -> None:
        """Note that a recipe made steps on a host."""
        self._begun.add(recipe)
        if host not in self._aside:
            self._blamed.pop(host, None)

    def excuse(self, host: str, job_id: str, recipe: Hashable, why: str) -> bool:
        """Return whether a job that failed before its first step runs again without a penalty.

        It does not if it is at fault itself: a recipe that has not made a step anywhere failed on
        two hosts, or the job failed on two hosts or `MAX_FAILURES` times on one.
        """
        begun = recipe in self._begun
        subject = job_id if begun else recipe
        failed_on = self._failed_on.setdefault(subject, Counter())
        failed_on[host] += 1
        own_fault = len(failed_on) > 1 or (begun and failed_on[host] >= MAX_FAILURES)
        if own_fault or not self.can_spare(host):
            self.acquit(subject)
            return False
        if not begun or failed_on[host] == 1:
            trials = f"{MAX_FAILURES} trials in a row"
            reason = f"{trials} failed there at their first step, the last with {why}"
            self.blame(host, subject, reason, times=1)
        return True
