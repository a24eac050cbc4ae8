"""Views as DataFrames and maps as arrays, selected by any column."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from lcma import db
from lcma.db.views import views
from lcma.sweeps.errors import UserError
from tests.db.conftest import MAP_STATISTICS


@pytest.fixture
def crowd(crowded_url: str) -> db.Store:
    return db.connect(crowded_url, create=False)


@pytest.mark.parametrize("name", views.tables)
def test_every_view_is_a_frame_with_the_types_that_are_declared(crowd: db.Store, name: str) -> None:
    frame, rows = crowd.view(name), crowd.rows(db.select_view(name))
    text = next(c.name for c in views.tables[name].c if isinstance(c.type, sa.Text))
    empty = crowd.view(name, **{text: "none"})
    assert list(frame.columns) == list(rows[0]._fields) == list(views.tables[name].c.keys())
    assert len(frame) == len(rows) > 0
    assert len(empty) == 0
    for column in views.tables[name].c:
        expected = {sa.Text: "object", sa.Double: "float64"}.get(
            type(column.type), "Int64" if column.nullable else "int64"
        )
        dtypes = {str(frame[column.name].dtype), str(empty[column.name].dtype)}
        assert dtypes <= ({"object", "str"} if expected == "object" else {expected})
        values = [None if pd.isna(value) else value for value in frame[column.name]]
        if column.name != "overdue":
            assert values == [row._mapping[column.name] for row in rows]


def test_a_keyword_is_a_value_or_several_and_none_is_null(crowd: db.Store) -> None:
    everything = crowd.view("results")

    def found(**where: Any) -> list[str]:
        return list(crowd.view("results", **where)["attempt_id"])

    def expected(chosen: "pd.Series[bool]") -> list[str]:
        return list(everything[chosen]["attempt_id"])

    budget, seed = everything["budget"], everything["seed"]
    assert found(budget=100) == expected(budget == 100) != []
    assert found(budget=None) == expected(budget.isna()) != []
    assert found(budget=[None, 200]) == expected(budget.isna() | (budget == 200))
    assert found(budget=[]) == []
    for several in ([0, 2], (0, 2), {0, 2}, np.array([0, 2]), pd.Series([0, 2])):
        assert found(seed=several) == expected(seed.isin([0, 2]))
    assert found(seed=np.int64(1), budget=pd.NA) == expected((seed == 1) & budget.isna()) != []
    assert found(budget=budget.unique()) == list(everything["attempt_id"])
    least = everything["bits_per_dim"].min()
    assert len(found(bits_per_dim=np.float64(least))) == 1
    assert found(bits_per_dim=3) == []
    assert found(seed=[0, 2**31, -(2**62)]) == expected(seed == 0)
    assert crowd.maps(budget=2**31) == []
    assert len(crowd.view("attempts", id="x")) == 0
    assert found(train_bits_per_dim=float("nan")) == list(everything["attempt_id"])


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda s: s.view("bord"), ["no view 'bord'", "did you mean 'board'?"]),
        (lambda s: s.view("board", colour="red"), ["board has no column 'colour'", "mean"]),
        (lambda s: s.maps(colour="red"), ["contribution_maps has no column 'colour'", "split"]),
        (lambda s: s.maps(values=b""), ["no column 'values'"]),
        (
            lambda s: s.view("attempts", colour="red"),
            ["attempts has no column 'colour'", "outcome"],
        ),
        (
            lambda s: s.view("results", budget="100"),
            ["'budget' of results is a whole number", "'100'"],
        ),
        (lambda s: s.view("results", budget=100.0), ["is a whole number"]),
        (lambda s: s.view("results", seed=True), ["is a whole number", "True"]),
        (lambda s: s.view("results", flow=3), ["'flow' of results is text", "3"]),
        (lambda s: s.view("pairs", difference=["0.5"]), ["is a number"]),
        (lambda s: s.view("results", seed=range(40_000)), ["40000 values", "at most 30000"]),
        (lambda s: s.view("results", flow="a\0"), ["'flow'"]),
        (lambda s: s.view("results", seed=2**80), ["'seed'"]),
        (lambda s: s.view("results", flow=b"glow"), ["'flow' of results is text", "b'glow'"]),
    ],
)
def test_what_cannot_be_asked_is_one_line(crowd: db.Store, ask: Any, words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        ask(crowd)
    assert "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in words)


def test_maps_are_arrays_with_what_they_are_of(crowd: db.Store) -> None:
    maps = crowd.maps(flow="realnvp", dataset="photos16", budget=100, split=[1, 2])
    assert [(m.seed, m.split) for m in maps] == [(0, 1), (0, 2), (1, 1), (1, 2), (2, 1), (2, 2)]
    assert {m.pretraining_id for m in crowd.maps(seed=[0, 2])} == {"p0", "p2"}
    assert [m.seed for m in crowd.maps(pretraining_id="p1", split=2)] == [1, 1]
    for item in maps:
        assert isinstance(item, db.ContributionMap)
        assert (item.flow, item.dataset, item.variant) == ("realnvp", "photos16", "u8")
        assert (item.nms, item.recipe_id, item.budget) == ("squeezed", "without", 100)
        assert item.values.dtype == np.float32
        values = np.random.default_rng(item.split).normal(size=(3, 16, 16)).astype(np.float32)
        np.testing.assert_array_equal(item.values, values)
        np.testing.assert_array_equal(item.standard_errors, np.abs(values))
        assert (item.images, item.sum_error) == (1000, 0.0)
        np.testing.assert_array_equal(item.halves, np.stack([values, values]))
        assert item.statistics == MAP_STATISTICS
    assert len(crowd.maps()) == 10
    assert crowd.maps(flow="glow") == []
