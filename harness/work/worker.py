"""The task bodies: one segment of a pretraining, or one trial, with its maps and index tables.

Ray and the local executor run exactly these: `run_work` claims the job and executes one attempt. It
may be started twice for a job, and the second one then finds it taken or done. All that an attempt
makes becomes visible in one transaction at its end.

A database or a place of checkpoints that is unreachable stops no attempt: it is waited for at the
beginning and at the end, and the training in between goes on without it.
"""

import logging
import math
import os
import secrets
import socket
import time
import traceback
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray

from lcma import db, models
from lcma.harness import data, storage
from lcma.harness.data.manifest import PartName
from lcma.harness.data.verified import open_images
from lcma.harness.environment import read_environment
from lcma.harness.kill_points import kill_point
from lcma.harness.measure.measure import NotTakenError, Trained, take_measures
from lcma.harness.measure.registry import list_defaults, list_evaluations
from lcma.harness.results.map_statistics import (
    compute_map_statistics,
    compute_table_statistics,
    hash_table,
    make_kept_masks,
)
from lcma.harness.storage import Folder, StorageError
from lcma.harness.train import devices
from lcma.harness.train.batches import Images
from lcma.harness.train.checkpoint import CheckpointFolder
from lcma.harness.train.contribution import MeasuredMap, measure_maps
from lcma.harness.train.data_maps import measure_data
from lcma.harness.train.devices import (
    SharedClock,
    Stopwatch,
    free_memory,
    ran_out_of_memory,
    read_granted_device,
    settle_device,
)
from lcma.harness.train.online import OnlineTables
from lcma.harness.train.protocol import PLAIN
from lcma.harness.train.stack import Member, train_stack
from lcma.harness.train.trainer import DivergedError, Hooks, OutOfTimeError, StoppedError, Trainer
from lcma.harness.work.artifacts import Writer, run_name, tidy_files
from lcma.harness.work.lease import HeartbeatThread, Lease, find_missing
from lcma.harness.work.log import EVALUATING, MAPPING, SAMPLING, Log, logger, make_share_log
from lcma.harness.work.outages import wait_out
from lcma.harness.work.preemption import is_noticed
from lcma.harness.work.units import (
    ENDINGS,
    Report,
    Work,
    make_policy,
)
from lcma.models.factorization import surviving_ids
from lcma.models.split import Split
from lcma.sweeps import catalog, factorizations
from lcma.sweeps.architectures import REGISTERED
from lcma.sweeps.errors import UserError, describe_error
from lcma.sweeps.expansion import Pretraining, Trial
from lcma.sweeps.measures import (
    CPU_SECONDS_PER_STEP,
    SECONDS_PER_STEP,
)
from lcma.sweeps.plugins import locate_failure
from lcma.sweeps.recipe import Recipe

START_SECONDS = 600.0
"""Wait for the database, and for the place of checkpoints, before a body has begun anything."""

STORE_SECONDS = 600.0
"""Wait of a running attempt for the place of checkpoints, to read the last one, or to write the
weights or a snapshot."""

LAST_SECONDS = 3.0
"""Wait of an interrupted attempt for the database."""

T = TypeVar("T")


def run_work(work: Work, after: Report | None = None) -> Report:
    """Do the work unless it is done or taken, and report how it ended, as `run_works` does.

    ``after`` is the report of the task that this work depends on.
    """
    if after is not None and after.ending != "done":
        return Report(work.job_id, "blocked", f"needs {after.job_id[:12]}, which {after.ending}")
    (report,) = run_works([work])
    return report


def run_works(works: Sequence[Work]) -> list[Report]:
    """Do each work unless it is done or taken, and report how it ended; several are one stack.

    An error in a work itself becomes its attempt's outcome. An unreachable database is waited
    for: `START_SECONDS` at the beginning, and at the end until it has stored everything.

    Raises UserError for failures that retrying cannot fix (database dropped, login refused). Later
    attempts then go on from the last checkpoints.
    """
    settle_device(works[0].device, works[0].threads)
    try:
        with ExitStack() as resources:
            return _AttemptGroup(works, resources).run()
    finally:
        with suppress(RuntimeError):  # of a device that has failed
            free_memory(works[0].device)


