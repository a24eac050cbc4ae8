"""Index tables of trials, and how far those of other seeds and budgets agree with them."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from lcma.db.filters import chunks
from lcma.db.inserts import append_rows, insert_missing, lock
from lcma.db.records import IndexTable
from lcma.db.schema import index_tables, jobs, table_overlaps, trials

SAME = ("recipe_id", "dataset", "variant", "factorization", "map_options")
"""What two trials have in common whose tables are held against each other."""


def overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Return the intersection over union of two sets.

    Args:
        one: A set as a mask of any shape.
        other: Another one as a mask of the same shape.

    Returns:
        A share from 0 to 1; 1 for two empty sets.
    """
    union = int(np.logical_or(one, other).sum())
    return float(np.logical_and(one, other).sum() / union) if union else 1.0


def encode_table(item: IndexTable, attempt_id: int) -> dict[str, Any]:
    """Return the row of `index_tables`."""
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


def lock_overlaps(connection: sa.Connection, data_digests: Collection[str]) -> None:
    """Keep others from changing overlaps on some data until the transaction ends.

    Two that finish at once must not both miss the other: the second waits for the first. Whoever
    waits here holds jobs, but no cells.
    """
    for digest in sorted(data_digests):
        lock(connection, "overlaps", digest)


def insert_overlaps(connection: sa.Connection, items: Sequence[IndexTable]) -> None:
    """Insert how far a trial's tables agree with those of other seeds and other budgets."""
    if not items:
        return
    lock_overlaps(connection, {items[0].data_digest})
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


def insert_overlaps_of(
    connection: sa.Connection, trial_ids: Sequence[str], data_digest: str
) -> None:
    """Insert the overlaps of many trials, whose tables were just inserted in this transaction."""
    lock_overlaps(connection, {data_digest})
    new = frozenset(trial_ids)
    groups = defaultdict[tuple[Any, ...], list[sa.Row[Any]]](list)
    for row in _families(connection, trial_ids, data_digest):
        shared = tuple(getattr(row, name) for name in SAME)
        groups[*shared, row.split, len(row.kept)].append(row)
    found = (pair for rows in groups.values() for pair in _pairs(rows, new))
    names = ("trial_id", "other_trial_id", "data_digest", "split", "differs", "iou")
    append_rows(
        connection,
        table_overlaps,
        names,
        (
            (*ids, data_digest, split, differs, iou)
            for one, other, split, differs, iou in found
            for ids in ((one, other), (other, one))
        ),
    )


def delete_overlaps(connection: sa.Connection, attempt_ids: Sequence[int]) -> None:
    """Delete the overlaps of tables that attempts left."""
    found = set[tuple[str, str]]()
    for some in chunks(attempt_ids):
        query = sa.select(index_tables.c.data_digest, index_tables.c.trial_id)
        rows = connection.execute(query.where(index_tables.c.attempt_id.in_(some)).distinct())
        found |= {(digest, trial_id) for digest, trial_id in rows}
    lock_overlaps(connection, {digest for digest, _ in found})
    for digest, trial_id in sorted(found):
        either = sa.or_(
            table_overlaps.c.trial_id == trial_id, table_overlaps.c.other_trial_id == trial_id
        )
        own = sa.delete(table_overlaps).where(either, table_overlaps.c.data_digest == digest)
        connection.execute(own)


def _families(
    connection: sa.Connection, trial_ids: Sequence[str], data_digest: str
) -> Iterator[sa.Row[Any]]:
    # The tables of these trials, and of all that share a recipe and a factorization with one.
    names = ("dataset", "flow", "factorization")
    recipes = defaultdict[tuple[str, ...], set[str]](set)
    for some in chunks(sorted(trial_ids)):
        columns = (trials.c[name] for name in (*names, "recipe_id"))
        has_tables = sa.exists().where(index_tables.c.trial_id == trials.c.id)
        query = sa.select(*columns).where(trials.c.id.in_(some), has_tables).distinct()
        for row in connection.execute(query):
            recipes[tuple(row[:-1])].add(row.recipe_id)
    shown = (index_tables.c.trial_id, index_tables.c.split, index_tables.c.kept)
    for family, ids in sorted(recipes.items()):
        query = (
            sa.select(*shown, trials.c.seed, trials.c.budget, *(trials.c[name] for name in SAME))
            .join(trials, trials.c.id == index_tables.c.trial_id)
            .join(jobs, jobs.c.done_attempt_id == index_tables.c.attempt_id)
            .where(
                *(trials.c[name] == value for name, value in zip(names, family, strict=True)),
                trials.c.recipe_id.in_(sorted(ids)),
                index_tables.c.data_digest == data_digest,
                index_tables.c.kept != b"",
            )
            .order_by(index_tables.c.trial_id, index_tables.c.split)
        )
        yield from connection.execute(query)


def _pairs(
    rows: Sequence[sa.Row[Any]], new: Collection[str]
) -> Iterator[tuple[str, str, int, str, float]]:
    # Each two of one group of which one is new and which differ in seed or budget alone.
    fresh = [place for place, row in enumerate(rows) if row.trial_id in new]
    if not fresh or len(rows) < 2:
        return
    packed = np.frombuffer(b"".join(row.kept for row in rows), np.uint8).reshape(len(rows), -1)
    # Whole numbers this small are exact in float32, and products of matrices are quick.
    kept = np.unpackbits(packed, axis=1).astype(np.float32)
    sizes = kept.sum(axis=1)
    for place in fresh:
        own = rows[place]
        both = kept @ kept[place]
        for other_place, other in enumerate(rows):
            if other_place == place or (other_place < place and other.trial_id in new):
                continue
            seed, budget = own.seed != other.seed, own.budget != other.budget
            if seed == budget:
                continue
            shared = int(both[other_place])
            union = int(sizes[place]) + int(sizes[other_place]) - shared
            iou = shared / union if union else 1.0
            yield own.trial_id, other.trial_id, own.split, "seed" if seed else "budget", iou


def _relatives(item: IndexTable) -> sa.Select[Any]:
    own, other = trials.alias("own"), trials.alias("other")
    # Equal, where there are no nulls, and the flow too, so that an index finds them.
    same = [
        own.c[name].is_not_distinct_from(other.c[name])
        if own.c[name].nullable
        else own.c[name] == other.c[name]
        for name in ("flow", *SAME)
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
        .join(jobs, jobs.c.done_attempt_id == index_tables.c.attempt_id)
        .where(own.c.id == item.trial_id, index_tables.c.data_digest == item.data_digest)
        .order_by(index_tables.c.trial_id, index_tables.c.split)
    )
