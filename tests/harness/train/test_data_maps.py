"""Maps of the data, compared with an explicit inverse."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lcma.harness.data.bars import choose_shrinkage
from lcma.harness.train.data_maps import measure_data_maps
from lcma.models.factorization import make_tables, surviving_ids
from lcma.sweeps.errors import UserError
from lcma.sweeps.factorizations import DATA_RULES
from tests.harness.data.test_bars import make_prepared_set

SHAPE, SPLITS = (2, 4, 4), 2


def make_images(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """Images whose neighbours are correlated and whose dimensions differ in their spread."""
    random = np.random.RandomState(seed)
    mixed = random.standard_normal((count, 32)) @ np.random.RandomState(9).standard_normal((32, 32))
    spread = np.random.RandomState(8).uniform(1, 6, 32)
    return np.clip(128 + spread * mixed, 0, 255).astype(np.uint8).reshape(count, *SHAPE)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Any:
    images = make_images(600)
    return make_prepared_set(
        tmp_path_factory.mktemp("set"), images, images[:10], holdout=make_images(100, seed=1)
    )


def measure_by_rule(prepared: Any) -> dict[str, list[Any]]:
    by_rule: dict[str, list[Any]] = {}
    for data_map in measure_data_maps(prepared, SPLITS):
        by_rule.setdefault(data_map.measured.score, []).append(data_map)
    return by_rule


def naive_values(rule: str, rows: Any, shrinkage: float, ids: NDArray[np.int64]) -> Any:
    """Return the value of each of these dimensions."""
    covariance = np.cov(rows[:, ids].T, bias=True)
    if rule == "variance-low":
        return covariance.diagonal()
    identity = np.eye(len(ids))
    return 1 / np.linalg.solve(covariance + shrinkage * identity, identity).diagonal()


@pytest.mark.parametrize("rule", DATA_RULES)
def test_maps_are_those_of_an_explicit_inverse(prepared: Any, rule: str) -> None:
    rows = np.array(prepared.part("train").images).reshape(-1, 32).astype(np.float64)
    covariance = np.cov(rows.T, bias=True)
    shrinkage = choose_shrinkage(prepared, rows.mean(0), covariance)
    maps = measure_by_rule(prepared)[rule]
    tables = make_tables(rule, SHAPE, SPLITS, maps=[data_map.measured.values for data_map in maps])
    for data_map, remaining in zip(maps, surviving_ids(tables, SHAPE), strict=False):
        ids = remaining.ravel()
        assert sorted(data_map.ids.ravel()) == sorted(ids)
        expected = naive_values(rule, rows, shrinkage, ids)
        np.testing.assert_allclose(data_map.measured.values.ravel()[ids], expected, rtol=1e-5)
    assert maps[0].measured.images == 600
    assert maps[1].measured.scalar == pytest.approx(float(maps[1].measured.values.sum()), rel=1e-6)


def test_the_map_of_a_dimension_that_has_left_has_its_last_value(prepared: Any) -> None:
    for first, second in measure_by_rule(prepared).values():
        gone = np.setdiff1d(np.arange(32), second.ids)
        assert len(gone) == 16
        before, after = first.measured.values.ravel(), second.measured.values.ravel()
        assert np.array_equal(before[gone], after[gone])


def test_halves_are_the_maps_of_alternating_images(prepared: Any) -> None:
    images = np.array(prepared.part("train").images)
    by_rule = measure_by_rule(prepared)
    for half in (0, 1):
        rows = images[half::2].reshape(-1, 32).astype(np.float64)
        for data_map in by_rule["variance-low"]:
            ids = data_map.ids.ravel()
            expected = naive_values("variance-low", rows, 0.0, ids)
            halves = data_map.measured.halves[half].ravel()
            np.testing.assert_allclose(halves[ids], expected, rtol=1e-5)


def test_fewer_images_than_dimensions_are_enough(tmp_path: Path) -> None:
    holdout = make_images(10, seed=1)
    few = make_prepared_set(tmp_path, make_images(20), make_images(4), holdout=holdout)
    for maps in measure_by_rule(few).values():
        assert all(np.isfinite(data_map.measured.values).all() for data_map in maps)
        assert all((data_map.measured.values > 0).all() for data_map in maps)


def test_float_images_that_do_not_vary_are_refused(tmp_path: Path) -> None:
    same = np.full((20, *SHAPE), 3.0, dtype=np.float32)
    with pytest.raises(UserError, match="do not vary"):
        measure_data_maps(make_prepared_set(tmp_path, same, same[:2]), SPLITS)