@dataclass(frozen=True, kw_only=True)
class _Ending:
    """The end of an attempt with all that it made, as `Store.finish` commits it."""

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
    longest_only: bool = False

    def commit(
        self, store: db.Store, claim: db.Claim, metrics: Sequence[db.Metric]
    ) -> "_Ending | None":
        """Store the ending; return what was stored, None if the claim was lost.

        An ending that the database refuses, such as another result under the same key, is stored as
        a `code_error` without its results. Raises UserError as `Store.finish` does.
        """

        def finish(ending: _Ending) -> "_Ending | None":
            return ending if store.finish(claim, metrics=metrics, **vars(ending)) else None

        try:
            return finish(self)
        except UserError:
            raise
        except Exception:  # noqa: BLE001 - whatever it is belongs in the attempt's row
            why = "\n".join(filter(None, (self.message, traceback.format_exc(limit=-6))))
            nothing: dict[str, Any] = {"result": None, "maps": (), "tables": (), "artifacts": ()}
            return finish(replace(self, outcome="code_error", message=why, **nothing))


class _CrowdedError(Exception):
    """Raised in an attempt whose stack failed, with others in it."""


@dataclass
class _AwaitedTraining:
    """A training that an attempt waits for."""

    member: Member
    until: int


_Steps = Generator[_AwaitedTraining | None, None, T]
"""The steps of an attempt, which pauses when it holds its claim, and for a stacked training."""


