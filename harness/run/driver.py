"""The driver: submits what is free, waits for what others hold, until nothing is left.

The driver holds no state that matters. It may be killed at any moment; launching again plans the
difference and goes on. While the database is away it waits and its tasks go on.
"""

import math
import os
import secrets
import socket
import time
from collections import Counter, deque

# In which order a launch hands out its jobs: what unblocks most comes first
# Jobs that ran out of memory, and what they get instead, in a launch
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Protocol

from lcma.db import Job, PlannedJob, RunningJob, Starved, StopRequest, Store, Unavailable
from lcma.db.leases import is_held
from lcma.harness.kill_points import kill_point
from lcma.harness.run.executor import Executor, Finished
from lcma.harness.run.plan import Node
from lcma.harness.run.spool import deliver_leftovers
from lcma.harness.run.work import ENDINGS, How, Report, Work, grow_work, policy_of

# What a launch keeps to while it runs: its cap, requests that it end, what its nodes can do

NODES_SECONDS = 5.0
"""Between two looks at what the nodes have."""


@dataclass(frozen=True)
class Course:
    """A launch as the database knows it: of which sweep, since which event; and how many jobs of
    the sweep may run at once, None for any number."""

    sweep_id: str
    begun: int
    parallel: int | None = None


class LaunchStoppedError(Exception):
    """A launch was asked to stop; ``released`` jobs of it keep their last checkpoint."""

    def __init__(self, request: StopRequest) -> None:
        super().__init__(f"asked to stop by {request.by}")
        self.request, self.released = request, 0


def free_places(
    course: Course | None, in_flight: Collection[str], held: Iterable[str]
) -> int | None:
    """How many more jobs of the sweep may be started, where some are in the executor and some are
    held, by any launch; None for any number."""
    if course is None or course.parallel is None:
        return None
    return course.parallel - len({*in_flight, *held})


class NodeWatch:
    """Tells in one line when no node could run the work any more, and when one can again."""

    def __init__(self, executor: Executor, say: Callable[[str], None]) -> None:
        self._executor, self._say = executor, say
        self._looked = time.monotonic()  # a launch has looked before it began
        self._since: float | None = None

    def look(self, left: Iterable[Work]) -> None:
        """Where it is time to: whether each kind of the work that is left could run."""
        now = time.monotonic()
        if now - self._looked < NODES_SECONDS:
            return
        self._looked = now
        kinds = {(work.threads, work.gpus, work.terms.memory_gb): work for work in left}
        lacks = filter(None, map(self._executor.lack, kinds.values()))
        lack = next(lacks, None)
        if lack is not None and self._since is None:
            self._since = now
            self._say(
                f"{lack}: waiting for a node that has it; `lcma stop` or Ctrl-C ends the launch"
            )
        elif lack is None and self._since is not None:
            self._say(f"a node has what trials ask for again, after {now - self._since:.0f} s")
            self._since = None


class Starving:
    """Gives the work of jobs that ran out of memory more of it; the database says which these are.

    One for which no node has more is failed there, and ``give_up`` is told its id and why.
    """

    def __init__(
        self,
        store: Store,
        nodes: Mapping[str, Node],
        executor: Executor,
        give_up: Callable[[str, str], None],
    ) -> None:
        self._store, self._nodes, self._executor = store, nodes, executor
        self._give_up = give_up
        self._found: dict[str, Starved] = {}

    def work(self, job_id: str) -> Work:
        """The work of a job as it is to be done now."""
        work, starved = self._nodes[job_id].work, self._found.get(job_id)
        return work if starved is None else grow_work(work, starved)

    def look(self, job_ids: Collection[str], submitted: Collection[str]) -> None:
        """See which of the jobs, of this launch and still left, are such; those that are submitted
        already are not given up. Raises Unavailable, with nothing changed."""
        found = self._store.memory_failures(list(job_ids)) if job_ids else {}
        for job_id in job_ids:
            self._found.pop(job_id, None)
        self._found |= found
        for job_id in found.keys() - set(submitted):
            self._give_up_if_hopeless(job_id)

    def _give_up_if_hopeless(self, job_id: str) -> None:
        plain, more = self._nodes[job_id].work, self.work(job_id)
        if more == plain or self._executor.lack(plain) is not None:
            return  # where even the plain work lacks a node, one may come
        lack, job = self._executor.lack(more), self._store.job(job_id)
        if lack is None or job is None or job.state != "pending":
            return
        why = f"after it ran out of memory {lack}"
        if self._store.give_up(job_id, token=job.token, why=why):
            self._give_up(job_id, why)


