"""Index tables, bars and map statistics: stored once, told in views."""

from typing import Any

import numpy as np
import pytest

from lcma import db
from lcma.harness.results.lookup import read_bars
from tests.db.conftest import DATA, HALF, index_table


def test_a_table_is_stored_bit_by_bit(filled: Any) -> None:
    sql = "SELECT kept, channels, height, width FROM index_tables"
    (kept, *shape) = filled.store.sql(sql, limit=1).iloc[0]
    bits = np.unpackbits(np.frombuffer(kept, np.uint8), count=HALF.size)
    assert tuple(shape) == HALF.shape
    assert np.array_equal(bits.astype(bool).reshape(HALF.shape), HALF)


@pytest.mark.parametrize("kept", [np.zeros((3, 4, 6)), np.zeros((4, 4), dtype=bool)])
def test_a_mask_must_be_one(kept: Any) -> None:
    with pytest.raises(ValueError, match="kept must be a mask"):
        index_table("t", 1, kept)


def test_bars_by_data_set_and_bodies_by_recipe(world: Any) -> None:
    assert read_bars(world.store) == {}
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
    assert read_bars(world.store) == {DATA.digest: [bars[1], bars[0]]}
    found = world.store.recipes(["with", "unknown"])
    assert {one.id: one.body for one in found.values()} == {"with": "{}"}