class _AttemptGroup:
    """Attempts of one process: one after the other, but for trainings that are stacked.

    Each runs to its training alone. Those that stand at the same step are trained as one; one that
    leaves goes on to its end at once, while the others wait.
    """

    def __init__(self, works: Sequence[Work], resources: ExitStack) -> None:
        self.works, self._resources = works, resources
        self.id = secrets.token_hex(8) if len(works) > 1 else None
        self.clock = SharedClock()
        self.present: list[_RunningAttempt] = []
        self._reports: dict[str, Report] = {}
        self._failures: list[Exception] = []
        self._images: dict[tuple[str, PartName], Images] = {}
        self._store: db.Store | None = None
        self._thread: HeartbeatThread | None = None
        self._start_until = time.monotonic() + START_SECONDS
        self._last_until: float | None = None

    def run(self) -> list[Report]:
        """Return the report of each work in order."""
        try:
            for work in self.works:
                self._begin(work)
            for attempt in tuple(self.present):
                self._resume(attempt)
            while self.present:
                groups: dict[tuple[int, int], list[_RunningAttempt]] = {}
                for attempt in self.present:
                    groups.setdefault(attempt.place, []).append(attempt)
                self._train(max(groups.values(), key=len))
        except BaseException:  # of a signal; or a fault of this module, and no lease may be left
            for attempt in tuple(self.present):
                with suppress(KeyboardInterrupt, SystemExit):
                    self._resume(attempt, SystemExit())
            raise
        if self._failures:
            raise self._failures[0]
        return [self._reports[work.job_id] for work in self.works]

    def make_images(self, prepared: data.Prepared, part: PartName, device: str) -> Images:
        """Return the images of a part, which all attempts share."""
        key = prepared.manifest.digest, part
        if key not in self._images:
            self._images[key] = Images(prepared.part(part).images, torch.device(device))
        return self._images[key]

    def last_seconds(self) -> float:
        """Return what is left of `LAST_SECONDS`, which begin with the first call."""
        if self._last_until is None:
            self._last_until = time.monotonic() + LAST_SECONDS
        return self._last_until - time.monotonic()

    def _begin(self, work: Work) -> None:
        """Claim the job of a work; report the work if that cannot be done."""
        try:
            self._wait_to_start(lambda: _open_folder(work).files())
            store, claim = self._claim(work)
        except (db.Unavailable, StorageError) as error:
            why = f"{error} (tried for {START_SECONDS:.0f} s on host {socket.gethostname()})"
            self._reports[work.job_id] = Report(work.job_id, "away", why)
            return
        except UserError as error:
            self._failures.append(error)
            return
        if isinstance(claim, db.Job):
            ending = ENDINGS.get(claim.state, "elsewhere")
            self._reports[work.job_id] = Report(work.job_id, ending)
            return
        if self._thread is None:
            thread = HeartbeatThread(store, work.lease_seconds)
            self._thread = self._resources.enter_context(thread)
        attempt = _RunningAttempt(work, store, claim, self, self._thread)
        self.present.append(attempt)
        self._resume(attempt)

    def _claim(self, work: Work) -> tuple[db.Store, db.Claim | db.Job]:
        """Connect to the database and claim the job; return the job if it cannot be claimed."""
        waited = False

        def note_failure() -> None:
            nonlocal waited
            waited = True

        def claim() -> tuple[db.Store, db.Claim | db.Job]:
            store = self._store = self._store or db.connect(work.place.db, create=False)
            job = store.jobs([work.job_id]).get(work.job_id) if waited else None
            if job is not None and job.state == "running":
                return store, job  # its holder may have waited for the database too, and goes on
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

        return self._wait_to_start(claim, note_failure)

    def _wait_to_start(
        self, action: Callable[[], T], on_failure: Callable[[], None] = lambda: None
    ) -> T:
        left = max(0.0, self._start_until - time.monotonic())
        return wait_out(action, seconds=left, on_failure=on_failure)

    def _resume(self, attempt: "_RunningAttempt", error: BaseException | None = None) -> None:
        """Let an attempt go on, from an error if there is one, until it pauses or has ended."""
        steps, pauses = attempt.steps, False
        self.clock.run(attempt.stopwatch)
        try:
            with attempt.log.only():
                attempt.training = next(steps) if error is None else steps.throw(error)
            pauses = True
        except StopIteration as end:
            self._reports[attempt.work.job_id] = end.value
        except UserError as failure:
            self._failures.append(failure)
        finally:
            self.clock.run()
            if not pauses:
                self.present.remove(attempt)

    def _train(self, attempts: "Sequence[_RunningAttempt]") -> None:
        """Train attempts that stand at one step as one, and let each go on that has left."""
        inside = list(attempts)

        def leave(index: int, error: Exception | None) -> None:
            inside.remove(attempts[index])
            self._resume(attempts[index], error)
            share_time()

        def share_time() -> None:
            self.clock.run(*(attempt.stopwatch for attempt in inside))

        def note(line: str) -> None:
            for attempt in inside:
                attempt.note(line)

        trainings = [attempt.training for attempt in attempts if attempt.training is not None]
        share_time()
        try:
            train_stack([one.member for one in trainings], trainings[0].until, leave, note)
        except Exception as error:  # noqa: BLE001 - whatever it is belongs in the attempts' rows
            logger.exception("the stack of %d failed", len(attempts))
            devices.note_failure(error)
            if len(attempts) > 1 and not devices.is_device_failure(error):
                error = _CrowdedError(_describe_crowd(error, len(attempts)))
            for attempt in tuple(inside):
                self._resume(attempt, error)


def _describe_crowd(error: Exception, count: int) -> str:
    what = "memory ran out" if ran_out_of_memory(error) else "an error was raised"
    return f"{what} in a stack of {count}: {describe_error(error)}{locate_failure(error)}"


def _open_folder(work: Work, rerun: str = "") -> Folder:
    """Return the folder of the trial's or pretraining's files. Raises StorageError."""
    return storage.open_folder(work.place.runs).below(run_name(work.job, rerun))


