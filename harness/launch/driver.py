"""The driver of a launch: submit jobs that can run until every job of the sweep has ended.

`Launch.run` is the loop. Each round it reads the database, records the jobs that have ended,
submits jobs in the order of their value (`Order`), and collects finished tasks from the executor.
Jobs that other launches run are waited for in the database. Jobs whose recipe asks for stacks are
dealt over free slots (`stacks`): they are not submitted before, so that others can join them.

The driver holds no state that matters. It may be killed at any moment; launching again plans the
difference and goes on. While the database is unreachable the driver waits and its tasks go on.
"""

import math
import secrets
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import Protocol

import sqlalchemy as sa

from lcma.db import Job, JobFacts, PlannedJob, StopRequest, Store, Unavailable
from lcma.db.jobs import SINCE_RETRY
from lcma.db.leases import LeaseWatch
from lcma.db.schema import attempts, events
from lcma.harness.kill_points import kill_point
from lcma.harness.launch.executor import Executor, Finished
from lcma.harness.launch.hosts import Hosts
from lcma.harness.launch.limits import Limits, LimitWatch
from lcma.harness.launch.plan import Node
from lcma.harness.launch.stacks import MOST, Candidate, deal, find_shapes
from lcma.harness.text import format_count
from lcma.harness.work.units import (
    ENDINGS,
    Need,
    Report,
    ReportEnding,
    Starved,
    Work,
    grow_work,
    make_policy,
)

POLL_SECONDS = 0.5
"""How long a round waits for finished tasks."""

REFRESH_SECONDS = 60.0
"""Shortest interval between two readings of all jobs that are left; changes are always read."""

SLICE = 2000
"""Most jobs of such a reading at each poll, so that none takes long."""

LOOK_BACK = 500
"""Events before the last known one that each reading repeats, since events may become visible out
of order."""

NODES_SECONDS = 5.0
"""Interval between checks of what the nodes have."""

AGAIN_SECONDS = 2.0
"""Pause before a task that found its job taken is submitted again."""

WINDOW = 64
"""Most unstacked tasks submitted but not started; as many again may wait for a dependency in the
executor, and as many full stacks for its growth. The rest wait in the driver. A more valuable job
that is ready later can be delayed by these."""

UNKNOWN_SECONDS = 30.0
"""Pause before a task is submitted again that was lost before its claim on an unknown host."""

MAX_CRASHES = 3
"""Crashes of a job's task without progress in between, after which the job is given up until the
next launch. Tasks that were lost with their node do not count."""


class Display(Protocol):
    """A receiver of what a launch reports while it runs."""

    def update(self, ended: int, total: int, running: Sequence[JobFacts]) -> None:
        """Show how many jobs have ended, of how many, and which run."""

    def job_ended(self, title: str, report: Report) -> None:
        """Show that a job has ended, and how."""

    def unreachable(self, since: float, why: str) -> None:
        """Show that the database is unreachable since a Unix time, and why, in one line.

        It is called each round until the database answers, which `update` shows.
        """

    def note(self, line: str) -> None:
        """Show a line about anything else."""


@dataclass(frozen=True)
class LaunchRecord:
    """A launch as it is registered in the database."""

    sweep_id: str

    begun: int
    """Number of the event that began the launch; earlier stop requests are not for it."""

    parallel: int | None = None
    """Most jobs of the sweep at once, over all launches; None for no limit."""

    limits: Limits = field(default_factory=Limits)


class LaunchStoppedError(Exception):
    """A launch was stopped by a request; ``released`` of its jobs keep their last checkpoint."""

    def __init__(self, request: StopRequest) -> None:
        super().__init__(f"asked to stop by {request.by}")
        self.request, self.released = request, 0


@dataclass
class EndedJobs:
    """The reports of the jobs of a launch that have ended, by job id."""

    reports: dict[str, Report] = field(default_factory=dict)

    def with_ending(self, *endings: str) -> list[Report]:
        """Return the reports with one of these endings."""
        return [r for r in self.reports.values() if r.ending in endings]


def new_owner() -> str:
    """Return a unique name for this launch, which tells nobody where it runs."""
    return f"launch-{secrets.token_hex(10)}"


@dataclass(frozen=True)
class _DatabaseState:
    """The jobs as one reading of the database found them."""

    ended: dict[str, ReportEnding]
    """Endings of jobs, known ones among them."""

    leases: dict[str, float]
    """Ends of the leases of running jobs, by the clock of the database."""

    held: set[str]
    """Those of them whose leases hold."""

    running: list[JobFacts]
    """Running jobs of the launch."""

    segments: list[Job]
    """Running segments of any launch."""

    stop: StopRequest | None
    """The request that the launch end, if there is one."""


