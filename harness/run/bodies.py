"""The task bodies: one segment of a pretraining, or one trial. Ray and the local executor run
exactly these.

A body claims its job, so it may be started twice: the second one finds it taken or done. All it
makes becomes visible in one transaction at its end. A database that is away stops no body: it is
waited for at the beginning and at the end, and a training in between does without it.
"""

import hashlib
import logging
import math
import os
import socket
import time
import traceback
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import safetensors.torch
import torch

import db
import models
from harness import data, environment, instruments, moments
from harness.run import evaluation, images, leftovers
from harness.run.ending import Ending
from harness.run.lease import Lease
from harness.run.log import Log, own
from harness.run.patience import patiently
from harness.run.spool import Spool
from harness.run.work import ENDINGS, Report, Work
from harness.train.batches import Images
from harness.train.checkpoint import CheckpointFolder
from harness.train.contribution import measure_maps
from harness.train.protocol import PLAIN
from harness.train.trainer import DivergedError, Hooks, StoppedError, Trainer
from sweeps.errors import UserError
from sweeps.expansion import Pretraining, Trial

START_SECONDS = 600.0
"""How long a body waits for the database before it has begun anything."""

LAST_SECONDS = 3.0
"""How long one that is interrupted does."""


def run(work: Work, after: Report | None = None) -> Report:
    """Do the work unless it is done or taken. What goes wrong in it is its outcome.

    A database that is away is waited for: at the beginning for `START_SECONDS`, and at the end
    until it has all that was made. Only what no waiting helps raises (UserError), such as a
    database that is gone or refuses the user; an ending is left in the attempt's spool then.

    ``after`` is the report of what this work waits for.
    """
    if work.kills is not None:
        from harness.selftest import armed

        armed.arm(work.kills, "worker", work.job_id)
    if after is not None and after.ending != "done":
        return Report(work.job_id, "blocked", f"needs {after.job_id[:12]}, which {after.ending}")
    evaluation.settle(work.device, work.threads)
    notes: list[str] = []
    try:
        store, claim = _claim(work, notes)
    except db.Unavailable as error:
        why = f"{error} (tried for {START_SECONDS:.0f} s on host {socket.gethostname()})"
        return Report(work.job_id, "away", why, tuple(notes))
    if isinstance(claim, db.Job):
        return Report(work.job_id, ENDINGS.get(claim.state, "elsewhere"), notes=tuple(notes))
    return replace(_Attempt(work, store, claim, notes).run(), notes=tuple(notes))


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
        leftovers.deliver(store, notes.append)
        job = store.job(work.job_id) if waited else None
        if job is not None and job.state == "running":
            return store, job  # its holder may have waited too, and goes on
        return store, store.claim(
            work.job_id,
            owner=work.owner,
            host=socket.gethostname(),
            pid=os.getpid(),
            environment_id=store.environment(environment.current(work.device)),
            device=work.device,
            devices=evaluation.granted(work.device),
            threads=work.threads,
            lease_seconds=work.lease_seconds,
        )

    return patiently(claim, seconds=START_SECONDS, noticed=noticed)


def run_folder(runs: Path, subject: str, digest: str) -> Path:
    """Where a trial or a pretraining on one exact data set keeps its files."""
    return runs / f"{subject}-{digest[:12]}"