class _RunningAttempt:
    """One execution of a claimed job."""

    def __init__(
        self,
        work: Work,
        store: db.Store,
        claim: db.Claim,
        stack: _AttemptGroup,
        thread: HeartbeatThread,
    ) -> None:
        self.work, self.store, self.claim = work, store, claim
        self.stack, self.thread = stack, thread
        self.stopwatch = Stopwatch(work.device, work.gpus, stack.clock)
        self.trained_seconds = 0.0
        self.trainer: Trainer | None = None
        self.before = 0  # steps of the parts of its training before this one
        self.folder: CheckpointFolder | None = None
        self.notes: list[str] = []
        self.unsaved = False
        self.log = Log()
        self.steps = self._run()
        self.training: _AwaitedTraining | None = None

    @property
    def place(self) -> tuple[int, int]:
        """The step at which it waits to be trained, and the one up to which."""
        assert self.training is not None
        return self.training.member.trainer.step, self.training.until

    def _run(self) -> _Steps[Report]:
        with (
            self.log,
            Lease(
                self.thread,
                self.claim,
                self.work.lease_seconds,
                self.stopwatch.cost,
                lambda: self.log.text,
            ) as lease,
        ):
            try:
                yield None
                ending = yield from self._run_body(lease)
            except StoppedError:
                return Report(self.work.job_id, "stopped", "its lease was lost")
            except DivergedError as error:
                ending = self._make_ending("diverged", lease, str(error))
            except OutOfTimeError:
                if lease.end_request:
                    ending = self._make_ending("cancelled", lease, lease.end_request)
                elif limit := self._time_limit_message():
                    ending = self._make_ending("timeout", lease, limit)
                else:
                    why = "its process was told to end, or its node is being taken away"
                    ending = self._make_ending("preempted", lease, why)
            except _CrowdedError as error:
                ending = self._make_ending("crowded", lease, str(error))
            except UserError as error:
                ending = self._make_ending("code_error", lease, str(error))
            except (KeyboardInterrupt, SystemExit):  # of a signal
                with suppress(UserError):
                    ending = self._make_ending("cancelled", lease, "interrupted")
                    if (left := self.stack.last_seconds()) > 0:
                        self._deliver(ending, lease, seconds=left)
                raise
            except BaseException as error:  # noqa: BLE001 - whatever it is belongs in the attempt's row
                devices.note_failure(error)
                if devices.is_device_failure(error):
                    why = traceback.format_exc(limit=-6).rstrip() + locate_failure(error)
                    why += f"\nits device failed: {devices.describe_first_line(error)}"
                    ending = self._make_ending("node_lost", lease, why)
                elif ran_out_of_memory(error):
                    crowded = len(self.stack.present) > 1
                    outcome: db.Outcome = "crowded" if crowded else "oom"
                    why = (str(error).strip() or type(error).__name__).splitlines()[0]
                    ending = self._make_ending(outcome, lease, why)
                else:
                    why = traceback.format_exc(limit=-6).rstrip() + locate_failure(error)
                    ending = self._make_ending("code_error", lease, why)
            return self._deliver(ending, lease)

    def _deliver(self, ending: _Ending, lease: Lease, *, seconds: float = math.inf) -> Report:
        """Commit the ending, for up to ``seconds`` while the database is unreachable.

        If this process dies meanwhile, the next attempt goes on from the last checkpoint and comes
        to the same ending. The curves are committed whole, also into a database that was set back
        to an earlier state meanwhile and has lost what it acknowledged.
        """

        def commit() -> _Ending | None:
            missing = find_missing(self.store, self.claim, lease.points())
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
        steps = max(0, stored.last_step - (stored.first_step or 0))
        if stored.outcome in ("done", "diverged", "crowded", "preempted"):
            return Report(self.work.job_id, stored.outcome, stored.message, steps=steps)
        if stored.outcome == "node_lost":
            return Report(self.work.job_id, "device_failed", stored.message, steps=steps)
        at_start = stored.outcome == "code_error" and not steps
        return Report(self.work.job_id, "failed", stored.message, steps=steps, at_start=at_start)

    def _run_body(self, lease: Lease) -> _Steps[_Ending]:
        self.work = self.work.opened()
        logger.info("attempt %d at %s", self.claim.token, self.work.title)
        if self.work.pretraining is not None:
            return (yield from self._run_pretraining(self.work.pretraining, lease))
        assert self.work.trial is not None
        return (yield from self._run_trial(self.work.trial, lease))

    def _run_pretraining(self, pretraining: Pretraining, lease: Lease) -> _Steps[_Ending]:
        if pretraining.form == "data":
            return self._measure_data(pretraining, lease)
        if pretraining.form == "self":
            return (yield from self._run_self(pretraining, lease))
        budget = self.work.job.budget
        assert budget is not None
        prepared = self._open_data()
        trainer = self.trainer = Trainer(
            flow=self._to_device(
                models.build_nms(
                    pretraining.recipe.model, seed=pretraining.seed, form=pretraining.form
                )
            ),
            optimization=pretraining.recipe.optimization,
            seed=pretraining.seed,
            images=self._make_images(prepared, "train"),
            repeats=REGISTERED[pretraining.recipe.model.flow].stacks,
        )
        yield from self._train(trainer, budget, lease)
        groups = prepared.part("train").groups
        measured = measure_maps(trainer.flow, trainer.images, groups, seen=make_share_log(MAPPING))
        self._require_finite(*(float(m.values.sum()) + m.scalar for m in measured))
        maps = tuple(
            _make_map(
                one,
                self.work.job,
                compute_map_statistics(
                    one.values, one.standard_errors, one.split, pretraining.form
                ),
            )
            for one in measured
        )
        return self._make_pretraining_ending(trainer, maps, lease)

    def _make_pretraining_ending(
        self, trainer: Trainer, maps: tuple[db.ContributionMap, ...], lease: Lease
    ) -> _Ending:
        kept, keep = trainer.kept, self.work.keep.snapshots
        artifacts: tuple[db.Artifact, ...] = ()
        if kept is not None and keep != "none":
            artifacts = (self._make_artifact("checkpoint", kept),)
        return replace(
            self._make_ending("done", lease),
            maps=maps,
            artifacts=artifacts,
            longest_only=keep == "longest",
        )

    def _run_self(self, pretraining: Pretraining, lease: Lease) -> _Steps[_Ending]:
        """Find one table after the other, each by a training with those found before it."""
        budget = self.work.job.budget
        assert budget is not None
        prepared, recipe, seed = self._open_data(), pretraining.recipe, pretraining.seed
        model, options = recipe.model, recipe.maps
        shape = (model.channels, model.size, model.size)
        conventional = _find_conventional(recipe)
        found: list[MeasuredMap] = []
        maps: list[db.ContributionMap] = []
        for split in range(1, model.splits + 1):
            tables = models.make_tables(
                "self",
                shape,
                len(found),
                maps=[one.values for one in found],
                order=options.order,
            )
            ids = surviving_ids(tables, shape)[-1]
            tables = models.make_tables(conventional, shape, model.splits, seed=seed, given=tables)
            self.before = budget * (split - 1) // model.splits
            until = budget * split // model.splits - self.before
            logger.info("finds the table of split %d", split)
            trainer = self.trainer = Trainer(
                flow=self._to_device(models.build_from_tables(model, tables, seed=seed)),
                optimization=recipe.optimization,
                seed=seed,
                images=self._make_images(prepared, "train"),
                repeats=REGISTERED[model.flow].stacks,
            )
            if budget:
                yield from self._train(trainer, until, lease)
            else:  # the parts would have one checkpoint
                trainer.start()
                lease.started_at(0, {})
            groups = prepared.part("train").groups
            measured = measure_maps(
                *(trainer.flow, trainer.images, groups, [options.conv1x1]),
                make_share_log(MAPPING),
            )
            self._require_finite(*(float(m.values.sum()) + m.scalar for m in measured))
            score = options.stored_score
            chosen = next((m for m in measured if (m.split, m.score) == (split, score)), None)
            if chosen is None:
                raise UserError(
                    f"there is no map by the score {score} at split {split}: a dimension does not "
                    "vary; take `maps.score=cumulative`"
                )
            found.append(chosen)
            maps.append(_make_map_of(chosen, ids, self.work.job))
        return self._make_pretraining_ending(trainer, tuple(maps), lease)

    def _measure_data(self, pretraining: Pretraining, lease: Lease) -> _Ending:
        """Measure the maps of the data alone; nothing is trained."""
        lease.started_at(0, {})
        prepared = self._open_data()
        measured = measure_data(prepared, pretraining.recipe.model.splits)
        if lease.lost:
            raise StoppedError
        maps = tuple(_make_map_of(one.measured, one.ids, self.work.job) for one in measured)
        return replace(self._make_ending("done", lease), maps=maps)

    def _run_trial(self, trial: Trial, lease: Lease) -> _Steps[_Ending]:
        prepared = self._open_data()
        recipe, digest = trial.recipe, self.work.job.data_digest
        maps = _load_maps(self.store, trial, digest)
        factorization, changes = trial.factorization, trial.factorization == "online"
        if changes:
            factorization = factorizations.online_start(_find_conventional(recipe))
        flow = self._to_device(
            models.build(
                recipe.model,
                factorization,
                seed=trial.seed,
                maps=[m.values for m in maps],
                order=recipe.maps.order,
            )
        )
        trainer = self.trainer = Trainer(
            flow=flow,
            optimization=recipe.optimization,
            seed=trial.seed,
            images=self._make_images(prepared, "train"),
            training=recipe.training,
            holdout=self._make_images(prepared, "holdout"),
            online=OnlineTables(flow, recipe.maps.online, recipe.training.steps)
            if changes
            else None,
            repeats=REGISTERED[recipe.model.flow].stacks,
        )
        yield from self._train(trainer, recipe.training.steps, lease)
        flow, step = trainer.evaluated, trainer.step
        if recipe.training.select == "best" and trainer.best is not None:
            flow.load_state_dict(trainer.best["flow"])
            step = trainer.best["step"]
        trained = Trained(flow, recipe.model, prepared, trial.seed, self._device)
        try:
            measured = take_measures(
                list_evaluations(flow), trained, seen=make_share_log(EVALUATING)
            )
        except NotTakenError:
            raise DivergedError(trainer.step, trainer.last_finite) from None
        if lease.lost:
            raise StoppedError
        artifacts = self._save_weights(flow, trainer.online, lease)  # before a plug-in has the flow
        logger.info(SAMPLING)
        more = take_measures(list_defaults(prepared), trained, on_failure=self._note_not_taken)
        result = db.Result(
            trial_id=trial.id,
            data_digest=digest,
            step=step,
            protocol=PLAIN.name,
            protocol_body=PLAIN.body,
            precision=PLAIN.precision,
            measures=(*measured, *self._time_steps(trainer), *more),
        )
        return replace(
            self._make_ending("done", lease),
            result=result,
            tables=_make_index_tables(trial, maps, digest, flow),
            artifacts=artifacts,
        )

    def _train(self, trainer: Trainer, until: int, lease: Lease) -> _Steps[None]:
        """Train up to a step."""
        before = self.before
        folder = self.folder = CheckpointFolder(
            _open_folder(self.work, self.claim.rerun), first=before
        )
        step = self._wait_for_storage(lambda: trainer.resume(folder, at_most=until), lease)
        if step or not before:  # else it goes on from the part before, in this attempt
            lease.started_at(before + step, trainer.curves)
        if folder.passed_over:
            damaged = ", ".join(folder.passed_over)
            self.notes.append(f"passed over checkpoints that are damaged: {damaged}")
            logger.warning(self.notes[-1])
        logger.info("trains from step %d to %d on %s", step, until, self.work.device)
        hooks = Hooks(
            progress=lambda step: lease.progress(before + step),
            metric=lambda name, step, value: lease.metric(name, before + step, value),
            stop=lambda: lease.lost,
            over=lambda: bool(lease.end_request or self._time_limit_message()) or is_noticed(),
            curves=lease.curves,
            unsaved=lambda error: self._note_unsaved(error, lease),
            saved=lease.report_problem,
            last=lambda save: self._save_last(save, lease),
            checkpoint_seconds=self.work.checkpoint_seconds,
        )
        began = self.stopwatch.seconds
        try:
            if trainer.optimization.stacked and step < until:
                yield _AwaitedTraining(Member(trainer, folder, hooks), until)
            else:
                trainer.run(until, folder, hooks)
        finally:
            self.trained_seconds = self.stopwatch.seconds - began
        logger.info("stands at step %d after %.1f s", trainer.step, self.trained_seconds)

    def _wait_for_storage(self, action: Callable[[], T], lease: Lease) -> T:
        """Retry an action on the place of files, for `STORE_SECONDS` while it is unreachable.

        Raises StoppedError if the lease is lost meanwhile.
        """

        def try_once() -> T:
            try:
                return action()
            except StorageError as error:
                lease.report_problem(f"it waits for the place of its files: {error}")
                raise

        def check_lease() -> None:
            if lease.lost:
                raise StoppedError

        found = wait_out(try_once, seconds=STORE_SECONDS, on_failure=check_lease)
        lease.report_problem()
        return found

    def _save_last(self, save: Callable[[], None], lease: Lease) -> None:
        """Save the last checkpoint.

        Longer budgets go on from that of a pretraining, so its place is waited for; that of a trial
        only saves a later attempt the last steps.
        """
        try:
            if self.work.pretraining is None:
                save()
            else:
                self._wait_for_storage(save, lease)
        except StorageError as error:
            self._note_unsaved(error, lease)

    def note(self, line: str) -> None:
        """Add a line to the message and the log of the attempt, once."""
        if line not in self.notes:
            self.notes.append(line)
            with self.log.only():
                logger.warning(line)

    def _note_unsaved(self, error: StorageError, lease: Lease) -> None:
        """Report that checkpoints are not written, and why; note it once."""
        lease.report_problem(f"checkpoints are not written: {error}")
        if not self.unsaved:
            self.unsaved = True
            self.notes.append(f"checkpoints were not written: {error}")
            with self.log.only():
                logger.warning(self.notes[-1])

    def _open_data(self) -> data.Prepared:
        return open_images(self.work.set_name, self.work.place.data, self.work.job.data_digest)

    @property
    def _device(self) -> torch.device:
        return torch.device(self.work.device)

    def _make_images(self, prepared: data.Prepared, part: PartName) -> Images:
        return self.stack.make_images(prepared, part, self.work.device)

    def _to_device(self, flow: models.Flow) -> models.Flow:
        return flow.to(self._device)

    def _make_ending(self, outcome: db.Outcome, lease: Lease, message: str = "") -> _Ending:
        well = outcome in ("done", "crowded", "cancelled", "preempted")
        level = logging.INFO if well else logging.ERROR
        logger.log(level, "%s", ": ".join(filter(None, (outcome, message))))
        return _Ending(
            outcome=outcome,
            message="\n".join(filter(None, (*self.notes, message))),
            log=self.log.text,
            first_step=lease.first_step,
            last_step=lease.step if self.trainer is None else self.before + self.trainer.step,
            cost=self._cost(),
            policy=make_policy(self.work),
        )

    def _time_limit_message(self) -> str:
        """Return why the attempt must end, by its limit of hours; '' while it may go on."""
        hours = self.work.terms.hours
        if hours is None or self.stopwatch.seconds < hours * 3600:
            return ""
        return f"it took {hours:g} h, as long as `resources.hours` lets an attempt"

    def _require_finite(self, *values: float) -> None:
        """Raise DivergedError unless all are finite, as they need not be after a finite loss."""
        trainer = self.trainer
        assert trainer is not None
        if not all(math.isfinite(v) for v in values):
            raise DivergedError(trainer.step, trainer.last_finite)

    def _save_weights(
        self, flow: models.Flow, online: OnlineTables | None, lease: Lease
    ) -> tuple[db.Artifact, ...]:
        """Save the evaluated weights with the splits' permutations, atomically, and likewise the
        history of tables that changed."""
        if not self.work.keep.weights:
            return ()
        assert self.folder is not None
        folder, writer = self.folder.folder, Writer.of(self.claim.token, self.claim.owner)

        def save(kind: str, name: str, tensors: dict[str, torch.Tensor]) -> db.Artifact:
            content = safetensors.torch.save(tensors)
            stored = self._wait_for_storage(
                lambda: folder.put(
                    lambda file: file.write(content), lambda digest: name, moment="weights"
                ),
                lease,
            )
            return self._make_artifact(kind, stored)

        tensors = {k: v.detach().cpu().contiguous() for k, v in flow.state_dict().items()}
        weights = save("weights", writer.weights, tensors)
        if online is None:
            return (weights,)
        return weights, save("tables", writer.tables, online.history)

    def _make_artifact(self, kind: str, stored: storage.Stored) -> db.Artifact:
        return db.Artifact(
            kind=kind,
            path=f"{run_name(self.work.job, self.claim.rerun)}/{stored.name}",
            bytes=stored.bytes,
            digest=stored.digest,
            place=storage.open_folder(self.work.place.runs).place,
        )

    def _time_steps(self, trainer: Trainer) -> tuple[db.Measurement, ...]:
        """Return the measures of how long a step of this attempt took; none without a step."""
        timer = trainer.waiting
        times = {
            SECONDS_PER_STEP: timer.seconds_per_step,
            CPU_SECONDS_PER_STEP: timer.cpu_seconds_per_step,
        }
        return tuple(db.Measurement(name, one) for name, one in times.items() if one is not None)

    def _note_not_taken(self, name: str, why: str) -> None:
        self.notes.append(f"the measure {name} was not taken: {why}")
        logger.warning(self.notes[-1])

    def _cost(self) -> db.Cost:
        seen = self.trainer.images_seen if self.trainer else 0
        rate = seen / self.trained_seconds if seen and self.trained_seconds else None
        return self.stopwatch.cost(rate, self.trainer.waiting.share if self.trainer else None)


