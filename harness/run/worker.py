"""The task bodies: one segment of a pretraining, or one trial. Ray and the local executor run
exactly these.

A body claims its job, so it may be started twice: the second one finds it taken or done. All it
makes becomes visible in one transaction at its end. A database, or a place of checkpoints, that is
away stops no body: it is waited for at the beginning and at the end, and a training in between does
without it.
"""

import logging
import math
import os
import socket
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

import safetensors.torch
import torch

from lcma import db, models
from lcma.harness import data, storage
from lcma.harness.data.verified import open_images
from lcma.harness.environment import read_environment
from lcma.harness.kill_points import arm_worker
from lcma.harness.results.map_statistics import (
    compute_map_statistics,
    compute_table_statistics,
    hash_table,
    make_kept_masks,
)
from lcma.harness.run.artifacts import Writer, run_name, tidy_files
from lcma.harness.run.evaluation import (
    Stopwatch,
    free_memory,
    granted_device,
    make_result,
    measure_flow,
    ran_out_of_memory,
    settle_device,
)
from lcma.harness.run.lease import Lease
from lcma.harness.run.log import Log, own
from lcma.harness.run.outages import wait_out
from lcma.harness.run.spool import Ending, Spool, deliver_leftovers
from lcma.harness.run.work import CURVE, ENDINGS, AtRungError, Report, Work, policy_of, rung_values
from lcma.harness.storage import Folder, StorageError
from lcma.harness.train.batches import Images
from lcma.harness.train.checkpoint import CheckpointFolder
from lcma.harness.train.contribution import MeasuredMap, measure_maps
from lcma.harness.train.evaluate import evaluate
from lcma.harness.train.protocol import PLAIN
from lcma.harness.train.trainer import DivergedError, Hooks, OutOfTimeError, StoppedError, Trainer
from lcma.sweeps.errors import UserError
from lcma.sweeps.expansion import Pretraining, Trial

# What a training is made from and what it shows beside its likelihood: maps and index tables


def make_map(
    measured: MeasuredMap, pretraining: Pretraining, data_digest: str, budget: int
) -> db.ContributionMap:
    """A map as it is stored, with its statistics."""
    return db.ContributionMap(
        pretraining_id=pretraining.id,
        data_digest=data_digest,
        budget=budget,
        split=measured.split,
        score=measured.score,
        values=measured.values,
        standard_errors=measured.standard_errors,
        halves=measured.halves,
        images=measured.images,
        mean_log_det=measured.scalar,
        clusters=measured.clusters,
        statistics=compute_map_statistics(
            measured.values, measured.standard_errors, measured.split, pretraining.nms
        ),
    )


def load_maps(store: db.Store, trial: Trial, data_digest: str) -> list[db.ContributionMap]:
    """The maps that a trial's tables are made from, one for each split; none where it reads none.

    A database that is away is waited for. Raises UserError where its pretraining has none.
    """
    if trial.pretraining is None or trial.budget is None:
        return []
    pretraining, score = trial.pretraining, trial.recipe.maps.stored_score
    found: list[db.ContributionMap] = wait_out(
        lambda: [
            *store.maps(
                pretraining_id=pretraining.id,
                data_digest=data_digest,
                budget=trial.budget,
                score=score,
            )
        ]
    )
    if len(found) != trial.recipe.model.splits:
        raise UserError(
            f"pretraining {pretraining.id} has no maps by the score {score} at budget "
            f"{trial.budget}: launch into a new database with --db"
        )
    return found


def make_index_tables(
    trial: Trial, from_maps: Sequence[db.ContributionMap], data_digest: str
) -> tuple[db.IndexTable, ...]:
    """The tables of the trained flow, as they are in its splits, with their statistics."""
    model = trial.recipe.model
    if trial.factorization == "none":
        return ()
    shape, order = (model.channels, model.size, model.size), trial.recipe.maps.order
    values = [m.values for m in from_maps]
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


START_SECONDS = 600.0
"""How long a body waits for the database, and for its checkpoints, before it has begun anything."""

STORE_SECONDS = 600.0
"""How long one at work waits for the place of its checkpoints to give the last one, or to take the
weights or a snapshot."""

LAST_SECONDS = 3.0
"""How long one that is interrupted waits for the database."""

T = TypeVar("T")


