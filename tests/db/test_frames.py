"""Views as DataFrames and maps as arrays, selected by any column."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from lcma import db
from lcma.db.views import views
from tests.db.conftest import MAP_STATISTICS, contribution_map
from tests.refusals import catch_refusal


@pytest.mark.parametrize("name", views.tables)
def test_every_view_is_a_frame_of_the_declared_types(crowded_store: db.Store, name: str) -> None:
    frame, rows = crowded_store.view(name), crowded_store.rows(db.select_view(name))
    text = next(c.name for c in views.tables[name].c if isinstance(c.type, sa.Text))
    empty = crowded_store.view(name, **{text: "none"})
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


def test_a_keyword_is_one_value_or_several_and_none_is_null(crowded_store: db.Store) -> None:
    frame = crowded_store.view("results")

    def select(**where: Any) -> list[str]:
        return list(crowded_store.view("results", **where)["attempt_id"])

    def expect(chosen: "pd.Series[bool]") -> list[str]:
        return list(frame[chosen]["attempt_id"])

    budget, seed = frame["budget"], frame["seed"]
    assert select(budget=100) == expect(budget == 100) != []
    assert select(budget=None) == expect(budget.isna()) != []
    assert select(budget=[None, 200]) == expect(budget.isna() | (budget == 200))
    assert select(budget=[]) == []
    for seeds in ([0, 2], (0, 2), {0, 2}, np.array([0, 2]), pd.Series([0, 2])):
        assert select(seed=seeds) == expect(seed.isin([0, 2]))
    assert select(seed=np.int64(1), budget=pd.NA) == expect((seed == 1) & budget.isna()) != []
    assert select(budget=budget.unique()) == list(frame["attempt_id"])
    assert len(select(bits_per_dim=np.float64(frame["bits_per_dim"].min()))) == 1
    assert select(bits_per_dim=3) == []
    assert select(seed=[0, 2**31, -(2**62)]) == expect(seed == 0)
    assert crowded_store.maps(budget=2**31) == []
    assert len(crowded_store.view("attempts", id="x")) == 0
    assert select(train_bits_per_dim=float("nan")) == list(frame["attempt_id"])


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda s: s.view("bord"), ["no view 'bord'", "did you mean 'board'?"]),
        (lambda s: s.view("board", colour="red"), ["board has no column 'colour'", "mean"]),
        (lambda s: s.maps(colour="red"), ["contribution_maps has no column 'colour'", "split"]),
        (lambda s: s.maps(values=b""), ["no column 'values'"]),
        (lambda s: s.view("attempts", colour="red"), ["no column 'colour'", "outcome"]),
        (lambda s: s.view("results", budget="100"), ["of results is a whole number", "'100'"]),
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
def test_a_wrong_question_is_refused(crowded_store: db.Store, ask: Any, words: list[str]) -> None:
    catch_refusal(lambda: ask(crowded_store), *words)


def test_maps_are_arrays_with_their_keys(crowded_store: db.Store) -> None:
    maps = crowded_store.maps(flow="realnvp", dataset="photos16", budget=100, split=[1, 2])
    assert [(m.seed, m.split) for m in maps] == [(0, 1), (0, 2), (1, 1), (1, 2), (2, 1), (2, 2)]
    assert {m.pretraining_id for m in crowded_store.maps(seed=[0, 2])} == {"p0", "p2"}
    assert [m.seed for m in crowded_store.maps(pretraining_id="p1", split=2)] == [1, 1]
    for item in maps:
        assert isinstance(item, db.ContributionMap)
        assert (item.flow, item.dataset, item.variant) == ("realnvp", "photos16", "u8")
        assert (item.nms, item.recipe_id, item.budget) == ("squeezed", "without", 100)
        assert item.values.dtype == np.float32
        values = contribution_map(item.split, shift=item.seed + 0.1).values
        np.testing.assert_array_equal(item.values, values)
        np.testing.assert_array_equal(item.standard_errors, np.abs(values))
        assert (item.images, item.sum_error) == (1000, 0.0)
        np.testing.assert_array_equal(item.halves, np.stack([values, values]))
        assert item.statistics == MAP_STATISTICS
    assert len(crowded_store.maps()) == 10
    assert crowded_store.maps(flow="glow") == []
