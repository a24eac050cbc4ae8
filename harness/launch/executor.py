"""The interface of executors, which run task bodies: on this machine, or on Ray."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from lcma.harness.launch.preflight import Answer, Question, answer_question
from lcma.harness.work.preemption import expect_notice
from lcma.harness.work.units import Report, Work


class ClusterLostError(Exception):
    """Raised by `Executor.wait` if the cluster is gone, so that no task can begin or end.

    ``released`` of the launch's jobs keep their last checkpoint.
    """

    released = 0


Lost = Literal["error", "process", "memory", "node", "taken", "device"]
"""What was lost with a task; see `Finished`."""


@dataclass(frozen=True)
class Finished:
    """A job whose task ended: with its report, or without one, and then ``crash`` says why.

    ``lost`` says what was lost with a task without a report:

    - ``error``: nothing else, the task raised an error;
    - ``process``: its process, which is known to be dead;
    - ``memory``: its process, which its node killed because memory ran out;
    - ``node``: its node, so that nothing is known of its process;
    - ``taken``: its node, which was told to end, and its processes with it;
    - ``device``: its device, as the attempt's own report says.

    ``host`` is the name of the host that it ran on, where others could have run it.
    """

    job_id: str
    report: Report | None
    crash: str = ""
    lost: Lost = "error"
    host: str = ""


class Executor(ABC):
    """A place that runs `run_body`. A task is one piece of work, or several that are trained as one
    stack; a job is in one task at a time."""

    grows = False
    """Whether it takes tasks that wait for a slot, which may bring it more machines."""

    aside: frozenset[str] = frozenset()
    """The hosts that get no tasks."""

    @abstractmethod
    def hosts(self) -> list[str]:
        """Return the machines on which tasks may run."""

    def count_machines(self) -> int:
        """Return the number of machines that may get tasks."""
        return 1

    def ask(self, question: Question) -> list[Answer]:
        """Return the answer of each machine that may get tasks; by default of this one."""
        return [answer_question(question)]

    def is_closed(self) -> bool:
        """Return whether all machines that could run tasks are set aside."""
        return False

    def set_aside(self, hosts: Collection[str]) -> None:
        """Let none but tasks that are on their way run on these hosts, until the next call."""
        self.aside = frozenset(hosts)

    @abstractmethod
    def submit(self, works: Sequence[Work]) -> None:
        """Start a task, for which a slot is free unless the executor `grows`, or none is known.

        All members of a stack need what the first one needs.
        """

    @abstractmethod
    def wait(self, seconds: float) -> list[Finished]:
        """Return the jobs of the tasks that ended, after waiting at most ``seconds`` for the first.

        A job whose own process was lost has no report.
        """

    def free_slots(self, work: Work, before: Sequence[Work] = ()) -> int | None:
        """Return how many tasks that need what the work needs would start at once, after tasks of
        other works; None if that is not known."""
        return None

    def lack(self, work: Work, *, aside: bool = False) -> str | None:
        """Return in one line what the work needs that no present machine has, and what they have;
        None if one has it, busy or not, and ``aside`` one that is set aside too."""
        return None

    @abstractmethod
    def close(self, *, kill: bool) -> None:
        """Stop everything; with ``kill`` without waiting for tasks in progress."""


def run_body(works: Sequence[Work], is_ending: Callable[[], bool] | None = None) -> list[Report]:
    """Run the works of a task; return a report for each. Trainings end with a checkpoint on
    SIGTERM, or if the node ``is_ending``.

    What runs them is imported by workers alone: a launch does without torch.
    """
    from lcma.harness.work.worker import run_works

    with expect_notice(is_ending):
        return run_works(works)