def run_work(work: Work, after: Report | None = None) -> Report:
    """Do the work unless it is done or taken. What goes wrong in it is its outcome.

    A database that is away is waited for: at the beginning for `START_SECONDS`, and at the end
    until it has all that was made. Only what no waiting helps raises (UserError), such as a
    database that is gone or refuses the user; an ending is left in the attempt's spool then.

    ``after`` is the report of what this work waits for.
    """
    arm_worker(work.job_id)
    if after is not None and after.ending != "done":
        return Report(work.job_id, "blocked", f"needs {after.job_id[:12]}, which {after.ending}")
    settle_device(work.device, work.threads)
    notes: list[str] = []
    try:
        wait_out(lambda: _own_folder(work).files(), seconds=START_SECONDS)
        if work.rung is not None and wait_out(lambda: _passed(work), seconds=START_SECONDS):
            return Report(work.job_id, "pruned")
        store, claim = _claim(work, notes)
    except (db.Unavailable, StorageError) as error:
        why = f"{error} (tried for {START_SECONDS:.0f} s on host {socket.gethostname()})"
        return Report(work.job_id, "away", why, tuple(notes))
    if isinstance(claim, db.Job):
        return Report(work.job_id, ENDINGS.get(claim.state, "elsewhere"), notes=tuple(notes))
    try:
        return replace(_Attempt(work, store, claim, notes).run(), notes=tuple(notes))
    finally:
        free_memory(work.device)


def _claim(work: Work, notes: list[str]) -> tuple[db.Store, db.Claim | db.Job]:
    """The job under a claim of this process, or as it is, once the database is there.

    What others left in spools of this host is delivered first: it may be this very job's ending.
    """
    waited = False

    def noticed() -> None:
        nonlocal waited
        waited = True

    def claim() -> tuple[db.Store, db.Claim | db.Job]:
        store = db.connect(work.place.db, create=False)
        deliver_leftovers(store, notes.append)
        job = store.job(work.job_id) if waited else None
        if job is not None and job.state == "running":
            return store, job  # its holder may have waited too, and goes on
        return store, store.claim(
            work.job_id,
            owner=work.owner,
            host=socket.gethostname(),
            pid=os.getpid(),
            environment_id=store.add_environment(read_environment(work.device)),
            device=work.device,
            devices=granted_device(work.device),
            threads=work.threads,
            lease_seconds=work.lease_seconds,
            cap=work.terms.cap,
        )

    return wait_out(claim, seconds=START_SECONDS, noticed=noticed)


def _passed(work: Work) -> bool:
    """Whether the training has been at its rung before."""
    store = db.connect(work.place.db, create=False)
    job = store.job(work.job_id)
    open_to_all = job is not None and job.state == "pending"
    return open_to_all and work.rung in rung_values(store, work.job_id)


def _own_folder(work: Work) -> Folder:
    """Where the trial or pretraining keeps its files. Raises StorageError."""
    return storage.open_folder(work.place.runs).below(run_name(work.job))


