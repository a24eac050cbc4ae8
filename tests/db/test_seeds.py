"""Cells of results by seed, compared with the rows of the view `results`."""

from dataclasses import replace
from typing import Any

import pytest

from lcma import db
from tests.harness.show.frames import cells_of

WHERE: dict[str, dict[str, Any]] = {
    "everything": {},
    "one sweep": {"sweep_id": "s2"},
    "columns of the cell": {"flow": "realnvp", "dataset": ["photos16", "celeba64"]},
    "a column of the recipe": {"splits": 3},
    "a column of the result": {"seed": [0, 2]},
    "a column that only the view has": {"device": "cuda:0 model"},
    "null": {"budget": None, "map_options": None},
    "of both": {"flow": "realnvp", "seed": 1, "threads": [1, 2, 4, 8]},
    "no value": {"budget": []},
    "what nothing has": {"flow": "none"},
}


@pytest.fixture
def crowd(crowded_url: str) -> db.Store:
    return db.connect(crowded_url, create=False)


def read_cells(crowd: db.Store, **where: Any) -> list[db.SeededCell]:
    rows = crowd.rows(db.select_view("results", **where))
    return cells_of(row._mapping for row in rows)


def alike(cells: list[db.SeededCell]) -> list[db.SeededCell]:
    """Return the cells without the orders that only the rows' order decides."""
    found = [replace(cell, makings=tuple(sorted(cell.makings, key=str))) for cell in cells]
    return sorted(found, key=str)


@pytest.mark.parametrize("name", WHERE)
def test_they_are_the_rows_of_the_view_by_cell(crowd: db.Store, name: str) -> None:
    where = dict(WHERE[name])
    if "device" in where:
        where["device"] = crowd.view("results")["device"].iloc[0]
    found = crowd.cells(**where)
    assert alike(found) == alike(read_cells(crowd, **where))
    assert bool(found) == (name not in ("no value", "what nothing has"))
