"""Results summed up over seeds: exactly, and in the transaction that adds a result.

A cell's numbers are taken anew from all of its results, with exact sums, so that they do not
depend on the order in which these came or on the engine.
"""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from lcma.db.driving import Statement
from lcma.db.inserting import insert
from lcma.db.records import Result, content_hash
from lcma.db.schema import cells, results, trials

SHARED = (
    *("flow", "dataset", "variant", "data_digest", "recipe_id", "factorization", "budget"),
    *("map_options", "protocol", "precision"),
)
"""What all results of a cell have in common; the rest of a trial is its seed."""

COMPARABLE = ("dataset", "variant", "data_digest", "protocol", "precision")
"""Results that differ in one of these are never ranked together."""

OF_TRIAL = (
    *("seed", "profile", "flow", "dataset", "variant", "recipe_id", "factorization", "budget"),
    "map_options",
)
"""What is needed of a trial."""

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


_TRIAL = Statement(
    lambda _: sa.select(*(trials.c[name] for name in OF_TRIAL)).where(
        trials.c.id == sa.bindparam("id")
    )
)
_MAKE = Statement(
    lambda dialect: insert(dialect, cells).on_conflict_do_nothing(),
    columns=tuple(cells.c.keys()),
)
_HOLD = Statement(
    lambda _: sa.select(cells.c.id).where(cells.c.id == sa.bindparam("id")).with_for_update()
)
_VALUES = Statement(
    lambda _: sa.select(results.c.bits_per_dim, results.c.holdout_bits_per_dim).where(
        results.c.cell_id == sa.bindparam("id")
    )
)
_SUM_UP = Statement(
    lambda _: sa.update(cells).where(cells.c.id == sa.bindparam("cell")), columns=tuple(UNKNOWN)
)


def cell_row(trial: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    """The row of `cells`, without its numbers, for a result of a trial."""
    shared = {name: trial[name] if name in trial else result[name] for name in SHARED}
    return {
        "id": _hashed("cell", *shared.values()),
        "comparable": _hashed("comparable", *(shared[name] for name in COMPARABLE))[:16],
        "profile": trial["profile"],
        **shared,
    }


@lru_cache(maxsize=256)
def _hashed(what: str, *content: Any) -> str:
    return content_hash(what, list(content))


def join_cell(connection: sa.Connection, result: Result) -> dict[str, Any]:
    """The columns of `results` that say which cell a result is in; the cell is made if it is
    missing, and nobody else changes it until the transaction ends."""
    found = _TRIAL.first(connection, {"id": result.trial_id})
    if found is None:
        raise LookupError(f"no trial {result.trial_id}")
    trial = dict(zip(OF_TRIAL, found, strict=True))
    own = {name: getattr(result, name) for name in ("data_digest", "protocol", "precision")}
    row = cell_row(trial, own)
    if _HOLD.first(connection, row) is None:
        _MAKE.run(connection, row | UNKNOWN)
        _HOLD.first(connection, row)
    return {"seed": trial["seed"], "cell_id": row["id"]}


def sum_up(connection: sa.Connection, cell_id: str) -> None:
    """Set a cell's numbers from its results."""
    values = _VALUES.all(connection, {"id": cell_id})
    numbers = numbers_of([test for test, _ in values], [holdout for _, holdout in values])
    _SUM_UP.run(connection, {"cell": cell_id, **numbers})


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
