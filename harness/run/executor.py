"""Where task bodies run. The local executor and Ray's keep one contract."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

from lcma.harness.run.preflight import Answer, Question, answer_question
from lcma.harness.run.work import Report, Work

Lost = Literal["error", "process", "memory", "node"]


@dataclass(frozen=True)
class Finished:
    """A task that came back: with its report, or without one, and ``crash`` says why.

    ``lost`` says what went with it: nothing but the task, which raised an ``error``; its very
    ``process``, which is known to be dead, or which its node killed for want of ``memory``; or its
    ``node``, of which nothing is known any more.
    """

    job_id: str
    report: Report | None
    crash: str = ""
    lost: Lost = "error"


class Executor(ABC):
    """Runs ``bodies.run`` somewhere. Tasks are named by their job's id, one at a time each."""

    @abstractmethod
    def hosts(self) -> list[str]:
        """The machines on which tasks may run."""

    def ask(self, question: Question) -> list[Answer]:
        """What each machine on which tasks may run says. This process speaks for its own."""
        return [answer_question(question)]

    @abstractmethod
    def submit(self, work: Work, after: str | None) -> None:
        """Start the work as soon as there is room and ``after``, a task submitted here and not
        yet collected, has ended. Waiting holds no room."""

    @abstractmethod
    def wait(self, seconds: float) -> list[Finished]:
        """The tasks that ended, waiting at most this long for the first. A task whose own process
        was lost has no report; one that was lost with what it waited for is `blocked`."""

    def lack(self, work: Work) -> str | None:
        """What the work asks for that no machine has that is there now, and what they have, in a
        line; None where one has it, busy or not."""
        return None

    @abstractmethod
    def close(self, *, kill: bool) -> None:
        """Stop everything; with ``kill`` without waiting for tasks in progress."""
