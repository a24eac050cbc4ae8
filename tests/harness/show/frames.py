"""Boards of rows of the view `results`, gathered into cells one by one."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

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
    rows: Iterable[Mapping[str, Any]],
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


def cells_of(rows: Iterable[Mapping[str, Any]]) -> list[SeededCell]:
    """The cells of the rows, whatever their order."""
    found: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
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
        makings=tuple(
            {
                Making(**{one.name: record.get(one.name) for one in fields(Making)})
                for record in records
            }
        ),
    )
