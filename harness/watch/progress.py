"""The progress of a launch: bars on a terminal, lines elsewhere."""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from lcma.db import JobFacts
from lcma.harness.run.limits import Limits
from lcma.harness.run.plan import Plan
from lcma.harness.run.prediction import Predictions
from lcma.harness.run.work import Report
from lcma.harness.terminal import Console
from lcma.harness.watch.predictions import describe_limits, describe_rest

STYLES = {"done": "green", "diverged": "yellow", "failed": "red", "blocked": "red"}


class Bars:
    """A bar for the sweep and one for each running job, with lines about what happens above."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._sweep = self.progress.add_task("sweep", unit="jobs", total=None)
        self._bars: dict[str, TaskID] = {}
        self._unreachable_since: float | None = None
        self._updated = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._updated:
            self.progress.stop()

    def update(self, ended: int, total: int, running: Sequence[JobFacts]) -> None:
        """Show how many jobs have ended, of how many, and how far each running one is."""
        if self._unreachable_since is not None:
            seconds = time.time() - self._unreachable_since
            self.note(f"the database is back after {seconds:.0f} s")
            self.progress.update(self._sweep, description="sweep")
            self._unreachable_since = None
        self._updated = True
        if self.console.is_terminal:
            self.progress.start()  # only now: a stage has a spinner of its own
        self.progress.update(self._sweep, completed=ended, total=total)
        for job in running:
            if job.job_id not in self._bars:
                self._bars[job.job_id] = self.progress.add_task(_name_bar(job), unit="steps")
            self.progress.update(self._bars[job.job_id], completed=job.step, total=job.steps)
        for job_id in set(self._bars) - {job.job_id for job in running}:
            self.progress.remove_task(self._bars.pop(job_id))

    def unreachable(self, since: float, why: str) -> None:
        """Show that the database is unreachable, since when in Unix seconds, and why."""
        if self._unreachable_since is None:
            at = time.strftime("%H:%M:%S", time.localtime(since))
            self.note(f"the database has been unreachable since {at}, waiting for it: {why}")
            self.progress.update(self._sweep, description=f"database unreachable since {at}")
        self._unreachable_since = since

    def note(self, line: str) -> None:
        """Print a line above the bars."""
        self.console.print(escape(line), highlight=False, soft_wrap=True)

    def stage(self, what: str) -> AbstractContextManager[object]:
        """Show a spinner with what is done, while the returned context is open."""
        return self.console.status(what)

    def planned(self, plan: Plan, predicted: Predictions | None, limits: Limits) -> None:
        """Print what a plan has, what is predicted for the rest of it, and its limits."""
        self.console.print(f"{escape(plan.spec.name)}: {plan.summary}", highlight=False)
        if predicted is not None:
            for line in (*describe_rest(predicted), *describe_limits(limits, predicted)):
                self.console.print(escape(line), highlight=False, soft_wrap=True)

    def job_ended(self, title: str, report: Report) -> None:
        """Print how a job ended, with the last line of its message."""
        if report.ending == "pruned":  # the tuner prints a line of its own
            return
        style = STYLES.get(report.ending, "white")
        lines = report.message.strip().splitlines()
        why = f": {escape(lines[-1])}" if lines else ""
        self.console.print(f"[{style}]{report.ending:>8}[/]  {escape(title)}{why}", highlight=False)


def _name_bar(job: JobFacts) -> str:
    budget = "" if job.budget is None else f" {job.budget}"
    what = f"{job.factorization}{budget}" if job.kind == "trial" else f"pretrain to{budget}"
    return escape(f"{job.flow} {job.dataset} {what} seed {job.seed}")