def _make_map(
    measured: MeasuredMap, job: db.PlannedJob, statistics: db.MapStatistics
) -> db.ContributionMap:
    """Return a map that a job measured as the database stores it."""
    assert job.pretraining_id is not None
    assert job.budget is not None
    return db.ContributionMap(
        pretraining_id=job.pretraining_id,
        data_digest=job.data_digest,
        budget=job.budget,
        split=measured.split,
        score=measured.score,
        values=measured.values,
        standard_errors=measured.standard_errors,
        halves=measured.halves,
        images=measured.images,
        mean_log_det=measured.scalar,
        clusters=measured.clusters,
        statistics=statistics,
    )


def _make_map_of(
    measured: MeasuredMap, ids: NDArray[np.int64], job: db.PlannedJob
) -> db.ContributionMap:
    """Return a map at a split of which the dimensions ``ids`` are still there, (C, H, W)."""
    values, errors = (one.ravel()[ids] for one in (measured.values, measured.standard_errors))
    return _make_map(measured, job, compute_map_statistics(values, errors, 1, "flat"))


def _load_maps(store: db.Store, trial: Trial, data_digest: str) -> list[db.ContributionMap]:
    """Read the maps from which a trial's tables are made, one for each split; [] if it reads none.

    Waits while the database is unreachable. Raises UserError if its pretraining has no maps.
    """
    if trial.pretraining is None or trial.budget is None:
        return []
    pretraining, score = trial.pretraining, trial.map_score
    found: list[db.ContributionMap] = wait_out(
        lambda: list(
            store.maps(
                pretraining_id=pretraining.id,
                data_digest=data_digest,
                budget=trial.budget,
                score=score,
            )
        )
    )
    if len(found) != trial.recipe.model.splits:
        raise UserError(
            f"pretraining {pretraining.id} has no maps by the score {score} at budget "
            f"{trial.budget}: launch into a new database with --db"
        )
    return found


