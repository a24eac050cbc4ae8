"""The progress of a launch: bars on a terminal, lines elsewhere; and what is predicted, in text."""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
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
from lcma.harness.cpus import count_cpus
from lcma.harness.launch.plan import HERE, REFERENCE, Plan
from lcma.harness.launch.policy import Limits
from lcma.harness.launch.prediction import Prediction
from lcma.harness.results.lookup import job_title
from lcma.harness.terminal import LINE_SECONDS, Console
from lcma.harness.text import format_duration, printable
from lcma.harness.watch.jobs import describe_step
from lcma.harness.work.units import Report

STYLES = {"done": "green", "diverged": "yellow", "failed": "red", "blocked": "red"}


SILENT_SECONDS = 300.0
"""Longest pause between lines about what runs, off a terminal."""

NEWS = 20
"""Parts of a job's steps of which each is news."""

NAMED = 2
"""Running jobs that such a line names."""


class TimeLeft:
    """An estimate of how long a launch takes, from the steps that it is seen to make.

    It is the prediction for the steps that are not made, divided by the tasks that run. Where that
    is of other machines, or something is not known, the launch's own pace counts once a job has
    ended; without a prediction nothing is said before that.
    """

    def __init__(self, predicted: Prediction) -> None:
        self._is_known = not predicted.unknown
        self._is_own = all(part.source == HERE for part in predicted.parts)
        self._seconds: dict[tuple[str, str, str], float] = defaultdict(float)
        steps: dict[tuple[str, str, str], int] = defaultdict(int)
        for part in predicted.parts:
            key = part.what, part.flow, part.dataset
            steps[key] += part.steps
            held = float(part.steps)  # where something is not known, each step counts alike
            if self._is_known and part.hours is not None:
                held = 3600 * part.hours.expected / (predicted.share or 1.0)
            self._seconds[key] += held
        self._per_step = {key: self._seconds[key] / (count or 1) for key, count in steps.items()}
        self._first_steps: dict[str, int] = {}
        self._made: dict[str, int] = {}
        self._kinds: dict[str, tuple[str, str, str]] = {}
        self._began: float | None = None
        self._moved = 0.0

    def update(self, running: Sequence[JobFacts]) -> None:
        """Look at the running jobs."""
        if running and self._began is None:
            self._began = time.monotonic()
        before = sum(self._made.values())
        for job in running:
            first = self._first_steps.setdefault(job.job_id, job.first_step or 0)
            self._made[job.job_id] = max(job.step - first, self._made.get(job.job_id, 0))
            what = "training" if job.kind == "trial" else "pretraining"
            self._kinds[job.job_id] = what, job.flow, job.dataset
        if sum(self._made.values()) > before:
            self._moved = time.monotonic()

    def seconds(self, ended: int, running: Sequence[JobFacts]) -> float | None:
        """Return the seconds left; None where they cannot be known."""
        tasks = len({(job.host, job.pid) for job in running})
        spent = sum(self._per_step.get(self._kinds[i], 0.0) * n for i, n in self._made.items())
        if self._began is None or not tasks:
            return None
        left = max(0.0, sum(self._seconds.values()) - spent)
        if ended and spent and not self._is_own:
            # Of the time until the last step: what starts, or evaluates, is not slower for that.
            return (self._moved - self._began) * left / spent
        return left / tasks if self._is_known else None


class Bars:
    """A bar for the sweep and one for each running job, with lines about what happens above.

    Off a terminal there is a line about what runs in place of bars, after `LINE_SECONDS` or more
    where it has something new to say, and after `SILENT_SECONDS` in any case.
    """

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
        self._time_left: TimeLeft | None = None
        self._next_line = time.monotonic() + LINE_SECONDS
        self._news: tuple[object, ...] = ()
        self._silent_until = 0.0
        self._ended_before: int | None = None

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
        left = self._describe_left(ended, running)
        self.progress.update(
            self._sweep, completed=ended, total=total, unit=", ".join(["jobs", *left])
        )
        for job in running:
            if job.job_id not in self._bars:
                self._bars[job.job_id] = self.progress.add_task(_name_bar(job), unit="steps")
            does = "steps" if job.step < job.steps else describe_step(job)
            unit = ", ".join([does, *_describe_bits(job)])
            self.progress.update(
                self._bars[job.job_id], completed=job.step, total=job.steps, unit=unit
            )
        if running and not self.console.is_terminal and time.monotonic() >= self._next_line:
            self._print_running(ended, total, running, left)
        for job_id in set(self._bars) - {job.job_id for job in running}:
            self.progress.remove_task(self._bars.pop(job_id))

    def _print_running(
        self, ended: int, total: int, running: Sequence[JobFacts], left: Sequence[str]
    ) -> None:
        now = time.monotonic()
        news = ended, total, len(running), *map(_find_news, running[:NAMED])
        if news == self._news and now < self._silent_until:
            return
        self._news, self._silent_until = news, now + SILENT_SECONDS
        self._next_line = now + LINE_SECONDS
        named = [_describe_running(job) for job in running[:NAMED]]
        named += [f"{len(running) - NAMED} more run"] if len(running) > NAMED else []
        self.note("; ".join([", ".join([f"{ended}/{total} jobs", *left]), *named]))

    def _describe_left(self, ended: int, running: Sequence[JobFacts]) -> list[str]:
        if self._time_left is None:
            return []
        if self._ended_before is None:
            self._ended_before = ended
        self._time_left.update(running)
        seconds = self._time_left.seconds(ended - self._ended_before, running)
        # An evaluation has no steps: while one goes on, nobody knows that nothing is left.
        return [f"about {format_duration(seconds)} left"] if seconds and seconds >= 1 else []

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

    def planned(self, plan: Plan, predicted: Prediction | None, limits: Limits) -> None:
        """Print what a plan has, what is predicted for the rest of it, and its limits."""
        self.console.print(f"{escape(plan.spec.name)}: {plan.summary}", highlight=False)
        if predicted is not None:
            self._time_left = TimeLeft(predicted)
            time_line = f"Time    {describe_time(predicted)}"
            for line in (time_line, *describe_limits(limits, predicted)):
                self.console.print(escape(line), highlight=False, soft_wrap=True)

    def job_ended(self, title: str, report: Report) -> None:
        """Print how a job ended, with the last line of its message, or all lines if it is done."""
        style = STYLES.get(report.ending, "white")
        lines = report.message.strip().splitlines()
        why = "; ".join(lines if report.ending == "done" else lines[-1:])
        why = f": {escape(why)}" if why else ""
        where = f" on {escape(report.host)}" if report.host else ""
        line = f"[{style}]{report.ending:>8}[/]  {escape(title)}{where}{why}"
        self.console.print(line, highlight=False)


