"""Boards of rows of the view `results`, gathered into cells one by one."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import pandas as pd

from lcma.db import Making, RecipeRow, SeededCell
from lcma.harness.results.board import Board, make_board

ALIKE = (
    *("flow", "dataset", "variant", "data_digest", "recipe_id", "protocol", "precision"),
    *("factorization", "budget", "map_options"),
)
"""Columns that tell cells apart."""

SHARED = (*ALIKE, "profile", "splits", "size", "steps")
"""Columns of which all rows of a cell have the same."""


def board_of(
    rows: pd.DataFrame | Iterable[dict[str, Any]],
    *more: Any,
    recipes: Mapping[str, str] | None = None,
    **options: Any,
) -> Board:
    """The board of the rows, whatever their order, with the bodies of recipes by their ids."""
    known = {
        name: RecipeRow(id=name, flow="", profile="", splits=0, size=0, steps=0, body=body)
        for name, body in (recipes or {}).items()
    }
    return make_board(cells_of(rows), *more, recipes=known, **options)


def _making(record: dict[str, Any]) -> Making:
    return Making(**{one.name: record.get(one.name) for one in fields(Making)})


def cells_of(rows: pd.DataFrame | Iterable[dict[str, Any]]) -> list[SeededCell]:
    """The cells of the rows, whatever their order."""
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    if isinstance(rows, pd.DataFrame):
        rows = [
            {str(name): _value(name, value) for name, value in row.items()}
            for row in rows.to_dict("records")
        ]
    for record in rows:
        found.setdefault(tuple(record[name] for name in ALIKE), []).append(record)
    return [_cell(records) for records in found.values()]


def _cell(records: Sequence[Mapping[str, Any]]) -> SeededCell:
    first = records[0]
    bits: dict[int, float] = {}
    repeated = None
    for record in records:
        repeated = record["seed"] if record["seed"] in bits else repeated
        bits[record["seed"]] = record["bits_per_dim"]

    def known(name: str) -> list[Any]:
        return [record[name] for record in records if record.get(name) is not None]

    return SeededCell(
        **{name: first[name] for name in SHARED},
        values=dict(sorted(bits.items())),
        repeated=repeated,
        standard_error=max(known("standard_error"), default=None),
        images=min(known("images")),
        clusters=min(known("clusters"), default=None),
        makings=tuple({_making(record) for record in records}),
    )


_WHOLE = ("budget", "clusters")


def _value(column: object, value: Any) -> Any:
    """Pandas keeps a column of integers with nulls as floats with NaN."""
    if value != value:  # NaN
        return None
    return int(value) if column in _WHOLE and value is not None else value