@dataclass(frozen=True)
class _Submitted:
    """A task in the executor: its jobs with their tokens, when it was submitted (monotonic), and
    the job that it waits for."""

    tokens: Mapping[str, int]
    since: float
    after: str | None = None

    @property
    def job_ids(self) -> tuple[str, ...]:
        return tuple(self.tokens)


@dataclass(frozen=True)
class _Crash:
    """A job whose ``task`` was lost; not ``alone`` if others were in its stack, and then it does
    not count against it."""

    finished: Finished
    task: _Submitted
    alone: bool = True


@dataclass(frozen=True)
class _CrashCount:
    """The crashes of a job's task at ``step``, the furthest that it had reached at a crash."""

    step: int
    times: int


class Launch:
    """A run of the driver's loop over a task graph.

    Without a ``record`` no stop request reaches it, and any number of jobs may run at once; without
    ``hosts`` what fails before a claim counts against the job. ``require_uninterrupted`` is called
    each round, and may raise.
    """

    def __init__(
        self,
        store: Store,
        nodes: Sequence[Node],
        executor: Executor,
        display: Display,
        record: LaunchRecord | None = None,
        hosts: Hosts | None = None,
        require_uninterrupted: Callable[[], None] = lambda: None,
    ) -> None:
        self.store, self.executor, self.display = store, executor, display
        self.record, self.hosts = record, hosts
        self._require_uninterrupted = require_uninterrupted
        self.nodes = {node.work.job_id: node for node in nodes}
        self.ended = EndedJobs()
        self._lease = max((n.work.lease_seconds for n in nodes), default=0.0)
        self._watch = LeaseWatch(one_host=store.database.one_host)
        self._order = Order(nodes)
        self._waiting: dict[str, list[str]] = {}
        for node in nodes:
            if node.after is not None:
                self._waiting.setdefault(node.after, []).append(node.work.job_id)
        self._event, self._refreshed, self._first = 0, -math.inf, True
        self._unread: list[str] = []
        self._in_flight: dict[str, _Submitted] = {}
        self._not_before: dict[str, float] = {}
        self._shapes = find_shapes((n.work.job, n.work.subject) for n in nodes)
        self._left_stacked = Counter(n.work.need for n in nodes if n.work.job_id in self._shapes)
        self._left_alone = len(nodes) - self._left_stacked.total()
        self._kinds = {n.work.need: n.work for n in nodes}
        self._left = Counter(n.work.need for n in nodes)
        self._lost_segments: list[Report] = []
        self._most_members: dict[str, int] = {}
        self._steps: dict[str, int] = {}
        self._tokens: dict[str, int] = {}
        self._crashes: deque[_Crash] = deque()
        self._crash_counts: dict[str, _CrashCount] = {}
        self._reported_failures: dict[str, Report] = {}
        self._excused: list[str] = []
        self._lost_tokens: dict[str, int] = {}
        self._troubled = False
        self._memory_retries = MemoryRetries(store, self.nodes, executor, self._give_up)
        self._node_watch = NodeWatch(executor, display.note)
        self._owners = {node.work.owner for node in nodes}
        self._limit_watch: LimitWatch | None = None
        if record is not None and nodes:
            owner = nodes[0].work.owner
            self._limit_watch = LimitWatch(store, owner, record.sweep_id, record.limits)
        self._segments: dict[str, Job] = {}
        self._last_read = time.monotonic(), time.time()
        self._unreachable_since: float | None = None
        self._back_since = -math.inf

    def run(self) -> EndedJobs:
        """Run until every job has ended, here or in another launch. Raises LaunchStoppedError."""
        if len(self.nodes) > 10 * SLICE:  # takes seconds
            self.display.note(f"reading how far {len(self.nodes)} jobs are")
        while True:
            self._require_uninterrupted()
            state = self._read_database()
            if state is not None:
                if state.stop is not None:
                    raise LaunchStoppedError(state.stop)
                with kill_point("settle"):
                    self._record_ended(state.ended)
                if len(self.ended.reports) < len(self.nodes) and self._is_permitted(state):
                    self._submit(state)
                self._note_resumed(state.running)
                self._note_problems(state.running)
                self.display.update(len(self.ended.reports), len(self.nodes), state.running)
                if len(self.ended.reports) == len(self.nodes):
                    return self.ended
                self._node_watch.check(self._kinds_left())
                if self.hosts is not None and not any(
                    job.job_id in self._in_flight for job in state.running
                ):
                    self.hosts.require_any()
            for finished in self._collect():
                self._handle_finished(finished)

    def _is_permitted(self, state: _DatabaseState) -> bool:
        """Return whether the launch's limits let it start jobs. Raises LimitReachedError."""
        if self._limit_watch is None:
            return True
        running = sum(job.owner in self._owners for job in state.running)
        return self._limit_watch.permits(running, len(self.nodes) - len(self.ended.reports))

    def _read_database(self) -> _DatabaseState | None:
        """Read the state of the jobs; None while the database is unreachable.

        A process that was suspended (SIGSTOP, a sleeping machine) has not seen the database either,
        and neither have the workers that were suspended with it: their leases get the same grace.
        """
        try:
            self._handle_crashes()
            if self.hosts is not None:
                self._put_back_excused()
                self.hosts.refresh()
            state = self._read_state()
        except Unavailable as error:
            self._unreachable_since = self._unreachable_since or time.time()
            self.display.unreachable(self._unreachable_since, str(error))
            return None
        now = time.monotonic(), time.time()
        # The monotonic clock may stand still while a machine sleeps; the other one may be set.
        unseen = max(now[0] - self._last_read[0], now[1] - self._last_read[1])
        if self._unreachable_since is not None or unseen > self._lease / 2:
            self._back_since = now[0]
        self._last_read, self._unreachable_since = now, None
        return state

    def _read_state(self) -> _DatabaseState:
        """Read what changed since the last time, and some of the other jobs; at first all."""
        began = time.monotonic()
        if not self._unread and began - self._refreshed >= REFRESH_SECONDS:
            self._unread, self._refreshed = self._order.job_ids(), began
        some = self._unread if self._first else self._unread[-SLICE:]
        # First: what ends after this is in changed_jobs.
        running = self.store.job_facts(states=["running"], order="started")
        news = self.store.changed_jobs(None if self._first else self._event - LOOK_BACK)
        jobs = news.jobs | self._read_reported_failures(news.jobs)
        if some:
            jobs |= self.store.jobs(some)
        for job in jobs.values():
            self._note_progress(job)
        now = self.store.now()
        self._watch.update(running)
        if any(map(self._is_overdue, running)):
            self.store.require_writable()  # a full disk can be read
        leases = {r.job_id: r.lease_until for r in running if r.lease_until is not None}
        new = {
            j.id: j.lease_until
            for j in jobs.values()
            if j.lease_until is not None and j.id not in leases
        }
        # Jobs that are not there were forgotten meanwhile.
        ended: dict[str, ReportEnding] = {i: "cancelled" for i in some if i not in jobs}
        ended |= {j.id: ending for j in jobs.values() if (ending := _find_ending(j)) is not None}
        state = _DatabaseState(
            ended,
            leases | new,
            {r.job_id for r in running if self._watch.is_held(r, now)} | new.keys(),
            [r for r in running if r.job_id in self.nodes],
            self._running_segments(running),
            self._stop_request(),
        )
        put_back = news.put_back | self._note_retries(jobs)
        self._memory_retries.refresh(
            {*filter(self._is_unfinished, put_back), *some}, self._in_flight
        )
        if self._first:  # ended before: not shown as news
            for job_id, ending in state.ended.items():
                self._note_end(Report(job_id, ending))
            self._note_held(state, now)
        self._event, self._first = news.last, False
        del self._unread[len(self._unread) - len(some) :]
        return state

    def _note_progress(self, job: Job) -> None:
        if job.id in self._shapes:
            self._steps[job.id] = job.step
        if job.token and self._is_unfinished(job.id):
            self._tokens[job.id] = job.token

    def _is_overdue(self, job: JobFacts) -> bool:
        """Return whether a worker of this launch has not renewed its lease for half of it."""
        return (
            job.job_id in self._in_flight
            and job.owner == self.nodes[job.job_id].work.owner
            and self._watch.seconds_still(job.job_id) > self._lease / 2
        )

    def _note_held(self, state: _DatabaseState, now: float) -> None:
        """Show that other launches hold jobs, and what becomes of those of one that was killed."""
        held = [job for job in state.running if job.owner not in self._owners]
        if held:
            left = max(0.0, max(state.leases.get(job.job_id, now) for job in held) - now)
            jobs = format_count(len(held), "running job")
            self.display.note(
                f"another launch holds {jobs}: if it was killed, what it held goes on here from "
                f"the last checkpoint when its lease ends, in {left:.0f} s"
            )
            self._lost_tokens |= {job.job_id: job.token for job in held}

    def _note_resumed(self, running: Sequence[JobFacts]) -> None:
        """Show from where jobs go on whose workers were lost, once they have made a step."""
        for job in running:
            lost = self._lost_tokens.get(job.job_id)
            if lost is not None and job.token > lost and job.step > (job.first_step or 0):
                del self._lost_tokens[job.job_id]
                title = self.nodes[job.job_id].work.title
                self.display.note(f"{title} runs again, from step {job.first_step}")

    def _note_problems(self, running: Sequence[JobFacts]) -> None:
        """Show that running jobs cannot do something, once, and when all can again."""
        troubled = [job for job in running if job.message]
        if troubled and not self._troubled:
            first, more = troubled[0], len(troubled) - 1
            others = f"; {more} more, `lcma status` shows them" if more else ""
            title = self.nodes[first.job_id].work.title
            self.display.note(f"{title}: {first.message}{others}")
        elif self._troubled and not troubled:
            self.display.note("no job that runs has such a problem any more")
        self._troubled = bool(troubled)

    def _stop_request(self) -> StopRequest | None:
        if self.record is None:
            return None
        after = max(self.record.begun, self._event - LOOK_BACK)
        return self.store.stop_request(self.record.sweep_id, after)

    def _read_reported_failures(self, known: Collection[str]) -> dict[str, Job]:
        """Read the jobs with a reported failure that are not ``known``: their event is older than
        `LOOK_BACK`, so that changed_jobs no longer returns them."""
        missing = [job_id for job_id in self._reported_failures if job_id not in known]
        return self.store.jobs(missing) if missing else {}

    def _note_retries(self, jobs: Mapping[str, Job]) -> set[str]:
        """Show which jobs with a reported failure are run again, and return their ids."""
        retried = {
            job_id
            for job_id in self._reported_failures
            if job_id in jobs and jobs[job_id].state not in ENDINGS
        }
        for job_id in retried:
            title, report = self.nodes[job_id].work.title, self._reported_failures.pop(job_id)
            where = f" (on {report.host})" if report.host else ""
            self.display.note(f"{title} is run again: {_find_last_line(report)}{where}")
        return retried

    def _running_segments(self, running: Sequence[JobFacts]) -> list[Job]:
        """Return the running segments of all launches, as they were when first read."""
        segments = [r.job_id for r in running if r.kind == "pretraining"]
        new = [job_id for job_id in segments if job_id not in self._segments]
        if new:
            self._segments |= self.store.jobs(new)
        return [self._segments[job_id] for job_id in segments]

    def _collect(self) -> list[Finished]:
        if not self._in_flight:
            time.sleep(POLL_SECONDS)
            return []
        return self.executor.wait(POLL_SECONDS)

    def _record_ended(self, ended: dict[str, ReportEnding]) -> None:
        """Record the jobs that have ended, and those that can never start because of them."""
        for job_id, ending in ended.items():
            if self._is_unfinished(job_id) and job_id not in self._in_flight:
                report = self._reported_failures.pop(job_id, None)
                if report is None or report.ending != ending:
                    report = Report(job_id, ending)
                self._end_job(report)
        for report in self._lost_segments:  # the loop appends to it
            for job_id in self._waiting[report.job_id]:
                if self._is_unfinished(job_id) and job_id not in self._in_flight:
                    needed = self.nodes[report.job_id].work.title
                    self._end_job(Report(job_id, "blocked", f"it needs `{needed}`"))

    def _kinds_left(self) -> Iterator[Work]:
        """Iterate over unfinished work, once for each need, and over what needs more memory now."""
        yield from (work for need, work in self._kinds.items() if self._left[need])
        yield from (w for w in self._memory_retries.grown() if self._is_unfinished(w.job_id))

    def _is_unfinished(self, job_id: str) -> bool:
        return job_id in self.nodes and job_id not in self.ended.reports

    def _submit(self, state: _DatabaseState) -> None:
        """Submit jobs that can run: unstacked ones up to `WINDOW`, stacks as far as slots are free,
        and all up to the cap.

        While a stack waits for a slot, nothing less valuable is submitted to wait before it.
        """
        alone = [job_id for job_id in self._in_flight if job_id not in self._shapes]
        dependent = sum(self._in_flight[job_id].after in self._in_flight for job_id in alone)
        running = {r.job_id for r in state.running if r.job_id in self._in_flight}
        free = len(alone) - dependent - len(running.difference(self._shapes))
        grace = self._is_in_grace()
        held = (r for r in state.running if grace or r.job_id in state.held)
        places = _count_free_places(self.record, self._in_flight, held)
        stacks: dict[str, list[Work]] = {}
        dealt: set[Need] = set()
        full: set[Need] = set()
        stack_waits = False

        def is_full() -> bool:
            return free >= WINDOW and not stacks and dealt >= self._left_stacked.keys()

        # The executor would start a dependent task whatever the cap.
        for node in self._order.iterate(self._in_flight if places is None else (), is_full):
            if is_full() and dependent >= WINDOW:
                return
            if not stacks and dealt >= self._left_stacked.keys() and len(alone) >= self._left_alone:
                return
            if places is not None and places <= 0:
                return
            if not self._can_start(node, state):
                continue
            job_id, after = node.work.job_id, node.after
            if after in self.ended.reports:
                after = None
            work = self._memory_retries.work(job_id)
            if job_id in self._shapes:
                if after is not None:
                    continue
                if work.need not in dealt:
                    dealt.add(work.need)
                    stacks |= self._deal(work, state, places)
                stack = stacks.pop(job_id, [])
                ahead = len(stack) == MOST and self.executor.grows
                if not stack or not (ahead or self._has_room(stack[0], full)):
                    stack_waits = True
                    continue
                self._start(stack, None, state)
            else:
                if after is not None and (places is not None or after not in self._in_flight):
                    continue
                if (free if after is None else dependent) >= WINDOW:
                    continue
                if stack_waits and not self._has_room(work, full):
                    continue
                self._start([work], after, state)
                alone.append(job_id)
                free += after is None
                dependent += after is not None
            places = None if places is None else places - 1

    def _can_start(self, node: Node, state: _DatabaseState) -> bool:
        """Return whether a job is neither here nor elsewhere, and may be tried again."""
        job_id = node.work.job_id
        return not (
            job_id in self._in_flight
            or (job_id in state.leases and (job_id in state.held or self._is_in_grace()))
            or time.monotonic() < self._not_before.get(job_id, 0.0)
            or self._is_shorter_segment_running(node.work.job, state)
        )

    def _is_in_grace(self) -> bool:
        """Return whether leases that ran out while the database was unreachable count as held.

        They do for one more lease: their holders may have been unable to extend them.
        """
        return time.monotonic() < self._back_since + self._lease

    def _deal(self, like: Work, state: _DatabaseState, places: int | None) -> dict[str, list[Work]]:
        """Deal the jobs that can start and need what the work needs over the slots that are free,
        up to so many places; return stacks by their most valuable members."""
        slots = self._count_free_slots(like)
        ahead = slots <= 0 and self.executor.grows
        if ahead:  # stacks that nobody can join any more
            slots = max(0, WINDOW - self._count_waiting_stacks(state))
        slots = slots if places is None else min(slots, places)
        ready = (
            self._memory_retries.work(node.work.job_id)
            for node in self._order.iterate()
            if node.work.job_id in self._shapes
            and (node.after is None or node.after in self.ended.reports)
            and self._can_start(node, state)
        )
        alike = (work for work in ready if work.need == like.need)
        works = list(islice(alike, MOST * slots))
        members = [
            Candidate(
                self._shapes[work.job_id],
                self._steps.get(work.job_id, 0),
                self._most_members.get(work.job_id, MOST),
            )
            for work in works
        ]
        stacks = deal(members, len(members) // MOST if ahead else slots)
        return {
            works[stack[0]].job_id: [works[position] for position in stack]
            for stack in stacks
            if not ahead or len(stack) == MOST
        }

    def _count_waiting_stacks(self, state: _DatabaseState) -> int:
        running = {job.job_id for job in state.running}
        stacks = {t.job_ids for job_id, t in self._in_flight.items() if job_id in self._shapes}
        return sum(running.isdisjoint(job_ids) for job_ids in stacks)

    def _has_room(self, work: Work, full: set[Need]) -> bool:
        """Return whether a slot is free for the work; ``full`` gets the needs for which none is."""
        if work.need not in full and self._count_free_slots(work) <= 0:
            full.add(work.need)
        return work.need not in full

    def _count_free_slots(self, work: Work) -> int:
        """Return how many tasks like the work can start now.

        One where the executor has nothing of this launch, whatever it knows, so that nothing waits
        for ever.
        """
        free = self.executor.free_slots(work) or 0
        return free if self._in_flight else max(free, 1)

    def _start(self, works: Sequence[Work], after: str | None, state: _DatabaseState) -> None:
        tokens = {work.job_id: self._tokens.get(work.job_id, 0) for work in works}
        task = [replace(work, expired=state.leases.get(work.job_id)) for work in works]
        with kill_point("submit"):
            self.executor.submit(task, after)
        self._in_flight |= dict.fromkeys(tokens, _Submitted(tokens, time.monotonic(), after))

    def _is_shorter_segment_running(self, job: PlannedJob, state: _DatabaseState) -> bool:
        """Return whether another launch runs a shorter segment of the same pretraining, so that
        nobody can claim this one."""
        return job.budget is not None and any(
            s.pretraining_id == job.pretraining_id
            and s.data_digest == job.data_digest
            and (s.budget or 0) < job.budget
            and s.id in state.held
            for s in state.segments
            if s.id not in self._in_flight
        )

    def _handle_finished(self, finished: Finished) -> None:
        job_id, report = finished.job_id, finished.report
        task = self._in_flight.pop(job_id)
        if self.hosts is not None and report is not None:
            self._note_first_step(self.hosts, finished.host, report)
        alone = len(task.tokens) == 1
        if report is None:
            # What fails in a body is in its report, so the size of the stack is no reason here.
            alone = alone or (finished.lost == "error" and bool(finished.host))
            self._crashes.append(_Crash(finished, task, alone))
        elif report.ending == "crowded":
            self._crashes.append(_Crash(Finished(job_id, None, report.message), task, alone))
        elif report.ending == "done":
            self._end_job(report)
        elif report.ending == "device_failed":
            why = _find_last_line(report)
            if self.hosts is not None and finished.host and self.hosts.can_spare(finished.host):
                self.hosts.blame(finished.host, job_id, why)
            lost = Finished(job_id, None, why, "device", finished.host)
            self._crashes.append(_Crash(lost, task, alone))
        elif report.ending in ("diverged", "failed"):
            report = replace(report, host=finished.host)
            self._reported_failures[job_id] = report  # the database decides whether it is retried
        elif report.ending == "preempted":
            self.display.note(f"{self.nodes[job_id].work.title}: preempted; it is run again")
        elif report.ending == "elsewhere":
            self._not_before[job_id] = time.monotonic() + AGAIN_SECONDS
        elif (
            report.ending == "away"
            and self._unreachable_since is None
            and self._back_since < task.since
        ):
            # Unreachable from that host alone, which counts as a crash.
            crash = replace(finished, report=None, crash=report.message)
            self._crashes.append(_Crash(crash, task))

    def _note_first_step(self, hosts: Hosts, host: str, report: Report) -> None:
        """Let a job that failed before a step run again, if its host may be to blame."""
        work = self.nodes[report.job_id].work
        recipe = type(work.subject), id(work.subject.recipe)  # jobs share them
        if host and report.steps:
            hosts.note_steps(host, recipe)
        elif host and report.at_start:
            why = _find_last_line(report)
            if hosts.excuse(host, report.job_id, recipe, why):
                self._excused.append(report.job_id)

    def _put_back_excused(self) -> None:
        """Make jobs that failed on hosts which may be to blame pending. Raises Unavailable."""
        if self._excused:
            found = self.store.jobs(self._excused).values()
            self.store.retry([job.id for job in found if job.state == "failed"])
            self._excused.clear()

    def _halve(self, task: _Submitted, lost: Finished) -> None:
        """Let a member of a lost stack run again in a smaller one, unless its node was lost."""
        most, again = len(task.job_ids) // 2, "they are run again"
        if lost.lost not in ("node", "taken"):
            self._most_members[lost.job_id] = most
            again += f" in stacks of at most {most}" if most > 1 else " one by one"
        if lost.job_id == task.job_ids[0]:
            title, more = self.nodes[lost.job_id].work.title, len(task.job_ids) - 1
            loss = _describe_loss(lost)
            self.display.note(f"{title} and {more} more in its stack: {loss} and {again}")

    def _handle_crashes(self) -> None:
        """Free the jobs of dead processes, and give up those that crash without progress.

        What is lost before a claim, where other hosts could run it, is its host's fault.

        Raises Unavailable, with the rest of the crashes kept for the next round.
        """
        while self._crashes:
            one = self._crashes[0]
            crash, task, alone = one.finished, one.task, one.alone
            jobs = self.store.jobs(task.job_ids)
            work, job = self.nodes[crash.job_id].work, jobs.get(crash.job_id)
            if self.hosts is not None and self._is_unclaimed(crash, task, jobs):
                self._blame_host(self.hosts, crash)
                self._crashes.popleft()
                continue
            retried = False
            if job is not None and job.owner == work.owner:
                if crash.lost == "memory" and alone:
                    retried = self._end_out_of_memory(crash, job)
                elif crash.lost in ("process", "memory"):
                    self.store.mark_lost(job.id, owner=work.owner, token=job.token)
                elif crash.lost == "taken":
                    why = _describe_loss(crash)
                    self.store.mark_lost(
                        job.id, owner=work.owner, token=job.token, outcome="preempted", message=why
                    )
            self._crashes.popleft()
            if not alone:
                self._halve(task, crash)
            if not alone or retried or (job is not None and job.state in ENDINGS):
                continue
            step = 0 if job is None else job.step
            if crash.lost not in ("node", "taken"):
                self._count_crash(crash, step)
            if self.hosts is not None and not self._is_unfinished(crash.job_id):
                self.hosts.acquit(crash.job_id)
            if self._is_unfinished(crash.job_id):
                again = "it is run again"
                if crash.lost == "node" and job is not None and job.lease_until is not None:
                    left = max(0.0, job.lease_until - self.store.now())
                    again += f" when its lease ends, in {left:.0f} s"
                loss = _describe_loss(crash)
                self.display.note(f"{work.title}: {loss} at step {step}; {again}")
                self._lost_tokens[crash.job_id] = 0 if job is None else job.token

    def _is_unclaimed(self, crash: Finished, task: _Submitted, jobs: Mapping[str, Job]) -> bool:
        """Return whether a task failed or was lost before it had claimed any job."""
        if crash.lost == "error":
            job = jobs.get(crash.job_id)
            return bool(crash.host) and (job is None or job.token <= task.tokens[job.id])
        if crash.lost not in ("process", "memory"):
            return False
        return all(job.token <= task.tokens[job.id] for job in jobs.values())

    def _blame_host(self, hosts: Hosts, crash: Finished) -> None:
        """Set the host aside on which a task failed; where it is not known, only wait."""
        why = crash.crash
        if crash.lost != "error":
            why = f"{_describe_loss(crash)} before it began a trial"
        if crash.host:
            hosts.set_aside(crash.host, why)
        else:
            self._not_before[crash.job_id] = time.monotonic() + UNKNOWN_SECONDS
            title = self.nodes[crash.job_id].work.title
            self.display.note(f"{title}: {why}, on a host that is not known; it is run again")

    def _end_out_of_memory(self, crash: Finished, job: Job) -> bool:
        """End the attempt of a task that its node killed because memory ran out; return False if it
        had ended already."""
        work = self._memory_retries.work(crash.job_id)
        message = "its node ran out of memory and killed it"
        ended = self.store.mark_lost(
            job.id,
            owner=work.owner,
            token=job.token,
            outcome="oom",
            message=message,
            policy=make_policy(work, killed=True),
        )
        if ended:
            self._reported_failures[job.id] = Report(job.id, "failed", message)
        return ended

    def _count_crash(self, crash: Finished, step: int) -> None:
        former = self._crash_counts.get(crash.job_id)
        if former is None or step > former.step:
            former = _CrashCount(step, 0)
        now = self._crash_counts[crash.job_id] = _CrashCount(former.step, former.times + 1)
        if now.times >= MAX_CRASHES:
            times = f"{now.times} times without getting beyond step {now.step}"
            why = f"{crash.crash}, {times}"
            self._end_job(Report(crash.job_id, "failed", why, host=crash.host))

    def _give_up(self, job_id: str, why: str) -> None:
        self._end_job(Report(job_id, "failed", f"given up: {why}"))

    def _note_end(self, report: Report) -> None:
        node = self.nodes[report.job_id]
        self.ended.reports[report.job_id] = report
        self._tokens.pop(report.job_id, None)
        self._order.remove(node)
        self._left[node.work.need] -= 1
        if report.ending != "done" and report.job_id in self._waiting:
            self._lost_segments.append(report)
        if report.job_id in self._shapes:
            self._left_stacked -= Counter([node.work.need])
        else:
            self._left_alone -= 1

    def _end_job(self, report: Report) -> None:
        self._note_end(report)
        self.display.job_ended(self.nodes[report.job_id].work.title, report)


def _find_ending(job: Job) -> ReportEnding | None:
    if job.state == "pending" and job.stopped_by is not None:
        return "cancelled"
    return ENDINGS.get(job.state)


def _find_last_line(report: Report) -> str:
    return (report.message.strip().splitlines() or [report.ending])[-1]


def _describe_loss(crash: Finished) -> str:
    if crash.lost == "process":
        return f"its worker died ({crash.crash})"
    if crash.lost == "memory":
        return f"its worker was killed as memory ran out ({crash.crash})"
    if crash.lost == "node":
        return f"its node, {crash.crash}, was lost"
    if crash.lost == "taken":
        return f"its node was taken away, {crash.crash}"
    if crash.lost == "device":
        return crash.crash + (f", on {crash.host}," if crash.host else "")
    return f"its task failed ({crash.crash})"


def _count_free_places(
    record: LaunchRecord | None, in_flight: Mapping[str, _Submitted], held: Iterable[JobFacts]
) -> int | None:
    """Return how many more tasks of the sweep may start under its cap; None for any number.

    Tasks count that are in the executor, and those of jobs that other launches hold.
    """
    if record is None or record.parallel is None:
        return None
    here = {task.job_ids for task in in_flight.values()}
    elsewhere = {job.stack_id or job.job_id for job in held if job.job_id not in in_flight}
    return record.parallel - len(here) - len(elsewhere)


class NodeWatch:
    """A watch that notes when no node can run some of the work, and when one can again."""

    def __init__(self, executor: Executor, note: Callable[[str], None]) -> None:
        self._executor, self._note = executor, note
        self._last_check = time.monotonic()  # the launch has checked before it began
        self._since: float | None = None

    def check(self, unfinished: Iterable[Work]) -> None:
        """Check each kind of unfinished work, at most once in `NODES_SECONDS`."""
        now = time.monotonic()
        if now - self._last_check < NODES_SECONDS:
            return
        self._last_check = now
        kinds = {work.need: work for work in unfinished}
        lacks = filter(None, map(self._executor.lack, kinds.values()))
        lack = next(lacks, None)
        if lack is not None and self._since is None:
            self._since = now
            self._note(
                f"{lack}: waiting for a node that has it; `lcma stop` or Ctrl-C ends the launch"
            )
        elif lack is None and self._since is not None:
            self._note(f"a node has what trials ask for again, after {now - self._since:.0f} s")
            self._since = None


class MemoryRetries:
    """The jobs that ran out of memory, by the database, and the larger work that they get instead.

    A job for which no node has enough is failed in the database; then ``give_up`` is called with
    its id and the reason.
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
        self._starved: dict[str, Starved] = {}

    def work(self, job_id: str) -> Work:
        """Return the work of a job with the memory that it needs now."""
        work, starved = self._nodes[job_id].work, self._starved.get(job_id)
        return work if starved is None else grow_work(work, starved)

    def grown(self) -> Iterator[Work]:
        """Iterate over the work of jobs that ran out of memory, as they need it now."""
        return map(self.work, self._starved)

    def refresh(self, job_ids: Collection[str], submitted: Collection[str]) -> None:
        """Read which of these unfinished jobs of the launch ran out of memory.

        Those that are submitted already are not given up. Raises Unavailable, with nothing changed.
        """
        found = read_starved(self._store, job_ids) if job_ids else {}
        for job_id in job_ids:
            self._starved.pop(job_id, None)
        self._starved |= found
        for job_id in found.keys() - set(submitted):
            self._give_up_if_too_large(job_id)

    def _give_up_if_too_large(self, job_id: str) -> None:
        original, more = self._nodes[job_id].work, self.work(job_id)
        if more == original or self._executor.lack(original) is not None:
            return  # a node that even the original work lacks may still come
        lack, job = self._executor.lack(more), self._store.jobs([job_id]).get(job_id)
        if lack is None or job is None or job.state != "pending":
            return
        why = f"after it ran out of memory {lack}"
        if self._executor.lack(more, aside=True) is None:  # a later launch may have that machine
            self._give_up(job_id, f"{why}: only a host that is set aside has it")
        elif self._store.give_up(job_id, token=job.token, why=why):
            self._give_up(job_id, why)


def read_starved(store: Store, job_ids: Collection[str]) -> dict[str, Starved]:
    """Read which jobs ran out of memory since a person last asked for a retry, and how often."""
    told = sa.func.count(attempts.c.cpu_seconds)
    query = (
        sa.select(events.c.job_id, told, sa.func.count() - told)
        .join_from(events, attempts, attempts.c.id == events.c.attempt_id)
        .where(events.c.event == "oom", SINCE_RETRY)
        .group_by(events.c.job_id)
    )
    found = store.rows(query, events.c.job_id, job_ids)
    return {job_id: Starved(own, killed) for job_id, own, killed in found}


class Order:
    """The unfinished jobs of a launch, most valuable first.

    Segments come first, those with most trials behind them at the top; then trials whose maps are
    there; then the others. Equals stay in the order of the plan.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        behind = _trials_behind(nodes)
        segments = [n for n in nodes if n.work.pretraining is not None]
        segments.sort(key=lambda n: -behind[n.work.job_id])
        trials = [n for n in nodes if n.work.pretraining is None]
        self._segments = {n.work.job_id: n for n in segments}
        self._alone = {n.work.job_id: n for n in trials if n.after is None}
        self._behind: dict[str, dict[str, Node]] = {}
        for node in trials:
            if node.after is not None:
                self._behind.setdefault(node.after, {})[node.work.job_id] = node
        self._freed: dict[str, Node] = {}
        self._positions = {n.work.job_id: i for i, n in enumerate(trials) if n.after is not None}
        self._sorted = True

    def job_ids(self) -> list[str]:
        """Return the ids of all of them, in no order."""
        behind = chain.from_iterable(self._behind.values())
        return [*self._segments, *self._freed, *self._alone, *behind]

    def remove(self, node: Node) -> None:
        """Remove a job that has ended, which frees those behind it."""
        job_id = node.work.job_id
        for some in (self._segments, self._freed, self._alone, self._behind.get(node.after or "")):
            if some is not None:
                some.pop(job_id, None)
        if freed := self._behind.pop(job_id, None):
            self._freed |= freed
            self._sorted = False

    def iterate(
        self, in_flight: Collection[str] = (), is_full: Callable[[], bool] = lambda: False
    ) -> Iterator[Node]:
        """Iterate over those that wait for nothing, over segments, and over what waits for a job
        ``in_flight``. Once ``is_full`` only such are left. None may be removed meanwhile."""
        if not self._sorted:
            places = sorted(self._freed, key=self._positions.__getitem__)
            self._freed, self._sorted = {job_id: self._freed[job_id] for job_id in places}, True
        for node in self._segments.values():
            if node.after in in_flight or not is_full():
                yield node
        for node in chain(self._freed.values(), self._alone.values()):
            if is_full():
                break
            yield node
        for job_id in list(in_flight):
            yield from self._behind.get(job_id, {}).values()


def _trials_behind(nodes: Sequence[Node]) -> Counter[str]:
    """Count the trials that wait for each segment, or for one that goes on from it."""
    after = {n.work.job_id: n.after for n in nodes}
    behind: Counter[str] = Counter()
    for node in nodes:
        upstream = node.after if node.work.pretraining is None else None
        while upstream is not None:
            behind[upstream] += 1
            upstream = after.get(upstream)
    return behind
