"""Index tables, bars and map statistics: stored once, told in views."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from numpy.typing import NDArray

from lcma import db
from lcma.db.integrity import check_integrity
from tests.db.conftest import (
    COST,
    DATA,
    MAP_STATISTICS,
    contribution_map,
    result,
    trial,
)
from tests.db.conftest import index_table as table

SHAPE = (3, 4, 6)


def mask(seed: int) -> NDArray[np.bool_]:
    return np.random.RandomState(seed).random_sample(SHAPE) < 0.5


def rows(store: db.Store, sql: str) -> list[Any]:
    with sa.create_engine(store.url, poolclass=sa.NullPool).connect() as connection:
        return [tuple(row) for row in connection.execute(sa.text(sql))]


CELLS = (("LLL", 0, 100), ("LLL", 0, 200))
"""Factorization, seed and budget of more trials."""


@pytest.fixture
def many(world: Any) -> Any:
    trials = tuple(trial(name, seed, budget) for name, seed, budget in CELLS)
    jobs = tuple(db.PlannedJob.of_trial(t.id, DATA.digest, steps=500) for t in trials)
    world.store.register(db.Registration(trials=trials, jobs=jobs))
    return world


def finish(world: Any, cell: tuple[str, int, int], *kept: NDArray[np.bool_]) -> None:
    own = trial(*cell)
    claim = world.win(db.PlannedJob.of_trial(own.id, DATA.digest, steps=500).id)
    tables = [table(own.id, split, m) for split, m in enumerate(kept, start=1)]
    assert world.store.finish(
        claim, "done", last_step=500, cost=COST, result=result(own.id), tables=tables
    )


def test_a_table_is_stored_bit_by_bit(many: Any) -> None:
    finish(many, CELLS[0], mask(3))
    ((kept, *shape),) = rows(many.store, "SELECT kept, channels, height, width FROM index_tables")
    bits = np.unpackbits(np.frombuffer(kept, np.uint8), count=int(np.prod(SHAPE)))
    assert tuple(shape) == SHAPE
    assert np.array_equal(bits.astype(bool).reshape(SHAPE), mask(3))


def test_tables_of_another_trial_are_refused(many: Any) -> None:
    own = trial(*CELLS[0])
    claim = many.win(db.PlannedJob.of_trial(own.id, DATA.digest, steps=500).id)
    foreign = [table(trial(*CELLS[1]).id, 1, mask(0))]
    before = many.dump()
    with pytest.raises(ValueError, match="not of the trial"):
        many.store.finish(
            claim, "done", last_step=500, cost=COST, result=result(own.id), tables=foreign
        )
    assert many.dump() == before


def test_a_rerun_has_tables_of_its_own(many: Any) -> None:
    """What is read and compared is what the current attempt had."""
    own = trial(*CELLS[0])
    for cell in CELLS[:2]:
        finish(many, cell, mask(0))
    job_id = db.PlannedJob.of_trial(own.id, DATA.digest, steps=500).id
    many.store.rerun([job_id], by="me")
    claim = many.win(job_id, now=3000.0)
    new = [table(own.id, 1, mask(1))]
    assert many.store.finish(
        claim, "done", last_step=500, cost=COST, result=result(own.id), tables=new, now=3001.0
    )
    assert len(many.dump()["index_tables"]) == 3
    shown = many.store.view("table_statistics", trial_id=own.id)
    assert list(shown["digest"]) == [new[0].digest]
    found = check_integrity(many.store.database).findings
    assert [one for one in found if "its images are" not in one.problem] == []


def test_a_mask_must_be_one() -> None:
    with pytest.raises(ValueError, match="kept must be a mask"):
        table("t", 1, np.zeros(SHAPE))
    with pytest.raises(ValueError, match="kept must be a mask"):
        table("t", 1, np.zeros((4, 4), dtype=bool))


def test_bars_by_data_set(world: Any) -> None:
    assert world.store.bars() == {}
    bars = tuple(
        db.Bar(
            data_digest=DATA.digest,
            name=name,
            bits_per_dim=bits,
            standard_error=None,
            images=100,
            detail="how",
        )
        for name, bits in (("webp", 5.25), ("gaussian", None))
    )
    for _ in range(2):
        world.store.register(db.Registration(bars=bars))
    assert world.store.bars() == {DATA.digest: [bars[1], bars[0]]}


def test_recipe_bodies(world: Any) -> None:
    assert world.store.recipe_bodies(["with", "unknown"]) == {"with": "{}"}


def test_maps_keep_their_halves_and_statistics(world: Any) -> None:
    plain = contribution_map(1)
    halves = np.stack([plain.values, -plain.values])
    statistics = db.MapStatistics(
        mask_share=0.5,
        mask_share_by_chance=0.25,
        standard_error=None,
        rank_gap=0.125,
        error_to_gap=None,
        unresolved=None,
        tied=0.0,
    )
    columns = {name: getattr(plain, name) for name in plain.__slots__}
    full = db.ContributionMap(**(columns | {"halves": halves, "statistics": statistics}))
    claim = world.win(world.segments[0])
    maps = [full, contribution_map(2)]
    assert world.store.finish(claim, "done", last_step=100, cost=COST, maps=maps)
    first, second = world.store.maps(pretraining_id="p", budget=100)
    assert np.array_equal(first.halves, halves)
    assert first.statistics == statistics
    assert second.statistics == MAP_STATISTICS
    told = pd.read_sql("SELECT * FROM map_statistics ORDER BY split", world.store.url)
    assert told["rank_gap"].tolist()[0] == 0.125
    assert told["nms"].tolist() == ["squeezed"] * 2
    world.damage("UPDATE contribution_maps SET halves = substr(halves, 1, 8) WHERE split = 1")
    with pytest.raises(Exception, match="contribution_maps is damaged"):
        world.store.maps(pretraining_id="p", budget=100)
