"""An attempt at a claimed job: how it trains, keeps its lease and its files, and how it ends.

Its results become visible in one transaction at its end. It waits at its beginning and at its end
for a database or a place of checkpoints that is unreachable; the training in between goes on.
"""

import logging
import math
import time
import traceback
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import safetensors.torch
import torch

from lcma import db, models
from lcma.harness import data, storage
from lcma.harness.data.manifest import PartName
from lcma.harness.data.verification import open_images
from lcma.harness.kill_points import kill_point
from lcma.harness.storage import Folder, StorageError
from lcma.harness.train import devices
from lcma.harness.train.batches import Images
from lcma.harness.train.checkpoint import CheckpointFolder
from lcma.harness.train.devices import SharedClock, Stopwatch, ran_out_of_memory
from lcma.harness.train.stack import Member
from lcma.harness.train.trainer import DivergedError, Hooks, OutOfTimeError, StoppedError, Trainer
from lcma.harness.work.artifacts import Writer, run_name, tidy_files
from lcma.harness.work.lease import HeartbeatThread, Lease, find_missing
from lcma.harness.work.log import Log, logger
from lcma.harness.work.outages import wait_out
from lcma.harness.work.preemption import is_noticed
from lcma.harness.work.units import Report, Work, make_policy
from lcma.sweeps.errors import UserError
from lcma.sweeps.plugins import locate_failure

STORE_SECONDS = 600.0
"""Time for which a running attempt waits for the place of checkpoints, to read its last one or to
write weights or a snapshot."""

