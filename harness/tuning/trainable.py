"""An errand as a Ray Tune trial: the same task bodies, in the process that Tune gives it."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ray import tune

from lcma.db import RunningJob
from lcma.harness.run.bodies import run_work
from lcma.harness.run.executor import Executor, Finished
from lcma.harness.run.work import Report, Work
from lcma.harness.tuning.errand import Ending, Errand, Rung, carry_out

NUMBER, BUDGET = "number", "budget"
"""What the searcher suggests: a trial of the study, None for the base lines, and its budget."""

STEP, BITS, HOW, WHY = "rung", "bits_per_dim", "how", "why"
"""What a Tune trial reports: where it stands at a rung, or how it ended."""


class Here(Executor):
    """Tasks one after the other in this process: it holds the CPU and the GPU of its Tune trial."""

    def __init__(self) -> None:
        self._works: deque[tuple[Work, str | None]] = deque()
        self._reports: dict[str, Report] = {}

    def hosts(self) -> list[str]:
        return ["this process"]

    def submit(self, work: Work, after: str | None) -> None:
        self._works.append((work, after))

    def wait(self, seconds: float) -> list[Finished]:
        work, after = self._works.popleft()
        report = run_work(work, None if after is None else self._reports.get(after))
        self._reports[work.job_id] = report
        return [Finished(work.job_id, report)]

    def close(self, *, kill: bool) -> None:
        pass


class Silent:
    """A display where nobody looks: attempts have their logs in the database."""

    def update(self, ended: int, total: int, running: Sequence[RunningJob]) -> None:
        pass

    def ended(self, title: str, report: Report) -> None:
        pass

    def away(self, since: float, why: str) -> None:
        pass

    def note(self, line: str) -> None:
        pass


def run_errand(config: Mapping[str, Any], errands: Mapping[int | None, Errand]) -> None:
    """What Tune calls with what the searcher suggested; ``errands`` are those of all budgets, which
    hold the database's URL and so are in no file of Tune's.

    At each rung it waits, with nothing running, for the scheduler's decision.
    """
    errand = replace(errands[config[BUDGET]], number=config[NUMBER])
    for said in carry_out(errand, Here(), Silent()):
        if isinstance(said, Rung):
            tune.report({STEP: said.step, BITS: said.bits})
        else:
            tune.report({HOW: said.how, WHY: said.why})


def as_rung(result: Mapping[str, Any]) -> Rung | None:
    """The rung that a report is of, None for another."""
    return Rung(result[STEP], result[BITS]) if STEP in result and HOW not in result else None


def as_ending(result: Mapping[str, Any] | None) -> Ending | None:
    """The ending that a report is of, None for another."""
    return Ending(result[HOW], result[WHY]) if result and HOW in result else None
