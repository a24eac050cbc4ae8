"""The bodies of attempts: a segment of a pretraining, or a trial, with maps and index tables."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcma import db, models
from lcma.harness.data import PreparedSet
from lcma.harness.measure.measure import NotTakenError, TrainedFlow, take_measures
from lcma.harness.measure.registry import list_optional_measures, list_required_measures
from lcma.harness.results.map_statistics import (
    compute_map_statistics,
    compute_table_statistics,
    hash_table,
    make_kept_masks,
)
from lcma.harness.train.contribution import MeasuredMap, measure_maps
from lcma.harness.train.data_maps import measure_data_maps
from lcma.harness.train.online import OnlineTables
from lcma.harness.train.protocol import PLAIN
from lcma.harness.train.trainer import DivergedError, StoppedError, Trainer
from lcma.harness.work.attempt import Ending, RunningAttempt, Steps
from lcma.harness.work.log import EVALUATING, MAPPING, SAMPLING, logger, make_share_log
from lcma.harness.work.outages import wait_out
from lcma.models.factorization import surviving_ids
from lcma.models.split import Split
from lcma.sweeps import catalog, factorizations
from lcma.sweeps.architectures import REGISTERED
from lcma.sweeps.errors import UserError
from lcma.sweeps.expansion import Pretraining, Trial
from lcma.sweeps.measures import CPU_SECONDS_PER_STEP, SECONDS_PER_STEP
from lcma.sweeps.recipe import Recipe


def run_body(attempt: RunningAttempt) -> Steps[Ending]:
    """Do the work of an attempt that has its claim."""
    subject = attempt.work.subject
    if isinstance(subject, Trial):
        return (yield from _run_trial(attempt, subject))
    return (yield from _run_pretraining(attempt, subject))


def _run_pretraining(attempt: RunningAttempt, pretraining: Pretraining) -> Steps[Ending]:
    if pretraining.form == "data":
        return _measure_data(attempt, pretraining)
    if pretraining.form == "self":
        return (yield from _run_self(attempt, pretraining))
    budget = attempt.work.job.budget
    assert budget is not None
    prepared = attempt.open_data()
    recipe, seed = pretraining.recipe, pretraining.seed
    flow = models.build_nms(recipe.model, seed=seed, form=pretraining.form)
    trainer = _make_trainer(attempt, flow, recipe, seed, prepared)
    yield from attempt.train(trainer, budget)
    groups = prepared.part("train").groups
    measured = measure_maps(trainer.flow, trainer.images, groups, progress=make_share_log(MAPPING))
    attempt.require_finite(*(float(m.values.sum()) + m.scalar for m in measured))
    maps = tuple(
        _make_map(
            m,
            attempt.work.job,
            compute_map_statistics(m.values, m.standard_errors, m.split, pretraining.form),
        )
        for m in measured
    )
    return replace(attempt.make_ending("done"), maps=maps)


def _make_trainer(
    attempt: RunningAttempt,
    flow: models.Flow,
    recipe: Recipe,
    seed: int,
    prepared: PreparedSet,
    **more: Any,
) -> Trainer:
    """Give the attempt a trainer of a flow, and move that to the attempt's device."""
    attempt.trainer = Trainer(
        flow=flow.to(attempt.device),
        optimization=recipe.optimization,
        seed=seed,
        images=attempt.make_images(prepared, "train"),
        repeats=REGISTERED[recipe.model.flow].stacks,
        **more,
    )
    return attempt.trainer


def _run_self(attempt: RunningAttempt, pretraining: Pretraining) -> Steps[Ending]:
    """Find one table after the other, each by a training with the tables found before it."""
    budget = attempt.work.job.budget
    assert budget is not None
    prepared, recipe, seed = attempt.open_data(), pretraining.recipe, pretraining.seed
    model, options = recipe.model, recipe.maps
    shape = (model.channels, model.size, model.size)
    conventional = _find_conventional(recipe)
    chosen_maps: list[MeasuredMap] = []
    maps: list[db.ContributionMap] = []
    for split in range(1, model.splits + 1):
        tables = models.make_tables(
            "self",
            shape,
            len(chosen_maps),
            maps=[m.values for m in chosen_maps],
            order=options.order,
        )
        ids = surviving_ids(tables, shape)[-1]
        tables = models.make_tables(conventional, shape, model.splits, seed=seed, given=tables)
        attempt.before = budget * (split - 1) // model.splits
        until = budget * split // model.splits - attempt.before
        logger.info("finds the table of split %d", split)
        flow = models.build_from_tables(model, tables, seed=seed)
        trainer = _make_trainer(attempt, flow, recipe, seed, prepared)
        if until:
            yield from attempt.train(trainer, until)
        else:  # several parts would have the checkpoint of step 0
            trainer.start()
            if not attempt.before:
                attempt.lease.started_at(0, {})
        groups = prepared.part("train").groups
        measured = measure_maps(
            *(trainer.flow, trainer.images, groups, [options.conv1x1]),
            make_share_log(MAPPING),
        )
        attempt.require_finite(*(float(m.values.sum()) + m.scalar for m in measured))
        score = options.stored_score
        chosen = next((m for m in measured if (m.split, m.score) == (split, score)), None)
        if chosen is None:
            raise UserError(
                f"there is no map by the score {score} at split {split}: a dimension does not "
                "vary; take `maps.score=cumulative`"
            )
        chosen_maps.append(chosen)
        maps.append(_make_map_of(chosen, ids, attempt.work.job))
    return replace(attempt.make_ending("done"), maps=tuple(maps))


