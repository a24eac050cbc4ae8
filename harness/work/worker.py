"""A task: attempts at the jobs of a process, alone or in a stack.

Ray and the local executor both run `run_works`, which claims each job and makes one attempt. If a
task is started twice, the second one finds its jobs taken or done.
"""

import os
import secrets
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import TypeVar

from lcma import db
from lcma.harness.environment import read_environment
from lcma.harness.storage import StorageError, UnreachableError
from lcma.harness.train import devices
from lcma.harness.train.devices import (
    configure_device,
    free_memory,
    ran_out_of_memory,
    read_granted_device,
)
from lcma.harness.train.stack import train_stack
from lcma.harness.work.attempt import CrowdedError, RunningAttempt, Shared, open_run_folder
from lcma.harness.work.bodies import run_body
from lcma.harness.work.lease import HeartbeatThread
from lcma.harness.work.log import logger
from lcma.harness.work.outages import wait_out
from lcma.harness.work.units import ENDINGS, Report, Work
from lcma.sweeps.errors import UserError, describe_error
from lcma.sweeps.plugins import locate_failure

START_SECONDS = 600.0
"""Time for which a task waits for the database and the place of checkpoints before it begins."""

T = TypeVar("T")


def run_work(work: Work) -> Report:
    """Do a work unless it is done or taken, and report how it ended. Raises as `run_works` does."""
    (report,) = run_works([work])
    return report


def run_works(works: Sequence[Work]) -> list[Report]:
    """Do each work, in one stack, unless it is done or taken, and report how it ended.

    An error in a work itself becomes its attempt's outcome. An unreachable database is waited for:
    up to `START_SECONDS` at the beginning, and at the end until it has stored everything.

    Raises UserError for failures that retrying cannot fix (database dropped, login refused). Later
    attempts then go on from the last checkpoints.
    """
    configure_device(works[0].device, works[0].threads)
    try:
        with ExitStack() as resources:
            return _AttemptGroup(works, resources).run()
    finally:
        with suppress(RuntimeError):  # the device may have failed
            free_memory(works[0].device)