def _describe_running(job: JobFacts) -> str:
    return ", ".join([job_title(job), describe_step(job), *_describe_bits(job)])


def _find_news(job: JobFacts) -> tuple[object, ...]:
    # What changes where a line has something new to say of a job.
    share = describe_step(job) if job.step == job.steps else NEWS * job.step // job.steps
    return job.job_id, share, None if job.bits_per_dim is None else round(job.bits_per_dim, 2)


def _describe_bits(job: JobFacts) -> list[str]:
    return [] if job.bits_per_dim is None else [f"{job.bits_per_dim:.3f} bits/dim"]


def _name_bar(job: JobFacts) -> str:
    if job.nms == "data":
        return escape(job_title(job))
    budget = "" if job.budget is None else f" {job.budget}"
    what = f"{job.factorization}{budget}" if job.kind == "trial" else f"pretrain to{budget}"
    return escape(f"{job.flow} {job.dataset} {what} seed {job.seed}")


def describe_time(predicted: Prediction, slots: int | None = None) -> str:
    """Return how long what is left takes, by whose jobs, and what is not known.

    ``slots`` is how many jobs the cores of this machine run at once, None where others run them.
    """
    said, hours = list[str](), predicted.hours
    if hours is not None:
        jobs = sum(part.jobs for part in predicted.parts)
        expected, low, high = (
            format_duration(3600 * one / min(slots or 1, jobs))
            for one in (hours.expected, hours.low, hours.high)
        )
        how = "of one GPU" if predicted.share else "if one job runs at a time"
        if slots is not None:
            cores = count_cpus()
            how = "on this core" if cores == 1 else f"on these {cores} cores"
        said.append(f"about {expected} {how} ({low} to {high}), from {_name_attempts(predicted)}")
    if predicted.unknown:
        device = "GPU" if predicted.share else "CPU"
        flows = ", ".join(dict.fromkeys(part.flow for part in predicted.unknown))
        said.append(f"not known for {flows}: no job of this shape has run on a {device}")
    return printable("; ".join(said) or "nothing is left to train")


def describe_limits(limits: Limits, predicted: Prediction | None) -> Iterator[str]:
    """Yield a line with the limits of a launch beside what is predicted; none without limits.

    ``predicted`` is None where nothing is.
    """
    said = []
    if limits.device_hours is not None:
        said.append(f"{limits.device_hours:g} device hours")
    if limits.sweep_device_hours is not None:
        said.append(f"{limits.sweep_device_hours:g} device hours of all launches of the sweep")
    if limits.hours is not None:
        said.append(f"{limits.hours:g} h by the wall")
    if said and predicted is None:
        yield f"At most {', '.join(said)}"
    elif said and predicted is not None:
        hours = predicted.hours
        expected = "nothing to predict from" if hours is None else f"predicted {hours.expected:.2g}"
        yield f"At most {', '.join(said)}; {expected}"


def _name_attempts(predicted: Prediction) -> str:
    known = [part for part in predicted.parts if part.hours is not None]
    said = []
    for source in dict.fromkeys(part.source for part in known):
        of = [part for part in known if part.source == source]
        flows = ", ".join(dict.fromkeys(part.flow for part in of))
        devices = ", ".join(sorted({device for part in of for device in part.devices}))
        on = "in the reference, on other machines" if source == REFERENCE else f"on {devices}"
        said.append(f"{flows} {on}")
    return " and ".join(said)
