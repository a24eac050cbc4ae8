"""The driver of a launch: submit jobs that can run until every job of the sweep has ended.

`Launch.run` is the loop. Each round reads the database, records the jobs that have ended, submits
what `choose_tasks` starts next, and collects finished tasks from the executor. The driver waits in
the database for jobs that other launches run.

The driver holds no state that matters. It may be killed at any moment: the next launch plans the
difference and goes on. While the database is unreachable the driver waits and its tasks go on.
"""

import math
import secrets
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Protocol

import sqlalchemy as sa

from lcma.db import Job, JobFacts, StopRequest, Store, Unavailable
from lcma.db.jobs import IS_SINCE_RETRY
from lcma.db.leases import LeaseWatch
from lcma.db.schema import attempts, events
from lcma.harness.kill_points import kill_point
from lcma.harness.launch.choice import Candidate, Jobs, Order, choose_tasks, find_shapes
from lcma.harness.launch.executor import Executor, Finished
from lcma.harness.launch.hosts import Hosts
from lcma.harness.launch.policy import LaunchPolicy, LimitReachedError
from lcma.harness.text import format_count
from lcma.harness.work.units import (
    ENDINGS,
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
"""Shortest interval between two readings of all jobs that are left. Changes are read each round."""

SLICE = 2000
"""Most jobs that such a reading takes in one round, so that no round takes long."""

OVERLAP = 500
"""Events that each reading reads again, since events may become visible out of order."""

NODES_SECONDS = 5.0
"""Interval between checks of what the nodes have."""

CLAIMED_SECONDS = 2.0
"""Pause before the driver submits a job again that another launch had claimed."""

LIMIT_SECONDS = 2.0
"""Interval between checks of the limits of hours."""

END_SECONDS = 60.0
"""Time that attempts get to end at a limit, as after an evaluation. Then they are killed and keep
their last checkpoint."""

LOST_SECONDS = 30.0
"""Pause before a task that was lost before its claim on an unknown host is submitted again."""

MAX_CRASHES = 3
"""Crashes of a job without progress in between, after which this launch gives the job up. Tasks
that were lost with their node do not count."""


class Display(Protocol):
    """What shows the progress of a launch."""

    def update(self, ended: int, total: int, running: Sequence[JobFacts]) -> None:
        """Show the number of jobs that have ended, of ``total``, and the running ones."""

    def job_ended(self, title: str, report: Report) -> None:
        """Show how a job ended."""

    def unreachable(self, since: float, why: str) -> None:
        """Show since when (Unix time) the database is unreachable, and why in one line.

        The driver calls it each round until the database answers, and then `update`.
        """

    def note(self, line: str) -> None:
        """Show a line about anything else."""


class LaunchStoppedError(Exception):
    """Raised when a request stops a launch; ``released`` of its jobs keep their last checkpoint."""

    def __init__(self, request: StopRequest) -> None:
        super().__init__(f"asked to stop by {request.by}")
        self.request, self.released = request, 0


def new_owner() -> str:
    """Return a unique name for a launch, which does not give away where it runs."""
    return f"launch-{secrets.token_hex(10)}"


@dataclass(frozen=True)
class _JobsState:
    """The jobs as one reading of the database found them."""

    ended: dict[str, ReportEnding]  # also of jobs that the driver has recorded before
    leases: dict[str, float]  # ends of the leases of running jobs, by the database's clock
    held: set[str]  # running jobs whose lease has not expired
    running: list[JobFacts]  # running jobs of this sweep, in any launch
    segments: list[JobFacts]  # running segments of any sweep
    stop: StopRequest | None  # the request that this launch stop


@dataclass(frozen=True)
class _Submitted:
    """A task in the executor."""

    tokens: Mapping[str, int]  # last known claim token of each of its jobs
    since: float  # time of the submission (monotonic)

    @property
    def job_ids(self) -> tuple[str, ...]:
        return tuple(self.tokens)


@dataclass(frozen=True)
class _Crash:
    """A job whose task was lost."""

    finished: Finished
    task: _Submitted
    alone: bool = True  # not in a stack with others, for which the crash does not count against it


class Launch:
    """The driver's loop over the jobs of a launch."""

    def __init__(
        self,
        store: Store,
        works: Sequence[Work],
        executor: Executor,
        display: Display,
        policy: LaunchPolicy | None = None,
        require_uninterrupted: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare to run works.

        Args:
            store: The database.
            works: The jobs, all of the same owner.
            executor: What runs them.
            display: What shows the progress.
            policy: Cap, limits and hosts. By default there is no limit, and no stop request
                reaches the launch. Without hosts a failure before a claim counts against the job.
            require_uninterrupted: Called each round; it may raise.
        """
        self.store, self.executor, self.display = store, executor, display
        self.policy = policy or LaunchPolicy("")
        self.hosts = self.policy.hosts
        self._require_uninterrupted = require_uninterrupted
        self.works = {work.job_id: work for work in works}
        self.ended: dict[str, Report] = {}  # by job id
        self._owner = works[0].owner if works else ""
        self._lease = max((work.lease_seconds for work in works), default=0.0)
        self._watch = LeaseWatch(one_host=store.database.one_host)
        # What is left to start.
        self._order = Order(works)
        self._kinds = {work.need: work for work in works}
        self._left = Counter(work.need for work in works)
        shapes = find_shapes((work.job, work.subject) for work in works)
        self._candidates = {job_id: Candidate(shape) for job_id, shape in shapes.items()}
        self._grown: dict[str, Work] = {}  # of jobs that ran out of memory
        self._not_before: dict[str, float] = {}
        self._blocked: deque[tuple[str, str]] = deque()  # jobs, and the title of what each needs
        # What was read last.
        self._event, self._refreshed, self._first = 0, -math.inf, True
        self._unread: list[str] = []
        self._tokens: dict[str, int] = {}
        self._last_read = time.monotonic(), time.time()
        self._unreachable_since: float | None = None
        self._back_since = -math.inf
        self._limit, self._limit_read = "", -math.inf  # the reached limit, and when it was checked
        # What was submitted, and what became of it.
        self._in_flight: dict[str, _Submitted] = {}
        self._crashes: deque[_Crash] = deque()
        self._crash_counts: dict[str, tuple[int, int]] = {}  # furthest step, crashes there
        self._reported_failures: dict[str, Report] = {}
        self._excused: list[str] = []
        # What was shown.
        self._lost_tokens: dict[str, int] = {}
        self._troubled = False
        self._nodes_checked = time.monotonic()  # the launch has checked before it began
        self._lacking_since: float | None = None

    def run(self) -> dict[str, Report]:
        """Run until every job has ended, here or in another launch; return the reports by job id.

        Raises LaunchStoppedError, LimitReachedError, and UserError if no host is left.
        """
        if len(self.works) > 10 * SLICE:  # takes seconds
            self.display.note(f"reading how far {len(self.works)} jobs are")
        while True:
            self._require_uninterrupted()
            state = self._read_database()
            if state is not None:
                if state.stop is not None:
                    raise LaunchStoppedError(state.stop)
                with kill_point("settle"):
                    self._record_ended(state.ended)
                left = len(self.works) - len(self.ended)
                if left and self._limit:
                    self._end_at_limit(state, left)
                elif left:
                    self._submit(state)
                self._note_resumed(state.running)
                self._note_problems(state.running)
                self.display.update(len(self.ended), len(self.works), state.running)
                if len(self.ended) == len(self.works):
                    return self.ended
                self._note_lack()
                if self.hosts is not None and not any(
                    job.job_id in self._in_flight for job in state.running
                ):
                    self.hosts.require_any()
            for finished in self._collect():
                self._handle_finished(finished)

    def _end_at_limit(self, state: _JobsState, left: int) -> None:
        """Tell the workers of the launch to end.

        Raises LimitReachedError once none of them runs any more, or after `END_SECONDS`.
        """
        running = any(job.owner == self._owner for job in state.running)
        with suppress(Unavailable):
            self.store.end_launch(self._owner, why=self._limit)
            if not running or time.monotonic() > self._limit_read + END_SECONDS:
                raise LimitReachedError(self._limit, left)

    def _read_database(self) -> _JobsState | None:
        """Read the state of the jobs; None while the database is unreachable."""
        try:
            self._handle_crashes()
            self._put_back_excused()
            state = self._read_state()
        except Unavailable as error:
            self._unreachable_since = self._unreachable_since or time.time()
            self.display.unreachable(self._unreachable_since, str(error))
            return None
        now = time.monotonic(), time.time()
        # A process that was suspended (SIGSTOP, a sleeping machine) has not seen the database
        # either, nor have workers that were suspended with it: their leases get the same grace.
        # The monotonic clock may stand still while a machine sleeps; the other one may be set.
        unseen = max(now[0] - self._last_read[0], now[1] - self._last_read[1])
        if self._unreachable_since is not None or unseen > self._lease / 2:
            self._back_since = now[0]
        self._last_read, self._unreachable_since = now, None
        return state

    def _read_state(self) -> _JobsState:
        """Read what has changed and a slice of the other jobs; the first time read all jobs."""
        began = time.monotonic()
        if not self._unread and began - self._refreshed >= REFRESH_SECONDS:
            self._unread, self._refreshed = self._order.list_unfinished(), began
        unread = self._unread if self._first else self._unread[-SLICE:]
        # Before the changes: a job that ends after this query is among them.
        running = self.store.job_facts(states=["running"], order="started")
        news = self.store.changed_jobs(None if self._first else self._event - OVERLAP)
        # The event of a reported failure may be older than OVERLAP.
        ids = [*unread, *(job_id for job_id in self._reported_failures if job_id not in news.jobs)]
        jobs = news.jobs | (self.store.jobs(ids) if ids else {})
        for job in jobs.values():
            if job.id in self._candidates:
                self._candidates[job.id] = self._candidates[job.id]._replace(step=job.step)
            if job.token and self._is_unfinished(job.id):
                self._tokens[job.id] = job.token
        now = self.store.now()
        self._watch.update(running)
        mine = [r.job_id for r in running if r.owner == self._owner and r.job_id in self._in_flight]
        if any(self._watch.seconds_still(job_id) > self._lease / 2 for job_id in mine):
            self.store.require_writable()  # no heartbeat came: a full disk can still be read
        leases = {r.job_id: r.lease_until for r in running if r.lease_until is not None}
        new = {
            j.id: j.lease_until
            for j in jobs.values()
            if j.lease_until is not None and j.id not in leases
        }
        after = max(self.policy.begun, self._event - OVERLAP)
        stop = self.store.stop_request(self.policy.sweep_id, after)
        if not self._limit and began - self._limit_read >= LIMIT_SECONDS:
            self._limit = self.policy.find_reached_limit(self.store, self._owner)
            self._limit_read = began
        # `lcma forget` has removed the jobs that the database lacks.
        ended: dict[str, ReportEnding] = {i: "cancelled" for i in unread if i not in jobs}
        ended |= {j.id: ending for j in jobs.values() if (ending := _find_ending(j)) is not None}
        state = _JobsState(
            ended,
            leases | new,
            {r.job_id for r in running if self._watch.is_held(r, now)} | new.keys(),
            [r for r in running if r.job_id in self.works],
            [r for r in running if r.kind == "pretraining"],
            stop,
        )
        put_back = news.put_back | self._note_retries(jobs)
        self._grow({*filter(self._is_unfinished, put_back), *unread})
        if self._first:  # these ended before the launch, and are not shown
            for job_id, ending in state.ended.items():
                self._note_end(Report(job_id, ending))
            self._note_held(state, now)
        self._event, self._first = news.last, False
        del self._unread[len(self._unread) - len(unread) :]
        return state

    def _note_lack(self) -> None:
        """Show once that no node can run some of the work, and when one can again."""
        now = time.monotonic()
        if now - self._nodes_checked < NODES_SECONDS:
            return
        self._nodes_checked = now
        lack = next(filter(None, map(self.executor.lack, self._list_kinds())), None)
        if lack is not None and self._lacking_since is None:
            self._lacking_since = now
            waits = "waiting for a node that has it; `lcma stop` or Ctrl-C ends the launch"
            self.display.note(f"{lack}: {waits}")
        elif lack is None and self._lacking_since is not None:
            seconds = now - self._lacking_since
            self.display.note(f"a node has what trials ask for again, after {seconds:.0f} s")
            self._lacking_since = None

    def _note_held(self, state: _JobsState, now: float) -> None:
        """Show that other launches hold jobs, and when they go on here if one was killed."""
        held = [job for job in state.running if job.owner != self._owner]
        if held:
            seconds = max(0.0, max(state.leases.get(job.job_id, now) for job in held) - now)
            jobs = format_count(len(held), "running job")
            self.display.note(
                f"another launch holds {jobs}: if it was killed, what it held goes on here from "
                f"the last checkpoint when its lease ends, in {seconds:.0f} s"
            )
            self._lost_tokens |= {job.job_id: job.token for job in held}

    def _note_resumed(self, running: Sequence[JobFacts]) -> None:
        """Show from which step jobs of lost workers go on, once they have made a step."""
        for job in running:
            lost = self._lost_tokens.get(job.job_id)
            if lost is not None and job.token > lost and job.step > (job.first_step or 0):
                del self._lost_tokens[job.job_id]
                title = self.works[job.job_id].title
                self.display.note(f"{title} runs again, from step {job.first_step}")

    def _note_problems(self, running: Sequence[JobFacts]) -> None:
        """Show once that running jobs report a problem, and when none does any more."""
        troubled = [job for job in running if job.message]
        if troubled and not self._troubled:
            first, more = troubled[0], len(troubled) - 1
            others = f"; {more} more, `lcma status` shows them" if more else ""
            title = self.works[first.job_id].title
            self.display.note(f"{title}: {first.message}{others}")
        elif self._troubled and not troubled:
            self.display.note("no job that runs has such a problem any more")
        self._troubled = bool(troubled)

    def _note_retries(self, jobs: Mapping[str, Job]) -> set[str]:
        """Show which jobs with a reported failure are run again, and return their ids."""
        retried = {
            job_id
            for job_id in self._reported_failures
            if job_id in jobs and jobs[job_id].state not in ENDINGS
        }
        for job_id in retried:
            title, report = self.works[job_id].title, self._reported_failures.pop(job_id)
            where = f" (on {report.host})" if report.host else ""
            self.display.note(f"{title} is run again: {_find_last_line(report)}{where}")
        return retried

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
        while self._blocked:
            job_id, needed = self._blocked.popleft()
            if self._is_unfinished(job_id):
                # This blocks the jobs that wait for it.
                self._end_job(Report(job_id, "blocked", f"it needs `{needed}`"))

    def _list_kinds(self) -> list[Work]:
        """Return an unfinished work for each need, also of jobs that need more memory by now."""
        kinds = {need: work for need, work in self._kinds.items() if self._left[need]}
        grown = (w for job_id, w in self._grown.items() if self._is_unfinished(job_id))
        kinds |= {work.need: work for work in grown}
        return list(kinds.values())

    def _is_unfinished(self, job_id: str) -> bool:
        return job_id in self.works and job_id not in self.ended

    def _submit(self, state: _JobsState) -> None:
        now = time.monotonic()
        jobs = Jobs(
            order=self._order,
            kinds=self._list_kinds(),
            candidates=self._candidates,
            grown=self._grown,
            in_flight={job_id: task.job_ids for job_id, task in self._in_flight.items()},
            running={job.job_id: job.stack_id or job.job_id for job in state.running},
            held=state.leases.keys() if self._is_in_grace() else state.held,
            resting={job_id for job_id, until in self._not_before.items() if now < until},
            segments=[
                segment
                for segment in state.segments
                if segment.job_id in state.held and segment.job_id not in self._in_flight
            ],
        )
        free_slots, grows = self.executor.free_slots, self.executor.grows
        for works in choose_tasks(jobs, free_slots, cap=self.policy.parallel, grows=grows):
            tokens = {work.job_id: self._tokens.get(work.job_id, 0) for work in works}
            task = [replace(work, expired=state.leases.get(work.job_id)) for work in works]
            with kill_point("submit"):
                self.executor.submit(task)
            self._in_flight |= dict.fromkeys(tokens, _Submitted(tokens, time.monotonic()))

    def _is_in_grace(self) -> bool:
        """Return whether leases that expired while the database was unreachable count as held.

        They do for the time of one more lease, since their holders could not extend them.
        """
        return time.monotonic() < self._back_since + self._lease

    def _handle_finished(self, finished: Finished) -> None:
        job_id, report = finished.job_id, finished.report
        task = self._in_flight.pop(job_id)
        if self.hosts is not None and report is not None:
            self._note_first_step(self.hosts, finished.host, report)
        alone = len(task.tokens) == 1
        if report is None:
            # Failures in a body are in its report, so this one is not due to the stack's size.
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
            self.display.note(f"{self.works[job_id].title}: preempted; it is run again")
        elif report.ending == "elsewhere":
            self._not_before[job_id] = time.monotonic() + CLAIMED_SECONDS
        elif (
            report.ending == "away"
            and self._unreachable_since is None
            and self._back_since < task.since
        ):
            # Unreachable only from that host, which counts as a crash.
            crash = replace(finished, report=None, crash=report.message)
            self._crashes.append(_Crash(crash, task))

    def _note_first_step(self, hosts: Hosts, host: str, report: Report) -> None:
        """Excuse a job that failed before its first step, if its host may be to blame."""
        work = self.works[report.job_id]
        recipe = type(work.subject), id(work.subject.recipe)  # jobs share recipe objects
        if host and report.steps:
            hosts.note_steps(host, recipe)
        elif host and report.at_start:
            why = _find_last_line(report)
            if hosts.excuse(host, report.job_id, recipe, why):
                self._excused.append(report.job_id)

    def _put_back_excused(self) -> None:
        """Make excused jobs pending again. Raises Unavailable."""
        if self._excused:
            jobs = self.store.jobs(self._excused).values()
            self.store.retry([job.id for job in jobs if job.state == "failed"])
            self._excused.clear()

    def _halve(self, task: _Submitted, lost: Finished) -> None:
        """Halve the stacks that a member of a lost one may be in, unless its node was lost."""
        most, again = len(task.job_ids) // 2, "they are run again"
        if lost.lost not in ("node", "taken"):
            self._candidates[lost.job_id] = self._candidates[lost.job_id]._replace(most=most)
            again += f" in stacks of at most {most}" if most > 1 else " one by one"
        if lost.job_id == task.job_ids[0]:
            title, more = self.works[lost.job_id].title, len(task.job_ids) - 1
            loss = _describe_loss(lost)
            self.display.note(f"{title} and {more} more in its stack: {loss} and {again}")

    def _handle_crashes(self) -> None:
        """Free the jobs of dead processes, and give up jobs that crash without progress.

        Raises Unavailable. The next round then handles the rest.
        """
        while self._crashes:
            first = self._crashes[0]
            crash, task, alone = first.finished, first.task, first.alone
            jobs = self.store.jobs(task.job_ids)
            work, job = self.works[crash.job_id], jobs.get(crash.job_id)
            if self.hosts is not None and self._is_unclaimed(crash, task, jobs):
                self._blame_host(self.hosts, crash)
                self._crashes.popleft()
                continue
            retried = False
            if job is not None and job.owner == self._owner:
                attempt: Any = {"owner": self._owner, "token": job.token}
                if crash.lost == "memory" and alone:
                    retried = self._end_out_of_memory(job)
                elif crash.lost in ("process", "memory", "taken"):
                    outcome: Any = "preempted" if crash.lost == "taken" else "node_lost"
                    why = _describe_loss(crash)
                    self.store.mark_lost(job.id, **attempt, outcome=outcome, message=why)
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
        """Set aside the host on which a task failed; if it is not known, only pause."""
        why = crash.crash
        if crash.lost != "error":
            why = f"{_describe_loss(crash)} before it began a trial"
        if crash.host:
            hosts.set_aside(crash.host, why)
        else:
            self._not_before[crash.job_id] = time.monotonic() + LOST_SECONDS
            title = self.works[crash.job_id].title
            self.display.note(f"{title}: {why}, on a host that is not known; it is run again")

    def _end_out_of_memory(self, job: Job) -> bool:
        """End an attempt that its node killed as memory ran out; return False if it had ended."""
        message = "its node ran out of memory and killed it"
        ended = self.store.mark_lost(
            job.id,
            owner=self._owner,
            token=job.token,
            outcome="oom",
            message=message,
            policy=make_policy(self._grown.get(job.id) or self.works[job.id], killed=True),
        )
        if ended:
            self._reported_failures[job.id] = Report(job.id, "failed", message)
        return ended

    def _count_crash(self, crash: Finished, step: int) -> None:
        furthest, times = self._crash_counts.get(crash.job_id, (-1, 0))
        furthest, times = (step, 1) if step > furthest else (furthest, times + 1)
        self._crash_counts[crash.job_id] = furthest, times
        if times >= MAX_CRASHES:
            why = f"{crash.crash}, {times} times without getting beyond step {furthest}"
            self._end_job(Report(crash.job_id, "failed", why, host=crash.host))

    def _grow(self, job_ids: Collection[str]) -> None:
        """Give more memory to those of these unfinished jobs that ran out of it.

        A job for which no node has enough fails in the database and is given up, unless it has been
        submitted. Raises Unavailable, with nothing changed.
        """
        starved = read_starved(self.store, job_ids) if job_ids else {}
        for job_id in job_ids:
            self._grown.pop(job_id, None)
        for job_id, counts in starved.items():
            self._grown[job_id] = grow_work(self.works[job_id], counts)
        for job_id in starved.keys() - self._in_flight.keys():
            if why := self._find_hopeless(job_id):
                self._end_job(Report(job_id, "failed", f"given up: {why}"))

    def _find_hopeless(self, job_id: str) -> str:
        """Fail a job for which no node has enough memory, and return why; '' if one may have."""
        original, grown = self.works[job_id], self._grown[job_id]
        if grown == original or self.executor.lack(original) is not None:
            return ""  # a node may still come that can run even the original work
        lack, job = self.executor.lack(grown), self.store.jobs([job_id]).get(job_id)
        if lack is None or job is None or job.state != "pending":
            return ""
        why = f"after it ran out of memory {lack}"
        if self.executor.lack(grown, aside=True) is None:  # a later launch may have that machine
            return f"{why}: only a host that is set aside has it"
        return why if self.store.give_up(job_id, token=job.token, why=why) else ""

    def _note_end(self, report: Report) -> None:
        work = self.works[report.job_id]
        self.ended[report.job_id] = report
        self._tokens.pop(report.job_id, None)
        self._left[work.need] -= 1
        freed = self._order.remove(report.job_id)
        if report.ending != "done":
            self._blocked.extend((job_id, work.title) for job_id in freed)

    def _end_job(self, report: Report) -> None:
        self._note_end(report)
        self.display.job_ended(self.works[report.job_id].title, report)


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


def read_starved(store: Store, job_ids: Collection[str]) -> dict[str, Starved]:
    """Read how often jobs ran out of memory since a person last requested a retry."""
    reported = sa.func.count(attempts.c.cpu_seconds)  # a killed attempt reported no cost
    query = (
        sa.select(events.c.job_id, reported, sa.func.count() - reported)
        .join_from(events, attempts, attempts.c.id == events.c.attempt_id)
        .where(events.c.event == "oom", IS_SINCE_RETRY)
        .group_by(events.c.job_id)
    )
    rows = store.rows(query, events.c.job_id, job_ids)
    return {job_id: Starved(reported, killed) for job_id, reported, killed in rows}
