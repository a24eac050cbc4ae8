"""What a training is made from and what it shows beside its likelihood: maps and index tables."""

from collections.abc import Sequence

from lcma import db, models
from lcma.harness.instruments import kept_masks, map_statistics, table_digest, table_statistics
from lcma.harness.run.patience import wait_out
from lcma.harness.train.contribution import MeasuredMap
from lcma.sweeps.errors import UserError
from lcma.sweeps.expansion import Pretraining, Trial


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
        statistics=map_statistics(
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
    found = models.tables(
        trial.factorization, shape, model.splits, seed=trial.seed, maps=values, order=order
    )
    halves = [(m.halves[0], m.halves[1]) for m in from_maps if m.halves is not None]
    statistics = table_statistics(
        trial.factorization, found, shape, maps=values, halves=halves, order=order
    )
    kept = kept_masks(found, shape)
    return tuple(
        db.IndexTable(
            trial_id=trial.id,
            data_digest=data_digest,
            split=split,
            kept=mask,
            digest=table_digest(table),
            statistics=numbers,
        )
        for split, (table, mask, numbers) in enumerate(
            zip(found, kept, statistics, strict=True), start=1
        )
    )