def _find_conventional(recipe: Recipe) -> str:
    """Return the canonical name of the flow's own factorization."""
    model = recipe.model
    return factorizations.canonical(
        "conventional", conventional=catalog.flows()[model.flow], splits=model.splits
    )


def _make_index_tables(
    trial: Trial,
    from_maps: Sequence[db.ContributionMap],
    data_digest: str,
    flow: models.Flow,
) -> tuple[db.IndexTable, ...]:
    """Return the index tables of the trained flow's splits, with their statistics."""
    model = trial.recipe.model
    if trial.factorization == "none":
        return ()
    shape, order = (model.channels, model.size, model.size), trial.recipe.maps.order
    values = [m.values for m in from_maps]
    if trial.factorization == "online":
        found = [layer.table for layer in flow.layers if isinstance(layer, Split)]
    else:
        found = models.make_tables(
            trial.factorization, shape, model.splits, seed=trial.seed, maps=values, order=order
        )
    halves = [(m.halves[0], m.halves[1]) for m in from_maps if m.halves is not None]
    statistics = compute_table_statistics(
        trial.factorization, found, shape, maps=values, halves=halves, order=order
    )
    kept = make_kept_masks(found, shape)
    return tuple(
        db.IndexTable(
            trial_id=trial.id,
            data_digest=data_digest,
            split=split,
            kept=mask,
            digest=hash_table(table),
            statistics=numbers,
        )
        for split, (table, mask, numbers) in enumerate(
            zip(found, kept, statistics, strict=True), start=1
        )
    )
