"""Results summed up over seeds, for many results at once."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from lcma.db.inserting import insert_missing
from lcma.db.jobs import chunks
from lcma.db.schema import cells, results, trials
from lcma.db.summaries import SHARED, UNKNOWN, cell_row, numbers_of


def join_cells(
    connection: sa.Connection, found: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The columns of rows of `results` that say which cells they are in; the cells are made where
    they are missing, and nobody else changes them until the transaction ends."""
    ids = sorted({row["trial_id"] for row in found})
    of_trials: dict[str, Mapping[str, Any]] = {}
    for some in chunks(ids):
        query = sa.select(trials).where(trials.c.id.in_(some))
        of_trials |= {row["id"]: row for row in connection.execute(query).mappings()}
    made: dict[tuple[Any, ...], dict[str, Any]] = {}
    joined = []
    for row in found:
        trial = of_trials[row["trial_id"]]
        key = tuple(trial[name] if name in trial else row[name] for name in SHARED)
        if key not in made:
            made[key] = cell_row(trial, row)
        joined.append({"seed": trial["seed"], "cell_id": made[key]["id"]})
    rows = sorted(made.values(), key=lambda row: str(row["id"]))
    insert_missing(connection, cells, [row | UNKNOWN for row in rows])
    for some in chunks([row["id"] for row in rows]):
        held = sa.select(cells.c.id).where(cells.c.id.in_(some)).order_by(cells.c.id)
        connection.execute(held.with_for_update())
    return joined


def sum_up_all(connection: sa.Connection, cell_ids: Collection[str]) -> None:
    """Set the numbers of many cells from their results."""
    columns = (results.c.cell_id, results.c.bits_per_dim, results.c.holdout_bits_per_dim)
    for some in chunks(sorted(cell_ids)):
        test, holdout = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
        query = sa.select(*columns).where(results.c.cell_id.in_(some))
        for cell_id, one, other in connection.execute(query):
            test[cell_id].append(one)
            holdout[cell_id].append(other)
        rows = [{"the_id": c, **numbers_of(test[c], holdout[c])} for c in some]
        connection.execute(sa.update(cells).where(cells.c.id == sa.bindparam("the_id")), rows)
