"""The progress of a launch, as bars on a terminal or lines elsewhere, and predictions as text."""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
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
from lcma.harness.watch.jobs import describe_step, format_host
from lcma.harness.work.units import Report

STYLES = {"done": "green", "diverged": "yellow", "failed": "red", "blocked": "red"}


SILENT_SECONDS = 300.0
"""Longest pause between lines about running jobs, where there is no terminal."""

PARTS_OF_STEPS = 20
"""Parts of a job's steps: a job in another part than in the last line is worth a new line."""

MAX_NAMED_JOBS = 2
"""Most running jobs that a line names."""


class TimeLeft:
    """An estimate of how long a launch still takes, from the steps that its jobs make.

    It is the predicted time of the steps that are left, divided by the running tasks. If the
    prediction is of other machines, or incomplete, the launch's own pace is used instead as soon
    as a job has ended. Without a prediction there is no estimate before that.
    """

    def __init__(self, predicted: Prediction) -> None:
        self._is_known = not predicted.unknown
        self._is_own = all(part.source == HERE for part in predicted.parts)
        # Costs are seconds, or steps if the seconds of some part are unknown. The keys are
        # "training" or "pretraining", flow and data set.
        self._costs: dict[tuple[str, str, str], float] = defaultdict(float)
        steps: dict[tuple[str, str, str], int] = defaultdict(int)
        for part in predicted.parts:
            key = part.what, part.flow, part.dataset
            steps[key] += part.steps
            cost = float(part.steps)
            if self._is_known and part.hours is not None:
                cost = 3600 * part.hours.expected / (predicted.share or 1.0)
            self._costs[key] += cost
        self._step_costs = {key: self._costs[key] / (count or 1) for key, count in steps.items()}
        # By the ids of jobs.
        self._first_steps: dict[str, int] = {}
        self._steps_made: dict[str, int] = {}
        self._keys: dict[str, tuple[str, str, str]] = {}
        self._started: float | None = None
        self._last_progress = 0.0

    def update(self, running: Sequence[JobFacts]) -> None:
        """Count the steps that the running jobs have made."""
        is_first = self._started is None
        if running and is_first:
            self._started = time.monotonic()
        before = sum(self._steps_made.values())
        for job in running:
            # What others had made before is no part of the prediction.
            first = job.step if is_first else job.first_step or 0
            first = self._first_steps.setdefault(job.job_id, first)
            steps = max(job.step - first, self._steps_made.get(job.job_id, 0))
            self._steps_made[job.job_id] = steps
            what = "training" if job.kind == "trial" else "pretraining"
            self._keys[job.job_id] = what, job.flow, job.dataset
        if sum(self._steps_made.values()) > before:
            self._last_progress = time.monotonic()

    def seconds(self, ended: int, running: Sequence[JobFacts]) -> float | None:
        """Return the seconds left; None if they cannot be estimated.

        Args:
            ended: How many jobs this launch has ended.
            running: The running jobs, as given to `update`.
        """
        tasks = len({(job.host, job.pid) for job in running})
        spent = sum(
            self._step_costs.get(self._keys[job_id], 0.0) * steps
            for job_id, steps in self._steps_made.items()
        )
        if self._started is None or not tasks:
            return None
        cost_left = max(0.0, sum(self._costs.values()) - spent)
        if ended and spent and not self._is_own:
            # Only the time up to the last step: a start or an evaluation makes no steps, but does
            # not make them slower.
            return (self._last_progress - self._started) * cost_left / spent
        return cost_left / tasks if self._is_known else None


