"""The driver: submits what is free, waits for what others hold, until nothing is left.

The driver holds no state that matters. It may be killed at any moment; launching again plans the
difference and goes on.
"""

import os
import secrets
import socket
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from db import Job, RunningJob, Store
from harness.run.executor import Executor, Finished
from harness.run.plan import Node
from harness.run.work import ENDINGS, Report

POLL_SECONDS = 0.5
WINDOW = 200
"""Tasks handed to the executor at once; the rest wait in the driver."""

MAX_CRASHES = 3
"""Lost worker processes after which a job is given up until the next launch."""


class Display(Protocol):
    """What a launch tells while it runs."""

    def update(self, ended: int, total: int, running: Sequence[RunningJob]) -> None:
        """How far the whole is, and what runs."""

    def ended(self, title: str, report: Report) -> None:
        """A job has come to its end."""


@dataclass
class Ended:
    """What became of each job of a launch."""

    reports: dict[str, Report] = field(default_factory=dict)

    def of(self, *endings: str) -> list[Report]:
        """The reports with one of these endings."""
        return [r for r in self.reports.values() if r.ending in endings]


def new_owner() -> str:
    """A name for this launch, in the leases of its workers."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


class Launch:
    """One run of the driver's loop over a task graph."""

    def __init__(
        self, store: Store, nodes: Sequence[Node], executor: Executor, display: Display
    ) -> None:
        self.store, self.executor, self.display = store, executor, display
        self.nodes = {node.work.job_id: node for node in nodes}
        self.ended = Ended()
        self._in_flight: set[str] = set()
        self._crashes: Counter[str] = Counter()

    def run(self) -> Ended:
        """Until every job has ended, here or in another launch."""
        before = self.store.jobs(list(self.nodes))
        for job_id, job in before.items():  # what had ended earlier is no news
            if job.state in ENDINGS:
                self.ended.reports[job_id] = Report(job_id, ENDINGS[job.state])
        while True:
            jobs = self.store.jobs([j for j in self.nodes if j not in self.ended.reports])
            self._settle(jobs)
            if len(self.ended.reports) == len(self.nodes):
                self._show()
                return self.ended
            self._submit(jobs)
            self._show()
            for finished in self._collect():
                self._crash_or_note(finished)

    def _collect(self) -> list[Finished]:
        if not self._in_flight:
            time.sleep(POLL_SECONDS)
            return []
        return self.executor.wait(POLL_SECONDS)

    def _settle(self, jobs: dict[str, Job]) -> None:
        """Note what the database says has ended, and what can therefore never start."""
        for job_id, job in jobs.items():
            if job.state in ENDINGS and job_id not in self._in_flight:
                self._end(Report(job_id, ENDINGS[job.state]))
        for job_id, node in self.nodes.items():
            upstream = self.ended.reports.get(node.after) if node.after else None
            lost = upstream is not None and upstream.ending != "done"
            if lost and job_id not in self.ended.reports and job_id not in self._in_flight:
                title = self.nodes[node.after].work.title if node.after else ""
                self._end(Report(job_id, "blocked", f"it needs `{title}`"))

    def _submit(self, jobs: dict[str, Job]) -> None:
        now = self.store.now()
        for job_id, node in self.nodes.items():
            if len(self._in_flight) >= WINDOW:
                return
            if job_id in self.ended.reports or job_id in self._in_flight:
                continue
            job = jobs[job_id]
            if job.state == "running" and (job.lease_until or 0.0) > now:
                continue
            after = node.after
            if after is not None and after in self.ended.reports:
                after = None
            elif after is not None and after not in self._in_flight:
                continue
            self.executor.submit(node.work, after)
            self._in_flight.add(job_id)

    def _crash_or_note(self, finished: Finished) -> None:
        job_id = finished.job_id
        self._in_flight.discard(job_id)
        report = finished.report
        if report is None:
            self._crashes[job_id] += 1
            if self._crashes[job_id] >= MAX_CRASHES:
                self._end(Report(job_id, "failed", f"{finished.crash}, {MAX_CRASHES} times"))
        elif report.ending in ("done", "diverged", "failed"):
            self._end(report)

    def _end(self, report: Report) -> None:
        self.ended.reports[report.job_id] = report
        self.display.ended(self.nodes[report.job_id].work.title, report)

    def _show(self) -> None:
        running = [r for r in self.store.running() if r.job_id in self.nodes]
        self.display.update(len(self.ended.reports), len(self.nodes), running)