class Order:
    """The jobs of a launch that have not ended, by value.

    Segments come first, those with most trials behind them at the top; then trials whose map is
    there; then the others. Equals stay in the order of the plan.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        behind = _trials_behind(nodes)
        segments = [n for n in nodes if n.work.pretraining is not None]
        segments.sort(key=lambda n: -behind[n.work.job_id])
        self._segments = {n.work.job_id: n for n in segments}
        self._trials = {n.work.job_id: n for n in nodes if n.work.pretraining is None}

    def remove(self, job_id: str) -> None:
        """The job has ended."""
        self._segments.pop(job_id, None)
        self._trials.pop(job_id, None)

    def __call__(self, done: Collection[str]) -> Iterator[Node]:
        """All of them in order, where these jobs are done. None may be removed meanwhile."""
        yield from self._segments.values()
        for node in self._trials.values():
            if node.after is not None and node.after in done:
                yield node
        for node in self._trials.values():
            if node.after is None or node.after not in done:
                yield node


def _trials_behind(nodes: Sequence[Node]) -> Counter[str]:
    """How many trials wait for a segment, or for one that goes on from it."""
    after = {n.work.job_id: n.after for n in nodes}
    behind: Counter[str] = Counter()
    for node in nodes:
        upstream = node.after if node.work.pretraining is None else None
        while upstream is not None:
            behind[upstream] += 1
            upstream = after.get(upstream)
    return behind


POLL_SECONDS = 0.5

AGAIN_SECONDS = 2.0
"""Before a task that found nothing to do is submitted again."""

WINDOW = 64
"""Tasks in the executor that could run and do not yet, and again as many that wait for others
there; the rest wait in the driver. What is more valuable and comes later waits behind them."""

MAX_CRASHES = 3
"""Times that a job's task may crash with no progress in between, before it is given up until the
next launch. Those that were lost with their node do not count."""


class Display(Protocol):
    """What a launch tells while it runs."""

    def update(self, ended: int, total: int, running: Sequence[RunningJob]) -> None:
        """How far the whole is, and what runs."""

    def job_ended(self, title: str, report: Report) -> None:
        """A job has come to its end."""

    def unreachable(self, since: float, why: str) -> None:
        """The database is away, since so many Unix seconds; told again and again until `update`.
        ``why`` is one line."""

    def note(self, line: str) -> None:
        """Something else to be told."""


REFRESH_SECONDS = 60.0
"""After these, a look at the database reads all that is left, and not only what is new."""

LOOK_BACK = 500
"""Events that are read again at every look, since some come to sight late."""


@dataclass(frozen=True)
class _Seen:
    """What a look at the database found; ``now`` is its clock."""

    ended: dict[str, How]
    """Jobs of the launch that have ended, not all of them new."""

    leases: dict[str, float]
    """Until when jobs that run are held."""

    running: list[RunningJob]
    """Those of the launch's jobs."""

    segments: list[Job]
    """Segments that run, in this launch or another."""

    stop: StopRequest | None
    """What asks the launch to end."""

    now: float


@dataclass(frozen=True)
class _Submitted:
    """A task in the executor: since when by the monotonic clock, and what it waits for there."""

    since: float
    after: str | None