class _Attempt:
    """One execution of a claimed job."""

    def __init__(self, work: Work, store: db.Store, claim: db.Claim, notes: list[str]) -> None:
        self.work, self.store, self.claim = work, store, claim
        self.stopwatch = Stopwatch(work.device, work.gpus)
        self.trained_seconds = 0.0
        self.trainer: Trainer | None = None
        self.folder: CheckpointFolder | None = None
        self.notes = list(notes)
        self.unsaved = False
        self.log = Log()

    def run(self) -> Report:
        with (
            self.log,
            Spool(self.store, self.claim) as spool,
            Lease(self.store, self.claim, self.work.lease_seconds, spool) as lease,
        ):
            try:
                ending = self._worked(lease)
            except StoppedError:
                spool.discard()
                return Report(self.work.job_id, "stopped", "its lease was lost")
            except AtRungError:
                ending = self._ending("pruned", lease, f"stands at rung {self.work.rung}")
            except DivergedError as error:
                ending = self._ending("diverged", lease, str(error))
            except OutOfTimeError:
                ending = self._ending("timeout", lease, self._over())
            except UserError as error:
                ending = self._ending("code_error", lease, str(error))
            except Exception as error:  # noqa: BLE001 - whatever it is belongs in the attempt's row
                if ran_out_of_memory(error):
                    said = (str(error).strip() or type(error).__name__).splitlines()[0]
                    ending = self._ending("oom", lease, said)
                else:
                    ending = self._ending("code_error", lease, traceback.format_exc(limit=-6))
            except BaseException:
                with suppress(UserError):
                    ending = self._ending("cancelled", lease, "interrupted")
                    self._deliver(ending, spool, seconds=LAST_SECONDS)
                raise
            return self._deliver(ending, spool)

    def _deliver(self, ending: Ending, spool: Spool, *, seconds: float = math.inf) -> Report:
        """Commit how the attempt ends, however long the database is away. Until then it lies in
        the spool, where whoever starts here next finds it if this process dies."""
        kept = spool.end(ending)
        stored = wait_out(lambda: kept.commit(self.store, self.claim), seconds=seconds)
        spool.discard()
        if stored is None:
            return Report(self.work.job_id, "stopped", "its lease was lost")
        if stored.outcome == "done" and self.folder is not None:
            job = self.work.job
            with suppress(UserError):  # what is left is for `lcma gc`
                tidy_files(self.store, self.folder, job, self.work.keep)
        if stored.outcome in ("done", "pruned", "diverged"):
            return Report(self.work.job_id, stored.outcome, stored.message)
        return Report(self.work.job_id, "failed", stored.message)

    def _worked(self, lease: Lease) -> Ending:
        self.work = self.work.opened()
        own.info("attempt %d at %s", self.claim.token, self.work.title)
        for note in self.notes:
            own.info(note)
        if self.work.pretraining is not None:
            return self._pretraining(self.work.pretraining, lease)
        assert self.work.trial is not None
        return self._trial(self.work.trial, lease)

    def _pretraining(self, pretraining: Pretraining, lease: Lease) -> Ending:
        budget = self.work.job.budget
        assert budget is not None
        part = self._data().part("train")
        trainer = self.trainer = Trainer(
            flow=self._placed(
                models.build_nms(
                    pretraining.recipe.model, seed=pretraining.seed, form=pretraining.nms
                )
            ),
            optimization=pretraining.recipe.optimization,
            seed=pretraining.seed,
            images=self._images(part),
        )
        self._train(trainer, budget, lease)
        measured = measure_maps(trainer.flow, trainer.images, part.groups)
        self._require_finite(*(float(m.values.sum()) + m.scalar for m in measured))
        maps = tuple(
            make_map(one, pretraining, self.work.job.data_digest, budget) for one in measured
        )
        kept, keep = trainer.kept, self.work.keep.snapshots
        snapshot = () if kept is None or keep == "none" else (self._file("checkpoint", kept),)
        return replace(
            self._ending("done", lease),
            maps=maps,
            artifacts=snapshot,
            longest_only=keep == "longest",
        )

    def _trial(self, trial: Trial, lease: Lease) -> Ending:
        prepared = self._data()
        recipe, digest = trial.recipe, self.work.job.data_digest
        maps = load_maps(self.store, trial, digest)
        trainer = self.trainer = Trainer(
            flow=self._placed(
                models.build(
                    recipe.model,
                    trial.factorization,
                    seed=trial.seed,
                    maps=[m.values for m in maps],
                    order=recipe.maps.order,
                )
            ),
            optimization=recipe.optimization,
            seed=trial.seed,
            images=self._images(prepared.part("train")),
            training=recipe.training,
            holdout=self._images(prepared.part("holdout")),
        )
        self._train(trainer, recipe.training.steps, lease, self.work.rung)
        flow, step = trainer.evaluated, trainer.step
        if recipe.training.select == "best" and trainer.best is not None:
            flow.load_state_dict(trainer.best["flow"])
            step = trainer.best["step"]
        measured = measure_flow(flow, prepared, PLAIN, self._device)
        self._require_finite(*measured.values)
        if lease.lost:
            raise StoppedError
        artifacts = self._kept_weights(flow, lease)
        return replace(
            self._ending("done", lease),
            result=make_result(measured, trial.id, digest, PLAIN, step=step),
            tables=make_index_tables(trial, maps, digest),
            artifacts=artifacts,
        )

    def _train(self, trainer: Trainer, until: int, lease: Lease, rung: int | None = None) -> None:
        """Train up to a step. At a rung on the way: evaluate, and raise AtRungError."""
        folder = self.folder = CheckpointFolder(_own_folder(self.work))
        most = until if rung is None else min(rung, until)
        step = self._waiting(lambda: trainer.resume(folder, at_most=most), lease)
        lease.started_at(step, trainer.undelivered)
        if folder.passed_over:
            damaged = ", ".join(folder.passed_over)
            self.notes.append(f"passed over checkpoints that are damaged: {damaged}")
            own.warning(self.notes[-1])
        own.info("trains from step %d to %d on %s", step, until, self.work.device)
        hooks = Hooks(
            progress=lease.progress,
            metric=lease.metric,
            stop=lambda: lease.lost,
            over=lambda: trainer.step == rung or bool(self._over()),
            undelivered=lease.undelivered,
            unsaved=self._unsaved,
            last=lambda save: self._save_last(save, lease),
            checkpoint_seconds=self.work.checkpoint_seconds,
        )
        began = time.monotonic()
        try:
            if step != rung:
                trainer.run(until, folder, hooks)
        except OutOfTimeError:
            if trainer.step != rung:
                raise
        finally:
            self.trained_seconds = time.monotonic() - began
        if trainer.step == rung:
            self._evaluate_at_rung(trainer, lease)
        own.info("stands at step %d after %.1f s", trainer.step, self.trained_seconds)

    def _evaluate_at_rung(self, trainer: Trainer, lease: Lease) -> None:
        assert trainer.holdout is not None
        bits = evaluate(trainer.evaluated, trainer.holdout, PLAIN).bits_per_dim.value
        self._require_finite(bits)
        lease.metric(CURVE, trainer.step, bits)
        own.info("stands at rung %d with %.4f bits/dim on holdout", trainer.step, bits)
        raise AtRungError

    def _waiting(self, action: Callable[[], T], lease: Lease) -> T:
        """What an action on the place of files gives, which may be away for `STORE_SECONDS`."""

        def noticed() -> None:
            if lease.lost:
                raise StoppedError

        return wait_out(action, seconds=STORE_SECONDS, noticed=noticed)

    def _save_last(self, save: Callable[[], None], lease: Lease) -> None:
        """Save the last checkpoint. Longer budgets go on from that of a pretraining, so it is
        waited for; that of a trial only spares an attempt after this one its last steps."""
        try:
            if self.work.pretraining is None:
                save()
            else:
                self._waiting(save, lease)
        except StorageError as error:
            self._unsaved(error)

    def _unsaved(self, error: StorageError) -> None:
        """Say once that checkpoints are missing, and why."""
        if not self.unsaved:
            self.unsaved = True
            self.notes.append(f"checkpoints were not written: {error}")
            own.warning(self.notes[-1])

    def _data(self) -> data.Prepared:
        return open_images(self.work.set_name, self.work.place.data, self.work.job.data_digest)

    @property
    def _device(self) -> torch.device:
        return torch.device(self.work.device)

    def _images(self, part: data.PreparedPart) -> Images:
        return Images(part.images, self._device)

    def _placed(self, flow: models.Flow) -> models.Flow:
        return flow.to(self._device)

    def _ending(self, outcome: db.Outcome, lease: Lease, message: str = "") -> Ending:
        own.log(
            logging.INFO if outcome in ("done", "pruned") else logging.ERROR,
            "%s",
            ": ".join(filter(None, (outcome, message))),
        )
        return Ending(
            outcome=outcome,
            message="\n".join(filter(None, (*self.notes, message))),
            log=self.log.text,
            first_step=lease.first_step,
            last_step=lease.step if self.trainer is None else self.trainer.step,
            cost=self._cost(),
            metrics=lease.pending(),
            policy=policy_of(self.work),
        )

    def _over(self) -> str:
        """Why the attempt may go on no longer; '' while it may."""
        hours = self.work.terms.hours
        if hours is None or self.stopwatch.seconds < hours * 3600:
            return ""
        return f"it took {hours:g} h, as long as `resources.hours` lets an attempt"

    def _require_finite(self, *values: float) -> None:
        """A model whose evaluation is not finite has diverged, even if its last loss was."""
        trainer = self.trainer
        assert trainer is not None
        if not all(math.isfinite(v) for v in values):
            raise DivergedError(trainer.step, trainer.last_finite)

    def _kept_weights(self, flow: models.Flow, lease: Lease) -> tuple[db.Artifact, ...]:
        """The evaluated weights with the splits' permutations, whole or not at all."""
        if not self.work.keep.weights:
            return ()
        assert self.folder is not None
        folder = self.folder.folder
        name = Writer.of(self.claim.token, self.claim.owner).weights
        tensors = {k: v.detach().cpu().contiguous() for k, v in flow.state_dict().items()}
        content = safetensors.torch.save(tensors)
        stored = self._waiting(
            lambda: folder.put(
                lambda file: file.write(content), lambda digest: name, moment="weights"
            ),
            lease,
        )
        return (self._file("weights", stored),)

    def _file(self, kind: str, stored: storage.Stored) -> db.Artifact:
        return db.Artifact(
            kind=kind,
            path=f"{run_name(self.work.job)}/{stored.name}",
            bytes=stored.bytes,
            digest=stored.digest,
            place=storage.open_folder(self.work.place.runs).place,
        )

    def _cost(self) -> db.Cost:
        seen = self.trainer.images_seen if self.trainer else 0
        rate = seen / self.trained_seconds if seen and self.trained_seconds else None
        return self.stopwatch.cost(rate, self.trainer.waiting.share if self.trainer else None)