class Bars:
    """A bar for the sweep and one for each running job, below lines about what has happened.

    Without a terminal, lines about the running jobs replace the bars: at least `LINE_SECONDS`
    apart, and only if there is news or the last one is `SILENT_SECONDS` old.
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
        self._news: tuple[object, ...] = ()  # of the last line
        self._silent_until = 0.0
        self._ended_before: int | None = None  # jobs that had ended before this launch

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._updated:
            self.progress.stop()

    def update(self, ended: int, total: int, running: Sequence[JobFacts]) -> None:
        """Show how many of all jobs have ended, and how far each running one is."""
        if self._unreachable_since is not None:
            seconds = time.time() - self._unreachable_since
            self.note(f"the database is back after {seconds:.0f} s")
            self.progress.update(self._sweep, description="sweep")
            self._unreachable_since = None
        self._updated = True
        if self.console.is_terminal:
            self.progress.start()  # not earlier: the spinner of `stage` must have ended
        left = self._describe_left(ended, running)
        self.progress.update(
            self._sweep, completed=ended, total=total, unit=", ".join(["jobs", *left])
        )
        for job in running:
            if job.job_id not in self._bars:
                self._bars[job.job_id] = self.progress.add_task(_name_bar(job), unit="steps")
            activity = "steps" if job.step < job.steps else describe_step(job)
            unit = ", ".join([activity, *_describe_bits(job)])
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
        shown = running[:MAX_NAMED_JOBS]
        news = ended, total, len(running), *map(_summarize_progress, shown)
        if news == self._news and now < self._silent_until:
            return
        self._news, self._silent_until = news, now + SILENT_SECONDS
        self._next_line = now + LINE_SECONDS
        parts = [", ".join([f"{ended}/{total} jobs", *left])]
        parts += [", ".join([job_title(j), describe_step(j), *_describe_bits(j)]) for j in shown]
        if len(running) > len(shown):
            parts.append(f"{len(running) - len(shown)} more run")
        self.note("; ".join(parts))

    def _describe_left(self, ended: int, running: Sequence[JobFacts]) -> list[str]:
        if self._time_left is None:
            return []
        if self._ended_before is None:
            self._ended_before = ended
        self._time_left.update(running)
        seconds = self._time_left.seconds(ended - self._ended_before, running)
        # No steps left does not mean no time left: an evaluation has no steps.
        return [f"about {format_duration(seconds)} left"] if seconds and seconds >= 1 else []

    def unreachable(self, since: float, why: str) -> None:
        """Show that the database has been unreachable since some Unix time, and why."""
        if self._unreachable_since is None:
            clock = time.strftime("%H:%M:%S", time.localtime(since))
            self.note(f"the database has been unreachable since {clock}, waiting for it: {why}")
            self.progress.update(self._sweep, description=f"database unreachable since {clock}")
        self._unreachable_since = since

    def note(self, line: str) -> None:
        """Print a line above the bars."""
        self.console.print(escape(line), highlight=False, soft_wrap=True)

    def stage(self, what: str) -> AbstractContextManager[object]:
        """Show a spinner with what is being done while the returned context is open."""
        return self.console.status(what)

    def planned(self, plan: Plan, predicted: Prediction | None, limits: Limits) -> None:
        """Print the summary of a plan, the predicted time of what is left, and the limits."""
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
        message = "; ".join(lines if report.ending == "done" else lines[-1:])
        message = f": {escape(message)}" if message else ""
        host = escape(format_host(report.host))
        line = f"[{style}]{report.ending:>8}[/]  {escape(title)}{host}{message}"
        self.console.print(line, highlight=False)


def _summarize_progress(job: JobFacts) -> tuple[object, ...]:
    """Return a value that changes if the job's progress is worth a new line."""
    part = describe_step(job) if job.step == job.steps else PARTS_OF_STEPS * job.step // job.steps
    return job.job_id, part, None if job.bits_per_dim is None else round(job.bits_per_dim, 2)


def _describe_bits(job: JobFacts) -> list[str]:
    return [] if job.bits_per_dim is None else [f"{job.bits_per_dim:.3f} bits/dim"]


def _name_bar(job: JobFacts) -> str:
    if job.nms == "data":
        return escape(job_title(job))
    budget = "" if job.budget is None else f" {job.budget}"
    name = f"{job.factorization}{budget}" if job.kind == "trial" else f"pretrain to{budget}"
    return escape(f"{job.flow} {job.dataset} {name} seed {job.seed}")


def describe_time(predicted: Prediction) -> str:
    """Return how long the rest of a sweep takes, from which jobs that is known, and what is not."""
    sentences, hours, slots = list[str](), predicted.hours, predicted.slots
    if hours is not None:
        jobs = sum(part.jobs for part in predicted.parts)
        expected, low, high = (
            format_duration(3600 * bound / min(slots or 1, jobs))
            for bound in (hours.expected, hours.low, hours.high)
        )
        condition = "of one GPU" if predicted.share else "if one job runs at a time"
        if slots is not None:
            cores = count_cpus()
            condition = "on this core" if cores == 1 else f"on these {cores} cores"
        sources = _name_sources(predicted)
        sentences.append(f"about {expected} {condition} ({low} to {high}), from {sources}")
    if predicted.unknown:
        device = "GPU" if predicted.share else "CPU"
        flows = ", ".join(dict.fromkeys(part.flow for part in predicted.unknown))
        sentences.append(f"not known for {flows}: no job of this shape has run on a {device}")
    return printable("; ".join(sentences) or "nothing is left to train")


def describe_limits(limits: Limits, predicted: Prediction | None) -> Iterator[str]:
    """Yield a line with the limits of a launch and the predicted hours; none without limits.

    Args:
        limits: The limits.
        predicted: The prediction, None if there is none.
    """
    texts = []
    if limits.device_hours is not None:
        texts.append(f"{limits.device_hours:g} device hours")
    if limits.sweep_device_hours is not None:
        texts.append(f"{limits.sweep_device_hours:g} device hours of all launches of the sweep")
    if limits.hours is not None:
        texts.append(f"{limits.hours:g} hours by the clock")
    if texts and predicted is None:
        yield f"At most {', '.join(texts)}"
    elif texts and predicted is not None:
        hours = predicted.hours
        expected = "nothing to predict from" if hours is None else f"predicted {hours.expected:.2g}"
        yield f"At most {', '.join(texts)}; {expected}"


def _name_sources(predicted: Prediction) -> str:
    """Return which flows were timed where, such as 'realnvp on NVIDIA H100'."""
    known = [part for part in predicted.parts if part.hours is not None]
    names = []
    for source in dict.fromkeys(part.source for part in known):
        parts = [part for part in known if part.source == source]
        flows = ", ".join(dict.fromkeys(part.flow for part in parts))
        devices = ", ".join(sorted({device for part in parts for device in part.devices}))
        place = "in the reference, on other machines" if source == REFERENCE else f"on {devices}"
        names.append(f"{flows} {place}")
    return " and ".join(names)