@dataclass(frozen=True)
class _Fruitless:
    """How often a job has crashed since it came to the furthest step at which it did."""

    step: int
    times: int


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
        self,
        store: Store,
        nodes: Sequence[Node],
        executor: Executor,
        display: Display,
        course: Course | None = None,
    ) -> None:
        """Without a ``course`` nobody else can end it, and any number of jobs may run."""
        self.store, self.executor, self.display = store, executor, display
        self.course = course
        self.nodes = {node.work.job_id: node for node in nodes}
        self.ended = Ended()
        self._lease = max((n.work.lease_seconds for n in nodes), default=0.0)
        self._order = Order(nodes)
        self._waiting: dict[str, list[str]] = {}
        for node in nodes:
            if node.after is not None:
                self._waiting.setdefault(node.after, []).append(node.work.job_id)
        self._event, self._refreshed = 0, -math.inf
        self._in_flight: dict[str, _Submitted] = {}
        self._not_before: dict[str, float] = {}
        self._crashes: deque[Finished] = deque()
        self._fruitless: dict[str, _Fruitless] = {}
        self._told: dict[str, Report] = {}
        self._starving = Starving(store, self.nodes, executor, self._give_up)
        self._node_watch = NodeWatch(executor, display.note)
        self._segments: dict[str, Job] = {}
        self._looked = time.monotonic(), time.time()
        self._away_since: float | None = None
        self._back = -math.inf

    def run(self) -> Ended:
        """Until every job has ended, here or in another launch. Raises LaunchStoppedError."""
        with suppress(Unavailable):
            deliver_leftovers(self.store, self.display.note)
            for job_id, job in self.store.jobs(list(self.nodes)).items():
                if job.state in ENDINGS:  # what had ended earlier is no news
                    self.ended.reports[job_id] = Report(job_id, ENDINGS[job.state])
                    self._order.remove(job_id)
        while True:
            seen = self._look()
            if seen is not None:
                if seen.stop is not None:
                    raise LaunchStoppedError(seen.stop)
                with kill_point("settle"):
                    self._settle(seen.ended)
                if len(self.ended.reports) < len(self.nodes):
                    self._submit(seen)
                self.display.update(len(self.ended.reports), len(self.nodes), seen.running)
                if len(self.ended.reports) == len(self.nodes):
                    return self.ended
                self._node_watch.look(map(self._starving.work, self._left()))
            for finished in self._collect():
                self._crash_or_note(finished)

    def _look(self) -> _Seen | None:
        """What the database says; None while it is away.

        Also a process that was stopped for long has not seen it for long, and so have the workers
        beside it that were stopped too.
        """
        try:
            self._take_in_crashes()
            seen = self._read()
        except Unavailable as error:
            self._away_since = self._away_since or time.time()
            self.display.unreachable(self._away_since, str(error))
            return None
        looked = time.monotonic(), time.time()
        # One of the clocks stands still while a machine sleeps, the other may be set.
        unseen = max(looked[0] - self._looked[0], looked[1] - self._looked[1])
        if self._away_since is not None or unseen > self._lease / 2:
            self._back = looked[0]
        self._looked, self._away_since = looked, None
        return seen

    def _read(self) -> _Seen:
        """Only what changed since the last time, but for a look at everything now and then."""
        began = time.monotonic()
        everything = began - self._refreshed >= REFRESH_SECONDS
        running = self.store.running_jobs()  # first: what ends meanwhile is in the news
        news = self.store.changed_jobs(None if everything else self._event - LOOK_BACK)
        left = self._left() if everything else []
        jobs = self.store.jobs(left) if everything else news.jobs | self._those_told_of(news.jobs)
        leases = {j.id: j.lease_until for j in jobs.values() if j.lease_until is not None}
        seen = _Seen(
            {j.id: ENDINGS[j.state] for j in jobs.values() if j.state in ENDINGS},
            leases | {r.job_id: r.lease_until for r in running},
            [r for r in running if r.job_id in self.nodes],
            self._running_segments(running),
            self._stop_request(),
            self.store.now(),
        )
        put_back = news.put_back | self._tell_of_retries(jobs)
        new = [job_id for job_id in put_back if self._is_left(job_id)]
        self._starving.look(left if everything else new, self._in_flight)
        self._event = news.last
        if everything:
            self._refreshed = began
        return seen

    def _stop_request(self) -> StopRequest | None:
        if self.course is None:
            return None
        after = max(self.course.begun, self._event - LOOK_BACK)
        return self.store.stop_request(self.course.sweep_id, after)

    def _those_told_of(self, known: Collection[str]) -> dict[str, Job]:
        """Jobs whose tasks told of a failure that is too old to be news."""
        asked = [job_id for job_id in self._told if job_id not in known]
        return self.store.jobs(asked) if asked else {}

    def _tell_of_retries(self, jobs: Mapping[str, Job]) -> set[str]:
        """The jobs whose tasks told of a failure, and that go on."""
        going_on = {j for j in self._told if j in jobs and jobs[j].state not in ENDINGS}
        for job_id in going_on:
            title, report = self.nodes[job_id].work.title, self._told.pop(job_id)
            why = (report.message.strip().splitlines() or [report.ending])[-1]
            self.display.note(f"{title} is run again: {why}")
        return going_on

    def _running_segments(self, running: Sequence[RunningJob]) -> list[Job]:
        """What is running of all launches' segments, as it was when it was first seen, but for
        the lease."""
        leases = {r.job_id: r.lease_until for r in running if r.kind == "pretraining"}
        new = [job_id for job_id in leases if job_id not in self._segments]
        if new:
            self._segments |= self.store.jobs(new)
        return [replace(self._segments[j], lease_until=until) for j, until in leases.items()]

    def _collect(self) -> list[Finished]:
        if not self._in_flight:
            time.sleep(POLL_SECONDS)
            return []
        return self.executor.wait(POLL_SECONDS)

    def _settle(self, ended: dict[str, How]) -> None:
        """Note what the database says has ended, and what can therefore never start."""
        for job_id, ending in ended.items():
            if self._is_left(job_id) and job_id not in self._in_flight:
                told = self._told.pop(job_id, None)
                fits = told is not None and told.ending == ending
                self._end(told if told is not None and fits else Report(job_id, ending))
        lost = [r for r in self.ended.reports.values() if r.ending != "done"]
        for report in lost:  # it grows while it is gone through
            for job_id in self._waiting.get(report.job_id, ()):
                if self._is_left(job_id) and job_id not in self._in_flight:
                    needed = self.nodes[report.job_id].work.title
                    lost.append(Report(job_id, "blocked", f"it needs `{needed}`"))
                    self._end(lost[-1])

    def _left(self) -> list[str]:
        return [job_id for job_id in self.nodes if job_id not in self.ended.reports]

    def _is_left(self, job_id: str) -> bool:
        return job_id in self.nodes and job_id not in self.ended.reports

    def _submit(self, seen: _Seen) -> None:
        """Hand out what is free. A lease that ran out while the database was away is its holder's
        for one more."""
        now = time.monotonic()
        sparing = now < self._back + self._lease
        chained = sum(s.after in self._in_flight for s in self._in_flight.values())
        running = sum(r.job_id in self._in_flight for r in seen.running)
        free = len(self._in_flight) - chained - running
        held = (r.job_id for r in seen.running if sparing or is_held(r.lease_until, seen.now))
        places = free_places(self.course, self._in_flight, held)
        for node in self._order(self.ended.reports):
            if free >= WINDOW and (chained >= WINDOW or not self._any_is_waited_for()):
                return
            if places is not None and places <= 0:
                return
            job_id, after = node.work.job_id, node.after
            if job_id in self._in_flight:
                continue
            lease_until = seen.leases.get(job_id)
            if lease_until is not None and (sparing or is_held(lease_until, seen.now)):
                continue
            if now < self._not_before.get(job_id, now):
                continue
            if after in self.ended.reports:
                after = None
            if after is not None and (places is not None or after not in self._in_flight):
                continue  # under a cap, what waits in the executor would start unasked
            if (free if after is None else chained) >= WINDOW:
                continue
            if self._a_shorter_runs(node.work.job, seen):
                continue
            with kill_point("submit"):
                self.executor.submit(self._starving.work(job_id), after)
            places = None if places is None else places - 1
            self._in_flight[job_id] = _Submitted(now, after)
            free += after is None
            chained += after is not None

    def _any_is_waited_for(self) -> bool:
        return any(job_id in self._waiting for job_id in self._in_flight)

    def _a_shorter_runs(self, job: PlannedJob, seen: _Seen) -> bool:
        """Whether another launch runs a shorter segment of the same run, so that nobody gets it."""
        return job.budget is not None and any(
            s.pretraining_id == job.pretraining_id
            and s.data_digest == job.data_digest
            and (s.budget or 0) < job.budget
            and s.is_held(seen.now)
            for s in seen.segments
            if s.id not in self._in_flight
        )

    def _crash_or_note(self, finished: Finished) -> None:
        job_id, report = finished.job_id, finished.report
        began = self._in_flight.pop(job_id).since
        for note in report.notes if report else ():
            self.display.note(note)
        if report is None:
            self._crashes.append(finished)
        elif report.ending in ("done", "pruned"):
            self._end(report)
        elif report.ending in ("diverged", "failed"):
            self._told[job_id] = report  # the database knows whether that is the end
        elif report.ending == "elsewhere":
            self._not_before[job_id] = time.monotonic() + AGAIN_SECONDS
        elif report.ending == "away" and self._away_since is None and self._back < began:
            self._crashes.append(Finished(job_id, None, report.message))  # for that host alone

    def _take_in_crashes(self) -> None:
        """Free the jobs of dead processes, and give up those that get nowhere. Raises Unavailable,
        with the rest left for later."""
        if any(crash.lost in ("process", "memory") for crash in self._crashes):
            deliver_leftovers(self.store, self.display.note)  # it may have left its ending
        while self._crashes:
            crash = self._crashes[0]
            work, job = self.nodes[crash.job_id].work, self.store.job(crash.job_id)
            own, starved = job is not None and job.owner == work.owner, False
            if job is not None and own and crash.lost == "process":
                self.store.mark_lost(job.id, owner=work.owner, token=job.token)
            if job is not None and own and crash.lost == "memory":
                starved = self._end_as_starved(crash, job)
            self._crashes.popleft()
            if crash.lost != "node" and not starved and (job is None or job.state not in ENDINGS):
                self._count(crash, 0 if job is None else job.step)

    def _end_as_starved(self, crash: Finished, job: Job) -> bool:
        """End the attempt of a task that its node killed for want of memory; False if it is over
        already."""
        work = self._starving.work(crash.job_id)
        message = "its node ran out of memory and killed it"
        ended = self.store.mark_lost(
            job.id,
            owner=work.owner,
            token=job.token,
            outcome="oom",
            message=message,
            policy=policy_of(work, killed=True),
        )
        if ended:
            self._told[job.id] = Report(job.id, "failed", message)
        return ended

    def _count(self, crash: Finished, step: int) -> None:
        former = self._fruitless.get(crash.job_id)
        if former is None or step > former.step:
            former = _Fruitless(step, 0)
        now = self._fruitless[crash.job_id] = _Fruitless(former.step, former.times + 1)
        if now.times >= MAX_CRASHES:
            times = f"{now.times} times without getting beyond step {now.step}"
            self._end(Report(crash.job_id, "failed", f"{crash.crash}, {times}"))

    def _give_up(self, job_id: str, why: str) -> None:
        self._end(Report(job_id, "failed", f"given up: {why}"))

    def _end(self, report: Report) -> None:
        self.ended.reports[report.job_id] = report
        self._order.remove(report.job_id)
        self.display.job_ended(self.nodes[report.job_id].work.title, report)
