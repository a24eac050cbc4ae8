"""Index tables of trials, and how far those of other seeds and budgets agree with them."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from db.inserting import insert_missing, lock
from db.records import IndexTable
from db.schema import index_tables, table_overlaps, trials


def overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Intersection over union of two sets, as masks of one shape; 1 for two empty ones."""
    union = int(np.logical_or(one, other).sum())
    return float(np.logical_and(one, other).sum() / union) if union else 1.0


def table_row(item: IndexTable, attempt_id: int) -> dict[str, Any]:
    """The row of `index_tables`."""
    channels, height, width = item.kept.shape
    return {
        "trial_id": item.trial_id,
        "data_digest": item.data_digest,
        "split": item.split,
        "channels": channels,
        "height": height,
        "width": width,
        "kept": np.packbits(item.kept).tobytes(),
        "digest": item.digest,
        **asdict(item.statistics),
        "attempt_id": attempt_id,
    }


def insert_overlaps(connection: sa.Connection, items: Sequence[IndexTable]) -> None:
    """Hold the tables of one trial against those of trials that differ in seed or budget alone."""
    if not items:
        return
    # Two that finish at once must not both miss the other: the second waits for the first.
    lock(connection, "overlaps", items[0].data_digest)
    own = {item.split: item.kept for item in items}
    rows: list[dict[str, Any]] = []
    for row in connection.execute(_relatives(items[0])):
        kept = own.get(row.split)
        if kept is None or row.kept == b"":
            continue
        other = np.unpackbits(np.frombuffer(row.kept, np.uint8), count=kept.size).astype(bool)
        shared = {
            "data_digest": items[0].data_digest,
            "split": row.split,
            "differs": "seed" if row.seed != row.own_seed else "budget",
            "iou": overlap(kept.ravel(), other),
        }
        pair = (items[0].trial_id, row.trial_id)
        for one, another in (pair, pair[::-1]):
            rows.append(shared | {"trial_id": one, "other_trial_id": another})
    insert_missing(connection, table_overlaps, rows)


def _relatives(item: IndexTable) -> sa.Select[Any]:
    own, other = trials.alias("own"), trials.alias("other")
    same = [
        own.c[name].is_not_distinct_from(other.c[name])
        for name in ("recipe_id", "dataset", "variant", "factorization", "map_options")
    ]
    seed = own.c.seed != other.c.seed
    budget = own.c.budget.is_distinct_from(other.c.budget)
    return (
        sa.select(
            index_tables.c.trial_id,
            index_tables.c.split,
            index_tables.c.kept,
            other.c.seed,
            own.c.seed.label("own_seed"),
        )
        .select_from(own)
        .join(other, sa.and_(*same, seed != budget))
        .join(index_tables, index_tables.c.trial_id == other.c.id)
        .where(own.c.id == item.trial_id, index_tables.c.data_digest == item.data_digest)
        .order_by(index_tables.c.trial_id, index_tables.c.split)
    )