LAST_SECONDS = 3.0
"""Time for which the interrupted attempts of a process together wait for the database."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Ending:
    """The end of an attempt with all its results, as `Store.finish` commits it."""

    outcome: db.Outcome
    message: str
    log: str
    first_step: int | None
    last_step: int
    cost: db.Cost
    policy: db.Policy
    result: db.Result | None = None
    maps: tuple[db.ContributionMap, ...] = ()
    tables: tuple[db.IndexTable, ...] = ()
    artifacts: tuple[db.Artifact, ...] = ()

    def commit(
        self, store: db.Store, claim: db.Claim, metrics: Sequence[db.Metric]
    ) -> "Ending | None":
        """Store the ending; return what was stored, None if the claim was lost.

        If the database refuses it, such as another result under the same key, a `code_error`
        without results is stored. Raises UserError as `Store.finish` does.
        """

        def finish(ending: Ending) -> "Ending | None":
            return ending if store.finish(claim, metrics=metrics, **vars(ending)) else None

        try:
            return finish(self)
        except UserError:
            raise
        except Exception:  # noqa: BLE001 - any error belongs in the attempt's row
            why = "\n".join(filter(None, (self.message, traceback.format_exc(limit=-6))))
            nothing: dict[str, Any] = {"result": None, "maps": (), "tables": (), "artifacts": ()}
            return finish(replace(self, outcome="code_error", message=why, **nothing))


class CrowdedError(Exception):
    """Raised in the attempts of a stack that failed."""


@dataclass
class AwaitedTraining:
    """A stacked training for which an attempt waits."""

    member: Member
    until: int  # its last step


Steps = Generator[AwaitedTraining | None, None, T]
"""The steps of an attempt, which pauses once it holds its claim, and for a stacked training."""

Body = Callable[["RunningAttempt"], Steps[Ending]]
"""The function that does the work of an attempt with a claim."""


class Shared:
    """State that the attempts of a process share: a clock, the images, and the last seconds."""

    def __init__(self) -> None:
        self.clock = SharedClock()
        self.present: list[RunningAttempt] = []
        self._images: dict[tuple[str, PartName], Images] = {}
        self._last_until: float | None = None

    def make_images(self, prepared: data.PreparedSet, part: PartName, device: str) -> Images:
        """Return the images of a part, which are loaded once for all attempts."""
        key = prepared.manifest.digest, part
        if key not in self._images:
            self._images[key] = Images(prepared.part(part).images, torch.device(device))
        return self._images[key]

    def last_seconds(self) -> float:
        """Return the rest of `LAST_SECONDS`, which begin with the first call."""
        if self._last_until is None:
            self._last_until = time.monotonic() + LAST_SECONDS
        return self._last_until - time.monotonic()


def open_run_folder(work: Work, rerun: str = "") -> Folder:
    """Return the folder of the trial's or pretraining's files. Raises StorageError."""
    return storage.open_folder(work.place.runs).subfolder(run_name(work.job, rerun))


class RunningAttempt:
    """One execution of a claimed job."""

    def __init__(
        self,
        work: Work,
        store: db.Store,
        claim: db.Claim,
        shared: Shared,
        thread: HeartbeatThread,
        body: Body,
    ) -> None:
        self.work, self.store, self.claim, self.shared = work, store, claim, shared
        self.stopwatch = Stopwatch(work.device, work.gpus, shared.clock)
        self.trained_seconds = 0.0
        self.trainer: Trainer | None = None
        self.before = 0  # steps of earlier parts of its training
        self.folder: CheckpointFolder | None = None
        self.notes: list[str] = []
        self.unsaved = False
        self.log = Log()
        self.lease = Lease(
            thread, claim, work.lease_seconds, self.stopwatch.cost, lambda: self.log.text
        )
        self.steps = self._run(body)
        self.training: AwaitedTraining | None = None

    @property
    def place(self) -> tuple[int, int]:
        """The first and the last step of the training that it waits for."""
        assert self.training is not None
        return self.training.member.trainer.step, self.training.until

    def _run(self, body: Body) -> Steps[Report]:
        with self.log, self.lease:
            try:
                yield None
                self.work = self.work.opened()
                logger.info("attempt %d at %s", self.claim.token, self.work.title)
                ending = yield from body(self)
            except StoppedError:
                return Report(self.work.job_id, "stopped", "its lease was lost")
            except DivergedError as error:
                ending = self.make_ending("diverged", str(error))
            except OutOfTimeError:
                if self.lease.end_request:
                    ending = self.make_ending("cancelled", self.lease.end_request)
                elif limit := self._time_limit_message():
                    ending = self.make_ending("timeout", limit)
                else:
                    why = "its process was told to end, or its node is being taken away"
                    ending = self.make_ending("preempted", why)
            except CrowdedError as error:
                ending = self.make_ending("crowded", str(error))
            except UserError as error:
                ending = self.make_ending("code_error", str(error))
            except (KeyboardInterrupt, SystemExit):  # of a signal
                with suppress(UserError):
                    ending = self.make_ending("cancelled", "interrupted")
                    if (left := self.shared.last_seconds()) > 0:
                        self._deliver(ending, seconds=left)
                raise
            except BaseException as error:  # noqa: BLE001 - any error belongs in the attempt's row
                already_failed = devices.has_failed()
                devices.note_failure(error)
                if devices.is_device_failure(error):
                    why = traceback.format_exc(limit=-6).rstrip() + locate_failure(error)
                    why += f"\nits device failed: {devices.describe_first_line(error)}"
                    ending = self.make_ending("node_lost", why)
                elif ran_out_of_memory(error):
                    crowded = len(self.shared.present) > 1
                    outcome: db.Outcome = "crowded" if crowded else "oom"
                    why = (str(error).strip() or type(error).__name__).splitlines()[0]
                    ending = self.make_ending(outcome, why)
                elif already_failed and devices.is_from_device(error):
                    why = "an earlier error broke the device of its process"
                    ending = self.make_ending("crowded", why)
                else:
                    why = traceback.format_exc(limit=-6).rstrip() + locate_failure(error)
                    ending = self.make_ending("code_error", why)
            return self._deliver(ending)

    def _deliver(self, ending: Ending, *, seconds: float = math.inf) -> Report:
        """Commit the ending; wait up to ``seconds`` while the database is unreachable.

        If this process dies meanwhile, the next attempt goes on from the last checkpoint and comes
        to the same ending.
        """

        def commit() -> Ending | None:
            # Whole curves, since the database may have lost points that it acknowledged.
            missing = find_missing(self.store, self.claim, self.lease.points())
            return ending.commit(self.store, self.claim, missing)

        with kill_point("report"):
            stored = wait_out(commit, seconds=seconds)
        if stored is None:
            return Report(self.work.job_id, "stopped", "its lease was lost")
        if stored.outcome == "done" and self.folder is not None:
            job = self.work.job
            with suppress(UserError):  # `lcma clean` removes what is left
                tidy_files(self.store, self.folder, job, self.work.keep)
        if stored.outcome == "cancelled":
            return Report(self.work.job_id, "stopped", stored.message)
        # Without a first step it ended before it could go on from the claim's.
        first = self.claim.step if stored.first_step is None else stored.first_step
        steps = max(0, stored.last_step - first)
        if stored.outcome in ("done", "diverged", "crowded", "preempted"):
            return Report(self.work.job_id, stored.outcome, stored.message, steps=steps)
        if stored.outcome == "node_lost":
            return Report(self.work.job_id, "device_failed", stored.message, steps=steps)
        at_start = stored.outcome == "code_error" and not steps
        return Report(self.work.job_id, "failed", stored.message, steps=steps, at_start=at_start)

    def train(self, trainer: Trainer, until: int) -> Steps[None]:
        """Train up to a step."""
        before = self.before
        folder = self.folder = CheckpointFolder(
            open_run_folder(self.work, self.claim.rerun), first=before
        )
        step = self._wait_for_storage(lambda: trainer.resume(folder, at_most=until))
        if step or not before:  # else this attempt has just made the part before
            self.lease.started_at(before + step, trainer.curves)
        if folder.skipped:
            damaged = ", ".join(folder.skipped)
            self.note(f"skipped damaged checkpoints: {damaged}")
        logger.info("trains from step %d to %d on %s", step, until, self.work.device)
        hooks = Hooks(
            progress=lambda step: self.lease.progress(before + step),
            metric=lambda name, step, value: self.lease.metric(name, before + step, value),
            must_stop=lambda: self.lease.lost,
            out_of_time=lambda: (
                bool(self.lease.end_request or self._time_limit_message()) or is_noticed()
            ),
            curves=self.lease.curves,
            on_unsaved=self._note_unsaved,
            on_saved=self.lease.report_problem,
            save_last=self._save_last,
            checkpoint_seconds=self.work.checkpoint_seconds,
        )
        began = self.stopwatch.seconds
        try:
            if trainer.optimization.stacked and step < until:
                yield AwaitedTraining(Member(trainer, folder, hooks), until)
            else:
                trainer.run(until, folder, hooks)
        finally:
            self.trained_seconds = self.stopwatch.seconds - began
        logger.info("reached step %d after %.1f s", trainer.step, self.trained_seconds)

    def _wait_for_storage(self, action: Callable[[], T]) -> T:
        """Retry an action on the place of files for `STORE_SECONDS`, while that is unreachable.

        Raises StoppedError if the lease is lost meanwhile.
        """

        def try_once() -> T:
            try:
                return action()
            except StorageError as error:
                self.lease.report_problem(f"it waits for the place of its files: {error}")
                raise

        def check_lease() -> None:
            if self.lease.lost:
                raise StoppedError

        result = wait_out(try_once, seconds=STORE_SECONDS, on_failure=check_lease)
        self.lease.report_problem()
        return result

    def _save_last(self, save: Callable[[], None]) -> None:
        """Save the last checkpoint.

        A pretraining waits for its place, since longer budgets go on from this checkpoint. To a
        trial it would only save the last steps of a later attempt.
        """
        try:
            if self.work.job.kind == "trial":
                save()
            else:
                self._wait_for_storage(save)
        except StorageError as error:
            self._note_unsaved(error)

    def note(self, line: str) -> None:
        """Add a line to the message and the log of the attempt, unless it is there."""
        if line not in self.notes:
            self.notes.append(line)
            with self.log.only():
                logger.warning(line)

    def _note_unsaved(self, error: StorageError) -> None:
        """Report that checkpoints are not written and why, and note it once."""
        self.lease.report_problem(f"checkpoints are not written: {error}")
        if not self.unsaved:
            self.unsaved = True
            self.note(f"checkpoints were not written: {error}")

    def open_data(self) -> data.PreparedSet:
        return open_images(self.work.set_name, self.work.place.data, self.work.job.data_digest)

    @property
    def device(self) -> torch.device:
        return torch.device(self.work.device)

    def make_images(self, prepared: data.PreparedSet, part: PartName) -> Images:
        return self.shared.make_images(prepared, part, self.work.device)

    def make_ending(self, outcome: db.Outcome, message: str = "") -> Ending:
        well = outcome in ("done", "crowded", "cancelled", "preempted")
        level = logging.INFO if well else logging.ERROR
        logger.log(level, "%s", ": ".join(filter(None, (outcome, message))))
        return Ending(
            outcome=outcome,
            message="\n".join(filter(None, (*self.notes, message))),
            log=self.log.text,
            first_step=self.lease.first_step,
            last_step=self.lease.step if self.trainer is None else self.before + self.trainer.step,
            cost=self._cost(),
            policy=make_policy(self.work),
        )

    def _time_limit_message(self) -> str:
        """Return why the attempt must end by its limit of hours; '' while it may go on."""
        hours = self.work.terms.hours
        if hours is None or self.stopwatch.seconds < hours * 3600:
            return ""
        return f"it took {hours:g} h, as long as `resources.hours` lets an attempt"

    def require_finite(self, *values: float) -> None:
        """Raise DivergedError unless all values are finite: the loss may be so without them."""
        trainer = self.trainer
        assert trainer is not None
        if not all(math.isfinite(v) for v in values):
            raise DivergedError(trainer.step, trainer.last_finite)

    def save_weights(self, flow: models.Flow) -> tuple[db.Artifact, ...]:
        """Save the evaluated weights with the splits' permutations, atomically."""
        if not self.work.keep.weights:
            return ()
        assert self.folder is not None
        folder, writer = self.folder.folder, Writer.make(self.claim.token, self.claim.owner)
        tensors = {k: v.detach().cpu().contiguous() for k, v in flow.state_dict().items()}
        content = safetensors.torch.save(tensors)
        stored = self._wait_for_storage(
            lambda: folder.put(
                lambda file: file.write(content), lambda _: writer.weights, moment="weights"
            )
        )
        artifact = db.Artifact(
            kind="weights",
            path=f"{run_name(self.work.job, self.claim.rerun)}/{stored.name}",
            bytes=stored.bytes,
            digest=stored.digest,
            place=storage.open_folder(self.work.place.runs).place,
        )
        return (artifact,)

    def _cost(self) -> db.Cost:
        images = self.trainer.images_seen if self.trainer else 0
        rate = images / self.trained_seconds if images and self.trained_seconds else None
        return self.stopwatch.cost(rate, self.trainer.timer.wait_share if self.trainer else None)
