"""The interface of executors, which run task bodies: on this machine, or on Ray."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from lcma.harness.launch.preflight import Answer, Question, answer_question
from lcma.harness.work.preemption import expect_notice
from lcma.harness.work.units import Report, Work


class ClusterLostError(Exception):
    """Raised by `Executor.wait` if the cluster is gone, so that no task can begin or end."""

    released = 0  # jobs of the launch that keep their last checkpoint


Lost = Literal["error", "process", "memory", "node", "taken", "device"]
"""What was lost with a task; see `Finished`."""


@dataclass(frozen=True)
class Finished:
    """A job whose task ended, with its report, or else with the reason why it has none.

    A task without a report has lost

    - ``error``: nothing, it raised an error;
    - ``process``: its process, which is known to be dead;
    - ``memory``: its process, which its node killed because memory ran out;
    - ``node``: its node, so that nothing is known of its process;
    - ``taken``: its node, which was told to end, and its processes with it;
    - ``device``: its device, as the attempt's own report says.
    """

    job_id: str
    report: Report | None
    crash: str = ""  # the reason why there is no report
    lost: Lost = "error"
    host: str = ""  # the host that ran it, if others could have run it


class Executor(ABC):
    """A place that runs tasks, each one work or the works of a stack.

    A job is in one task at a time.
    """

    grows = False
    """Whether waiting tasks may bring more machines, so that they need no free slot."""

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
        """Give no more tasks to these hosts, and tasks again to all others."""
        self.aside = frozenset(hosts)

    @abstractmethod
    def submit(self, works: Sequence[Work]) -> None:
        """Start a task: one work, or a stack of works that all need what the first one needs.

        A slot must be free, unless the executor `grows` or does not know its free slots.
        """

    @abstractmethod
    def wait(self, seconds: float) -> list[Finished]:
        """Return the jobs of finished tasks, after waiting up to ``seconds`` for the first task."""

    def free_slots(self, work: Work, before: Sequence[Work] = ()) -> int | None:
        """Return how many tasks with the need of ``work`` would start at once after tasks with the
        needs of ``before``; None if that is not known."""
        return None

    def lack(self, work: Work, *, aside: bool = False) -> str | None:
        """Return in one line what the work needs and no machine has, and what they have.

        None if a machine has it, busy or not. With ``aside`` hosts that are set aside count too.
        """
        return None

    @abstractmethod
    def close(self, *, kill: bool) -> None:
        """Stop everything; with ``kill`` without waiting for running tasks."""


def run_body(works: Sequence[Work], is_ending: Callable[[], bool] | None = None) -> list[Report]:
    """Run the works of a task; return a report for each.

    Trainings end with a checkpoint on SIGTERM, or once ``is_ending`` says that the node ends.
    """
    # Only workers import it: a launch does not need torch.
    from lcma.harness.work.worker import run_works

    with expect_notice(is_ending):
        return run_works(works)
