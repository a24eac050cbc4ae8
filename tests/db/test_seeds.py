"""Cells of results by seed, compared with the rows of the view `results`."""

from dataclasses import replace
from typing import Any

import pytest

from lcma import db
from tests.harness.show.synthetic import cells_of

CONDITIONS: dict[str, dict[str, Any]] = {
    "everything": {},
    "one sweep": {"sweep_id": "s2"},
    "columns of the cell": {"flow": "realnvp", "dataset": ["photos16", "celeba64"]},
    "a column of the recipe": {"splits": 3},
    "a column of the result": {"seed": [0, 2]},
    "a column that only the view has": {"device": "that of the first row"},
    "null": {"budget": None, "map_options": None},
    "cell and result": {"flow": "realnvp", "seed": 1, "threads": [1, 2, 4, 8]},
    "no value": {"budget": []},
    "an unknown value": {"flow": "none"},
}


def sort_cells(cells: list[db.SeededCell]) -> list[db.SeededCell]:
    """Return the cells in an order that does not depend on the order of the rows."""
    cells = [replace(cell, makings=tuple(sorted(cell.makings, key=str))) for cell in cells]
    return sorted(cells, key=str)


@pytest.mark.parametrize("name", CONDITIONS)
def test_cells_are_the_rows_of_the_view_by_cell(crowded_store: db.Store, name: str) -> None:
    where = dict(CONDITIONS[name])
    if "device" in where:
        where["device"] = crowded_store.view("results")["device"].iloc[0]
    cells = crowded_store.cells(**where)
    rows = crowded_store.rows(db.select_view("results", **where))
    assert sort_cells(cells) == sort_cells(cells_of(row._mapping for row in rows))
    assert bool(cells) == (name not in ("no value", "an unknown value"))