class _Attempt:
    """One execution of a claimed job."""

    def __init__(self, work: Work, store: db.Store, claim: db.Claim, notes: list[str]) -> None:
        self.work, self.store, self.claim = work, store, claim
        self.stopwatch = evaluation.Stopwatch(work.device, work.gpus)
        self.trained_seconds = 0.0
        self.trainer: Trainer | None = None
        self.folder: CheckpointFolder | None = None
        self.notes = list(notes)
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
            except DivergedError as error:
                ending = self._ending("diverged", lease, str(error))
            except torch.OutOfMemoryError as error:
                ending = self._ending("oom", lease, str(error).splitlines()[0])
            except UserError as error:
                ending = self._ending("code_error", lease, str(error))
            except Exception:  # noqa: BLE001 - whatever it is belongs in the attempt's row
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
        stored = patiently(lambda: kept.commit(self.store, self.claim), seconds=seconds)
        spool.discard()
        if stored is None:
            return Report(self.work.job_id, "stopped", "its lease was lost")
        if stored.outcome == "done" and self.work.trial is not None and self.folder is not None:
            self.folder.clear()
        if stored.outcome in ("done", "diverged"):
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
                models.nms(pretraining.recipe.model, seed=pretraining.seed, form=pretraining.nms)
            ),
            optimization=pretraining.recipe.optimization,
            seed=pretraining.seed,
            images=self._images(part),
        )
        self._train(trainer, pretraining.id, budget, lease)
        measured = measure_maps(trainer.flow, trainer.images, part.groups)
        self._require_finite(*(float(m.values.sum()) + m.scalar for m in measured))
        maps = tuple(
            db.ContributionMap(
                pretraining_id=pretraining.id,
                data_digest=self.work.job.data_digest,
                budget=budget,
                split=m.split,
                score=m.score,
                values=m.values,
                standard_errors=m.standard_errors,
                halves=m.halves,
                images=m.images,
                mean_log_det=m.scalar,
                clusters=m.clusters,
                statistics=instruments.of_map(
                    m.values, m.standard_errors, m.split, pretraining.nms
                ),
            )
            for m in measured
        )
        return replace(self._ending("done", lease), maps=maps)

    def _trial(self, trial: Trial, lease: Lease) -> Ending:
        prepared = self._data()
        recipe, maps = trial.recipe, self._maps(trial)
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
        folder = self._train(trainer, trial.id, recipe.training.steps, lease)
        flow, step = trainer.evaluated, trainer.step
        if recipe.training.select == "best" and trainer.best is not None:
            flow.load_state_dict(trainer.best["flow"])
            step = trainer.best["step"]
        measured = evaluation.measure(flow, prepared, PLAIN, self._device)
        self._require_finite(*measured.values)
        if lease.lost:
            raise StoppedError
        weights = self._save_weights(flow, folder.folder)
        digest, tables = self.work.job.data_digest, tuple(self._tables(trial, maps))
        return replace(
            self._ending("done", lease),
            result=evaluation.as_result(measured, trial.id, digest, PLAIN, step=step),
            tables=tables,
            artifacts=(weights,),
        )

    def _train(self, trainer: Trainer, subject: str, until: int, lease: Lease) -> CheckpointFolder:
        place = run_folder(self.work.place.runs, subject, self.work.job.data_digest)
        folder = self.folder = CheckpointFolder(place)
        step = trainer.resume(folder, at_most=until)
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
            undelivered=lease.undelivered,
            checkpoint_seconds=self.work.checkpoint_seconds,
        )
        began = time.monotonic()
        trainer.run(until, folder, hooks)
        self.trained_seconds = time.monotonic() - began
        own.info("stands at step %d after %.1f s", trainer.step, self.trained_seconds)
        return folder

    def _maps(self, trial: Trial) -> list[db.ContributionMap]:
        if trial.pretraining is None or trial.budget is None:
            return []
        pretraining, score = trial.pretraining, trial.recipe.maps.stored_score
        maps: list[db.ContributionMap] = patiently(
            lambda: [
                *self.store.maps(
                    pretraining_id=pretraining.id,
                    data_digest=self.work.job.data_digest,
                    budget=trial.budget,
                    score=score,
                )
            ]
        )
        if len(maps) != trial.recipe.model.splits:
            raise UserError(
                f"pretraining {pretraining.id} has no maps by the score {score} at budget "
                f"{trial.budget}: launch into a new database with --db"
            )
        return maps

    def _tables(self, trial: Trial, maps: list[db.ContributionMap]) -> list[db.IndexTable]:
        """The tables of the trained flow, as they are in its splits, with their statistics."""
        model = trial.recipe.model
        if trial.factorization == "none":
            return []
        shape, order = (model.channels, model.size, model.size), trial.recipe.maps.order
        values = [m.values for m in maps]
        found = models.tables(
            trial.factorization, shape, model.splits, seed=trial.seed, maps=values, order=order
        )
        halves = [(m.halves[0], m.halves[1]) for m in maps if m.halves is not None]
        statistics = instruments.of_tables(
            trial.factorization, found, shape, maps=values, halves=halves, order=order
        )
        kept = instruments.kept_masks(found, shape)
        return [
            db.IndexTable(
                trial_id=trial.id,
                data_digest=self.work.job.data_digest,
                split=split,
                kept=mask,
                digest=instruments.digest(table),
                statistics=numbers,
            )
            for split, (table, mask, numbers) in enumerate(
                zip(found, kept, statistics, strict=True), start=1
            )
        ]

    def _data(self) -> data.Prepared:
        return images.opened(self.work.set_name, self.work.place.data, self.work.job.data_digest)

    @property
    def _device(self) -> torch.device:
        return torch.device(self.work.device)

    def _images(self, part: data.Part) -> Images:
        return Images(part.images, self._device)

    def _placed(self, flow: models.Flow) -> models.Flow:
        return flow.to(self._device)

    def _ending(self, outcome: db.Outcome, lease: Lease, message: str = "") -> Ending:
        own.log(
            logging.INFO if outcome == "done" else logging.ERROR,
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
        )

    def _require_finite(self, *values: float) -> None:
        """A model whose evaluation is not finite has diverged, even if its last loss was."""
        trainer = self.trainer
        assert trainer is not None
        if not all(math.isfinite(v) for v in values):
            raise DivergedError(trainer.step, trainer.last_finite)

    def _save_weights(self, flow: models.Flow, folder: Path) -> db.Artifact:
        """The evaluated weights with the splits' permutations, whole or not at all.

        The claim's token in the name keeps a worker that lost its lease from another's file.
        """
        path = folder / f"weights.{self.claim.token}.safetensors"
        aside = folder / f".{path.name}.tmp"
        content = {k: v.detach().cpu().contiguous() for k, v in flow.state_dict().items()}
        safetensors.torch.save_file(content, aside)
        with aside.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        with moments.around("weights"):
            aside.rename(path)
        return db.Artifact(
            kind="weights",
            path=path.relative_to(self.work.place.runs).as_posix(),
            bytes=path.stat().st_size,
            digest=digest,
            place=f"{socket.gethostname()}:{self.work.place.runs}",
        )

    def _cost(self) -> db.Cost:
        seen = self.trainer.images_seen if self.trainer else 0
        rate = seen / self.trained_seconds if seen and self.trained_seconds else None
        return self.stopwatch.cost(rate, self.trainer.waiting.share if self.trainer else None)
