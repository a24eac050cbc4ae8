"""Maps of the data, compared with loops over pixels and an explicit inverse."""

import itertools
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


def naive_maps(
    rule: str, rows: NDArray[np.float64], shrinkage: float
) -> list[tuple[dict[int, float], list[int]]]:
    """Return for each split the value of each dimension that has not left before, and the ids that
    stay."""
    ids = np.arange(32).reshape(SHAPE)
    maps = []
    for _ in range(SPLITS):
        c, h, w = ids.shape
        values: dict[int, float] = {}
        if rule == "precision-low":
            remaining = ids.ravel().tolist()
            identity = np.eye(len(remaining))
            covariance = np.cov(rows[:, remaining].T, bias=True) + shrinkage * identity
            inverse = np.linalg.solve(covariance, identity)
            precision = {d: 1 / inverse[k, k] for k, d in enumerate(remaining)}
        stays = np.zeros((2 * c, h // 2, w // 2), dtype=int)
        for channel, r, q in itertools.product(range(c), range(h // 2), range(w // 2)):
            four = [int(ids[channel, 2 * r + dr, 2 * q + dq]) for dr in (0, 1) for dq in (0, 1)]
            for d in four:
                if rule == "variance-low":
                    values[d] = float(np.mean((rows[:, d] - rows[:, d].mean()) ** 2))
                else:
                    values[d] = float(precision[d])
            order = sorted(range(4), key=lambda p, four=four: (-values[four[p]], p))
            for rank, p in enumerate(sorted(order[:2])):
                stays[rank * c + channel, r, q] = four[p]
        ids = stays
        maps.append((values, ids.ravel().tolist()))
    return maps


@pytest.mark.parametrize("rule", DATA_RULES)
def test_maps_and_tables_are_those_of_loops_over_pixels(prepared: Any, rule: str) -> None:
    rows = np.array(prepared.part("train").images).reshape(-1, 32).astype(np.float64)
    covariance = np.cov(rows.T, bias=True)
    shrinkage = choose_shrinkage(prepared, rows.mean(0), covariance)
    maps = measure_by_rule(prepared)[rule]
    expected = naive_maps(rule, rows, shrinkage)
    tables = make_tables(rule, SHAPE, SPLITS, maps=[data_map.measured.values for data_map in maps])
    kept = surviving_ids(tables, SHAPE)[1:]
    for data_map, stays, (values, naive_kept) in zip(maps, kept, expected, strict=True):
        assert sorted(data_map.ids.ravel().tolist()) == sorted(values)
        flat = data_map.measured.values.ravel()
        for d, value in values.items():
            assert flat[d] == pytest.approx(value, rel=1e-5)
        assert stays.ravel().tolist() == naive_kept
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
        expected = naive_maps("variance-low", rows, 0.0)
        for data_map, (values, _) in zip(by_rule["variance-low"], expected, strict=True):
            flat = data_map.measured.halves[half].ravel()
            assert all(flat[d] == pytest.approx(v, rel=1e-5) for d, v in values.items())


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
