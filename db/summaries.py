"""Results summed up over seeds: exactly, and in the transaction that adds a result.

A cell's numbers are taken anew from all of its results, with exact sums, so that they do not
depend on the order in which these came or on the engine.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from db.inserting import insert_missing
from db.records import Result, content_hash
from db.schema import cells, results, trials

SHARED = (
    *("flow", "dataset", "variant", "data_digest", "recipe_id", "factorization", "budget"),
    *("map_options", "protocol", "precision"),
)
"""What all results of a cell have in common; the rest of a trial is its seed."""

COMPARABLE = ("dataset", "variant", "data_digest", "protocol", "precision")
"""Results that differ in one of these are never ranked together."""

UNKNOWN = {
    "seeds": 0,
    **dict.fromkeys(
        (
            *("mean", "squared_deviations", "least", "greatest"),
            *("holdout_mean", "holdout_squared_deviations"),
        ),
        0.0,
    ),
}
"""The numbers of a cell whose first result is about to come."""


def cell_row(trial: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    """The row of `cells`, without its numbers, for a result of a trial."""
    shared = {name: trial[name] if name in trial else result[name] for name in SHARED}
    return {
        "id": content_hash("cell", [shared[name] for name in SHARED]),
        "comparable": content_hash("comparable", [shared[name] for name in COMPARABLE])[:16],
        "profile": trial["profile"],
        **shared,
    }


def join_cell(connection: sa.Connection, result: Result) -> dict[str, Any]:
    """The columns of `results` that say which cell a result is in; the cell is made if it is
    missing, and nobody else changes it until the transaction ends."""
    trial = connection.execute(sa.select(trials).where(trials.c.id == result.trial_id)).one()
    own = {name: getattr(result, name) for name in ("data_digest", "protocol", "precision")}
    row = cell_row(trial._asdict(), own)
    insert_missing(connection, cells, [row | UNKNOWN])
    connection.execute(sa.select(cells.c.id).where(cells.c.id == row["id"]).with_for_update())
    return {"seed": trial.seed, "cell_id": row["id"]}


def sum_up(connection: sa.Connection, cell_id: str) -> None:
    """Set a cell's numbers from its results."""
    values = connection.execute(
        sa.select(results.c.bits_per_dim, results.c.holdout_bits_per_dim).where(
            results.c.cell_id == cell_id
        )
    ).all()
    numbers = numbers_of([test for test, _ in values], [holdout for _, holdout in values])
    connection.execute(sa.update(cells).where(cells.c.id == cell_id).values(numbers))


def numbers_of(test: Sequence[float], holdout: Sequence[float]) -> dict[str, float]:
    """A cell's numbers, from the bits/dim of its seeds in any order."""
    mean, deviations = _moments(test)
    holdout_mean, holdout_deviations = _moments(holdout)
    return {
        "seeds": len(test),
        "mean": mean,
        "squared_deviations": deviations,
        "least": min(test),
        "greatest": max(test),
        "holdout_mean": holdout_mean,
        "holdout_squared_deviations": holdout_deviations,
    }


def _moments(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sum of squared deviations from it."""
    mean = math.fsum(values) / len(values)
    return mean, math.fsum((value - mean) ** 2 for value in values)
