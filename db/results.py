"""Results of trials as rows: decoded, inserted with their cell, and completed."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import sqlalchemy as sa

from lcma.db.cells import join_cell, update_sums
from lcma.db.engine import Statement
from lcma.db.inserts import insert, require_stored
from lcma.db.records import Result, row_of
from lcma.db.schema import results

RESULT_KEY = ("trial_id", "data_digest", "protocol")


def decode_result(row: Mapping[str, Any]) -> Result:
    """Return a row of `results` as a record. Raises ValueError as `Result` does."""
    return Result(**{field.name: row[field.name] for field in fields(Result)})


_ADD_RESULT = Statement(
    lambda dialect: insert(dialect, results).on_conflict_do_nothing(),
    columns=tuple(results.c.keys()),
)


def insert_result(connection: sa.Connection, result: Result, attempt_id: int, now: float) -> None:
    """Store a result and update the sums of its cell.

    Raises:
        Conflict: It is there with another value.
    """
    cell = join_cell(connection, result)
    row = {"id": result.id, **row_of(result), **cell, "attempt_id": attempt_id, "created": now}
    if _ADD_RESULT.run(connection, row) == 0:
        require_stored(connection, results, RESULT_KEY, row)
    update_sums(connection, cell["cell_id"])


def find_additions(stored: Result, found: Result) -> dict[str, Any]:
    """Return the columns that a stored result gains from a new evaluation of the same weights.

    These are a bound of more draws or images, and what is known of a series where nothing was.
    """
    more: dict[str, Any] = {}
    if _extent(found) > _extent(stored):
        more |= {name: getattr(found, name) for name in Result.BOUND}
    if stored.series_terms is None and found.series_terms is not None:
        more |= {name: getattr(found, name) for name in Result.SERIES}
    return more


def _extent(result: Result) -> tuple[int, int]:
    return result.bound_draws or 0, result.bound_images or 0