def _measure_data(attempt: RunningAttempt, pretraining: Pretraining) -> Ending:
    """Measure the maps of the data, without training."""
    attempt.lease.started_at(0, {})
    prepared = attempt.open_data()
    measured = measure_data_maps(prepared, pretraining.recipe.model.splits)
    if attempt.lease.lost:
        raise StoppedError
    maps = tuple(_make_map_of(m.measured, m.ids, attempt.work.job) for m in measured)
    return replace(attempt.make_ending("done"), maps=maps)


def _run_trial(attempt: RunningAttempt, trial: Trial) -> Steps[Ending]:
    prepared = attempt.open_data()
    recipe, digest = trial.recipe, attempt.work.job.data_digest
    maps = _load_maps(attempt.store, trial, digest)
    factorization, changes = trial.factorization, trial.factorization == "online"
    if changes:
        factorization = factorizations.online_start(_find_conventional(recipe))
    flow = models.build(
        recipe.model,
        factorization,
        seed=trial.seed,
        maps=[m.values for m in maps],
        order=trial.order,
    ).to(attempt.device)
    online = OnlineTables(flow, recipe.maps.online, recipe.training.steps) if changes else None
    holdout = attempt.make_images(prepared, "holdout")
    trainer = _make_trainer(
        *(attempt, flow, recipe, trial.seed, prepared),
        training=recipe.training,
        holdout=holdout,
        online=online,
    )
    yield from attempt.train(trainer, recipe.training.steps)
    flow, step = trainer.evaluated, trainer.step
    if recipe.training.select == "best" and trainer.best is not None:
        flow.load_state_dict(trainer.best["flow"])
        step = trainer.best["step"]
    trained = TrainedFlow(flow, recipe.model, prepared, trial.seed, attempt.device)
    try:
        measured = take_measures(
            list_required_measures(flow), trained, progress=make_share_log(EVALUATING)
        )
    except NotTakenError:
        raise DivergedError(trainer.step, trainer.last_finite) from None
    if attempt.lease.lost:
        raise StoppedError
    artifacts = attempt.save_weights(flow)  # before a plug-in can change the flow

    def note_not_taken(name: str, why: str) -> None:
        attempt.note(f"the measure {name} was not taken: {why}")

    logger.info(SAMPLING)
    sampled = take_measures(list_optional_measures(prepared), trained, on_failure=note_not_taken)
    result = db.Result(
        trial_id=trial.id,
        data_digest=digest,
        step=step,
        protocol=PLAIN.name,
        protocol_body=PLAIN.body,
        precision=PLAIN.precision,
        measures=(*measured, *_time_steps(trainer), *sampled),
    )
    return replace(
        attempt.make_ending("done"),
        result=result,
        tables=_make_index_tables(trial, maps, digest, flow),
        artifacts=artifacts,
    )


def _time_steps(trainer: Trainer) -> tuple[db.Measurement, ...]:
    """Return the measures of the time of a step in this attempt; none without a step."""
    timer = trainer.timer
    times = {
        SECONDS_PER_STEP: timer.seconds_per_step,
        CPU_SECONDS_PER_STEP: timer.cpu_seconds_per_step,
    }
    return tuple(db.Measurement(name, time) for name, time in times.items() if time is not None)


def _make_map(
    measured: MeasuredMap, job: db.PlannedJob, statistics: db.MapStatistics
) -> db.ContributionMap:
    """Return a measured map as the database stores it."""
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
    """Return a map at a split where the dimensions ``ids`` (C, H, W) have survived."""
    values, errors = (part.ravel()[ids] for part in (measured.values, measured.standard_errors))
    return _make_map(measured, job, compute_map_statistics(values, errors, 1, "flat"))


def _load_maps(store: db.Store, trial: Trial, data_digest: str) -> list[db.ContributionMap]:
    """Read the map of each split from which a trial's tables are made; [] if it reads none.

    Waits while the database is unreachable. Raises UserError if the pretraining has no maps.
    """
    if trial.pretraining is None or trial.budget is None:
        return []
    pretraining, score = trial.pretraining, trial.map_score
    maps: list[db.ContributionMap] = wait_out(
        lambda: list(
            store.maps(
                pretraining_id=pretraining.id,
                data_digest=data_digest,
                budget=trial.budget,
                score=score,
            )
        )
    )
    if len(maps) != trial.recipe.model.splits:
        raise UserError(
            f"pretraining {pretraining.id} has no maps by the score {score} at budget "
            f"{trial.budget}: launch into a new database with --db"
        )
    return maps


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
    shape, order = (model.channels, model.size, model.size), trial.order
    values = [m.values for m in from_maps]
    if trial.factorization == "online":
        tables = [layer.table for layer in flow.layers if isinstance(layer, Split)]
    else:
        tables = models.make_tables(
            trial.factorization, shape, model.splits, seed=trial.seed, maps=values, order=order
        )
    halves = [(m.halves[0], m.halves[1]) for m in from_maps if m.halves is not None]
    statistics = compute_table_statistics(
        trial.factorization, tables, shape, maps=values, halves=halves, order=order
    )
    kept = make_kept_masks(tables, shape)
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
            zip(tables, kept, statistics, strict=True), start=1
        )
    )