class _AttemptGroup:
    """The attempts of one process, which run one after the other, except in stacked trainings.

    Each runs alone up to its training. Attempts at the same step are then trained as one stack. An
    attempt that leaves the stack goes on to its end at once, while the others wait.
    """

    def __init__(self, works: Sequence[Work], resources: ExitStack) -> None:
        self.works, self._resources = works, resources
        self.id = secrets.token_hex(8) if len(works) > 1 else None
        self.shared = Shared()
        self._reports: dict[str, Report] = {}
        self._failures: list[Exception] = []
        self._store: db.Store | None = None
        self._thread: HeartbeatThread | None = None
        self._start_until = time.monotonic() + START_SECONDS

    def run(self) -> list[Report]:
        """Return the report of each work in order."""
        try:
            for work in self.works:
                self._begin(work)
            for attempt in tuple(self.shared.present):
                self._resume(attempt)
            while self.shared.present:
                groups: dict[tuple[int, int], list[RunningAttempt]] = {}
                for attempt in self.shared.present:
                    groups.setdefault(attempt.place, []).append(attempt)
                self._train(max(groups.values(), key=len))
        except BaseException:  # a signal, or an error of this module: no lease may stay behind
            for attempt in tuple(self.shared.present):
                with suppress(KeyboardInterrupt, SystemExit):
                    self._resume(attempt, SystemExit())
            raise
        if self._failures:
            raise self._failures[0]
        return [self._reports[work.job_id] for work in self.works]

    def _begin(self, work: Work) -> None:
        """Claim the job of a work and begin its attempt, or report why that was not possible."""
        try:
            self._wait_to_start(lambda: open_run_folder(work).files())
            store, claim = self._claim(work)
        except (db.Unavailable, StorageError) as error:
            may_pass = isinstance(error, db.Unavailable | UnreachableError)
            tried = f"tried for {START_SECONDS:.0f} s " if may_pass else ""
            why = f"{error} ({tried}on host {socket.gethostname()})"
            self._reports[work.job_id] = Report(work.job_id, "away", why)
            return
        except UserError as error:
            self._failures.append(error)
            return
        if not isinstance(claim, db.Claim):
            ending = "elsewhere" if claim is None else ENDINGS.get(claim.state, "elsewhere")
            self._reports[work.job_id] = Report(work.job_id, ending)
            return
        if self._thread is None:
            thread = HeartbeatThread(store, work.lease_seconds)
            self._thread = self._resources.enter_context(thread)
        attempt = RunningAttempt(work, store, claim, self.shared, self._thread, run_body)
        self.shared.present.append(attempt)
        self._resume(attempt)

    def _claim(self, work: Work) -> tuple[db.Store, db.Claim | db.Job | None]:
        """Connect to the database and claim the job.

        Returns the job if it cannot be claimed, and None if `lcma forget` has removed it.
        """
        waited = False

        def note_failure() -> None:
            nonlocal waited
            waited = True

        def claim() -> tuple[db.Store, db.Claim | db.Job | None]:
            store = self._store = self._store or db.connect(work.place.db, create=False)
            job = store.jobs([work.job_id]).get(work.job_id) if waited else None
            if job is not None and job.state == "running":
                return store, job  # its holder may have waited for the database too
            try:
                return store, store.claim(
                    work.job_id,
                    owner=work.owner,
                    host=socket.gethostname(),
                    pid=os.getpid(),
                    environment_id=store.add_environment(read_environment(work.device)),
                    device=work.device,
                    devices=read_granted_device(work.device),
                    threads=work.threads,
                    stack_id=self.id,
                    lease_seconds=work.lease_seconds,
                    cap=work.terms.cap,
                    expired=work.expired,
                )
            except LookupError:
                if store.jobs([work.job_id]):
                    raise  # of something else
                return store, None

        return self._wait_to_start(claim, note_failure)

    def _wait_to_start(
        self, action: Callable[[], T], on_failure: Callable[[], None] = lambda: None
    ) -> T:
        seconds = max(0.0, self._start_until - time.monotonic())
        return wait_out(action, seconds=seconds, on_failure=on_failure)

    def _resume(self, attempt: RunningAttempt, error: BaseException | None = None) -> None:
        """Let an attempt go on, or raise an error in it, until it pauses or has ended."""
        steps, pauses = attempt.steps, False
        self.shared.clock.run(attempt.stopwatch)
        try:
            with attempt.log.only():
                attempt.training = next(steps) if error is None else steps.throw(error)
            pauses = True
        except StopIteration as end:
            self._reports[attempt.work.job_id] = end.value
        except UserError as failure:
            self._failures.append(failure)
        finally:
            self.shared.clock.run()
            if not pauses:
                self.shared.present.remove(attempt)

    def _train(self, attempts: Sequence[RunningAttempt]) -> None:
        """Train attempts at the same step as one stack; each goes on once it has left that."""
        inside = list(attempts)

        def leave(index: int, error: Exception | None) -> None:
            inside.remove(attempts[index])
            self._resume(attempts[index], error)
            share_time()

        def share_time() -> None:
            self.shared.clock.run(*(attempt.stopwatch for attempt in inside))

        def note(line: str) -> None:
            for attempt in inside:
                attempt.note(line)

        trainings = [attempt.training for attempt in attempts if attempt.training is not None]
        share_time()
        try:
            train_stack([t.member for t in trainings], trainings[0].until, leave, note)
        except Exception as error:  # noqa: BLE001 - any error belongs in the attempts' rows
            logger.exception("the stack of %d failed", len(attempts))
            if len(attempts) > 1 and not devices.is_device_failure(error):
                devices.note_failure(error)
                cause = "memory ran out" if ran_out_of_memory(error) else "an error was raised"
                why = f"{describe_error(error)}{locate_failure(error)}"
                error = CrowdedError(f"{cause} in a stack of {len(attempts)}: {why}")
            for attempt in tuple(inside):
                self._resume(attempt, error)
